"""rpc serve, tried by an independent client: every request gets one answer, or none ever."""
import contextlib
import random
import signal
import subprocess
import threading
import time

import harness
import rpc_peer
from harness import Case, Server, alone, program, reset, send_beside, start, wait_until
from rpc_peer import Client, pack, request, rss

MIB = 1 << 20

rpc_peer.skip_unless_built()


def fill_with(client, block, quiet=0.2):
    """Sends the same until nothing more goes for that long; returns how many bytes went."""
    client.settimeout(quiet)
    went = 0
    with contextlib.suppress(TimeoutError):
        while True:
            went += client.send(block)
    client.settimeout(10.0)
    return went


class RpcCase(Case):
    def drained(self, server, errors='', within=10.0, **expected):
        """Ends the server; checks its requests, all of which came to an end."""
        totals = server.drained(within, errors)
        return self.check_totals(totals, **expected)

    def check_totals(self, totals, **expected):
        self.assertEqual(totals['requests'], totals['answered'] + totals['canceled'], totals)
        for name, count in expected.items():
            self.assertEqual(totals[name], count, (name, totals))
        return totals


class Answers(RpcCase):
    def test_are_what_was_sent_of_every_kind(self):
        values = [
            None, True, False, 0, 1, -1, 127, 128, -32, -33, 255, 256, 65535, 65536, 2**32,
            2**63 - 1, 2**63, 2**64 - 1, -2**31, -2**63, 0.5, -1e300, float('inf'), '', 'ascii',
            'naïve — 日本語 🐟', 'x' * 31, 'x' * 32, 'y' * 300, 'z' * 70_000, b'', b'\0\xff' * 40_000,
            [], [[]], [None] * 20, list(range(70_000)), {}, {'a': 1, 'ü': [2]}, {1: 'one', None: 0},
            {b'bytes': {'deep': [1, {2: 3}]}}, rpc_peer.msgpack.ExtType(5, b''),
            rpc_peer.msgpack.ExtType(127, b'x' * 300)]
        with Server('rpc serve') as server:
            client = Client(server)
            for value in values:
                error, result = client.call('echo', value)
                self.assertIsNone(error)
                self.assertEqual(result, value)
                self.assertIs(type(result), type(value))
            client.close()
            self.drained(server, requests=len(values), answered=len(values), failed=0)

    def test_of_thousands_pipelined_come_once_each(self):
        with Server('rpc serve', '--threads', '2') as server:
            clients = [Client(server) for _ in range(4)]
            data = b''.join(request(n, 'echo', n) for n in range(5000))
            for client in clients:
                send_beside(client.socket, data, finish=True)
            for client in clients:
                client.receive_to_end()
                self.assertEqual(client.end, 'FIN')
                self.assertEqual(client.answers, {n: (None, n) for n in range(5000)})
                client.close()
            rpc_peer.wait_closed(server, 4)
            self.assertEqual({(each['cause'], each['ending']) for each in server.reports()},
                             {('peer_finished', 'graceful')})
            self.drained(server, requests=20_000, answered=20_000, truncated=0, dropped=0)

    def test_come_in_the_order_of_completion(self):
        with Server('rpc serve') as server:
            client = Client(server)
            client.send(request(1, 'sleep', 120) + request(2, 'sleep', 40) + request(3, 'echo', 0))
            self.assertEqual(list(client.receive_answers(3)), [3, 2, 1])
            client.close()
            self.drained(server, answered=3)

    def test_of_large_ones_are_never_interleaved(self):
        with Server('rpc serve') as server:
            client = Client(server)
            texts = {n: chr(65 + n) * random.Random(n).randrange(1, 400_000) for n in range(20)}
            data = b''.join(request(n, 'echo', text) for n, text in texts.items())
            send_beside(client.socket, data)
            answers = client.receive_answers(20)
            self.assertEqual({n: result for n, (_, result) in answers.items()}, texts)
            client.close()
            self.drained(server, answered=20)

    def test_to_failed_calls_are_errors_and_the_rest_goes_on(self):
        with Server('rpc serve') as server:
            client = Client(server)
            for method, params, error in (
                    ('fail', ['ach, weh — 日本'], 'ach, weh — 日本'), ('fail', [''], ''),
                    ('fail', [None], 'fail takes a string'), ('fail', [], 'fail takes one parameter'),
                    ('echo', [], 'echo takes one parameter'),
                    ('echo', [1, 2], 'echo takes one parameter'),
                    ('sleep', [-1], 'sleep takes milliseconds, at most those of a day'),
                    ('sleep', ['long'], 'sleep takes milliseconds, at most those of a day'),
                    ('sleep', [float('nan')], 'sleep takes milliseconds, at most those of a day'),
                    ('ünknown', [1], "unknown method 'ünknown'; there are echo, sleep and fail"),
                    ('', [], "unknown method ''; there are echo, sleep and fail")):
                self.assertEqual(client.call(method, *params), (error, None))
            self.assertEqual(client.call('echo', 'still there'), (None, 'still there'))
            client.close()
            self.drained(server, failed=11, answered=12, bad_messages=0)

    def test_are_none_to_notifications_which_run_all_the_same(self):
        with Server('rpc serve', '--in-progress', '2') as server:
            client = Client(server)
            begun = time.monotonic()
            client.send(b''.join(pack([2, 'sleep', [60]]) for _ in range(4)) +
                        pack([2, 'fail', ['quietly']]) + pack([2, 'none such', []]) +
                        request(1, 'echo', 1))
            client.finish()
            self.assertEqual(client.receive_to_end(), {1: (None, 1)})
            self.assert_near(time.monotonic() - begun, 0.12, late=1.0)
            client.close()
            self.drained(server, notifications=6, requests=7, answered=7)

    def test_to_frames_split_at_every_byte(self):
        data = request(7, 'echo', {'ä': [b'\0' * 3, 2**40, -5, None, 1.5]}) + request(8, 'echo', 'x')
        with Server('rpc serve') as server:
            client = Client(server)
            for at in range(1, len(data)):
                client.send(data[:at])
                time.sleep(0.0005)  # what is tested holds for any time
                client.send(data[at:])
                self.assertEqual(len(client.receive_answers(2)), 2)
                client.answers = {}
            for at in range(len(data)):
                client.send(data[at:at + 1])
                time.sleep(0.0005)
            self.assertEqual(client.receive_answers(2)[8], (None, 'x'))
            client.close()
            self.drained(server, answered=2 * len(data), bad_messages=0)


