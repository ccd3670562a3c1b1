"""An independent peer for rpc, written with Python's msgpack: a client and a server."""
import contextlib
import os
import socket
import sys
import threading

from harness import Case, program, wait_until

try:
    import msgpack
except ImportError:
    msgpack = None


def skip_unless_built():
    """Ends the script, visibly, where there is nothing to test."""
    if not os.path.exists(program('rpc')):
        print('skip: rpc is not built (meson option msgpack; Debian: libmsgpack-cxx-dev)')
        sys.exit(77)
    if msgpack is None:
        print("skip: Python's msgpack is missing (Debian: python3-msgpack)")
        sys.exit(77)


def pack(value):
    return msgpack.packb(value, use_bin_type=True)


def request(number, method, *params):
    return pack([0, number, method, list(params)])


def unpacker():
    return msgpack.Unpacker(raw=False, strict_map_key=False, max_buffer_size=1 << 30)


def rss(pid):
    """Bytes of memory that a process has touched."""
    with open(f'/proc/{pid}/statm', encoding='utf-8') as file:
        return int(file.read().split()[1]) * os.sysconf('SC_PAGE_SIZE')


class Client:
    """A connection to `rpc serve`, and the answers that came, each of them once."""

    def __init__(self, server, receive_buffer=None):
        self.socket = server.connect(receive_buffer)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.name = '%s:%d' % self.socket.getsockname()
        self.messages = unpacker()
        self.answers = {}  # by id: (error, result), in the order of their coming
        self.end = None

    def send(self, data):
        self.socket.sendall(data)

    def finish(self):
        self.socket.shutdown(socket.SHUT_WR)

    def note(self, message):
        kind, number, error, result = message
        assert kind == 1, message
        assert number not in self.answers, f'answered twice: {message}'
        self.answers[number] = (error, result)

    def receive(self):
        """Reads once; False at the end, which is then known."""
        try:
            data = self.socket.recv(1 << 18)
        except ConnectionResetError:
            self.end = 'RST'
            return False
        if not data:
            self.end = 'FIN'
            return False
        self.messages.feed(data)
        for message in self.messages:
            self.note(message)
        return True

    def receive_answers(self, count):
        while len(self.answers) < count:
            assert self.receive(), f'{self.end} after {len(self.answers)} of {count} answers'
        return self.answers

    def receive_to_end(self):
        """Reads all, and closes as soon as the server has finished."""
        while self.receive():
            pass
        self.close()
        return self.answers

    def call(self, method, *params, number=None):
        number = len(self.answers) if number is None else number
        self.send(request(number, method, *params))
        self.receive_answers(len(self.answers) + 1)
        return self.answers[number]

    def close(self):
        self.socket.close()


class Peer:
    """A server for `rpc call`: `serve` is handed the one connection, as a `Served`."""

    def __init__(self, serve):
        self.listening = socket.create_server(('127.0.0.1', 0))
        self.listening.settimeout(10)
        self.address = '127.0.0.1:%d' % self.listening.getsockname()[1]
        self.served = None
        self.failure = None
        self.thread = threading.Thread(target=self.run, args=[serve], daemon=True)

    def run(self, serve):
        try:
            accepted, _ = self.listening.accept()
            accepted.settimeout(10)
            self.served = Served(accepted)
            serve(self.served)
        except Exception as error:  # pylint: disable=broad-except
            self.failure = error
        finally:
            if self.served:
                self.served.close()

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, kind, *_):
        self.thread.join(10)
        self.listening.close()
        if self.failure and kind is None:
            raise self.failure


class Served:
    """A connection of `rpc call`, from the server's side."""

    def __init__(self, accepted):
        self.socket = accepted
        self.messages = unpacker()
        self.calls = {}  # by id: (method, params)
        self.answered = set()
        self.most_due = 0

    def receive(self):
        """Reads once; False at the client's end."""
        data = self.socket.recv(1 << 16)
        self.messages.feed(data)
        for kind, number, method, params in self.messages:
            assert kind == 0 and number not in self.calls, (kind, number)
            self.calls[number] = (method, params)
        self.most_due = max(self.most_due, len(self.calls) - len(self.answered))
        return bool(data)

    def due(self):
        return [number for number in self.calls if number not in self.answered]

    def answer(self, number, error=None, result=True):
        self.answered.add(number)
        return pack([1, number, error, result])

    def answer_all(self, limit=None, echo=False):
        """Answers until the client ends, or so many calls, and leaves the rest due."""
        while limit is None or len(self.answered) < limit:
            if not self.due() and not self.receive():
                return
            left = self.due() if limit is None else self.due()[:limit - len(self.answered)]
            self.socket.sendall(b''.join(
                self.answer(number, result=self.calls[number][1][0] if echo else True)
                for number in left))

    def read_to_end(self):
        with contextlib.suppress(ConnectionResetError):
            while self.receive():
                pass

    def close(self):
        self.socket.close()


def wait_closed(server, count):
    wait_until(lambda: len(server.reports()) >= count, f'{count} connections end')


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
