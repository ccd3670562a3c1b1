"""systemd: what it is told, which sockets it passes, and a build without it."""
import fcntl
import os
import re
import select
import socket
import sys
import time

import harness
from harness import (AT_ONCE, PATIENCE, Case, Server, program, read_to_end, round_trip, run,
                     scratch, wait_until)

AS_ACTIVATED = os.path.join(os.path.dirname(os.path.abspath(__file__)), 'as_activated.py')
LISTEN = ('--listen', '127.0.0.1:0')


def built_in():
    status, out, _ = run([program('ringdown-info')])
    assert status == 0
    return re.search(r'^systemd is built in: (\w+)', out, re.MULTILINE)[1] == 'yes'


def retransmitted(of):
    """Segments that this connection sent again: `tcpi_total_retrans` of <linux/tcp.h>."""
    info = of.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 104)
    return int.from_bytes(info[100:104], sys.byteorder)


class Manager:
    """Receives what a program tells its service manager."""

    def __init__(self, name=None):
        self.name = name or scratch('notify')
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind('\0' + self.name[1:] if self.name[0] == '@' else self.name)
        self.socket.setblocking(False)
        self.env = {'NOTIFY_SOCKET': self.name}
        self.told = []  # (when, what)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def take(self):
        while select.select([self.socket], [], [], 0)[0]:
            self.told.append((time.monotonic(), self.socket.recv(4096).decode()))
        return [what for _, what in self.told]

    def wait_told(self, what):
        return wait_until(lambda: [each for each in self.take() if re.fullmatch(what, each)],
                          f'{what!r}, not {self.told}')

    def fill_queue(self):
        """Nothing more goes into it."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as other:
            other.setblocking(False)
            other.connect(self.socket.getsockname())
            try:
                while True:
                    other.send(b'x')
            except BlockingIOError:
                pass


class Activated(Server):
    """A server that inherits listening sockets."""

    def __init__(self, *sockets, name='echo', options=(), env=None):
        numbers = [each.fileno() for each in sockets]
        # Numbers from 3 on would be overwritten on the way, so they go through higher ones.
        self.high = [os.dup(number) for number in numbers]
        while min(self.high) < 10:
            self.high = [os.dup(number) for number in self.high]
        super().__init__(name, *options, listen='systemd', env=env, pass_fds=self.high, prefix=[
            sys.executable, AS_ACTIVATED, ','.join(map(str, self.high))])


def listening():
    made = socket.create_server(('127.0.0.1', 0))
    made.setblocking(False)  # as systemd makes them
    return made


class WithSystemd(Case):
    def setUp(self):
        if not built_in():
            self.skipTest('built without systemd (meson option systemd)')


class Told(WithSystemd):
    def test_ready_when_it_listens(self):
        for name in (None, f'@ringdown-test-{os.getpid()}-{os.path.basename(scratch())}'):
            with Manager(name) as manager, Server('echo', env=manager.env) as server:
                manager.wait_told('READY=1')
                with server.connect() as client:
                    round_trip(client)
                self.assertEqual(manager.take(), ['READY=1'])
                server.drained()

    def test_that_a_drain_takes_its_time_for_as_long_as_it_does(self):
        for threads in ('1', '3'):
            options = ('--drain', '10s', '--threads', threads)
            with Manager() as manager, Server('echo', *options, env=manager.env) as server:
                client = server.connect()
                round_trip(client)
                manager.wait_told('READY=1')
                server.ask_to_end()
                manager.wait_told('STOPPING=1')
                begun = time.monotonic()
                manager.wait_told('STATUS=draining, 1 connections left')
                wait_until(lambda: sum('EXTEND' in each for each in manager.take()) >= 3,
                           'three extensions')
                self.assertLess(time.monotonic() - begun, PATIENCE)
                client.close()
                server.ended()
                ended = time.monotonic()
                manager.take()
            until = begun + PATIENCE
            for when, what in manager.told:
                if found := re.fullmatch(r'EXTEND_TIMEOUT_USEC=([1-9]\d*)', what):
                    self.assertLess(when, until, 'a gap before it')
                    until = when + int(found[1]) / 1e6
            self.assertGreater(until, ended)
            self.assertEqual(manager.told[0][1], 'READY=1')
            for _, what in manager.told:
                self.assertRegex(what, '^(READY=1|STOPPING=1|EXTEND_TIMEOUT_USEC=.*|STATUS=.*)$')

    def test_nothing_more_when_a_drain_is_over_at_once(self):
        with Manager() as manager, Server('echo', env=manager.env) as server:
            server.drained()
            self.assertLess(server.took, AT_ONCE)
            self.assertEqual(manager.take()[:1], ['READY=1'])

    def test_a_manager_that_does_not_read_holds_up_no_drain(self):
        with Manager() as manager:
            with Server('echo', '--drain', '300ms', env=manager.env) as server:
                client = server.connect()
                round_trip(client)
                manager.wait_told('READY=1')
                manager.fill_queue()
                self.assertEqual(server.drained(within=8.0)['ending'], {'degraded': 1})
                client.close()

    def test_a_manager_that_has_gone_harms_nothing(self):
        with Manager() as manager, Server('echo', env=manager.env) as server:
            manager.wait_told('READY=1')
            manager.socket.close()
            with server.connect() as client:
                round_trip(client)
            server.drained()

    def refuses(self, name, *said):
        status, out, err = run([program('echo'), *LISTEN], {'NOTIFY_SOCKET': name})
        self.assertEqual((status, out), (2, ''), err)
        self.assertEqual(err.count('\n'), 1, err)
        for each in said:
            self.assertIn(each, err)

    def test_addresses_that_are_none(self):
        self.refuses('relative/path', 'NOTIFY_SOCKET', "'relative/path'", '@name')
        self.refuses('vsock:2:9', 'NOTIFY_SOCKET', "'vsock:2:9'")
        self.refuses('', 'NOTIFY_SOCKET', "''")
        missing = scratch('missing')
        self.refuses(missing, missing, 'No such file')


class Passed(WithSystemd):
    def test_a_socket_with_clients_who_wait_already(self):
        with listening() as passed:
            waiting = socket.create_connection(passed.getsockname(), 10.0)
            waiting.sendall(b'hello')
            waiting.shutdown(socket.SHUT_WR)
            with Activated(passed) as server:
                host, port = passed.getsockname()
                self.assertEqual(server.address, f'{host}:{port}')
                self.assertEqual(read_to_end(waiting), b'hello')
                with server.connect() as client:
                    round_trip(client)
                self.assertEqual(server.drained()['accepts'], 2)
            waiting.close()

    def test_waiting_on_one_costs_nothing(self):
        with listening() as passed, Activated(passed, options=('--threads', '2')) as server:
            with server.connect() as client:
                round_trip(client)
            before = server.cpu_seconds()
            time.sleep(0.4)
            self.assertLess(server.cpu_seconds() - before, 0.2)
            server.drained()

    def test_a_unix_socket_stays_at_its_path(self):
        path = scratch('socket')
        with socket.socket(socket.AF_UNIX) as passed:
            passed.bind(path)
            passed.listen()
            with Activated(passed) as server:
                self.assertEqual(server.address, f'unix:{path}')
                with server.connect() as client:
                    round_trip(client)
                server.drained()
            self.assertTrue(os.path.exists(path))

    def test_after_a_drain_newcomers_wait_for_the_next_start(self):
        with listening() as passed:
            for _ in range(3):
                with Activated(passed) as server:
                    with server.connect() as client:
                        round_trip(client)
                    server.drained()
                between = socket.create_connection(passed.getsockname(), 10.0)
                between.sendall(b'next')
                with Activated(passed) as server:
                    self.assertEqual(harness.read_exactly(between, 4), b'next')
                    between.close()
                    self.assertEqual(server.drained()['accepts'], 1)

    def who_waits(self, passed):
        """The first newcomer that is not answered any more, and how many were until then."""
        for answered in range(100):
            late = socket.create_connection(passed.getsockname(), PATIENCE)
            self.assertEqual(retransmitted(late), 0, 'its SYN was dropped')
            late.sendall(b'late')
            if not select.select([late], [], [], 1.0)[0]:
                return late, answered
            read_to_end(late)
            late.close()
        self.fail('a drain accepts for ever')

    # Also when the manager passes sockets and wants to be told nothing.
    def test_who_comes_during_a_long_drain_waits_for_the_next_start(self):
        for threads in ('1', '2'):
            with listening() as passed:
                options = ('--drain', '10s', '--threads', threads)
                with Activated(passed, options=options) as server:
                    staying = server.connect()
                    round_trip(staying)
                    server.ask_to_end()
                    self.assertEqual(harness.end_of(staying), 'FIN')
                    late, answered = self.who_waits(passed)
                    staying.close()
                    self.assertEqual(server.ended()['accepts'], 1 + answered)
                with Activated(passed) as server:
                    self.assertEqual(harness.read_exactly(late, 4), b'late')
                    late.close()
                    server.drained()

    def test_a_server_that_cannot_accept_any_more_drains_and_says_so(self):
        for threads in ('1', '2'):
            with listening() as passed:
                options = ('--drain', '10s', '--threads', threads)
                with Activated(passed, options=options) as server:
                    with server.connect() as client:
                        round_trip(client)
                        passed.shutdown(socket.SHUT_RDWR)
                        harness.wait_until(server.errors, 'it says so')
                        self.assertEqual(read_to_end(client), b'')  # it was idle
                    server.process.wait(PATIENCE)
                    self.assertEqual(server.process.returncode, 1)
                    self.assertEqual(server.errors(),
                                     'cannot accept any more, and ends: Invalid argument\n')
                    self.assert_report(server.report(), ending='graceful', cause='drain')

    # A filter on the socket would outlive the program.
    def test_a_drain_that_is_killed_leaves_the_socket_as_it_was(self):
        with listening() as passed:
            with Activated(passed, options=('--drain', '10s')) as server:
                staying = server.connect()
                round_trip(staying)
                server.ask_to_end()
                self.assertEqual(harness.end_of(staying), 'FIN')
                server.process.kill()
                server.process.wait(5)
                staying.close()
            late, answered = self.who_waits(passed)
            self.assertEqual(answered, 0)
            with Activated(passed) as server:
                self.assertEqual(harness.read_exactly(late, 4), b'late')
                late.close()
                server.drained()

    def refused(self, words, *said, **more):
        status, out, err = run(words, **more)
        self.assertEqual((status, out), (2, ''), err)
        self.assertEqual(err.count('\n'), 1, err)
        for each in ('--listen systemd', *said):
            self.assertIn(each, err)

    def test_none_or_for_somebody_else(self):
        words = [program('echo'), '--listen', 'systemd']
        self.refused(words, 'passed 0')
        self.refused(words, 'passed 0', env={'LISTEN_FDS': '1', 'LISTEN_PID': '1'})

    def test_several(self):
        with listening() as one, listening() as other:
            with self.assertRaisesRegex(AssertionError, 'passed 2'):
                Activated(one, other)

    def refused_socket(self, passed, said):
        high = fcntl.fcntl(passed.fileno(), fcntl.F_DUPFD, 20)  # inherited; see `Activated`
        for name in ('echo', 'demo-server', 'session-server'):
            self.refused([sys.executable, AS_ACTIVATED, str(high), program(name),
                          '--listen', 'systemd'], said, 'ListenStream=', pass_fds=[high])
        os.close(high)

    def test_what_no_streams_come_from(self):
        with socket.socket() as passed:
            self.refused_socket(passed, 'does not listen')
        for family, where in ((socket.AF_INET, ('127.0.0.1', 0)), (socket.AF_UNIX, scratch())):
            with socket.socket(family, socket.SOCK_DGRAM) as passed:
                passed.bind(where)
                self.refused_socket(passed, 'does not listen')
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as passed:
            passed.bind(scratch())
            passed.listen()
            self.refused_socket(passed, 'for packets')
        with open(os.devnull, encoding='utf-8') as passed:
            self.refused_socket(passed, 'does not listen')


class WithoutSystemd(Case):
    def setUp(self):
        if built_in():
            self.skipTest('built with systemd')

    def test_nobody_is_told(self):
        with Manager() as manager, Server('echo', env=manager.env) as server:
            server.drained()
            self.assertEqual(manager.take(), [])

    def test_its_sockets_are_refused(self):
        status, out, err = run([program('echo'), '--listen', 'systemd'])
        self.assertEqual((status, out), (2, ''))
        self.assertRegex(err, r'^echo: --listen systemd: [^\n]*meson option systemd[^\n]*\n$')


if __name__ == '__main__':
    harness.main()
