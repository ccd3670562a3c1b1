"""A server that runs out of descriptors: it pauses, says so once, and serves all in the end."""
import collections
import contextlib
import select
import time

import harness
from harness import (AT_ONCE, PATIENCE, Case, Server, alone, end_of, pattern, read_exactly, reset,
                     round_trip, wait_until)

SAID = r'accepting pauses until connections end: Too many open files\n'


class Shortage(Case):
    @contextlib.contextmanager
    def short(self, count, *options):
        """A server with 40 descriptors and `count` clients, each of which has sent a request."""
        with Server('echo', *options, descriptors=40) as server, \
                contextlib.ExitStack() as opened:
            clients = [opened.enter_context(server.connect()) for _ in range(count)]
            for client in clients:
                client.sendall(b'request')
            wait_until(server.errors, 'the shortage is said')
            yield server, clients

    def answered(self, clients):
        return select.select(clients, [], [], 0)[0]

    @alone
    def test_is_said_once_and_does_not_spin(self):
        with self.short(100) as (server, clients):
            time.sleep(0.2)
            before = server.cpu_seconds()
            time.sleep(1)
            self.assertLess(server.cpu_seconds() - before, 0.2)
            self.assertRegex(server.errors(), f'^{SAID}$')
            answered = len(self.answered(clients))
            self.assertGreater(answered, 20)
            self.assertLess(answered, 40)
            for client in clients:
                reset(client)
            self.assertEqual(len(server.wait_reports(100)), 100)
            server.drained(errors=SAID)

    def test_serves_everyone_as_clients_leave(self):
        with self.short(100) as (server, clients):
            left = list(clients)
            begun = time.monotonic()
            while left:
                served = select.select(left, [], [], PATIENCE)[0]
                self.assertTrue(served, f'{len(left)} of 100 are not served')
                for client in served:
                    self.assertEqual(read_exactly(client, 7), b'request')
                    round_trip(client, pattern(10_000))
                    client.close()
                    left.remove(client)
            self.assertLess(time.monotonic() - begun, PATIENCE)
            reports = server.wait_reports(100)
            self.assertEqual({each['ending'] for each in reports}, {'graceful'})
            totals = server.drained(errors=SAID)
            self.assertEqual(totals['accepts'], 100)

    def test_that_ends_lets_newcomers_in_again(self):
        with self.short(60) as (server, clients):
            for client in clients:
                client.close()
            server.wait_reports(60)
            with server.connect() as client:
                round_trip(client)
            server.wait_reports(61)
            server.drained(errors=SAID)

    def test_resumes_when_another_process_gives_descriptors_back(self):
        with self.short(60) as (server, clients):
            server.limit_descriptors(200)
            for client in clients:
                self.assertEqual(read_exactly(client, 7), b'request')
                client.close()
            server.wait_reports(60)
            server.drained(errors=SAID)

    def test_does_not_keep_a_drain_from_serving_everyone(self):
        with self.short(100, '--drain', '8s') as (server, clients):
            server.ask_to_end()
            left = list(clients)
            while left:
                served = select.select(left, [], [], PATIENCE)[0]
                self.assertTrue(served, f'{len(left)} of 100 are not served')
                for client in served:
                    self.assertEqual(read_exactly(client, 7), b'request')
                    client.close()
                    left.remove(client)
            totals = server.ended(errors=SAID)
            self.assertEqual(totals['accepts'], 100)
            self.assertLess(server.took, PATIENCE)

    def test_does_not_keep_a_drain_from_ending_at_its_deadline(self):
        with self.short(100, '--drain', '500ms') as (server, clients):
            server.ask_to_end()
            totals = server.ended(errors=SAID)
            self.assert_lasted(server.took, 0.5, early=0.01)
            # Those that wait for a request have FIN at once, so that others get their descriptors;
            # who does not finish then is reset at the deadline, as is who waits in the queue.
            self.assertEqual(totals['ending'], {'degraded': totals['accepts']})
            ends = collections.Counter(end_of(client) for client in clients)
            self.assertEqual(ends, {'FIN': totals['accepts'], 'RST': 100 - totals['accepts']})

    def test_does_not_keep_a_second_signal_from_aborting(self):
        with self.short(100, '--drain', '10s') as (server, clients):
            server.ask_to_end()
            time.sleep(0.2)  # two signals at once are one
            server.ask_to_end()
            totals = server.ended(within=8.0, errors=SAID)
            self.assertLess(server.took, AT_ONCE)
            ends = collections.Counter(end_of(client) for client in clients)
            self.assertEqual(ends, {'FIN': totals['accepts'], 'RST': 100 - totals['accepts']})

    def test_with_threads_serves_everyone_too(self):
        with self.short(100, '--threads', '2') as (server, clients):
            left = list(clients)
            while left:
                served = select.select(left, [], [], PATIENCE)[0]
                self.assertTrue(served, f'{len(left)} of 100 are not served')
                for client in served:
                    self.assertEqual(read_exactly(client, 7), b'request')
                    client.close()
                    left.remove(client)
            server.wait_reports(100)
            server.drained(errors=SAID)

    def test_with_threads_is_said_once_too(self):
        with self.short(100, '--threads', '3') as (server, clients):
            time.sleep(0.5)  # each of them has tried again by then, several times
            self.assertRegex(server.errors(), f'^{SAID}$')
            for client in clients:
                reset(client)
            server.drained(errors=SAID)

    def test_at_the_start_is_one_clear_line(self):
        status, out, err = harness.run(['prlimit', '--nofile=3:3', harness.program('echo'),
                                        '--listen', '127.0.0.1:0'])
        self.assertIn(status, (2, 127), err)  # 127: not even its libraries can be opened
        self.assertEqual((out, err.count('\n')), ('', 1), err)


if __name__ == '__main__':
    harness.main()
