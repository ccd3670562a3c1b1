"""Draining by a signal: who was accepted is served, or reset at the deadline, and reported."""
import errno
import select
import signal
import socket
import threading
import time

import harness
from harness import (AT_ONCE, PATIENCE, Case, Server, alone, end_of, fill, name_of, pattern,
                     read_exactly, read_to_end, reset, round_trip, wait_until)


class Draining(Case):
    @alone
    def test_with_no_connections_ends_at_once(self):
        for which in (signal.SIGTERM, signal.SIGINT):
            with self.subTest(which), Server('echo') as server:
                server.ask_to_end(which)
                totals = server.ended()
                self.assertEqual(totals['accepts'], 0)
                self.assertLess(server.took, AT_ONCE)

    @alone
    def test_after_connections_have_ended_ends_at_once(self):
        with Server('once', '--bytes', '1000') as server:
            for _ in range(20):
                with server.connect() as client:
                    self.assertEqual(read_to_end(client), pattern(1000))
            server.wait_reports(20)
            self.assertEqual(server.drained()['accepts'], 20)
            self.assertLess(server.took, AT_ONCE)

    @alone
    def test_ends_as_soon_as_the_last_client_has_finished(self):
        with Server('echo', '--drain', '10s') as server:
            client = server.connect()
            name = name_of(client)
            round_trip(client)
            server.ask_to_end()
            server.wait_deaf()
            self.assertEqual(read_to_end(client), b'')
            client.shutdown(socket.SHUT_WR)
            finished = time.time()
            server.ended()
            self.assertLess(time.time() - finished, AT_ONCE)
            self.assert_report(server.report_of(name), ending='graceful', cause='drain',
                               initiator='local', sent_bytes=4)

    @alone
    def test_resets_silent_and_stuck_clients_exactly_at_its_deadline(self):
        for which in (signal.SIGTERM, signal.SIGINT):
            with self.subTest(which), Server('echo', '--drain', '400ms') as server:
                idle = server.connect()
                round_trip(idle)
                stuck = server.connect(receive_buffer=8192)
                fill(stuck, quiet=0.6) # the server may be slow to take it
                server.ask_to_end(which)
                totals = server.ended()
                self.assert_lasted(server.last_report_at() - server.signaled_at, 0.4,
                                 early=0.012)
                self.assert_lasted(server.took, 0.4)
                self.assertEqual(totals['ending'], {'degraded': 1, 'aborted': 1})
                self.assertEqual(totals['cause'], {'deadline': 1, 'drain': 1})
                self.assertEqual(end_of(idle), 'FIN')
                self.assertEqual(end_of(stuck), 'RST')
                report = server.report_of(name_of(idle))
                self.assert_report(report, initiator='local', delivery='acknowledged',
                                   reset_sent=True, requested='graceful', ending='degraded')
                self.assert_report(server.report_of(name_of(stuck)), delivery='unacknowledged')

    def test_lets_every_kind_of_client_finish_or_resets_it(self):
        with Server('echo', '--drain', '9s') as server:
            idle, busy, finishing, slow = (server.connect() for _ in range(4))
            late = server.connect(receive_buffer=8192)
            round_trip(idle)
            finishing.sendall(pattern(1000))
            finishing.shutdown(socket.SHUT_WR)
            late.sendall(pattern(300_000))
            late.shutdown(socket.SHUT_WR)
            round_trip(busy)
            round_trip(slow)
            server.ask_to_end()
            server.wait_deaf()
            self.assertEqual(read_to_end(busy), b'')
            busy.close()
            self.assertEqual(read_to_end(late), pattern(300_000))
            slow.sendall(b'after the signal')
            self.assertEqual(read_to_end(slow), b'')
            slow.close()
            self.assertEqual(read_to_end(finishing), pattern(1000))
            server.ended()
            self.assert_report(server.report_of(name_of(idle)), ending='degraded',
                               cause='deadline')
            self.assert_report(server.report_of(name_of(finishing)), ending='graceful')
            self.assert_report(server.report_of(name_of(late)), ending='graceful',
                               sent_bytes=300_000)
            self.assertEqual(end_of(idle), 'FIN')

    def test_of_a_client_that_drips_is_bounded(self):
        with Server('echo', '--drain', '500ms') as server:
            client = server.connect()
            round_trip(client)
            server.ask_to_end()
            try:
                while server.process.poll() is None:
                    client.send(b'x')
                    time.sleep(0.01)
            except ConnectionError:
                pass
            server.ended()
            self.assert_lasted(server.took, 0.5, early=0.01)
            report = server.report()
            self.assert_report(report, ending='degraded', cause='deadline')
            self.assertGreater(report['discarded_bytes'], 0)

    def test_cuts_endings_under_way_that_would_last_longer(self):
        with Server('once', '--bytes', '16MiB', '--deadline', '100s', '--drain', '300ms') as server:
            stuck = server.connect(receive_buffer=8192)
            self.assertEqual(read_exactly(stuck, 1), b'\0')
            server.drained(within=8.0)
            report = server.report()
            self.assert_report(report, ending='degraded', requested='graceful', cause='deadline',
                               delivery='unacknowledged', reset_sent=True)
            self.assertGreater(report['unsent_bytes'], 0)
            self.assertEqual(end_of(stuck), 'RST')

    def test_refuses_newcomers_at_once(self):
        with Server('echo', '--drain', '5s') as server:
            staying = server.connect()
            round_trip(staying)
            server.ask_to_end()
            server.wait_deaf()
            with self.assertRaises(ConnectionRefusedError):
                server.connect(timeout=PATIENCE)
            self.assertEqual(read_to_end(staying), b'')
            staying.close()
            server.ended()

    def test_holds_idle_clients_to_the_limits_of_endings(self):
        for name in ('echo', 'session-server'):
            with self.subTest(name):
                with Server(name, '--drain', '10s', '--idle', '400ms') as server:
                    silent = server.connect()
                    self.say(server, silent)
                    server.drained(within=8.0)
                    self.assertLess(server.took, 8.0)
                    self.assert_report(server.report(), cause='idle', ending='degraded')
                    self.assertEqual(end_of(silent), 'FIN')
                with Server(name, '--drain', '10s', '--discard-max', '64KiB') as server:
                    talking = server.connect()
                    self.say(server, talking)
                    server.ask_to_end()
                    self.assertEqual(read_to_end(talking), b'')
                    with self.assertRaises(ConnectionError):
                        for _ in range(1000):
                            talking.sendall(bytes(16384))
                    server.ended(within=8.0)
                    self.assert_report(server.report(), cause='discard_limit', ending='degraded',
                                       reset_sent=True)

    def say(self, server, client):
        """Has a request answered, so that it is idle then."""
        client.sendall(b'1 0 0\n')
        self.assertEqual(read_exactly(client, 4 if 'session' in server.process.args[0] else 6)[:2],
                         b'1 ')

    def test_of_zero_resets_everyone_at_once(self):
        with Server('echo', '--drain', '0s') as server:
            clients = [server.connect() for _ in range(20)]
            for client in clients:
                round_trip(client)
            server.drained(within=8.0)
            self.assertLess(server.took, AT_ONCE)
            self.assertEqual({end_of(client) for client in clients}, {'RST'})

    def test_of_unix_clients_serves_the_queue_and_ends_the_rest(self):
        with Server('echo', '--drain', '400ms', listen=f'unix:{harness.scratch("s")}') as server:
            idle = server.connect()
            round_trip(idle)
            server.pause()
            waiting = [server.connect() for _ in range(50)]
            for client in waiting:
                client.sendall(pattern(1000))
                client.shutdown(socket.SHUT_WR)
            server.ask_to_end()
            server.resume()
            for client in waiting:
                self.assertEqual(read_to_end(client), pattern(1000))
            self.assertEqual(server.ended()['accepts'], 51)


