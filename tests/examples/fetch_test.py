"""fetch: the client side of an ending, against the example servers and against bad ones."""
import contextlib
import json
import socket
import threading
import time

import harness
from harness import PATIENCE, Case, Server, alone, pattern, program, read_to_end, reset, run

MIB = 1 << 20


@contextlib.contextmanager
def peer(serve):
    """A server that accepts one connection and does to it what `serve` says. Gives its address."""
    with socket.socket() as listening:
        listening.bind(('127.0.0.1', 0))
        listening.listen()
        listening.settimeout(10)
        def accept():
            with contextlib.suppress(OSError):
                serve(listening.accept()[0])
        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        yield '127.0.0.1:%d' % listening.getsockname()[1]
        thread.join(10)


class Fetch(Case):
    def fetch(self, address, *options, status=0, env=None, within=10.0):
        """What it printed: (its line about what came, its report)."""
        ended, out, err = run([program('fetch'), address, *options], env, within=within)
        self.assertEqual(ended, status, out + err)
        self.errors = err
        lines = out.splitlines()
        self.assertEqual(len(lines), 2, out + err)
        self.assertRegex(lines[0], r'^received \d+ bytes, then .+$')
        return lines[0], harness.check_report(json.loads(lines[1]))


class GoodServers(Fetch):
    def test_gets_back_from_echo_what_it_sent(self):
        with Server('echo') as server:
            for size in (0, 1, 70_000, 5 * MIB):
                line, report = self.fetch(server.address, '--send', str(size))
                self.assertEqual(line, f'received {size} bytes, then end of stream')
                self.assertEqual(self.errors, '')
                self.assert_report(report, ending='graceful', delivery='acknowledged',
                                   sent_bytes=size, received_bytes=size, peer=server.address,
                                   initiator='local', cause='application')
            self.assertEqual({each['ending'] for each in server.wait_reports(4)}, {'graceful'})
            server.drained()

    def test_gets_from_once_what_it_gives(self):
        for size in ('0', '1', '300KiB', '20MiB'):
            with self.subTest(size), Server('once', '--bytes', size) as server:
                line, report = self.fetch(server.address)
                self.assertRegex(line, ' bytes, then end of stream$')
                self.assert_report(report, ending='graceful', sent_bytes=0)
                self.assert_report(server.report(), ending='graceful',
                                   sent_bytes=report['received_bytes'])
                server.drained()

    def test_talks_to_unix_sockets(self):
        with Server('echo', listen=f'unix:{harness.scratch("socket")}') as server:
            line, report = self.fetch(server.address, '--send', '1MiB')
            self.assertEqual(line, f'received {MIB} bytes, then end of stream')
            self.assert_report(report, ending='graceful', received_bytes=MIB)
            server.report()
            server.drained()

    def test_talks_to_ipv6(self):
        with Server('echo', listen='[::1]:0') as server:
            _, report = self.fetch(server.address, '--send', '1000')
            self.assert_report(report, ending='graceful', peer=server.address)
            server.report()
            server.drained()

    def test_sends_to_once_more_than_it_reads_and_both_are_graceful(self):
        with Server('once', '--bytes', '8MiB', '--discard-max', '1GiB') as server:
            line, report = self.fetch(server.address, '--send', '8MiB')
            self.assertEqual(line, f'received {8 * MIB} bytes, then end of stream')
            self.assert_report(report, ending='graceful', sent_bytes=8 * MIB)
            self.assert_report(server.report(), ending='graceful', discarded_bytes=8 * MIB)
            server.drained()

    def test_ends_as_asked(self):
        for how, ending in (('graceful', 'graceful'), ('background', 'graceful'),
                            ('wait', 'graceful')):
            with self.subTest(how), Server('echo') as server:
                _, report = self.fetch(server.address, '--send', '1000', '--ending', how)
                self.assert_report(report, requested=how, ending=ending)
                server.report()
                server.drained()

    def test_abort_after_both_have_finished_is_graceful(self):
        with Server('echo') as server:
            _, report = self.fetch(server.address, '--send', '1000', '--ending', 'abort')
            self.assert_report(report, requested='abort', ending='graceful', reset_sent=False,
                               delivery='acknowledged')
            self.assert_report(server.report(), ending='graceful')
            server.drained()


