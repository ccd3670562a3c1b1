"""echo: where it listens, what it sends back, and how it ends a connection that its peer ended."""
import os
import shutil
import signal
import socket
import subprocess
import threading

import harness
from harness import (Case, Server, end_of, name_of, pattern, read_exactly, read_to_end, round_trip,
                     scratch, send_beside, start)

MIB = 1 << 20


class Listening(Case):
    def serves(self, listen, first_line):
        with Server('echo', listen=listen) as server:
            self.assertRegex(server.first_line, first_line)
            with server.connect() as client:
                round_trip(client, pattern(1000))
                client.shutdown(socket.SHUT_WR)
                self.assertEqual(read_to_end(client), b'')
            report = server.report()
            self.assert_report(report, ending='graceful', sent_bytes=1000, received_bytes=1000)
            totals = server.drained()
            self.assertEqual(totals['accepts'], 1)
            return report

    def test_listens_on_ipv4_and_names_the_port_that_was_picked(self):
        self.serves('127.0.0.1:0', r'^listening on 127\.0\.0\.1:[1-9]\d*\n$')

    def test_listens_on_ipv6(self):
        report = self.serves('[::1]:0', r'^listening on \[::1\]:[1-9]\d*\n$')
        self.assertRegex(report['peer'], r'^\[::1\]:\d+$')

    def test_listens_on_every_ipv4_address(self):
        with Server('echo', listen='0.0.0.0:0') as server:
            self.assertRegex(server.first_line, r'^listening on 0\.0\.0\.0:[1-9]\d*\n$')
            with server.connect() as client:
                round_trip(client)
            server.drained()

    def test_listens_on_every_ipv6_address_and_serves_ipv4_there(self):
        with Server('echo', listen='[::]:0') as server:
            port = int(server.address.rsplit(':', 1)[1])
            with socket.create_connection(('127.0.0.1', port)) as client:
                round_trip(client)
            self.assertRegex(server.report()['peer'], r'127\.0\.0\.1')
            server.drained()

    def test_listens_on_a_unix_path_and_takes_it_away_at_the_end(self):
        path = scratch('socket')
        report = self.serves(f'unix:{path}', f'^listening on unix:{path}\n$')
        self.assertRegex(report['peer'], '^unix:')
        self.assertFalse(os.path.exists(path))

    def test_listens_on_an_abstract_unix_name(self):
        name = f'ringdown-test-{os.getpid()}-{os.path.basename(scratch())}'
        self.serves(f'unix:@{name}', f'^listening on unix:@{name}\n$')

    def test_a_port_is_free_again_at_once(self):
        with Server('echo') as server:
            with server.connect() as client:
                round_trip(client)
            address = server.address
            server.drained()
        with Server('echo', listen=address) as server:
            self.assertEqual(server.address, address)
            server.drained()


class Echoing(Case):
    def test_one_byte_comes_back(self):
        with Server('echo') as server, server.connect() as client:
            for byte in range(256):
                round_trip(client, bytes([byte]))
            client.shutdown(socket.SHUT_WR)
            self.assertEqual(read_to_end(client), b'')
            self.assert_report(server.report(), sent_bytes=256, received_bytes=256)
            server.drained()

    def test_a_mebibyte_comes_back(self):
        with Server('echo') as server, server.connect() as client:
            send_beside(client, pattern(MIB))
            self.assertEqual(read_exactly(client, MIB), pattern(MIB))
            client.close()
            self.assert_report(server.report(), ending='graceful', sent_bytes=MIB,
                               received_bytes=MIB)
            server.drained()

    def test_pipelined_messages_of_every_size_come_back_in_order(self):
        sent = b''.join(bytes([size % 256]) * size for size in range(1, 3000, 7))
        with Server('echo') as server, server.connect() as client:
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            def messages():
                at = 0
                for size in range(1, 3000, 7):
                    client.sendall(sent[at:at + size])
                    at += size
                client.shutdown(socket.SHUT_WR)
            sender = threading.Thread(target=messages, daemon=True)
            sender.start()
            self.assertEqual(read_to_end(client), sent)
            self.assert_report(server.report(), ending='graceful', sent_bytes=len(sent))
            server.drained()

    def test_many_clients_at_once_each_get_their_own_bytes(self):
        with Server('echo') as server:
            clients = [server.connect() for _ in range(200)]
            for number, client in enumerate(clients):
                client.sendall(number.to_bytes(4, 'big') * 500)
            for number, client in enumerate(clients):
                self.assertEqual(read_exactly(client, 2000), number.to_bytes(4, 'big') * 500)
                client.close()
            reports = server.wait_reports(200)
            self.assertTrue(all(each['ending'] == 'graceful' for each in reports))
            server.drained()

    def test_unix_clients_get_16_mebibytes_back(self):
        with Server('echo', listen=f'unix:{scratch("socket")}') as server:
            with server.connect() as client:
                send_beside(client, pattern(16 * MIB), finish=True)
                self.assertEqual(read_to_end(client), pattern(16 * MIB))
            self.assert_report(server.report(), ending='graceful', sent_bytes=16 * MIB)
            server.drained()


