"""rpc serve, tried by an independent client: every request gets its answer, once."""
import random
import time

import harness
import rpc_peer
from harness import Server, send_beside
from rpc_peer import Client, RpcCase, pack, request

rpc_peer.skip_unless_built()


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
                    ('fail', [None], 'fail takes a string'),
                    ('fail', [], 'fail takes one parameter'),
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

    def test_that_are_errors_are_utf_8_whatever_the_client_sent(self):
        text = b'caf\xc3\xa9 \xff\xc3 \xed\xa0\x80'
        shown = text.decode(errors='replace')
        with Server('rpc serve') as server:
            client = Client(server)  # which takes no str that is not UTF-8
            for number, (method, params) in enumerate(((text, []), (b'fail', [text]))):
                client.send(rpc_peer.msgpack.packb([0, number, method, params],
                                                   use_bin_type=False))
            answers = client.receive_answers(2)
            self.assertEqual(answers[0], (
                f"unknown method '{shown}'; there are echo, sleep and fail", None))
            self.assertEqual(answers[1], (shown, None))
            client.close()
            self.drained(server, failed=2, bad_messages=0)

    def test_are_none_to_notifications_which_run_all_the_same(self):
        with Server('rpc serve', '--in-progress', '2') as server:
            client = Client(server)
            begun = time.monotonic()
            client.send(b''.join(pack([2, 'sleep', [60]]) for _ in range(4)) +
                        pack([2, 'fail', ['quietly']]) + pack([2, 'none such', []]) +
                        request(1, 'echo', 1))
            client.finish()
            self.assertEqual(client.receive_to_end(), {1: (None, 1)})
            self.assert_lasted(time.monotonic() - begun, 0.12)
            client.close()
            self.drained(server, notifications=6, requests=7, answered=7)

    def test_to_frames_split_at_every_byte(self):
        data = request(7, 'echo', {'ä': [b'\0' * 3, 2**40, -5, None, 1.5]})
        data += request(8, 'echo', 'x')
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


if __name__ == '__main__':
    harness.main()