class BadServers(Fetch):
    def test_a_reset_in_the_middle_fails_and_says_so(self):
        def serve(client):
            read_to_end(client)
            client.sendall(pattern(5000))
            time.sleep(0.05)
            reset(client)
        with peer(serve) as address:
            line, report = self.fetch(address, '--send', '1000', status=1)
            self.assertEqual(line, 'received 5000 bytes, then Connection reset by peer')
            self.assert_report(report, ending='reset', cause='peer_reset', initiator='local',
                               received_bytes=5000, delivery='acknowledged', sent_bytes=1000)

    def test_a_reset_before_anything_was_read_fails(self):
        with peer(reset) as address:
            _, report = self.fetch(address, '--send', '16MiB', status=1)
            self.assert_report(report, ending='reset', cause='peer_reset',
                               delivery='unacknowledged')
            self.assertEqual(report['sent_bytes'] + report['unsent_bytes'], 16 * MIB)
            self.assertRegex(self.errors, r'^fetch: \d+ of 16777216 bytes sent: [^\n]+\n$')

    def test_a_truncated_answer_shows_in_the_count(self):
        def serve(client):
            client.sendall(pattern(700))
            client.shutdown(socket.SHUT_WR)
            read_to_end(client)
            client.close()
        with peer(serve) as address:
            line, report = self.fetch(address, '--send', '1000')
            self.assertEqual(line, 'received 700 bytes, then end of stream')
            self.assert_report(report, ending='graceful', received_bytes=700, sent_bytes=1000)

    def test_a_server_that_finishes_and_never_reads_meets_the_deadline(self):
        held = []
        def serve(client):
            held.append(client)
            client.shutdown(socket.SHUT_WR)
        with peer(serve) as address:
            _, report = self.fetch(address, '--send', '32MiB', '--deadline', '400ms')
            self.assert_report(report, ending='degraded', cause='deadline',
                               delivery='unacknowledged', reset_sent=True, peer_finished=True)
            self.assert_lasted(report['microseconds']['total'] / 1e6, 0.4, early=0)
            self.assertEqual(report['sent_bytes'] + report['unsent_bytes'], 32 * MIB)

    def test_a_steady_upload_is_not_idle(self):
        # It takes longer than the idle time, and nothing comes back before its end.
        def sip(client):
            with client:
                client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
                for _ in range(24):
                    time.sleep(0.05)
                    client.recv(1 << 18)
                read_to_end(client)
                client.sendall(b'got it')
        with peer(sip) as address:
            line, report = self.fetch(address, '--send', '24MiB', '--idle', '400ms',
                                      '--deadline', '10s')
        self.assertEqual(line, 'received 6 bytes, then end of stream')
        self.assert_report(report, cause='application', sent_bytes=24 * MIB)

    def test_an_upload_that_stalls_is_idle(self):
        stalled = threading.Event()
        with peer(lambda client: (client.recv(1000), stalled.wait(5), client.close())) as address:
            line, report = self.fetch(address, '--send', '24MiB', '--idle', '300ms', status=1,
                                      within=PATIENCE)
            stalled.set()
        self.assertEqual(line, 'received 0 bytes, then the server was idle for too long')
        self.assert_report(report, cause='idle', delivery='unacknowledged')

    def test_an_idle_time_of_zero_is_no_limit(self):
        with peer(lambda client: (time.sleep(0.5), client.close())) as address:
            line, _ = self.fetch(address, '--idle', '0s')
        self.assertEqual(line, 'received 0 bytes, then end of stream')

    def test_a_silent_server_is_left_after_the_idle_time(self):
        with peer(lambda client: (read_to_end(client), time.sleep(3))) as address:
            line, report = self.fetch(address, '--send', '1000', '--idle', '300ms', status=1,
                                      within=PATIENCE)
            self.assertEqual(line, 'received 0 bytes, then the server was idle for too long')
            self.assert_report(report, cause='idle', ending='degraded', received_bytes=0)

    def test_a_server_that_is_not_there_is_one_line(self):
        with socket.socket() as reserved:
            reserved.bind(('127.0.0.1', 0))  # bound, but not listening
            status, out, err = run([program('fetch'), '127.0.0.1:%d' % reserved.getsockname()[1]])
        self.assertEqual((status, out), (1, ''))
        self.assertRegex(err, r'^fetch: cannot connect to 127\.0\.0\.1:\d+: Connection refused\n$')

    @alone
    def test_a_server_that_does_not_accept_meets_the_deadline(self):
        with socket.socket() as full:
            full.bind(('127.0.0.1', 0))
            full.listen(0)
            with contextlib.ExitStack() as waiting:
                for _ in range(3):
                    client = waiting.enter_context(socket.socket())
                    client.setblocking(False)
                    client.connect_ex(full.getsockname())
                time.sleep(0.05)
                begun = time.monotonic()
                status, out, err = run([program('fetch'), '127.0.0.1:%d' % full.getsockname()[1],
                                        '--deadline', '300ms'])
                self.assert_lasted(time.monotonic() - begun, 0.3)
        self.assertEqual((status, out), (1, ''))
        self.assertRegex(err, r'^fetch: cannot connect to [^\n]*: deadline passed\n$')


if __name__ == '__main__':
    harness.main()
