"""rpc serve, where the client or the server ends in the middle: the books balance."""
import os
import signal
import subprocess
import threading
import time

import harness
import rpc_peer
from harness import AT_ONCE, Server, alone, program, reset, send_beside, start, wait_until
from rpc_peer import Client, RpcCase, pack, request

rpc_peer.skip_unless_built()


class ClientsThatEnd(RpcCase):
    def test_after_requests_get_every_answer(self):
        with Server('rpc serve') as server:
            client = Client(server)
            client.send(request(1, 'sleep', 100) + request(2, 'echo', 'x' * 500_000))
            client.finish()
            client.receive_to_end()
            self.assertEqual((client.end, sorted(client.answers)), ('FIN', [1, 2]))
            client.close()
            self.assert_report(server.report(), cause='peer_finished', initiator='peer',
                               ending='graceful')
            self.drained(server, answered=2, canceled=0, truncated=0)

    def test_inside_a_frame_are_truncated_at_every_byte(self):
        data = request(9, 'echo', ['ä', {'b': b'12'}, 2**40])
        with Server('rpc serve') as server:
            names = []
            for at in range(1, len(data)):
                client = Client(server)
                client.send(request(1, 'echo', at) + data[:at])
                client.finish()
                self.assertEqual(client.receive_to_end(), {1: (None, at)})
                self.assertEqual(client.end, 'FIN')
                names.append(client.name)
                client.close()
            reports = server.wait_reports(len(names))
            self.assertEqual({(each['cause'], each['ending']) for each in reports},
                             {('truncated', 'graceful')})
            self.drained(server, truncated=len(names), answered=len(names), bad_messages=0)

    def test_inside_a_frame_are_reset_if_so_asked(self):
        with Server('rpc serve', '--ending', 'abort') as server:
            client = Client(server)
            self.assertEqual(client.call('echo', 1), (None, 1))
            client.send(b'\x94\x00')
            client.finish()
            client.receive_to_end()
            self.assertEqual(client.end, 'RST')
            self.assert_report(server.report(), cause='truncated', ending='aborted')
            self.drained(server, truncated=1)

    def test_by_a_reset_have_their_requests_cancelled(self):
        for bound in ('64', '3'):  # reading, and with no room to read
            with Server('rpc serve', '--in-progress', bound) as server:
                client = Client(server)
                client.send(b''.join(request(n, 'sleep', 60_000) for n in range(10)) +
                            request(10, 'echo', 1))
                if bound == '64':
                    client.receive_answers(1)
                else:
                    wait_until(lambda: not harness.queued_for_reading(client.socket), 'sent')
                    time.sleep(0.05)
                reset(client.socket)
                self.assert_report(server.report(2.0), cause='peer_reset', ending='reset')
                began = 11 if bound == '64' else 3
                self.drained(server, within=8.0, requests=began, canceled=min(began, 10))

    def kill(self, *options):
        """Kills a client in mid-flight; returns the server's report and totals."""
        with Server('rpc serve', *options) as server:
            client = start([program('rpc'), 'call', server.address, 'echo', '"text"', '--count',
                            '10000000', '--deadline', '30s'], stdout=subprocess.PIPE)
            # Its answers are counted when it ended: let it run until it has made a good many.
            wait_until(lambda: server.cpu_seconds() > 0.1, 'thousands of calls')
            client.kill()
            client.wait()
            client.stdout.close()
            report = server.report()
            return report, self.drained(server)

    def test_by_a_kill_in_mid_flight_keep_the_books(self):
        for _ in range(3):
            report, totals = self.kill()
            cause = report['cause']
            self.assertEqual(report['reset_received'], cause == 'peer_reset', report)
            if cause != 'peer_reset':  # nothing was unread, nor answered later
                self.assert_report(report, peer_finished=True, ending='graceful')
                self.assertEqual(totals['truncated'], int(cause == 'truncated'), report)
            if cause == 'peer_finished':
                self.assertEqual(totals['canceled'], 0)
            self.assertGreater(totals['answered'], 1000)

    def killed(self, data, answers, reads=True, due=0):
        """A client process is killed when it has sent this and so many answers have come, read or
        not; returns the server's report and totals. The kernel ends the connection for it."""
        with Server('rpc serve') as server:
            ready, tell = os.pipe()
            process = os.fork()
            if process == 0:
                try:
                    client = Client(server)
                    client.send(data)
                    if reads:
                        client.receive_answers(answers)
                    else:
                        wait_until(lambda: harness.queued_for_reading(client.socket), 'answered')
                    os.write(tell, b'x')
                    time.sleep(10)
                finally:
                    os._exit(1)
            os.close(tell)
            self.assertEqual(os.read(ready, 1), b'x')
            os.close(ready)
            os.kill(process, signal.SIGKILL)
            os.waitpid(process, 0)
            report = server.report()
            return report, self.drained(server, requests=answers + due)

    @alone
    def test_by_a_kill_between_messages_have_finished(self):
        report, totals = self.killed(request(1, 'echo', 1) + request(2, 'echo', 2), answers=2)
        self.assert_report(report, cause='peer_finished', initiator='peer', ending='graceful',
                           delivery='acknowledged', reset_received=False)
        self.assertEqual((totals['truncated'], totals['canceled']), (0, 0))

    @alone
    def test_by_a_kill_inside_a_message_are_truncated(self):
        report, totals = self.killed(request(1, 'echo', 1) + b'\x94', answers=1)
        self.assert_report(report, cause='truncated', initiator='peer', ending='graceful',
                           delivery='acknowledged', reset_received=False)
        self.assertEqual((totals['truncated'], totals['canceled']), (1, 0))

    @alone
    def test_by_a_kill_with_answers_unread_are_resets(self):
        for half in (b'', b'\x94'):  # whatever was sent besides
            report, totals = self.killed(request(1, 'echo', 1) + half, answers=1, reads=False)
            self.assert_report(report, cause='peer_reset', initiator='peer', ending='reset',
                               peer_finished=False, error='ECONNRESET')
            self.assertEqual((totals['truncated'], totals['canceled']), (0, 0))

    @alone
    def test_by_a_kill_with_answers_due_are_resets_at_the_next_answer(self):
        # Its FIN asks for the answers as any other would; nobody is there to take them.
        data = request(1, 'echo', 1) + request(2, 'sleep', 100)
        for half in (b'', b'\x94'):  # the reset is what counts
            report, totals = self.killed(data + half, answers=1, due=1)
            self.assert_report(report, cause='peer_reset', initiator='peer', ending='reset',
                               peer_finished=True, error='EPIPE', delivery='unacknowledged')
            self.assertEqual((totals['truncated'], totals['answered']), (0, 2))

    def test_that_read_nothing_are_cut_at_the_deadline(self):
        with Server('rpc serve', '--deadline', '300ms', '--frame-max', '32MiB') as server:
            client = Client(server, receive_buffer=8192)
            send_beside(client.socket, request(1, 'echo', 'x' * 16_000_000), finish=True).join(10)
            self.assert_report(server.report(5.0), ending='degraded', cause='deadline',
                               delivery='unacknowledged')
            client.close()
            self.drained(server, requests=1, canceled=1)

    @alone
    def test_in_the_middle_of_thousands_lose_no_count(self):
        """Each of many ends in another way; the server's books balance for all of them."""
        with Server('rpc serve', '--threads', '2') as server:
            data = b''.join(request(n, 'echo', n) for n in range(3000))
            answers = 0
            for way in range(12):
                client = Client(server)
                sending = send_beside(client.socket, data, finish=way % 3 == 0)
                client.receive_answers(500)
                if way % 3 == 0:
                    client.receive_to_end()
                    self.assertEqual(len(client.answers), 3000)
                elif way % 3 == 1:
                    reset(client.socket)
                else:
                    sending.join(10)
                    client.send(b'\x94')  # and no more of it
                    client.finish()
                    client.receive_to_end()
                    self.assertEqual((client.end, len(client.answers)), ('FIN', 3000))
                client.close()
                answers += len(client.answers)
            rpc_peer.wait_closed(server, 12)
            totals = self.drained(server, truncated=4)
            self.assertGreaterEqual(totals['answered'], answers)