class Bounds(RpcCase):
    def test_hold_for_requests_in_progress(self):
        with Server('rpc serve', '--in-progress', '8') as server:
            client = Client(server)
            client.send(b''.join(request(n, 'sleep', 2) for n in range(400)))
            client.receive_answers(400)
            client.close()
            self.drained(server, answered=400, in_progress_most=8)

    def test_make_a_client_that_sends_too_much_wait(self):
        with Server('rpc serve', '--in-progress', '1') as server:
            client = Client(server)
            before = rss(server.pid)
            went = fill_with(client.socket, request(1, 'sleep', 1500) * 10_000)
            self.assertLess(went, 20 * MIB)
            self.assertLess(rss(server.pid) - before, 2 * MIB)
            reset(client.socket)
            self.assert_report(server.report(2.0), ending='reset', cause='peer_reset')
            self.drained(server, requests=1, canceled=1, bad_messages=0)

    def test_keep_the_answers_to_a_slow_reader_small(self):
        with Server('rpc serve') as server:
            client = Client(server, receive_buffer=8192)
            before = rss(server.pid)
            text = 'x' * 900_000
            send_beside(client.socket, b''.join(request(n, 'echo', text) for n in range(40)))
            time.sleep(0.3)  # it would take all of it in this time
            self.assertLess(rss(server.pid) - before, 8 * MIB)
            client.receive_answers(40)
            self.assertEqual({result for _, result in client.answers.values()}, {text})
            client.close()
            self.drained(server, answered=40)

    def flood(self, data, times, *options):
        """Sends that over and over; returns what the server answered, and how it grew."""
        with Server('rpc serve', *options) as server:
            with Client(server).socket as warm:
                warm.close()
            server.report()
            before = rss(server.pid)
            client = Client(server)
            sending = send_beside(client.socket, data, times)
            client.receive_to_end()
            grown = rss(server.pid) - before
            client.close()
            sending.join(10)
            server.wait_reports(2)
            self.drained(server, errors='rpc: [^\n]+\n', bad_messages=1)
            self.assertEqual(list(client.answers), [None])
            self.assertEqual(client.end, 'FIN')
            return client.answers[None][0], grown

    @alone
    def test_hold_for_a_string_of_4_gib(self):
        # What comes after the error is dropped, up to the cap; the string never fits in memory.
        head = b'\x94\x00\x01\xa4echo\x91\xdb\xff\xff\xff\xff'
        for head in (head, head.replace(b'\xdb', b'\xc6'), head.replace(b'\xdb', b'\xc9')):
            error, grown = self.flood(head + bytes(12 * MIB), 1, '--discard-max', '64MiB')
            self.assertEqual(error, 'message of more than 1048576 bytes')
            self.assertLess(grown, 6 * MIB)

    @alone
    def test_hold_for_arrays_of_4_g_values(self):
        for head in (b'\xdd\xff\xff\xff\xff', b'\xdf\xff\xff\xff\xff'):
            error, grown = self.flood(head * 1000, 1)
            self.assertEqual(error, 'array or map of more values than fit into 1048576 bytes')
            self.assertLess(grown, 2 * MIB)

    @alone
    def test_hold_for_arrays_in_arrays_that_announce_all_that_is_allowed(self):
        for announced, why in ((0x3000, 'message nested deeper than 64'),
                               (0x40000, 'array or map of more values than fit into 1048576 bytes')):
            head = b'\xdd' + announced.to_bytes(4, 'big')
            error, grown = self.flood(head * 100, 1)
            self.assertEqual(error, why)
            self.assertLess(grown, 2 * MIB)

    @alone
    def test_hold_for_small_values_by_the_million(self):
        with Server('rpc serve') as server:
            before = rss(server.pid)
            client = Client(server)
            array = pack([None] * 40_000)
            data = b'\x94\x00\x01\xa4echo\x91\xdc\x00\x19' + array * 25
            for _ in range(5):
                client.send(data)
                error, result = client.receive_answers(1).pop(1)
                self.assertEqual((error, len(result)), (None, 25))
            # 24 times their bytes at most while they are decoded, and not that again and again.
            self.assertLess(rss(server.pid) - before, 40 * MIB)
            client.close()
            self.drained(server, answered=5)

    def test_of_a_frame_are_to_the_byte(self):
        with Server('rpc serve', '--frame-max', '1000') as server:
            overhead = len(request(1, 'echo', 'x' * 900)) - 900
            client = Client(server)
            fitting = 'x' * (1000 - overhead)
            self.assertEqual(client.call('echo', fitting), (None, fitting))
            client.send(request(5, 'echo', fitting + 'x') + request(6, 'echo', 1))
            client.receive_to_end()
            self.assertEqual(client.answers[None], ('message of more than 1000 bytes', None))
            self.assertNotIn(6, client.answers)
            client.close()
            self.drained(server, errors=f'rpc: {client.name}: message of more than 1000 bytes\n',
                         bad_messages=1, answered=2)

    def test_of_nesting_are_to_the_level(self):
        def nested(levels):
            return b'\x94\x00\x01\xa4echo\x91' + b'\x91' * levels + b'\xc0'
        with Server('rpc serve') as server:
            client = Client(server)
            client.send(nested(62))
            self.assertEqual(client.receive_answers(1)[1][0], None)
            client.send(nested(63))
            client.receive_to_end()
            self.assertEqual(client.answers[None], ('message nested deeper than 64', None))
            client.close()
            deeper = Client(server)
            send_beside(deeper.socket, nested(500_000))
            deeper.receive_to_end()
            self.assertEqual(deeper.answers[None], ('message nested deeper than 64', None))
            deeper.close()
            self.drained(server, errors='(rpc: [^\n]+ 64\n){2}')