class PeerEnds(Case):
    def test_a_client_that_half_closes_first_still_gets_everything(self):
        with Server('echo') as server, server.connect() as client:
            send_beside(client, pattern(4 * MIB), finish=True)
            self.assertEqual(read_to_end(client), pattern(4 * MIB))
            report = server.report()
            self.assert_report(report, initiator='peer', cause='peer_finished',
                               requested='graceful', ending='graceful', delivery='acknowledged',
                               sent_bytes=4 * MIB, received_bytes=4 * MIB, unsent_bytes=0,
                               unacknowledged_bytes=0, discarded_bytes=0, peer=name_of(client))
            self.assertEqual(report['microseconds']['peer_finished'], 0)
            server.drained()

    def test_a_client_that_half_closes_and_reads_late_still_gets_everything(self):
        with Server('echo') as server, server.connect(receive_buffer=8192) as client:
            client.sendall(pattern(300_000))
            client.shutdown(socket.SHUT_WR)
            # The window is full of answer before the first read.
            harness.wait_until(lambda: harness.queued_for_reading(client) > 4000, 'an answer')
            self.assertEqual(read_to_end(client), pattern(300_000))
            self.assert_report(server.report(), ending='graceful', sent_bytes=300_000)
            server.drained()

    def test_a_client_that_sends_nothing_and_closes_is_graceful(self):
        with Server('echo') as server:
            server.connect().close()
            self.assert_report(server.report(), ending='graceful', sent_bytes=0, initiator='peer')
            server.drained()

    def ends(self, how, **expected):
        with Server('echo', '--ending', how) as server, server.connect() as client:
            round_trip(client, pattern(5000))
            client.shutdown(socket.SHUT_WR)
            ended = end_of(client)
            report = server.report()
            self.assert_report(report, requested=how, received_bytes=5000, sent_bytes=5000,
                               delivery='acknowledged', peer_finished=True, **expected)
            server.drained()
            return ended

    def test_ending_graceful_answers_fin_with_fin(self):
        self.assertEqual(self.ends('graceful', ending='graceful', cause='peer_finished'), 'FIN')

    def test_ending_background_answers_fin_with_fin(self):
        self.assertEqual(self.ends('background', ending='graceful', cause='peer_finished'), 'FIN')

    def test_ending_wait_answers_fin_with_fin(self):
        self.assertEqual(self.ends('wait', ending='graceful', cause='peer_finished'), 'FIN')

    def test_ending_abort_answers_fin_with_a_reset(self):
        ended = self.ends('abort', ending='aborted', initiator='local', cause='application',
                          reset_sent=True, reset_received=False)
        self.assertEqual(ended, 'RST')


class EverydayTools(Case):
    def tool(self, name):
        found = shutil.which(name)
        if not found:
            self.skipTest(f'{name} is not installed')
        return found

    def talks(self, server, words):
        process = start(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        process.stdin.write(b'hello\n')
        process.stdin.flush()
        self.assertEqual(process.stdout.readline(), b'hello\n')
        process.stdin.close()
        self.assertEqual(process.stdout.read(), b'')
        process.wait(10)
        process.stdout.close()
        process.watchdog.cancel()
        self.assert_report(server.report(), ending='graceful', received_bytes=6, sent_bytes=6)
        server.drained()

    # curl does not end with its input, only with its time.
    def test_curl_talks_telnet_to_it(self):
        curl = self.tool('curl')
        with Server('echo') as server:
            self.talks(server, [curl, '--silent', '--no-buffer', '--max-time', '1',
                                f'telnet://{server.address}'])

    def test_nc_talks_to_it(self):
        nc = self.tool('nc')
        with Server('echo') as server:
            host, port = server.address.rsplit(':', 1)
            openbsd = 'OpenBSD' in ''.join(harness.run([nc, '-h'])[1:])
            self.talks(server, [nc, '-N' if openbsd else '-q1', host, port])

    def test_nc_that_is_killed_is_still_reported_once(self):
        nc = self.tool('nc')
        with Server('echo') as server:
            process = start([nc, *server.address.rsplit(':', 1)], stdin=subprocess.PIPE,
                            stdout=subprocess.PIPE)
            process.stdin.write(b'hello\n')
            process.stdin.flush()
            self.assertEqual(process.stdout.readline(), b'hello\n')
            process.send_signal(signal.SIGKILL)
            process.wait(10)
            process.stdin.close()
            process.stdout.close()
            self.assert_report(server.report(), ending='graceful', sent_bytes=6)
            server.drained()


if __name__ == '__main__':
    harness.main()
