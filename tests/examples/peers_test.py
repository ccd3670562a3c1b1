"""echo among peers that misbehave: each connection is bounded, and reported as it was."""
import socket
import threading
import time

import harness
from harness import (PATIENCE, Case, Server, alone, end_of, fill, name_of, pattern,
                     queued_for_reading, read_exactly, read_to_end, reset, round_trip, send_beside,
                     wait_until)

MIB = 1 << 20


class Resets(Case):
    def test_in_the_middle_of_an_answer_is_one_report_that_names_what_is_missing(self):
        with Server('echo') as server:
            client = server.connect(receive_buffer=16384)
            fill(client)
            had = queued_for_reading(client)
            self.assertGreater(had, 0)
            reset(client)
            report = server.report()
            self.assert_report(report, initiator='peer', cause='peer_reset', ending='reset',
                               delivery='unacknowledged', reset_received=True, reset_sent=False,
                               peer_finished=False)
            self.assertGreater(report['unacknowledged_bytes'] + report['unsent_bytes'], 0)
            # What the report calls acknowledged, the client's kernel had.
            self.assertEqual(report['sent_bytes'] - report['unacknowledged_bytes'], had)
            server.drained()

    def test_while_idle_is_seen_without_a_write(self):
        with Server('echo') as server:
            client = server.connect()
            round_trip(client, pattern(1000))
            name = name_of(client)
            reset(client)
            report = server.report_of(name)
            self.assert_report(report, initiator='peer', cause='peer_reset', ending='reset',
                               delivery='acknowledged', sent_bytes=1000, received_bytes=1000,
                               unacknowledged_bytes=0, error='ECONNRESET')
            server.drained()

    def test_at_once_after_connecting_loses_no_descriptor(self):
        with Server('echo') as server:
            before = server.descriptors()
            names = []
            for _ in range(200):
                client = server.connect()
                names.append(name_of(client))
                reset(client)
            reports = server.wait_reports(200)
            self.assertEqual({each['ending'] for each in reports}, {'reset'})
            self.assertEqual(sorted(each['peer'] for each in reports), sorted(names))
            wait_until(lambda: server.descriptors() == before, 'descriptors come back')
            server.drained()

    def test_before_the_server_accepts_are_each_reported_with_their_peer(self):
        with Server('echo') as server:
            server.pause()
            names = []
            for _ in range(50):
                client = server.connect()
                client.sendall(b'never answered')
                names.append(name_of(client))
                reset(client)
            server.resume()
            reports = server.wait_reports(50)
            self.assertEqual({each['ending'] for each in reports}, {'reset'})
            self.assertEqual(sorted(each['peer'] for each in reports), sorted(names))
            server.drained()

    def test_behind_a_half_close_are_resets(self):
        with Server('echo') as server:
            client = server.connect(receive_buffer=8192)
            client.sendall(pattern(500_000))
            client.shutdown(socket.SHUT_WR)
            wait_until(lambda: queued_for_reading(client) > 4000, 'an answer')
            reset(client)
            report = server.report()
            self.assert_report(report, ending='reset', cause='peer_reset', initiator='peer',
                               delivery='unacknowledged')
            self.assertLess(report['sent_bytes'] - report['unacknowledged_bytes'], 20_000)
            server.drained()

    def test_by_closing_with_unread_bytes_are_resets(self):
        with Server('echo') as server:
            client = server.connect()
            client.sendall(b'x' * 1000)
            wait_until(lambda: queued_for_reading(client) == 1000, 'the answer')
            client.close()
            self.assert_report(server.report(), ending='reset', delivery='acknowledged',
                               sent_bytes=1000)
            server.drained()

    def test_of_a_unix_peer_that_leaves_bytes_unread_are_not_called_delivered(self):
        with Server('echo', listen=f'unix:{harness.scratch("socket")}') as server:
            client = server.connect()
            client.sendall(b'x' * 1000)
            wait_until(lambda: queued_for_reading(client) == 1000, 'the answer')
            client.close()
            self.assert_report(server.report(), ending='reset', delivery='unacknowledged',
                               unacknowledged_bytes=None)
            server.drained()


