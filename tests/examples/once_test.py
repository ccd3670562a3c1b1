"""once: every client gets the same bytes, and the ending's deadline covers the flush."""
import socket
import time

import harness
from harness import (Case, Server, alone, end_of, pattern, queued_for_reading, read_exactly,
                     read_to_end, reset, send_beside, wait_until)

MIB = 1 << 20


class Giving(Case):
    def gives(self, size, *options, clients=3, listen='127.0.0.1:0'):
        with Server('once', '--bytes', str(size), *options, listen=listen) as server:
            for _ in range(clients):
                with server.connect() as client:
                    got = read_to_end(client)
                    self.assertEqual(len(got), size)
                    self.assertTrue(got == pattern(size), 'other bytes')
            for report in server.wait_reports(clients):
                self.assert_report(report, initiator='local', cause='application',
                                   requested='graceful', ending='graceful', sent_bytes=size,
                                   unsent_bytes=0, received_bytes=0, discarded_bytes=0)
            server.drained()

    def test_nothing_at_all(self):
        self.gives(0)

    def test_one_byte(self):
        self.gives(1)

    def test_ten_mebibytes(self):
        self.gives(10 * MIB)

    @alone
    def test_64_mebibytes(self):
        self.gives(64 * MIB, clients=1)

    def test_ten_mebibytes_over_a_unix_socket(self):
        self.gives(10 * MIB, listen=f'unix:{harness.scratch("socket")}')

    def test_sizes_have_units(self):
        with Server('once', '--bytes', '3KiB') as server, server.connect() as client:
            self.assertEqual(read_to_end(client), pattern(3072))
            client.close()
            server.report()
            server.drained()

    def test_many_clients_at_once_get_all(self):
        with Server('once', '--bytes', '300KiB') as server:
            clients = [server.connect() for _ in range(100)]
            for client in clients:
                self.assertTrue(read_to_end(client) == pattern(307200))
                client.close()
            self.assertEqual({each['ending'] for each in server.wait_reports(100)}, {'graceful'})
            server.drained()

    def test_a_client_that_half_closes_at_once_gets_all(self):
        with Server('once', '--bytes', '5MiB') as server, server.connect() as client:
            client.shutdown(socket.SHUT_WR)
            self.assertTrue(read_to_end(client) == pattern(5 * MIB))
            self.assert_report(server.report(), ending='graceful', sent_bytes=5 * MIB)
            server.drained()


class Resetting(Case):
    def is_reset(self, server):
        # At once may be before connect has returned.
        with self.assertRaises(ConnectionResetError), server.connect() as client:
            read_to_end(client)


class Deadline(Resetting):
    @alone
    def test_covers_the_flush_of_what_nobody_reads(self):
        for within in (0.3, 0.7):
            with self.subTest(within):
                options = ('--bytes', '32MiB', '--deadline', f'{within * 1000:.0f}ms')
                with Server('once', *options) as server:
                    begun = time.monotonic()
                    client = server.connect(receive_buffer=16384)
                    report = server.report()
                    self.assert_lasted(time.monotonic() - begun, within)
                    self.assert_lasted(report['microseconds']['total'] / 1e6, within,
                                     early=0)
                    self.assert_report(report, initiator='local', cause='deadline',
                                       requested='graceful', ending='degraded', phase='flushing',
                                       delivery='unacknowledged', reset_sent=True,
                                       peer_finished=False)
                    self.assertEqual(report['sent_bytes'] + report['unsent_bytes'], 32 * MIB)
                    self.assertGreater(report['unsent_bytes'], 0)
                    self.assertEqual(report['sent_bytes'] - report['unacknowledged_bytes'],
                                     queued_for_reading(client))
                    self.assertEqual(end_of(client), 'RST')
                    server.drained()

    @alone
    def test_is_absolute_while_the_client_reads_slowly(self):
        with Server('once', '--bytes', '32MiB', '--deadline', '600ms', '--idle', '200ms') as server:
            client = server.connect(receive_buffer=16384)
            got = 0
            try:
                while part := client.recv(16384):
                    got += len(part)
                    time.sleep(0.02)
            except ConnectionResetError:
                pass
            report = server.report()
            self.assert_report(report, cause='deadline', ending='degraded')
            self.assert_lasted(report['microseconds']['total'] / 1e6, 0.6, early=0)
            self.assertLess(abs(report['sent_bytes'] - report['unacknowledged_bytes'] - got), 65536)
            server.drained()

    @alone
    def test_of_many_stuck_clients_holds_for_each(self):
        with Server('once', '--bytes', '8MiB', '--deadline', '500ms') as server:
            clients = [server.connect(receive_buffer=8192) for _ in range(60)]
            for report in server.wait_reports(60):
                self.assert_report(report, cause='deadline', ending='degraded')
                # All at once: the kernel frees megabytes for each of them.
                self.assert_lasted(report['microseconds']['total'] / 1e6, 0.5, early=0)
            for client in clients:
                client.close()
            server.drained()

    @alone
    def test_idle_time_ends_a_client_that_reads_nothing_before_the_deadline(self):
        with Server('once', '--bytes', '32MiB', '--deadline', '30s', '--idle', '300ms') as server:
            client = server.connect(receive_buffer=16384)
            report = server.report()
            self.assert_report(report, cause='idle', ending='degraded', reset_sent=True,
                               delivery='unacknowledged')
            self.assertLess(report['microseconds']['total'], 20_000_000)
            client.close()
            server.drained()

    @alone
    def test_idle_time_ends_a_client_that_has_all_and_never_finishes(self):
        with Server('once', '--bytes', '100KiB', '--idle', '300ms') as server:
            client = server.connect()
            self.assertEqual(read_to_end(client), pattern(102400))
            report = server.report()
            self.assert_report(report, cause='idle', ending='degraded', delivery='acknowledged',
                               phase='fin_acknowledged', reset_sent=True)
            self.assert_lasted(report['microseconds']['total'] / 1e6, 0.3)
            client.close()
            server.drained()

    def test_of_zero_resets_what_is_not_acknowledged(self):
        with Server('once', '--bytes', '16MiB', '--deadline', '0s') as server:
            self.is_reset(server)
            self.assert_report(server.report(), cause='deadline', ending='degraded')
            server.drained()


