"""rpc call, against a server of Python's and against rpc serve: every call gets its answer or its
cancellation, exactly once, however the other side ends."""
import json
import os
import queue
import signal
import socket
import subprocess
import time

import harness
import rpc_peer
from harness import PATIENCE, Case, Server, program, reset, run, scratch, start, wait_until
from rpc_peer import Peer, pack

MIB = 1 << 20

rpc_peer.skip_unless_built()


class CallCase(Case):
    def call(self, address, *words, status=0, within=15.0):
        """(what it printed, or the summary of many calls; stderr)."""
        ended, out, err = run([program('rpc'), 'call', address, *words], within=within)
        self.assertEqual(ended, status, out + err)
        self.assertLessEqual(err.count('\n'), 2, err)
        if '--count' not in words:
            return out, err
        self.assertEqual(out.count('\n'), 1, out)
        return self.check_summary(json.loads(out)), err

    def check_summary(self, summary):
        self.assertEqual(list(summary), ['calls', 'answered', 'failed', 'canceled',
                                         'canceled_because', 'latency_us'])
        self.assertEqual(summary['calls'],
                         summary['answered'] + summary['failed'] + summary['canceled'], summary)
        self.assertEqual(summary['canceled'] == 0, summary['canceled_because'] is None, summary)
        times = list(summary['latency_us'].values())
        if summary['answered'] + summary['failed']:
            self.assertEqual(times, sorted(times), summary)
        else:
            self.assertEqual(times, [None] * 4)
        return summary

    def counts(self, summary):
        return summary['answered'], summary['failed'], summary['canceled']

    def called(self, serve, *words, status=0):
        """Calls a server that does that; returns (summary, stderr, report, served)."""
        file = scratch('reports')
        with Peer(serve) as peer:
            summary, err = self.call(peer.address, *words, '--reports', file, status=status)
        with open(file, encoding='utf-8') as lines:
            reports = [harness.check_report(json.loads(line)) for line in lines]
        self.assertEqual(len(reports), 1, reports)
        return summary, err, reports[0], peer.served


