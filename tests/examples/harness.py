"""What the tests of the examples share: servers as processes, clients as sockets, reports as data.

Each script takes the folder of the built examples as its first argument and closes with
'N passed, N failed'. Tests run side by side, since most of them only wait; those that need the
processors for themselves, or measure time, are marked @alone.
"""
import atexit
import concurrent.futures
import contextlib
import fcntl
import json
import os
import re
import resource
import select
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import termios
import threading
import time
import unittest

FIELDS = [
    'connection', 'peer', 'initiator', 'cause', 'requested', 'ending', 'delivery', 'sent_bytes',
    'unsent_bytes', 'unacknowledged_bytes', 'received_bytes', 'discarded_bytes', 'peer_finished',
    'reset_sent', 'reset_received', 'phase', 'error', 'microseconds']
WORDS = {
    'initiator': {'local', 'peer', 'both', 'kernel'},
    'cause': {'application', 'peer_finished', 'drain', 'dropped', 'canceled', 'peer_reset',
              'deadline', 'idle', 'discard_limit', 'truncated', 'network_timeout', 'error'},
    'requested': {'graceful', 'abort', 'background', 'wait', 'none'},
    'ending': {'graceful', 'delivered', 'degraded', 'aborted', 'reset', 'lost', 'closed'},
    'delivery': {'acknowledged', 'unacknowledged', 'unknown'},
    'phase': {'open', 'flushing', 'fin_sent', 'fin_acknowledged', 'finished'},
}
COUNTS = ['connection', 'sent_bytes', 'unsent_bytes', 'received_bytes', 'discarded_bytes']
FLAGS = ['peer_finished', 'reset_sent', 'reset_received']
TIMES = ['flush', 'fin_acknowledged', 'peer_finished', 'total']

LONGEST = 40.0  # seconds that any program of a test may run

_started = set()
_scratch = tempfile.TemporaryDirectory(prefix='ringdown-')
_numbers = iter(range(1 << 30))


def program(name):
    return os.path.join(sys.argv[1], name)


def scratch(name='file'):
    """A path that nobody else has."""
    return os.path.join(_scratch.name, f'{next(_numbers)}-{name}')