class BothWays(Case):
    def test_uploads_behind_our_fin_end_at_the_discard_cap(self):
        with Server('once', '--bytes', '1000', '--discard-max', '1MiB') as server:
            client = server.connect()
            self.assertEqual(read_to_end(client), pattern(1000))
            send_beside(client, bytes(64 * MIB)).join(10)
            report = server.report()
            self.assert_report(report, cause='discard_limit', ending='degraded', reset_sent=True,
                               delivery='acknowledged', initiator='local')
            # What the kernel still held at the reset is counted too.
            with open('/proc/sys/net/ipv4/tcp_rmem', encoding='utf-8') as file:
                held = int(file.read().split()[2])
            self.assertGreater(report['discarded_bytes'], MIB)
            self.assertLess(report['discarded_bytes'], MIB + MIB // 4 + held)
            server.drained()

    def test_uploads_within_the_discard_cap_do_no_harm(self):
        with Server('once', '--bytes', '1000', '--discard-max', '1MiB') as server:
            client = server.connect()
            client.sendall(bytes(MIB))
            self.assertEqual(read_to_end(client), pattern(1000))
            client.close()
            self.assert_report(server.report(), ending='graceful', discarded_bytes=MIB,
                               received_bytes=0)
            server.drained()

    @alone
    def test_a_client_that_writes_16_mebibytes_before_it_reads_16_mebibytes(self):
        for listen in ('127.0.0.1:0', f'unix:{harness.scratch("socket")}'):
            with self.subTest(listen), Server('once', '--bytes', '16MiB', '--discard-max', '1GiB',
                                              listen=listen) as server:
                client = server.connect()
                client.sendall(bytes(16 * MIB))
                self.assertTrue(read_to_end(client) == pattern(16 * MIB))
                client.close()
                self.assert_report(server.report(), ending='graceful', sent_bytes=16 * MIB,
                                   discarded_bytes=16 * MIB, delivery='acknowledged')
                server.drained()

    def test_a_client_that_uploads_more_than_the_cap_still_gets_a_short_answer_whole(self):
        with Server('once', '--bytes', '20KiB', '--discard-max', '64MiB') as server:
            for _ in range(5):
                client = server.connect()
                sender = send_beside(client, bytes(4 * MIB), finish=True)
                self.assertEqual(read_to_end(client), pattern(20480))
                sender.join(5)
                client.close()
            for report in server.wait_reports(5):
                self.assert_report(report, ending='graceful', discarded_bytes=4 * MIB)
            server.drained()

    def test_a_reset_in_the_middle_names_what_is_missing(self):
        with Server('once', '--bytes', '16MiB') as server:
            client = server.connect(receive_buffer=16384)
            wait_until(lambda: queued_for_reading(client) > 8000, 'bytes')
            reset(client)
            report = server.report()
            self.assert_report(report, ending='reset', cause='peer_reset', initiator='peer',
                               delivery='unacknowledged', reset_sent=False)
            self.assertEqual(report['sent_bytes'] + report['unsent_bytes'], 16 * MIB)
            self.assertGreater(report['unacknowledged_bytes'], 0)
            server.drained()

    def test_a_reset_after_all_was_acknowledged_says_so(self):
        with Server('once', '--bytes', '1000') as server:
            client = server.connect()
            read_exactly(client, 1000)
            self.assertEqual(client.recv(1), b'')
            # FIN's acknowledgement may be late by 44 ms (a delayed ACK).
            time.sleep(0.1)
            reset(client)
            self.assert_report(server.report(), ending='reset', cause='peer_reset',
                               initiator='local', delivery='acknowledged', sent_bytes=1000)
            server.drained()


class Endings(Resetting):
    def test_background_gives_everything_and_reports_like_any_other(self):
        with Server('once', '--bytes', '10MiB', '--ending', 'background') as server:
            with server.connect() as client:
                self.assertTrue(read_to_end(client) == pattern(10 * MIB))
            self.assert_report(server.report(), requested='background', ending='graceful',
                               cause='application', sent_bytes=10 * MIB)
            server.drained()

    @alone
    def test_background_keeps_its_deadline(self):
        options = ('--bytes', '32MiB', '--ending', 'background', '--deadline', '300ms')
        with Server('once', *options) as server:
            client = server.connect(receive_buffer=16384)
            report = server.report()
            self.assert_report(report, requested='background', ending='degraded',
                               cause='deadline', delivery='unacknowledged')
            self.assert_lasted(report['microseconds']['total'] / 1e6, 0.3, early=0)
            client.close()
            server.drained()

    def test_wait_ends_with_everything_acknowledged_before_the_client_finishes(self):
        with Server('once', '--bytes', '1MiB', '--ending', 'wait') as server:
            client = server.connect()
            self.assertTrue(read_to_end(client) == pattern(MIB))
            report = server.report(2.0)  # the client has not finished
            self.assert_report(report, requested='wait', ending='delivered', cause='application',
                               delivery='acknowledged', peer_finished=False, reset_sent=False,
                               phase='fin_acknowledged', sent_bytes=MIB, initiator='local')
            self.assertIsNone(report['microseconds']['peer_finished'])
            client.close()
            server.drained()

    def test_wait_is_graceful_when_the_client_has_finished_before(self):
        with Server('once', '--bytes', '4MiB', '--ending', 'wait') as server:
            client = server.connect()
            client.shutdown(socket.SHUT_WR)
            self.assertTrue(read_to_end(client) == pattern(4 * MIB))
            self.assert_report(server.report(), requested='wait', ending='graceful',
                               delivery='acknowledged', peer_finished=True)
            server.drained()

    def test_wait_never_resets_a_client_that_sends_late(self):
        with Server('once', '--bytes', '1MiB', '--ending', 'wait') as server:
            for _ in range(20):
                client = server.connect()
                client.sendall(b'late' * 100)
                self.assertTrue(read_to_end(client) == pattern(MIB))
                client.close()
            for report in server.wait_reports(20):
                self.assert_report(report, delivery='acknowledged', reset_sent=False)
            server.drained()

    @alone
    def test_wait_for_a_client_that_never_reads_meets_the_deadline(self):
        options = ('--bytes', '32MiB', '--ending', 'wait', '--deadline', '300ms')
        with Server('once', *options) as server:
            client = server.connect(receive_buffer=16384)
            report = server.report()
            self.assert_report(report, requested='wait', ending='degraded', cause='deadline')
            self.assert_lasted(report['microseconds']['total'] / 1e6, 0.3, early=0)
            self.assertEqual(end_of(client), 'RST')
            server.drained()

    def test_abort_resets_at_once(self):
        with Server('once', '--bytes', '32MiB', '--ending', 'abort') as server:
            self.is_reset(server)
            report = server.report()
            self.assert_report(report, requested='abort', ending='aborted', cause='application',
                               initiator='local', reset_sent=True, peer_finished=False)
            self.assertEqual(report['sent_bytes'] + report['unsent_bytes'], 32 * MIB)
            server.drained()


if __name__ == '__main__':
    harness.main()