class Single(CallCase):
    def test_prints_the_result_as_json(self):
        values = ['null', 'true', '-5', '-9223372036854775808', '18446744073709551615', '1.5',
                  '"naïve — 日本語 🐟"', '""', '[]', '[1,[2,[3]]]', '{}', '{"a":{"b":[null]}}',
                  '{"$bin":"00ff"}', '{"$bin":""}', '{"$ext":[5,"abcd"]}', '{"$ext":[-128,""]}', '{"$ext":[127,"00"]}',
                  '[{"$bin":"aa"},{"x":1}]']
        with Server('rpc serve') as server:
            for value in values:
                out, err = self.call(server.address, 'echo', value)
                self.assertEqual((json.loads(out), err), (json.loads(value), ''))
                self.assertEqual(out.count('\n'), 1)
            server.drained()

    def test_prints_what_json_does_not_know(self):
        def answer_with(result):
            def serve(served):
                served.receive()
                served.socket.sendall(pack([1, 0, None, result]))
                served.read_to_end()
            return serve
        for result, printed in ((b'\x00\xfe', '{"$bin":"00fe"}'), ({1: 2}, '{"1":2}'),
                                ({None: [b'']}, '{"null":[{"$bin":""}]}'), (float('nan'), 'null'),
                                (rpc_peer.msgpack.ExtType(9, b'\x01'), '{"$ext":[9,"01"]}')):
            with Peer(answer_with(result)) as peer:
                self.assertEqual(self.call(peer.address, 'any'), (printed + '\n', ''))
        not_utf8 = b'\x94\x01\x00\xc0\xa2\xc3\x28'
        def serve(served):
            served.receive()
            served.socket.sendall(not_utf8)
            served.read_to_end()
        with Peer(serve) as peer:
            self.assertEqual(self.call(peer.address, 'any'), ('"\ufffd("\n', ''))

    def test_tells_an_error_from_a_cancellation(self):
        with Server('rpc serve') as server:
            self.assertEqual(self.call(server.address, 'fail', '"ach"', status=1),
                             ('', 'rpc: fail failed: "ach"\n'))
            out, err = self.call(server.address, 'no-such', '1', status=1)
            self.assertEqual((out, err.count('\n')), ('', 1))
            self.assertIn("unknown method 'no-such'", err)
            self.assertEqual(self.call(server.address, 'sleep', '5000', '--deadline', '100ms',
                                       status=1),
                             ('', 'rpc: sleep canceled: the deadline has passed\n'))
            address = server.address
            server.drained()
        out, err = self.call(address, 'echo', '1', status=1)
        self.assertEqual((out, err), ('', f'rpc: echo canceled: cannot connect to {address}: '
                                          'Connection refused\n'))

    def test_refuses_what_it_cannot_use_with_one_line(self):
        for words, named in (
                (['call'], 'ADDR'), (['call', '127.0.0.1:1'], 'METHOD'), ([], 'serve or call'),
                (['nonsense'], 'serve or call'), (['nonsense'], "'nonsense'"), (['--bogus'], "'--bogus'"), (['call', 'nonsense', 'echo'], "'nonsense'"),
                (['call', '127.0.0.1:1', 'echo', '{x'], "'{x' is no JSON"),
                (['call', '127.0.0.1:1', 'echo', ''], "'' is no JSON"),
                (['call', '127.0.0.1:1', 'echo', 'text'], "'text' is no JSON"),
                (['call', '127.0.0.1:1', 'echo', '1', '2,'], "'2,' is no JSON"),
                (['call', '127.0.0.1:1', 'echo', '{"$bin":"0"}'], 'hexadecimal'),
                (['call', '127.0.0.1:1', 'echo', '{"$bin":"0g"}'], 'hexadecimal'),
                (['call', '127.0.0.1:1', 'echo', '{"$ext":[128,"00"]}'], '-128 to 127, not 128'),
                (['call', '127.0.0.1:1', 'echo', '{"$ext":[-129,"00"]}'], 'not -129'),
                (['call', '127.0.0.1:1', 'echo', '{"$ext":[18446744073709551615,""]}'], '127'),
                (['call', '127.0.0.1:1', 'echo', '[' * 10_000 + ']' * 10_000], 'deeper than 64'),
                (['call', '127.0.0.1:1', 'echo', '--nonsense'], '--nonsense'),
                (['call', '127.0.0.1:1', 'echo', '--count', '0'], '--count'),
                (['call', '127.0.0.1:1', 'echo', '--count', 'many'], '--count'),
                (['call', '127.0.0.1:1', 'echo', '--in-flight', '0'], '--in-flight'),
                (['call', '127.0.0.1:1', 'echo', '--deadline', 'soon'], '--deadline'),
                (['call', '127.0.0.1:1', 'echo', '--frame-max', '10'], '--frame-max'),
                (['call', '127.0.0.1:1', 'echo', '--reports', '/no/such/file'], '/no/such/file'),
                (['call', '127.0.0.1:1', 'echo', '--reports', ''], '--reports'),
                (['serve'], '--listen'), (['serve', '--listen', 'nonsense'], 'nonsense'),
                (['serve', '--listen', '127.0.0.1:0', '--frame-max', '1'], '--frame-max'),
                (['serve', '--listen', '127.0.0.1:0', '--in-progress', '0'], '--in-progress'),
                (['serve', '--listen', '127.0.0.1:0', '--ending', 'wait'], '--ending'),
                (['serve', '--listen', '127.0.0.1:0', 'more'], 'more')):
            with self.subTest(words=str(words)[:100]):
                status, out, err = run([program('rpc'), *words], within=PATIENCE)
                self.assertEqual((status, out, err.count('\n')), (2, '', 1), err)
                self.assertTrue(err.startswith('rpc: '), err)
                self.assertIn(named, err)


class Many(CallCase):
    def test_are_answered_by_a_server_whose_bound_is_lower(self):
        with Server('rpc serve', '--in-progress', '4') as server:
            summary, err = self.call(server.address, 'echo', '"text"', '--count', '5000',
                                     '--in-flight', '500')
            self.assertEqual((self.counts(summary), err), ((5000, 0, 0), ''))
            totals = server.drained()
            self.assertEqual((totals['answered'], totals['in_progress_most']), (5000, 4))

    def test_are_answered_in_any_order_and_never_more_at_a_time_than_allowed(self):
        def serve(served):
            while len(served.answered) < 3000:
                if not served.due() and not served.receive():
                    return
                served.socket.sendall(b''.join(
                    served.answer(number, result=served.calls[number][1][0])
                    for number in sorted(served.due(), key=hash, reverse=True)))
            served.read_to_end()
        summary, err, report, served = self.called(serve, 'echo', '"x"', '--count', '3000',
                                                   '--in-flight', '70')
        self.assertEqual((self.counts(summary), err), ((3000, 0, 0), ''))
        self.assertLessEqual(served.most_due, 70)
        self.assertGreater(served.most_due, 1)
        self.assert_report(report, ending='graceful', cause='application', initiator='local')

    def test_are_told_apart_by_results_and_errors(self):
        def serve(served):
            while served.receive():
                served.socket.sendall(b''.join(
                    served.answer(number, 'odd' if number % 2 else None)
                    for number in served.due()))
        summary, err, *_ = self.called(serve, 'any', '--count', '1001', status=1)
        self.assertEqual((self.counts(summary), err), ((501, 500, 0), ''))

    def test_are_answered_byte_by_byte(self):
        def serve(served):
            served.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            while len(served.calls) < 8:
                served.receive()
            for byte in b''.join(served.answer(n, result={'ä': b'123'}) for n in served.due()):
                served.socket.sendall(bytes([byte]))
                time.sleep(0.0003)
            served.read_to_end()
        summary, err, *_ = self.called(serve, 'any', '--count', '8')
        self.assertEqual((self.counts(summary), err), ((8, 0, 0), ''))

    def test_are_cancelled_by_a_server_that_is_not_there(self):
        summary, err = self.call('127.0.0.1:1', 'echo', '1', '--count', '7', status=1)
        self.assertEqual(self.counts(summary), (0, 0, 7))
        self.assertIn('Connection refused', summary['canceled_because'])

    def test_are_cancelled_at_the_deadline_by_a_server_that_never_reads(self):
        def serve(served):
            time.sleep(0.8)
        begun = time.monotonic()
        summary, _, report, _ = self.called(
            serve, 'echo', json.dumps('x' * 100_000), '--count', '1000', '--in-flight', '1000',
            '--deadline', '400ms', status=1)
        self.assertLess(time.monotonic() - begun, PATIENCE)
        self.assertEqual(self.counts(summary), (0, 0, 1000))
        self.assert_report(report, cause='deadline', ending='aborted', reset_sent=True)