class SecondSignal(Case):
    def aborts(self, first, second, *options):
        with Server('echo', '--drain', '10s', *options) as server:
            clients = [server.connect() for _ in range(8)]
            for client in clients:
                round_trip(client)
            server.ask_to_end(first)
            server.wait_deaf()
            again = time.time()
            server.ask_to_end(second)
            totals = server.ended(within=8.0)
            self.assertLess(time.time() - again, AT_ONCE)
            self.assertEqual(totals['cause'].get('drain', 0), 8)
            # They were idle, so they have had FIN, and did not answer it.
            self.assertEqual(totals['ending']['degraded'], 8)
            self.assertEqual({end_of(client) for client in clients}, {'FIN'})

    def test_aborts_at_once(self):
        self.aborts(signal.SIGTERM, signal.SIGTERM)

    def test_may_be_another_signal(self):
        self.aborts(signal.SIGINT, signal.SIGTERM)

    def test_aborts_stuck_endings_and_says_so(self):
        with Server('once', '--bytes', '16MiB', '--deadline', '20s') as server:
            stuck = server.connect(receive_buffer=8192)
            read_exactly(stuck, 1)
            server.ask_to_end()
            server.wait_deaf()
            server.ask_to_end()
            server.ended(within=8.0)
            self.assertLess(server.took, AT_ONCE)
            self.assert_report(server.report_of(name_of(stuck)), ending='degraded', cause='drain')
            self.assertEqual(end_of(stuck), 'RST')

    def test_and_a_third_change_nothing_more(self):
        with Server('echo', '--drain', '10s') as server:
            client = server.connect()
            round_trip(client)
            for _ in range(200):
                if server.process.poll() is not None:
                    break
                server.ask_to_end()
                time.sleep(0.001)
            server.ended(within=8.0)


