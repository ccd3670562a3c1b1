"""Servers with several threads: all of them serve, and a drain loses nothing."""
import os
import signal
import socket
import time

import harness
from harness import (AT_ONCE, Case, Server, alone, end_of, name_of, pattern, read_exactly,
                     read_to_end, round_trip, wait_until)


def cpu_of_threads(server):
    """The nanoseconds that each thread has run for."""
    times = []
    for task in sorted(os.listdir(f'/proc/{server.pid}/task'), key=int):
        with open(f'/proc/{server.pid}/task/{task}/schedstat', encoding='utf-8') as file:
            times.append(int(file.read().split()[0]))
    return times


class Threads(Case):
    def test_all_serve(self):
        with Server('echo', '--threads', '4') as server:
            wait_until(lambda: len(server.threads()) == 4, 'four threads')
            clients = [server.connect() for _ in range(200)]
            before = cpu_of_threads(server)
            for _ in range(3):
                for client in clients:
                    client.sendall(pattern(1000))
                for client in clients:
                    self.assertEqual(read_exactly(client, 1000), pattern(1000))
            busy = [after - at for after, at in zip(cpu_of_threads(server), before)]
            for client in clients:
                client.close()
            server.wait_reports(200)
            totals = server.drained()
            self.assertEqual(totals['accepts'], 200)
            self.assertGreater(min(busy), 0, f'a thread served nobody; nanoseconds: {busy}')

    def test_totals_add_up_over_every_kind_of_ending(self):
        with Server('echo', '--threads', '4', '--drain', '300ms') as server:
            clients = [server.connect() for _ in range(120)]
            for number, client in enumerate(clients):
                round_trip(client, pattern(100))
                if number % 3 == 0:
                    client.close()
                elif number % 3 == 1:
                    harness.reset(client)
            server.wait_reports(80)
            totals = server.drained()
            self.assertEqual(totals['accepts'], 120)
            self.assertEqual(totals['ending'], {'graceful': 40, 'reset': 40, 'degraded': 40})
            self.assertEqual({end_of(client) for client in clients[2::3]}, {'FIN'})  # then RST

    def test_the_accept_queue_is_served_at_a_drain(self):
        for _ in range(3):
            with Server('echo', '--threads', '4') as server:
                server.pause()
                clients = [server.connect() for _ in range(200)]
                for client in clients:
                    client.sendall(pattern(500))
                    client.shutdown(socket.SHUT_WR)
                server.ask_to_end()
                server.resume()
                for client in clients:
                    self.assertEqual(read_to_end(client), pattern(500))
                self.assertEqual(server.ended()['accepts'], 200)

    @alone
    def test_a_signal_right_after_the_first_line_ends_all_of_them(self):
        for _ in range(30):
            with Server('echo', '--threads', '8') as server:
                server.drained(within=8.0)
                self.assertLess(server.took, AT_ONCE)

    @alone
    def test_the_drain_deadline_is_exact_for_all_of_them(self):
        with Server('echo', '--threads', '4', '--drain', '400ms') as server:
            clients = [server.connect() for _ in range(40)]
            for client in clients:
                round_trip(client)
            totals = server.drained()
            self.assertEqual(totals['ending'], {'degraded': 40})
            self.assert_lasted(server.last_report_at() - server.signaled_at, 0.4,
                             early=0.012)
            self.assert_lasted(server.took, 0.4)

    def escalates(self, clients):
        with Server('echo', '--threads', '4', '--drain', '4s') as server:
            made = [server.connect() for _ in range(clients)]
            for client in made:
                round_trip(client)
            server.ask_to_end()
            server.wait_deaf()
            # A thread without connections has ended by now.
            time.sleep(0.1)
            server.ask_to_end(signal.SIGINT)
            totals = server.ended()
            self.assertLess(server.took, AT_ONCE)
            # They were idle, so they have had FIN, and did not answer it.
            self.assertEqual(totals['cause']['drain'], clients)
            self.assertEqual(totals['ending']['degraded'], clients)
            self.assertEqual({end_of(client) for client in made}, {'FIN'})

    def test_a_second_signal_aborts_all_of_them(self):
        self.escalates(40)

    # Whichever thread has the last connection, also when the first one has none left.
    def test_a_second_signal_aborts_also_when_some_threads_have_ended(self):
        for _ in range(6):
            self.escalates(1)

    def test_numbers_are_unique_over_threads(self):
        with Server('echo', '--threads', '4') as server:
            names = []
            for _ in range(200):
                with server.connect() as client:
                    names.append(name_of(client))
            reports = server.wait_reports(200)
            self.assertEqual(sorted(each['peer'] for each in reports), sorted(names))
            self.assertEqual(len({each['connection'] for each in reports}), 200)
            server.drained()


if __name__ == '__main__':
    harness.main()
