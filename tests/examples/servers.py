"""Programs as processes: started, watched, ended; an example server and what its run must hold."""
import atexit
import contextlib
import json
import os
import re
import resource
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

from reports import check_report

LONGEST = 150.0  # seconds that any program of a test may run
PATIENCE = 30.0  # seconds after which nothing is waited for any more, however busy the machine

_started = set()
_scratch = tempfile.TemporaryDirectory(prefix='ringdown-')
_numbers = iter(range(1 << 30))


def program(name):
    return os.path.join(sys.argv[1], name)


def scratch(name='file'):
    """A path that nobody else has."""
    return os.path.join(_scratch.name, f'{next(_numbers)}-{name}')


def wait_until(happened, why, within=PATIENCE):
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


def as_ordinary_user():
    """Words that run a command as one without rights, whom no other test shares: the kernel counts
    memory and processes for each user. Only root can."""
    user = 60_000 + os.getpid() % 5_000
    return ['setpriv', f'--reuid={user}', f'--regid={user}', '--clear-groups', '--inh-caps=-all']


def run(words, env=None, input=None, within=PATIENCE, **process_options):
    """Runs a program to its end: (exit status, stdout, stderr)."""
    process = start(words, env, stdin=subprocess.PIPE if input is not None else subprocess.DEVNULL,
                    stdout=subprocess.PIPE, stderr=subprocess.PIPE, **process_options)
    try:
        out, err = process.communicate(input, timeout=within)
        return process.returncode, out.decode(), err.decode()
    except subprocess.TimeoutExpired:
        raise AssertionError(f'still runs after {within} s: {" ".join(words)}') from None
    finally:
        process.watchdog.cancel()
        _end_process(process)


class Server:
    """An example server that listens, such as 'echo' or 'rpc serve'. As a context it is killed at its end; `drained` asks it to
    end and checks what every run must hold."""

    def __init__(self, name, *options, listen='127.0.0.1:0', env=None, descriptors=None,
                 stderr=None, prefix=(), **process_options):
        self.reports_file = scratch('reports')
        self.errors_file = scratch('stderr')
        name, *subcommand = name.split()
        words = [program(name), *subcommand, '--listen', listen, '--reports', self.reports_file, *options]
        if descriptors:
            prefix = ['prlimit', f'--nofile={descriptors}:20000', *prefix]
        words = [*prefix, *words]  # what a prefix runs becomes the server
        with open(self.errors_file, 'wb') as errors:
            self.process = start(words, env, stdout=subprocess.PIPE, stderr=stderr or errors,
                                 **process_options)
        self.pid = self.process.pid
        self.first_line = self.process.stdout.readline().decode()
        if not self.first_line.startswith('listening on '):
            self.process.wait(PATIENCE)
            raise AssertionError(f'first line {self.first_line!r}, stderr {self.errors()!r}')
        self.address = self.first_line[len('listening on '):].rstrip('\n')
        self.metrics = None
        if '--metrics' in options:
            line = self.process.stdout.readline().decode()
            assert line.startswith('metrics on ') and line.endswith('\n'), repr(line)
            self.metrics = line[len('metrics on '):-1]
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

    def connect(self, receive_buffer=None, timeout=PATIENCE):
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

    def listens(self):
        """Whether its TCP port does. Asked of the kernel, since a connection that asks is one more
        to serve."""
        host, port = self.address.rsplit(':', 1)
        table = '/proc/net/tcp6' if host.startswith('[') else '/proc/net/tcp'
        with open(table, encoding='utf-8') as file:
            rows = [line.split() for line in list(file)[1:]]
        return any(row[3] == '0A' and int(row[1].rsplit(':', 1)[1], 16) == int(port)
                   for row in rows)

    def wait_deaf(self):
        """Until it listens no more, so that it has seen its signal for sure."""
        wait_until(lambda: not self.listens(), 'newcomers are refused')

    def reports(self):
        """What has been reported so far, each checked for itself."""
        with open(self.reports_file, encoding='utf-8') as file:
            text = file.read()
        whole = text[:text.rfind('\n') + 1]
        return [check_report(json.loads(line)) for line in whole.splitlines()]

    def wait_reports(self, count, within=PATIENCE):
        wait_until(lambda: len(self.reports()) >= count, f'{count} reports', within)
        return self.reports()

    def report(self, within=PATIENCE):
        """The only report."""
        reports = self.wait_reports(1, within)
        assert len(reports) == 1, reports
        return reports[0]

    def report_of(self, client, within=PATIENCE):
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

    def ended(self, within=PATIENCE, errors=''):
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

    def drained(self, within=PATIENCE, errors=''):
        self.ask_to_end()
        return self.ended(within, errors)