def pattern(size):
    return (bytes(range(251)) * (size // 251 + 1))[:size]


def wait_until(happened, why, within=10.0):
    """The first true value of `happened`, which is asked until then."""
    give_up = time.monotonic() + within
    while True:
        value = happened()
        if value:
            return value
        if time.monotonic() >= give_up:
            raise AssertionError(f'not within {within} s: {why}')
        time.sleep(0.002)


def _end_process(process):
    if process.poll() is None:
        process.kill()
        process.wait()
    _started.discard(process)


def start(words, env=None, **options):
    """A process that is gone after LONGEST at the latest, and at the end of the script."""
    environment = {key: value for key, value in os.environ.items()
                   if not key.startswith('RINGDOWN_')}
    environment.update(env or {})
    options.setdefault('stdin', subprocess.DEVNULL)
    process = subprocess.Popen(words, env=environment, **options)
    _started.add(process)
    watchdog = threading.Timer(LONGEST, _end_process, [process])
    watchdog.daemon = True
    watchdog.start()
    process.watchdog = watchdog
    return process


@atexit.register
def _end_all():
    for process in list(_started):
        _end_process(process)


def run(words, env=None, input=None, within=20.0):
    """Runs a program to its end: (exit status, stdout, stderr)."""
    process = start(words, env, stdin=subprocess.PIPE if input is not None else subprocess.DEVNULL,
                    stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        out, err = process.communicate(input, timeout=within)
        return process.returncode, out.decode(), err.decode()
    except subprocess.TimeoutExpired:
        raise AssertionError(f'still runs after {within} s: {" ".join(words)}') from None
    finally:
        process.watchdog.cancel()
        _end_process(process)


class Server:
    """An example server that listens, such as 'echo' or 'rpc serve'. As a context it is killed at
    its end; `drained` asks it to end and checks what every run must hold."""

    def __init__(self, name, *options, listen='127.0.0.1:0', env=None, descriptors=None):
        self.reports_file = scratch('reports')
        self.errors_file = scratch('stderr')
        name, *subcommand = name.split()
        words = [program(name), *subcommand, '--listen', listen, '--reports', self.reports_file, *options]
        if descriptors:
            words = ['prlimit', f'--nofile={descriptors}:20000', *words]  # becomes the server
        with open(self.errors_file, 'wb') as errors:
            self.process = start(words, env, stdout=subprocess.PIPE, stderr=errors)
        self.pid = self.process.pid
        self.first_line = self.process.stdout.readline().decode()
        if not self.first_line.startswith('listening on '):
            self.process.wait(5)
            raise AssertionError(f'first line {self.first_line!r}, stderr {self.errors()!r}')
        self.address = self.first_line[len('listening on '):].rstrip('\n')
        self.signaled_at = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.watchdog.cancel()
        _end_process(self.process)
        self.process.stdout.close()

    def errors(self):
        with open(self.errors_file, encoding='utf-8') as file:
            return file.read()

    def connect(self, receive_buffer=None, timeout=10.0):
        if self.address.startswith('unix:'):
            name = self.address[len('unix:'):]
            made = socket.socket(socket.AF_UNIX)
            target = '\0' + name[1:] if name.startswith('@') else name
        else:
            host, port = self.address.rsplit(':', 1)
            made = socket.socket(socket.AF_INET6 if host.startswith('[') else socket.AF_INET)
            target = (host.strip('[]'), int(port))
        if receive_buffer:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        made.settimeout(timeout)
        try:
            made.connect(target)
        except OSError:
            made.close()
            raise
        return made

    def reports(self):
        """What has been reported so far, each checked for itself."""
        with open(self.reports_file, encoding='utf-8') as file:
            text = file.read()
        whole = text[:text.rfind('\n') + 1]
        return [check_report(json.loads(line)) for line in whole.splitlines()]

    def wait_reports(self, count, within=10.0):
        wait_until(lambda: len(self.reports()) >= count, f'{count} reports', within)
        return self.reports()

    def report(self, within=10.0):
        """The only report."""
        reports = self.wait_reports(1, within)
        assert len(reports) == 1, reports
        return reports[0]

    def report_of(self, client, within=10.0):
        """The report of the connection whose other side has this address."""
        def find():
            return [each for each in self.reports() if each['peer'] == client]
        found = wait_until(find, f'a report of {client}', within)
        assert len(found) == 1, found
        return found[0]

    def descriptors(self):
        return len(os.listdir(f'/proc/{self.pid}/fd'))

    def threads(self):
        """The names of its threads, kernel workers included."""
        names = []
        for task in os.listdir(f'/proc/{self.pid}/task'):
            with contextlib.suppress(FileNotFoundError):
                with open(f'/proc/{self.pid}/task/{task}/comm', encoding='utf-8') as file:
                    names.append(file.read().strip())
        return names

    def cpu_seconds(self):
        with open(f'/proc/{self.pid}/stat', encoding='utf-8') as file:
            words = file.read().rsplit(')', 1)[1].split()
        return (int(words[11]) + int(words[12])) / os.sysconf('SC_CLK_TCK')

    def limit_descriptors(self, count):
        resource.prlimit(self.pid, resource.RLIMIT_NOFILE, (count, 20000))

    def pause(self):
        """Until `resume` the server does nothing; its kernel goes on."""
        os.kill(self.pid, signal.SIGSTOP)
        def stopped():
            with open(f'/proc/{self.pid}/stat', encoding='utf-8') as file:
                return file.read().rsplit(')', 1)[1].split()[0] == 'T'
        wait_until(stopped, 'the server stops')

    def resume(self):
        os.kill(self.pid, signal.SIGCONT)

    def ask_to_end(self, which=signal.SIGTERM):
        self.signaled_at = time.time()
        os.kill(self.pid, which)

    def last_report_at(self):
        """When the report file was last written to, to the kernel's tick (up to 10 ms early)."""
        return os.stat(self.reports_file).st_mtime_ns / 1e9

    def ended(self, within=10.0, errors=''):
        """Waits for the end that was asked for, checks it and returns the totals."""
        def exited():
            return self.process.poll() is not None
        wait_until(exited, f'{self.first_line.strip()!r} ends after its signal', within)
        self.took = time.time() - self.signaled_at
        assert self.process.returncode == 0, f'exit {self.process.returncode}: {self.errors()}'
        said = self.errors()
        assert re.fullmatch(errors, said), f'stderr {said!r}'
        lines = self.process.stdout.read().decode().splitlines()
        assert len(lines) == 1, f'after its first line, stdout has {lines!r}'
        totals = json.loads(lines[0])
        reports = self.reports()
        with open(self.reports_file, encoding='utf-8') as file:
            assert file.read().endswith('\n') or not reports, 'the last report is cut off'
        assert totals['accepts'] == totals['reports'] == len(reports), (totals, len(reports))
        assert len({each['connection'] for each in reports}) == len(reports), 'reported twice'
        for kind in ('initiator', 'ending', 'cause', 'delivery'):
            count = {}
            for each in reports:
                count[each[kind]] = count.get(each[kind], 0) + 1
            assert totals[kind] == count, (kind, totals[kind], count)
        assert totals['descriptors_left'] == 0, totals
        assert totals['operations_left'] == 0, totals
        return totals

    def drained(self, within=10.0, errors=''):
        self.ask_to_end()
        return self.ended(within, errors)


def check_report(report):
    """Every field, its type, and what must hold between fields whatever the peer did."""
    assert list(report) == FIELDS, list(report)
    for field, words in WORDS.items():
        assert report[field] in words, (field, report)
    for field in COUNTS:
        assert type(report[field]) is int and report[field] >= 0, (field, report)
    for field in FLAGS:
        assert type(report[field]) is bool, (field, report)
    assert report['connection'] > 0, report
    assert re.fullmatch(r'\d+(\.\d+){3}:\d+|\[[0-9a-f:.]+\]:\d+|unix:.*', report['peer']), report
    assert report['error'] is None or re.fullmatch('E[A-Z0-9]+', report['error']), report
    times = report['microseconds']
    assert list(times) == TIMES, report
    for name, value in times.items():
        assert type(value) is int and 0 <= value <= times['total'] or \
            value is None and name != 'total', (name, report)

    lacking = report['unacknowledged_bytes']
    unix = report['peer'].startswith('unix:')
    if lacking is None:
        assert unix or report['delivery'] == 'unknown', report
    else:
        assert type(lacking) is int and 0 <= lacking <= report['sent_bytes'], report
    if report['delivery'] == 'acknowledged':
        assert lacking == 0 and report['unsent_bytes'] == 0, report
    if report['ending'] == 'graceful':
        assert report['delivery'] == 'acknowledged' and report['peer_finished'], report
        assert not report['reset_sent'] and report['phase'] == 'finished', report
        assert report['error'] is None, report
        assert None not in times.values(), report
    if report['ending'] == 'delivered':
        assert report['requested'] == 'wait' and report['delivery'] == 'acknowledged', report
        assert not report['reset_sent'], report
    if report['ending'] == 'degraded':
        assert report['requested'] in ('graceful', 'background', 'wait'), report
        assert report['cause'] not in ('application', 'peer_finished', 'peer_reset'), report
    if report['ending'] == 'aborted':
        assert report['requested'] in ('abort', 'none'), report
    assert (report['ending'] == 'reset') == report['reset_received'], report
    assert (report['cause'] == 'peer_reset') == report['reset_received'], report
    assert not (report['reset_sent'] and report['reset_received']), report
    return report


def name_of(client):
    """A client's own address, as reports write it."""
    host, port = client.getsockname()[:2]
    return f'[{host}]:{port}' if ':' in host else f'{host}:{port}'


def queued_for_reading(client):
    """Bytes that this side's kernel has and nobody has read."""
    return struct.unpack('i', fcntl.ioctl(client, termios.FIONREAD, b'\0' * 4))[0]


def reset(client):
    """Ends a connection by RST."""
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))
    client.close()


def read_to_end(client):
    """Everything until end of stream; a reset raises ConnectionResetError."""
    parts = []
    while part := client.recv(1 << 18):
        parts.append(part)
    return b''.join(parts)


def read_exactly(client, size):
    got = bytearray()
    while len(got) < size:
        part = client.recv(min(1 << 18, size - len(got)))
        if not part:
            raise AssertionError(f'end of stream after {len(got)} of {size} bytes')
        got += part
    return bytes(got)


def round_trip(client, data=b'ping'):
    client.sendall(data)
    assert read_exactly(client, len(data)) == data


def send_beside(client, data, times=1, finish=False):
    """Sends on a thread of its own; whether it could is not asked."""
    def send():
        with contextlib.suppress(OSError):
            for _ in range(times):
                client.sendall(data)
            if finish:
                client.shutdown(socket.SHUT_WR)
    thread = threading.Thread(target=send, daemon=True)
    thread.start()
    return thread


def fill(client, quiet=0.15):
    """Sends until nothing more goes for that long; returns how many bytes went."""
    client.setblocking(False)
    block, went = bytes(1 << 16), 0
    while select.select([], [client], [], quiet)[1]:
        with contextlib.suppress(BlockingIOError):
            went += client.send(block)
    client.settimeout(10.0)
    return went


def end_of(client):
    """How the peer ended it: 'FIN', or 'RST'. What comes before is not kept."""
    try:
        while client.recv(1 << 18):
            pass
        return 'FIN'
    except ConnectionResetError:
        return 'RST'


def alone(test):
    test.alone = True
    return test


class Case(unittest.TestCase):
    longMessage = True
    maxDiff = 400

    def assert_report(self, report, **expected):
        for field, value in expected.items():
            if report[field] != value:
                self.fail(f'{field} is {report[field]!r}, not {value!r}: {report}')

    def assert_near(self, seconds, expected, late, early=0.002):
        self.assertGreaterEqual(seconds, expected - early)
        self.assertLessEqual(seconds, expected + late)


def _flatten(suite):
    for each in suite:
        if isinstance(each, unittest.TestSuite):
            yield from _flatten(each)
        else:
            yield each


def _run_one(test):
    result = unittest.TestResult()
    begun = time.monotonic()
    test.run(result)
    name = test._testMethodName.removeprefix('test_').replace('_', ' ')
    took = time.monotonic() - begun
    if result.wasSuccessful() and result.skipped:
        return 'skipped', f'skip {name}: {result.skipped[0][1]}'
    if result.wasSuccessful():
        return 'passed', f'ok   {name} ({took:.2f} s)'
    texts = [text for _, text in result.errors + result.failures]
    return 'failed', '\n'.join([f'FAIL {name} ({took:.2f} s)', *texts])


def main():
    if len(sys.argv) < 2 or not os.path.isdir(sys.argv[1]):
        sys.exit(f'usage: {sys.argv[0]} FOLDER-OF-THE-EXAMPLES [PART-OF-A-NAME]')
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    part = sys.argv[2] if len(sys.argv) > 2 else ''
    suite = unittest.defaultTestLoader.loadTestsFromModule(sys.modules['__main__'])
    tests = [test for test in _flatten(suite) if part in test._testMethodName]
    marked = [t for t in tests if hasattr(getattr(t, t._testMethodName), 'alone')]
    counts = {'passed': 0, 'failed': 0, 'skipped': 0}

    def note(outcome, text):
        counts[outcome] += 1
        print(text, flush=True)

    for test in marked:
        note(*_run_one(test))
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        for outcome, text in pool.map(_run_one, [t for t in tests if t not in marked]):
            note(outcome, text)
    skipped = f", {counts['skipped']} skipped" if counts['skipped'] else ''
    print(f"{counts['passed']} passed, {counts['failed']} failed{skipped}", flush=True)
    sys.exit(1 if counts['failed'] else 0)