class Silence(Case):
    @alone
    def test_a_client_that_sends_nothing_is_finished_at_its_idle_time(self):
        with Server('echo', '--idle', '300ms') as server:
            begun = time.monotonic()
            client = server.connect()
            self.assertEqual(read_to_end(client), b'')
            self.assert_lasted(time.monotonic() - begun, 0.3)
            client.close()
            self.assert_report(server.report(), initiator='local', ending='graceful',
                               cause='idle', sent_bytes=0, received_bytes=0)
            server.drained()

    @alone
    def test_a_client_that_never_answers_fin_is_reset_after_the_idle_time_again(self):
        with Server('echo', '--idle', '300ms') as server:
            begun = time.monotonic()
            client = server.connect()
            report = server.report()
            self.assert_lasted(time.monotonic() - begun, 0.6)
            self.assert_report(report, initiator='local', cause='idle', ending='degraded',
                               delivery='acknowledged', phase='fin_acknowledged', reset_sent=True,
                               peer_finished=False)
            # A client that has the server's FIN already is told of the reset as EPIPE.
            wait_until(lambda: client.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR), 'the reset')
            server.drained()

    @alone
    def test_bytes_keep_a_connection_from_being_idle(self):
        with Server('echo', '--idle', '400ms') as server:
            client = server.connect()
            for _ in range(12):
                round_trip(client)
                time.sleep(0.1)
            client.close()
            self.assert_report(server.report(), ending='graceful', cause='peer_finished',
                               sent_bytes=48)
            server.drained()

    @alone
    def test_every_byte_restarts_the_idle_time_also_after_long_silence(self):
        with Server('echo', '--idle', '700ms') as server:
            client = server.connect()
            for _ in range(3):
                time.sleep(0.5)
                round_trip(client)
            client.close()
            self.assert_report(server.report(), ending='graceful', cause='peer_finished')
            server.drained()


class ZeroWindow(Case):
    def test_a_client_that_never_reads_is_ended_by_idle_time(self):
        with Server('echo', '--idle', '300ms', '--discard-max', '1GiB') as server:
            client = server.connect(receive_buffer=16384)
            fill(client)
            report = server.report()
            # In the middle of an answer: no FIN behind what went, but RST at once.
            self.assert_report(report, cause='idle', ending='aborted', initiator='local',
                               delivery='unacknowledged', reset_sent=True, peer_finished=False,
                               phase='open')
            self.assertGreater(report['unsent_bytes'], 0)
            self.assertGreater(report['unacknowledged_bytes'], 0)
            self.assertEqual(report['sent_bytes'] - report['unacknowledged_bytes'],
                             queued_for_reading(client))
            self.assertEqual(end_of(client), 'RST')
            server.drained()

    @alone
    def test_a_client_that_never_reads_its_answer_meets_the_deadline(self):
        with Server('echo', '--deadline', '500ms') as server:
            client = server.connect(receive_buffer=16384)
            client.sendall(pattern(400_000))
            begun = time.monotonic()
            client.shutdown(socket.SHUT_WR)
            report = server.report()
            self.assert_lasted(time.monotonic() - begun, 0.5)
            self.assert_lasted(report['microseconds']['total'] / 1e6, 0.5, early=0)
            self.assert_report(report, cause='deadline', ending='degraded', initiator='peer',
                               delivery='unacknowledged', peer_finished=True, reset_sent=True,
                               received_bytes=400_000)
            self.assertEqual(report['sent_bytes'] - report['unacknowledged_bytes'],
                             queued_for_reading(client))
            server.drained()

    @alone
    def test_a_deadline_is_absolute_in_spite_of_progress(self):
        with Server('echo', '--deadline', '800ms', '--idle', '300ms') as server:
            client = server.connect(receive_buffer=4096)
            client.sendall(pattern(400_000))
            client.shutdown(socket.SHUT_WR)
            got = 0
            try:
                while part := client.recv(4096):
                    got += len(part)
                    time.sleep(0.04)
                self.fail('the whole answer came')
            except ConnectionResetError:
                pass
            report = server.report()
            self.assert_lasted(report['microseconds']['total'] / 1e6, 0.8, early=0)
            self.assert_report(report, cause='deadline', ending='degraded',
                               delivery='unacknowledged')
            # What the client's kernel had; it acknowledges late what it has just got.
            arrived = report['sent_bytes'] - report['unacknowledged_bytes']
            self.assertLess(abs(arrived - got), 20_000)
            server.drained()

    def test_a_client_that_reads_a_byte_a_second_meets_the_deadline(self):
        with Server('echo', '--deadline', '1500ms', '--idle', '1s') as server:
            client = server.connect(receive_buffer=4096)
            client.sendall(pattern(400_000))
            client.shutdown(socket.SHUT_WR)
            begun = time.monotonic()
            while not server.reports() and time.monotonic() < begun + 5:
                try:
                    client.recv(1)
                except ConnectionResetError:
                    break
                time.sleep(1)
            report = server.report()
            self.assertIn(report['cause'], ('deadline', 'idle'))
            self.assert_report(report, ending='degraded', delivery='unacknowledged')
            self.assertLess(report['microseconds']['total'], 1e6 * PATIENCE)
            server.drained()