class AcceptQueue(Case):
    def test_at_the_moment_of_the_signal_is_served(self):
        with Server('echo') as server:
            server.pause()
            clients = [server.connect() for _ in range(300)]
            for client in clients:
                client.sendall(pattern(2000))
            server.ask_to_end()
            server.resume()
            for client in clients:
                self.assertEqual(read_exactly(client, 2000), pattern(2000))
            for client in clients:
                client.shutdown(socket.SHUT_WR)
                self.assertEqual(read_to_end(client), b'')
            totals = server.ended()
            self.assertEqual(totals['accepts'], 300)
            self.assertEqual(totals['ending'], {'graceful': 300})

    def test_holding_clients_that_have_gone_is_emptied(self):
        with Server('echo') as server:
            server.pause()
            for number in range(100):
                client = server.connect()
                reset(client) if number % 2 else client.close()
            server.ask_to_end()
            server.resume()
            totals = server.ended()
            self.assertEqual(totals['accepts'], 100)
            self.assertEqual(totals['ending'], {'graceful': 50, 'reset': 50})

    def test_of_once_is_served_whole(self):
        with Server('once', '--bytes', '100KiB') as server:
            server.pause()
            clients = [server.connect() for _ in range(100)]
            server.ask_to_end()
            server.resume()
            for client in clients:
                self.assertEqual(read_to_end(client), pattern(102400))
                client.close()
            self.assertEqual(server.ended()['accepts'], 100)

    def race(self, *options):
        """Opens connections as fast as it can while the signal comes. Returns how many were
        answered, and fails if one that was established, and had sent its request, was not."""
        with Server('echo', '--drain', '5s', *options) as server:
            clients, refused, signaled = [], 0, threading.Event()
            def send_signal():
                server.ask_to_end()
                signaled.set()
            timer = threading.Timer(0.01, send_signal)
            timer.start()
            while not signaled.is_set() or refused == 0:
                before_signal = not signaled.is_set()
                try:
                    client = server.connect(timeout=0.3)
                except (ConnectionRefusedError, TimeoutError):
                    refused += 1
                    continue
                with_request = True
                try:
                    client.sendall(b'request')
                except ConnectionError:
                    with_request = False
                clients.append((client, before_signal, with_request))
            for number, (client, before, with_request) in enumerate(clients):
                try:
                    self.assertTrue(with_request, f'client {number} could not send, {before=}')
                    self.assertEqual(read_exactly(client, 7), b'request')
                    client.shutdown(socket.SHUT_WR)
                    self.assertEqual(read_to_end(client), b'')
                except ConnectionError as error:
                    self.fail(f'client {number} of {len(clients)}, {before=}: {error}')
                client.close()
            totals = server.ended()
            self.assertEqual(totals['accepts'], len(clients))
            return len(clients)

    @alone
    def test_that_fills_while_the_signal_comes_loses_nobody(self):
        self.assertGreater(sum(self.race() for _ in range(20)), 100)

    @alone
    def test_that_several_threads_share_loses_nobody_either(self):
        self.assertGreater(sum(self.race('--threads', '4') for _ in range(10)), 50)

    def test_many_at_once_lose_nobody(self):
        for _ in range(5):
            with Server('echo', '--drain', '5s') as server:
                host, port = server.address.rsplit(':', 1)
                clients = []
                for _ in range(150):
                    client = socket.socket()
                    client.setblocking(False)
                    self.assertIn(client.connect_ex((host, int(port))), (0, errno.EINPROGRESS))
                    clients.append(client)
                server.ask_to_end()
                # All ask before one is looked at: a drain gives a newcomer a second to begin.
                asked = []
                for client in clients:
                    select.select([], [client], [], PATIENCE)
                    error = client.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
                    if error:
                        self.assertEqual(error, errno.ECONNREFUSED)
                        continue
                    client.settimeout(PATIENCE)
                    client.sendall(b'request')
                    asked.append(client)
                for client in asked:
                    self.assertEqual(read_exactly(client, 7), b'request')
                    client.close()
                answered, refused = len(asked), len(clients) - len(asked)
                totals = server.ended()
                self.assertEqual((totals['accepts'], answered + refused), (answered, 150))


if __name__ == '__main__':
    harness.main()