class ServersThatEnd(CallCase):
    def test_in_the_middle_cancel_what_is_due(self):
        def serve(served):
            served.answer_all(limit=100)
            served.socket.shutdown(socket.SHUT_WR)
            served.read_to_end()
        summary, err, report, _ = self.called(serve, 'any', '--count', '5000', status=1)
        self.assertEqual(self.counts(summary), (100, 0, 4900))
        self.assertEqual(err, 'rpc: any canceled: the server ended the connection\n')
        self.assert_report(report, cause='truncated', peer_finished=True)

    def test_by_a_reset_cancel_what_is_due(self):
        def serve(served):
            served.answer_all(limit=100)
            served.receive()
            time.sleep(0.05)  # a reset takes away answers that were not read
            reset(served.socket)
        summary, _, report, _ = self.called(serve, 'any', '--count', '5000', status=1)
        self.assertEqual(self.counts(summary), (100, 0, 4900))
        self.assertIn('reset', summary['canceled_because'].lower())
        self.assert_report(report, cause='peer_reset', ending='reset')

    def test_inside_a_frame_cancel_what_is_due(self):
        whole = pack([1, 3, None, {'ä': [1, 2, b'3']}])
        for at in range(1, len(whole), 3):
            def serve(served):
                while len(served.calls) < 4:
                    served.receive()
                served.socket.sendall(served.answer(0) + served.answer(1) + whole[:at])
                served.socket.shutdown(socket.SHUT_WR)
                served.read_to_end()
            summary, _, report, _ = self.called(serve, 'any', '--count', '4', status=1)
            self.assertEqual(self.counts(summary), (2, 0, 2))
            self.assert_report(report, cause='truncated', peer_finished=True)

    def test_when_nothing_is_due_end_it_gracefully(self):
        def serve(served):
            served.answer_all(limit=10)
            served.socket.shutdown(socket.SHUT_WR)
            served.read_to_end()
        summary, err, report, _ = self.called(serve, 'any', '--count', '10')
        self.assertEqual((self.counts(summary), err), ((10, 0, 0), ''))
        self.assert_report(report, ending='graceful')

    def test_by_a_kill_cancel_what_is_due(self):
        with Server('rpc serve') as server:
            process = self.start(server.address, 'echo', '"x"', '--count', '10000000')
            wait_until(lambda: server.cpu_seconds() > 0.1, 'thousands of calls')
            server.process.kill()
            summary = self.ended(process)
            self.assertGreater(summary['answered'], 1000)
            self.assertGreater(summary['canceled'], 1000)

    def test_by_a_drain_in_the_middle_lose_no_answer(self):
        with Server('rpc serve') as server:
            process = self.start(server.address, 'echo', '"x"', '--count', '10000000')
            wait_until(lambda: server.cpu_seconds() > 0.1, 'thousands of calls')
            totals = server.drained()
            summary = self.ended(process)
            self.assertEqual(summary['answered'], totals['answered'])
            self.assertEqual((totals['requests'], totals['canceled']), (totals['answered'], 0))
            self.assertEqual(server.report()['ending'], 'graceful')

    def test_by_a_drain_with_sleeping_calls_answer_those(self):
        with Server('rpc serve', '--in-progress', '10') as server:
            process = self.start(server.address, 'sleep', '400', '--count', '100')
            time.sleep(0.2)
            totals = server.drained()
            summary = self.ended(process)
            self.assertEqual(self.counts(summary), (10, 0, 90))
            # Of the 54 that were sent besides, some had not been read yet.
            self.assertEqual((totals['answered'], totals['requests']), (10, 10))
            self.assertLessEqual(totals['dropped'], 54)
            self.assertGreater(totals['dropped'] + server.report()['discarded_bytes'], 0)

    def start(self, *words):
        return start([program('rpc'), 'call', *words, '--deadline', '30s'], stdout=subprocess.PIPE,
                     stderr=subprocess.PIPE)

    def ended(self, process, status=1):
        out, err = process.communicate(timeout=PATIENCE)
        self.assertEqual(process.returncode, status, out + err)
        return self.check_summary(json.loads(out))


