"""The same programs where the kernel offers less: everything that is used has a fallback."""
import os
import re
import socket
import time

import harness
from harness import (PATIENCE, Case, Server, as_ordinary_user, end_of, fill, name_of, pattern,
                     program, queued_for_reading, read_to_end, reset, round_trip, run, send_beside)

MIB = 1 << 20


def capabilities():
    status, out, err = run([program('ringdown-info')])
    assert status == 0, err
    return re.findall(r'^(\w+) +(?:yes|no) +(?:yes|no)', out, re.MULTILINE)


def environments():
    """What is taken away: everything; each by itself; and how FIN is sent."""
    names = capabilities()
    every = ','.join(names)
    return [{'RINGDOWN_DISABLE': every}, {'RINGDOWN_FIN': 'operation'}, {'RINGDOWN_FIN': 'probe'},
            {'RINGDOWN_DISABLE': every, 'RINGDOWN_FIN': 'operation'},
            *({'RINGDOWN_DISABLE': name} for name in names)]


class Fallbacks(Case):
    def everywhere(self, test):
        for environment in environments():
            with self.subTest(environment):
                test(environment)

    def test_info_names_what_is_masked(self):
        names = capabilities()
        self.assertGreaterEqual(len(names), 12)
        self.assertEqual(len(set(names)), len(names))
        status, out, _ = run([program('ringdown-info')], {'RINGDOWN_DISABLE': ','.join(names)})
        self.assertEqual(status, 0)
        self.assertEqual(len(re.findall(r' no(?:, masked by RINGDOWN_DISABLE)?$', out,
                                        re.MULTILINE)), len(names))
        self.assertIn('shutdown(2)', out)
        _, out, _ = run([program('ringdown-info')], {'RINGDOWN_FIN': 'operation'})
        self.assertIn('IORING_OP_SHUTDOWN)', out)

    def test_info_says_what_is_permitted(self):
        _, out, _ = run([program('ringdown-info')])
        for each in ('io_uring_setup', 'io_uring_enter', 'io_uring_register'):
            self.assertRegex(out, rf'(?m)^  {each} +yes$')
        small = ['prlimit', '--memlock=65536:65536', '--nofile=1000:1000']
        if os.getuid() == 0:  # whom the limit on memory does not bind
            small = [*as_ordinary_user(), *small]
        status, out, err = run([*small, program('ringdown-info')])
        self.assertEqual((status, err), (0, ''))
        self.assertRegex(out, r'(?m)^! locked memory +64 KiB.*LimitMEMLOCK=8M.*CAP_IPC_LOCK')
        self.assertRegex(out, r'(?m)^! descriptors +1000.*LimitNOFILE=')

    def test_every_kind_of_connection_ends_right(self):
        def test(environment):
            with Server('echo', '--drain', '200ms', '--discard-max', '1GiB',
                        env=environment) as server:
                whole, gone, stuck, idle = (server.connect() for _ in range(4))
                send_beside(whole, pattern(2 * MIB), finish=True)
                self.assertTrue(read_to_end(whole) == pattern(2 * MIB))
                round_trip(gone)
                name = name_of(gone)
                reset(gone)
                fill(stuck, quiet=0.6) # the server may be slow to take it
                round_trip(idle)
                self.assert_report(server.report_of(name_of(whole)), ending='graceful',
                                   sent_bytes=2 * MIB, received_bytes=2 * MIB)
                self.assert_report(server.report_of(name), ending='reset')
                server.drained()
                self.assert_report(server.report_of(name_of(idle)), ending='degraded')
                report = server.report_of(name_of(stuck))
                self.assert_report(report, ending='aborted', delivery='unacknowledged')
                # Never more than the client's kernel had; its last acknowledgement may be due still.
                self.assertLessEqual(report['sent_bytes'] - report['unacknowledged_bytes'],
                                     queued_for_reading(stuck))
                self.assertEqual(end_of(idle), 'FIN')
        self.everywhere(test)

    def test_the_accept_queue_is_served_at_a_drain(self):
        def test(environment):
            with Server('echo', env=environment) as server:
                server.pause()
                clients = [server.connect() for _ in range(50)]
                for client in clients:
                    client.sendall(pattern(500))
                    client.shutdown(socket.SHUT_WR)
                server.ask_to_end()
                server.resume()
                for client in clients:
                    self.assertEqual(read_to_end(client), pattern(500))
                self.assertEqual(server.ended()['accepts'], 50)
        self.everywhere(test)

    def test_once_gives_everything_and_keeps_its_deadline(self):
        def test(environment):
            with Server('once', '--bytes', '5MiB', env=environment) as server:
                client = server.connect()
                self.assertTrue(read_to_end(client) == pattern(5 * MIB))
                name = name_of(client)
                client.close()
                self.assert_report(server.report_of(name), ending='graceful')
                server.drained()
            with Server('once', '--bytes', '5MiB', '--deadline', '250ms',
                        env=environment) as server:
                stuck = server.connect(receive_buffer=8192)
                report = server.report_of(name_of(stuck))
                self.assert_report(report, ending='degraded', cause='deadline')
                self.assert_lasted(report['microseconds']['total'] / 1e6, 0.25, early=0)
                server.drained()
        self.everywhere(test)

    def test_unix_sockets_and_wait(self):
        def test(environment):
            with Server('once', '--bytes', '1MiB', '--ending', 'wait', env=environment,
                        listen=f'unix:{harness.scratch("socket")}') as server:
                client = server.connect()
                self.assertTrue(read_to_end(client) == pattern(MIB))
                self.assert_report(server.report(), ending='delivered', delivery='acknowledged')
                client.close()
                server.drained()
        self.everywhere(test)

    def test_fetch_meets_echo(self):
        def test(environment):
            with Server('echo', env=environment) as server:
                status, out, err = run([program('fetch'), server.address, '--send', '1MiB'],
                                       environment)
                self.assertEqual((status, err), (0, ''))
                self.assertIn(f'received {MIB} bytes, then end of stream', out)
                server.report()
                server.drained()
        self.everywhere(test)

    def test_idle_clients_do_not_keep_others_from_being_served(self):
        def test(environment):
            with Server('echo', env=environment) as server:
                idle = [server.connect() for _ in range(400)]
                for client in idle[:390]:
                    client.send(b'x')
                for client in idle[:390]:
                    self.assertEqual(client.recv(1), b'x')
                with server.connect(timeout=PATIENCE) as client:
                    round_trip(client, pattern(1000))
                for client in idle:
                    client.close()
                server.wait_reports(401)
                server.drained()
        for environment in ({}, {'RINGDOWN_DISABLE': 'multishot_recv'},
                            {'RINGDOWN_DISABLE': 'buffer_ring'}):
            with self.subTest(environment):
                test(environment)

    def test_an_idle_server_without_any_help_does_not_spin(self):
        with Server('echo', env=environments()[3]) as server, server.connect() as client:
            round_trip(client)
            before = server.cpu_seconds()
            time.sleep(1)
            self.assertLess(server.cpu_seconds() - before, 0.2)
            client.close()
            server.report()
            server.drained()


if __name__ == '__main__':
    harness.main()