class BadMessages(RpcCase):
    # By id: what is answered to which bytes.
    BAD = [
        (None, 'not MessagePack', b'\xc1'),
        (None, 'not MessagePack', b'\x94\x00\x01\xc1'),
        (None, 'not an array that begins with a message\'s type', b'\x05'),
        (None, 'not an array that begins with a message\'s type', pack('GET / HTTP/1.1')),
        (None, 'not an array that begins with a message\'s type', pack({})),
        (None, 'not an array that begins with a message\'s type', pack([])),
        (None, 'not one of the message types 0, 1 and 2', pack([3, 1, 'echo', []])),
        (None, 'not one of the message types 0, 1 and 2', pack([-1, 1, 'echo', []])),
        (None, 'not one of the message types 0, 1 and 2', pack(['0', 1, 'echo', []])),
        (None, 'a message with too few or too many parts', pack([0, 1, 'echo'])),
        (None, 'a message with too few or too many parts', pack([2, 1, 'echo', []])),
        (None, 'a message with too few or too many parts', pack([0, 1, 'echo', [], 1])),
        (None, 'the id is no number of 32 bits', pack([0, -1, 'echo', []])),
        (None, 'the id is no number of 32 bits', pack([0, 2**32, 'echo', []])),
        (None, 'the id is no number of 32 bits', pack([0, None, 'echo', []])),
        (2**32 - 1, "the method's name is no string", pack([0, 2**32 - 1, 5, []])),
        (7, "the method's name is no string", pack([0, 7, b'echo', []])),
        (7, 'the params are no array', pack([0, 7, 'echo', {}])),
        (None, "the params are no array", pack([2, 'echo', 1])),
        (None, 'an answer, and nothing was asked', pack([1, 1, None, 1])),
    ]

    def test_are_answered_by_an_error_behind_the_answers_owed(self):
        with Server('rpc serve') as server:
            staying = Client(server)
            for count, (number, why, data) in enumerate(self.BAD):
                client = Client(server)
                client.send(request(100, 'sleep', 30) + request(101, 'echo', 1) + data +
                            request(102, 'echo', 2))
                client.receive_to_end()
                self.assertEqual(client.end, 'FIN')
                self.assertEqual(client.answers, {100: (None, 30), 101: (None, 1),
                                                  number: (why, None)})
                client.close()
                self.assertEqual(staying.call('echo', count), (None, count), 'others are harmed')
            reports = server.wait_reports(len(self.BAD))
            self.assertEqual({each['ending'] for each in reports}, {'graceful'})
            staying.close()
            self.drained(server, errors=r'(rpc: 127\.0\.0\.1:\d+: [^\n]+\n){%d}' % len(self.BAD),
                         bad_messages=len(self.BAD), answered=4 * len(self.BAD), canceled=0)

    def test_are_answered_by_a_reset_if_so_asked(self):
        with Server('rpc serve', '--ending', 'abort') as server:
            client = Client(server)
            self.assertEqual(client.call('echo', 1), (None, 1))
            client.send(request(100, 'sleep', 2000) + b'\xc1')
            client.receive_to_end()
            self.assertEqual((client.end, len(client.answers)), ('RST', 1))
            self.assert_report(server.report(), ending='aborted', cause='application',
                               reset_sent=True)
            self.drained(server, errors='rpc: [^\n]+\n', canceled=1, answered=1, bad_messages=1)

    def test_that_go_on_and_on_draw_a_reset_at_the_cap(self):
        with Server('rpc serve', '--discard-max', '100KiB') as server:
            client = Client(server)
            sending = send_beside(client.socket, b'\xc1' * 100_000, 1000)
            client.receive_to_end()
            client.close()
            sending.join(10)
            self.assert_report(server.report(), ending='degraded', cause='discard_limit')
            self.drained(server, errors='rpc: [^\n]+\n', bad_messages=1)


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
                self.drained(server, within=2.0, requests=began, canceled=min(began, 10))

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

    def test_by_a_kill_are_told_from_those_that_finished(self):
        # The kernel sends FIN or RST for it: RST when it had answers that it had not read.
        for _ in range(3):
            report, totals = self.kill()
            self.assertIn(report['cause'], ('peer_reset', 'truncated', 'peer_finished'))
            if report['cause'] == 'peer_finished':  # killed while nothing was due, nor half sent
                self.assertEqual(totals['canceled'], 0)
            self.assertGreater(totals['answered'], 1000)

    def test_that_read_nothing_are_cut_at_the_deadline(self):
        with Server('rpc serve', '--deadline', '300ms') as server:
            client = Client(server, receive_buffer=8192)
            text = 'x' * 900_000
            send_beside(client.socket, b''.join(request(n, 'echo', text) for n in range(12)),
                        finish=True).join(1)
            # As long as there is no room for its requests, its FIN stays unread behind them.
            client.receive_answers(8)
            self.assert_report(server.report(5.0), ending='degraded', cause='deadline',
                               delivery='unacknowledged')
            client.close()
            totals = self.drained(server)
            self.assertGreater(totals['canceled'], 0)

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
            self.assertLess(server.took, 1.5)
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
            self.assert_near(server.took, 0.3, late=0.2, early=0.01)
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
            self.assertLess(server.took, 0.5)

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
            self.assertLess(server.took, 1.0)

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
            self.assert_near(server.took, 1.0, late=0.4, early=0.01)

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
            self.check_totals(server.ended(within=2.0), answered=5, canceled=5)
            self.assertLess(server.took, 0.2)
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
            totals = server.ended(within=3.0)
            self.assert_near(server.took, 0.4, late=0.3, early=0.01)
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