class BadServers(CallCase):
    def breaks(self, data, because, answered=1):
        """A server that answers one of two calls, and then sends this, resets the connection."""
        def serve(served):
            while len(served.calls) < 2:
                served.receive()
            served.socket.sendall(served.answer(0) + data)
            served.read_to_end()
        summary, err, report, _ = self.called(serve, 'any', '--count', '2', '--frame-max', '1000',
                                              status=1)
        self.assertEqual(self.counts(summary), (answered, 0, 2 - answered))
        self.assertEqual(summary['canceled_because'], because)
        self.assertEqual(err, f'rpc: any canceled: {because}\n')
        self.assert_report(report, ending='aborted')

    def test_that_answer_twice_or_what_was_not_asked_are_cut(self):
        self.breaks(pack([1, 0, None, 1]),
                    'the server sent an answer to call 0, which is not due')
        self.breaks(pack([1, 77, None, 1]),
                    'the server sent an answer to call 77, which is not due')

    def test_that_talk_nonsense_are_cut(self):
        self.breaks(b'\xc1', 'the server sent not MessagePack')
        self.breaks(pack('HTTP/1.1 400 Bad Request'),
                    "the server sent not an array that begins with a message's type")
        self.breaks(pack([0, 1, 'echo', []]), 'the server sent a call, where answers are due')
        self.breaks(pack([1, 1, None]), 'the server sent a message with too few or too many parts')
        self.breaks(pack([1, 'x', None, 1]), 'the server sent the id is no number of 32 bits')
        self.breaks(pack([1, 1, None, 'x' * 1000]),
                    'the server sent message of more than 1000 bytes')
        self.breaks(b'\x94\x01\x01\xc0' + b'\x91' * 500,
                    'the server sent message nested deeper than 64')

    def test_that_could_not_read_a_call_are_quoted(self):
        def serve(served):
            while len(served.calls) < 2:
                served.receive()
            served.socket.sendall(served.answer(0) + pack([1, None, 'what?', None]))
            served.socket.shutdown(socket.SHUT_WR)
            served.read_to_end()
        summary, err, *_ = self.called(serve, 'any', '--count', '2', status=1)
        self.assertEqual(self.counts(summary), (1, 0, 1))
        self.assertEqual(err, 'rpc: the server: "what?"\n'
                              'rpc: any canceled: the server ended the connection\n')


class Interrupted(CallCase):
    def interrupted(self, serve, *words):
        """Interrupts the calling when the server asks for it."""
        processes = queue.Queue()
        def serve_it(served):
            process = processes.get(timeout=PATIENCE)
            serve(served, lambda: os.kill(process.pid, signal.SIGTERM))
        with Peer(serve_it) as peer:
            process = start([program('rpc'), 'call', peer.address, 'any', *words],
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            processes.put(process)
            out, err = process.communicate(timeout=PATIENCE)
        self.assertEqual(process.returncode, 1, out + err)
        return self.check_summary(json.loads(out)), err.decode()

    def test_calls_get_the_answers_that_are_due(self):
        def serve(served, interrupt):
            while len(served.calls) < 64:
                served.receive()
            served.socket.sendall(b''.join(served.answer(n) for n in range(5)))
            interrupt()
            served.read_to_end()  # its FIN comes before the answers
            due = served.due()
            for number in reversed(due):
                time.sleep(0.002)
                served.socket.sendall(served.answer(number))
            self.sent = len(served.calls)
        summary, err = self.interrupted(serve, '--count', '5000', '--deadline', '10s')
        self.assertEqual(self.counts(summary), (self.sent, 0, 5000 - self.sent))
        self.assertEqual(err, 'rpc: any canceled: interrupted\n')

    def test_twice_gives_them_up(self):
        def serve(served, interrupt):
            while len(served.calls) < 64:
                served.receive()
            interrupt()
            served.read_to_end()
            interrupt()
            wait_until(lambda: served.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR),
                       'a reset behind its FIN')
        begun = time.monotonic()
        summary, _ = self.interrupted(serve, '--count', '5000', '--deadline', '10s')
        self.assertLess(time.monotonic() - begun, 9.0)  # and not the deadline
        self.assertEqual(self.counts(summary), (0, 0, 5000))


if __name__ == '__main__':
    harness.main()