class Uploads(Case):
    def test_without_end_are_served_until_a_drain_resets_them(self):
        with Server('echo', '--drain', '400ms') as server:
            client = server.connect()
            sender = send_beside(client, bytes(MIB), times=1024)
            read_exactly(client, 8 * MIB)
            reader = threading.Thread(target=end_of, args=(client,), daemon=True)
            reader.start()
            server.drained()
            sender.join(5)
            self.assertFalse(sender.is_alive())
            report = server.report()
            # At a moment at which nothing waits to be read it counts as idle, and what comes then
            # meets the discard cap.
            self.assertIn((report['cause'], report['ending']),
                          [('drain', 'aborted'), ('discard_limit', 'degraded'),
                           ('deadline', 'degraded')])
            self.assert_report(report, reset_sent=True)
            self.assertGreaterEqual(report['sent_bytes'], 8 * MIB)

    def test_after_our_fin_end_at_the_discard_cap(self):
        with Server('echo', '--idle', '200ms', '--discard-max', '256KiB') as server:
            client = server.connect()
            self.assertEqual(client.recv(1), b'')  # the idle time is over, and FIN has come
            send_beside(client, bytes(MIB), times=1024).join(5)
            report = server.report()
            self.assert_report(report, cause='discard_limit', ending='degraded', reset_sent=True,
                               received_bytes=0)
            self.assertGreater(report['discarded_bytes'], 256 * 1024)
            # What the kernel brings in the turn that passes the cap still counts: at most as much
            # as a loop has buffers for.
            self.assertLess(report['discarded_bytes'], 4 * MIB + 256 * 1024)
            server.drained()

    def test_after_our_fin_within_the_discard_cap_stay_graceful(self):
        with Server('echo', '--idle', '200ms', '--discard-max', '256KiB') as server:
            client = server.connect()
            self.assertEqual(client.recv(1), b'')
            client.sendall(bytes(256 * 1024))
            client.close()
            self.assert_report(server.report(), ending='graceful', initiator='local',
                               discarded_bytes=256 * 1024, received_bytes=0)
            server.drained()

    def beside_stuck(self, visit):
        """Visits a server on which 40 clients send much and read nothing."""
        with Server('echo') as server:
            stuck = [server.connect(receive_buffer=8192) for _ in range(40)]
            for client in stuck:
                fill(client, quiet=0.03)
            with server.connect(timeout=PATIENCE) as client:
                visit(client)
                report = server.report_of(name_of(client), 2.0)
            for client in stuck:
                reset(client)
            reports = server.wait_reports(41)
            self.assertEqual(sum(each['ending'] == 'reset' for each in reports), 40)
            server.drained()
            return report

    @alone
    def test_that_nobody_reads_back_do_not_hold_the_answers_of_others(self):
        def visit(client):
            for _ in range(10):
                round_trip(client, pattern(10_000))
            client.shutdown(socket.SHUT_WR)
            self.assertEqual(read_to_end(client), b'')
        self.assert_report(self.beside_stuck(visit), ending='graceful', sent_bytes=100_000)

    @alone
    def test_that_nobody_reads_back_do_not_hide_the_fin_of_others(self):
        def visit(client):
            client.shutdown(socket.SHUT_WR)
            self.assertEqual(read_to_end(client), b'')
        self.assert_report(self.beside_stuck(visit), ending='graceful', initiator='peer')


if __name__ == '__main__':
    harness.main()
