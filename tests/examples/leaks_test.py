"""What many connections leave behind: no descriptor, no thread, no kernel worker, no memory."""
import socket
import time

import harness
from harness import (Case, Server, alone, end_of, pattern, read_to_end, reset, round_trip,
                     wait_until)


def visit(server, number, fin='FIN'):
    """One of several kinds of connections; the server answers FIN with `fin`."""
    client = server.connect()
    kind = number % 5
    if kind == 0:
        round_trip(client)
        client.close()
    elif kind == 1:
        client.sendall(pattern(20_000))
        client.shutdown(socket.SHUT_WR)
        assert end_of(client) == fin
        client.close()
    elif kind == 2:
        round_trip(client)
        reset(client)
    elif kind == 3:
        client.close()
    else:
        client.sendall(pattern(50_000))
        client.close()  # may leave bytes unread, and so reset


def resident_kib(server):
    with open(f'/proc/{server.pid}/status', encoding='utf-8') as file:
        return int(file.read().split('VmRSS:')[1].split()[0])


class Leaks(Case):
    def visits(self, *options, fin='FIN'):
        with Server('echo', *options) as server:
            visit(server, 0)
            server.wait_reports(1)
            before = server.descriptors()
            for number in range(1000):
                visit(server, number, fin)
            server.wait_reports(1001)
            memory = resident_kib(server)
            for number in range(1000):
                visit(server, number, fin)
            server.wait_reports(2001)
            wait_until(lambda: server.descriptors() <= before, 'descriptors come back')
            self.assertEqual(server.descriptors(), before)
            self.assertLess(resident_kib(server) - memory, 1024, 'memory grows')
            names = server.threads()
            server.drained()
            return names

    @alone
    def test_2000_connections_leave_no_descriptor_and_no_worker(self):
        self.assertEqual(self.visits(), ['echo'])

    @alone
    def test_2000_aborts_leave_no_descriptor_and_no_worker(self):
        self.assertEqual(self.visits('--ending', 'abort', fin='RST'), ['echo'])

    @alone
    def test_several_threads_have_no_workers_either(self):
        self.assertEqual(self.visits('--threads', '3'), ['echo'] * 3)

    def test_fin_as_an_operation_does_have_a_worker(self):
        # What the test above would see if FIN were sent that way.
        with Server('echo', env={'RINGDOWN_FIN': 'operation'}) as server:
            visit(server, 1)
            server.wait_reports(1)
            self.assertTrue(any(name.startswith('iou-wrk') for name in server.threads()))
            server.drained()

    def test_other_endings_need_no_worker(self):
        for options in (('--ending', 'wait'), ('--ending', 'background'),
                        ('--deadline', '100ms', '--idle', '80ms')):
            with self.subTest(options), Server('once', '--bytes', '2MiB', *options) as server:
                for number in range(20):
                    client = server.connect(receive_buffer=8192 if number % 2 else None)
                    if number % 2:
                        reset(client) if number % 4 == 1 else client.close()
                    else:
                        self.assertEqual(len(read_to_end(client)), 2 << 20)
                        client.close()
                server.wait_reports(20)
                self.assertEqual(server.threads(), ['once'])
                server.drained()

    def test_stuck_connections_that_are_reset_leave_nothing(self):
        with Server('once', '--bytes', '4MiB', '--deadline', '200ms') as server:
            before = server.descriptors()
            for count in (30, 60, 90):
                clients = [server.connect(receive_buffer=8192) for _ in range(30)]
                server.wait_reports(count)
                wait_until(lambda: server.descriptors() == before, 'descriptors come back')
                for client in clients:
                    client.close()
            self.assertEqual({each['ending'] for each in server.wait_reports(90)}, {'degraded'})
            self.assertEqual(server.threads(), ['once'])
            server.drained()

    def test_an_idle_server_uses_no_processor_time(self):
        with Server('echo') as server:
            clients = [server.connect() for _ in range(100)]
            for client in clients:
                round_trip(client)
            before = server.cpu_seconds()
            time.sleep(1)
            self.assertLess(server.cpu_seconds() - before, 0.2)
            for client in clients:
                client.close()
            server.wait_reports(100)
            server.drained()


if __name__ == '__main__':
    harness.main()
