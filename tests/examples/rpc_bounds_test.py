"""rpc serve keeps within its bounds, and ends conversations that make no sense."""
import time

import harness
import rpc_peer
from harness import Server, alone, reset, send_beside
from rpc_peer import Client, RpcCase, fill_with, pack, request, rss

MIB = 1 << 20

rpc_peer.skip_unless_built()


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
        for announced, why in (
                (0x3000, 'message nested deeper than 64'),
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

    def test_refuse_a_length_when_it_is_read(self):
        # The client sends nothing behind the length, and waits.
        gib = (2 << 30).to_bytes(4, 'big')
        small = (1000).to_bytes(2, 'big')
        size = 'message of more than 1000 bytes'
        count = 'array or map of more values than fit into 1000 bytes'
        heads = [(first + gib, size) for first in (b'\xdb', b'\xc6', b'\xc9')]
        heads += [(first + small, size) for first in (b'\xda', b'\xc5', b'\xc8')]
        heads += [(first + gib, count) for first in (b'\xdd', b'\xdf')]
        nestings = (b'', b'\x94\x00\x01\xa4echo\x91', b'\x94\x00\x01\xa4echo\x92\x82\xa1a\x93'
                    b'\xcb12345678\xc4\x03abc\xc7\x02\x05xy\xd8\x011234567890123456\xa1b\xdc\x00\x02\x01')
        with Server('rpc serve', '--frame-max', '1000') as server:
            for nesting in nestings:
                for head, why in heads:
                    for pieces in ([nesting + head], [nesting + head[:2], head[2:]]):
                        client = Client(server)
                        for piece in pieces:
                            client.send(piece)
                            time.sleep(0.005)
                        client.receive_to_end()
                        self.assertEqual((client.answers, client.end), ({None: (why, None)}, 'FIN'))
                        client.close()
            times = 2 * len(nestings) * len(heads)
            server.wait_reports(times)
            self.drained(server, errors=r'(rpc: 127\.0\.0\.1:\d+: [^\n]+ 1000 bytes\n){%d}' % times,
                         bad_messages=times, answered=times)

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
            while client.receive():  # and does not close at the server's FIN
                pass
            sending.join(10)
            client.close()
            self.assert_report(server.report(), ending='degraded', cause='discard_limit')
            self.drained(server, errors='rpc: [^\n]+\n', bad_messages=1)


if __name__ == '__main__':
    harness.main()