class Drain(RpcCase):
    def test_waits_for_requests_within_its_time(self):
        with Server('rpc serve', '--drain', '5s') as server:
            clients = [Client(server) for _ in range(5)]
            for client in clients:
                client.send(request(1, 'sleep', 400))
                client.call('echo', 0, number=2)
            server.ask_to_end()
            for client in clients:
                client.receive_to_end()
                self.assertEqual((client.end, client.answers[1]), ('FIN', (None, 400)))
                client.close()
            totals = server.ended()
            self.check_totals(totals, answered=10, canceled=0, dropped=0)
            self.assertLess(server.took, 4.0)
            self.assertEqual(totals['cause'], {'drain': 5})
            self.assertEqual(totals['ending'], {'graceful': 5})

    def test_aborts_requests_past_its_time(self):
        with Server('rpc serve', '--drain', '300ms') as server:
            client = Client(server)
            client.send(request(1, 'sleep', 100) + request(2, 'sleep', 20_000))
            client.call('echo', 0, number=3)
            server.ask_to_end()
            client.receive_to_end()
            self.assertEqual((client.end, sorted(client.answers)), ('RST', [1, 3]))
            self.check_totals(server.ended(), answered=2, canceled=1)
            self.assert_lasted(server.took, 0.3, early=0.01)
            self.assert_report(server.report(), ending='degraded', cause='deadline')

    def test_drops_requests_that_were_not_begun_and_counts_them(self):
        with Server('rpc serve', '--in-progress', '2') as server:
            client = Client(server)
            client.send(b''.join(request(n, 'sleep', 300) for n in range(10)))
            # A client that asks for the same sees when those have begun.
            time.sleep(0.1)
            server.ask_to_end()
            client.receive_to_end()
            self.assertEqual((client.end, sorted(client.answers)), ('FIN', [0, 1]))
            self.check_totals(server.ended(), answered=2, dropped=8, canceled=0)

    def test_reads_no_further(self):
        with Server('rpc serve') as server:
            client = Client(server)
            client.send(request(1, 'sleep', 300))
            client.call('echo', 0, number=2)
            server.ask_to_end()
            time.sleep(0.1)
            client.send(request(3, 'echo', 'too late'))
            client.receive_to_end()
            self.assertEqual((client.end, sorted(client.answers)), ('FIN', [1, 2]))
            report = server.report()
            self.assertEqual(report['discarded_bytes'], len(request(3, 'echo', 'too late')))
            self.check_totals(server.ended(), answered=2)

    def test_ends_idle_connections_at_once(self):
        with Server('rpc serve', '--drain', '5s') as server:
            clients = [Client(server) for _ in range(20)]
            for client in clients:
                client.call('echo', 1)
            server.ask_to_end()
            for client in clients:
                client.receive_to_end()
                self.assertEqual(client.end, 'FIN')
                client.close()
            server.ended()
            self.assertLess(server.took, AT_ONCE)

    def test_serves_what_waits_in_the_accept_queue(self):
        with Server('rpc serve', '--drain', '5s') as server:
            server.pause()
            clients = [Client(server) for _ in range(50)]
            for client in clients:
                client.send(request(1, 'sleep', 20) + request(2, 'echo', 2))
            server.ask_to_end()
            server.resume()
            for client in clients:
                client.receive_to_end()
                self.assertEqual((client.end, client.answers),
                                 ('FIN', {2: (None, 2), 1: (None, 20)}))
                client.close()
            self.check_totals(server.ended(), answered=100, dropped=0)
            self.assertLess(server.took, 4.0)

    def test_gives_silent_newcomers_a_second(self):
        with Server('rpc serve', '--drain', '10s') as server:
            silent = Client(server)
            late = Client(server)
            server.ask_to_end()
            time.sleep(0.4)
            self.assertEqual(late.call('echo', 'late'), (None, 'late'))
            late.receive_to_end()
            silent.receive_to_end()
            self.assertEqual((late.end, silent.end), ('FIN', 'FIN'))
            late.close()
            silent.close()
            self.check_totals(server.ended(), answered=1)
            self.assert_lasted(server.took, 1.0, early=0.01)

    def test_finishes_notifications_too(self):
        with Server('rpc serve') as server:
            client = Client(server)
            client.send(pack([2, 'sleep', [300]]))
            client.call('echo', 1)
            server.ask_to_end()
            client.receive_to_end()
            self.assertEqual(client.end, 'FIN')
            client.close()
            self.check_totals(server.ended(), answered=2, notifications=1, canceled=0)
            self.assertGreater(server.took, 0.2)

    def test_is_cut_short_by_a_second_signal(self):
        with Server('rpc serve', '--drain', '10s') as server:
            clients = [Client(server) for _ in range(5)]
            for client in clients:
                client.send(request(1, 'sleep', 20_000))
                client.call('echo', 1, number=2)
            server.ask_to_end()
            time.sleep(0.1)
            server.ask_to_end(signal.SIGINT)
            for client in clients:
                client.receive_to_end()
                self.assertEqual((client.end, list(client.answers)), ('RST', [2]))
            self.check_totals(server.ended(within=8.0), answered=5, canceled=5)
            self.assertLess(server.took, AT_ONCE)
            self.assertEqual({(each['cause'], each['ending']) for each in server.reports()},
                             {('drain', 'degraded')})

    def test_aborts_slow_readers_at_its_deadline(self):
        with Server('rpc serve', '--drain', '400ms', '--discard-max', '64MiB') as server:
            client = Client(server, receive_buffer=8192)
            text = 'x' * 900_000
            send_beside(client.socket, b''.join(request(n, 'echo', text) for n in range(30)))
            client.receive_answers(1)
            time.sleep(0.3)  # until it is stuck
            server.ask_to_end()
            totals = server.ended(within=8.0)
            self.assert_lasted(server.took, 0.4, early=0.01)
            self.check_totals(totals)
            self.assertGreater(totals['canceled'], 0)
            self.assert_report(server.report(), ending='degraded', cause='deadline',
                               delivery='unacknowledged')

    @alone
    def test_in_the_middle_of_thousands_answers_all_that_it_began(self):
        for threads in ('1', '2'):
            with Server('rpc serve', '--threads', threads) as server:
                clients = [Client(server) for _ in range(6)]
                data = b''.join(request(n, 'echo', n) for n in range(40_000))
                for client in clients:
                    send_beside(client.socket, data)
                for client in clients:
                    client.receive_answers(200)
                server.ask_to_end()
                reading = [threading.Thread(target=client.receive_to_end) for client in clients]
                for each in reading:
                    each.start()
                for each in reading:
                    each.join(10)
                totals = server.ended()
                self.check_totals(totals)
                self.assertLess(totals['answered'], 6 * 40_000, 'the drain came too late')
                # A client that still sends when the server has closed may be reset: then answers
                # that it had not read are lost. Where all ended by FIN, every answer arrived.
                arrived = sum(len(client.answers) for client in clients)
                self.assertLessEqual(arrived, totals['answered'])
                graceful = {each['peer'] for each in server.reports()
                            if each['ending'] == 'graceful'}
                if {client.name for client in clients} <= graceful and \
                        all(client.end == 'FIN' for client in clients):
                    self.assertEqual(arrived, totals['answered'])
                for client in clients:
                    self.assertEqual(client.answers,
                                     {n: (None, n) for n in range(len(client.answers))})


if __name__ == '__main__':
    harness.main()
