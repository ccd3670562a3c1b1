"""--live: what stands on the terminal, what is left on it, and that it holds up nobody."""
import fcntl
import os
import pty
import re
import signal
import socket
import struct
import termios
import threading
import time

import harness
from harness import PATIENCE, Case, Server, end_of, pattern, round_trip, wait_until

ENTER, LEAVE = b'\x1b[?1049h\x1b[?25l', b'\x1b[?25h\x1b[?1049l'
SEQUENCE = re.compile(rb'\x1b\[(H|K|J|\?1049[hl]|\?25[hl])')


class Terminal:
    """The master's side of a pseudo-terminal, which keeps all that was drawn."""

    def __init__(self, rows=24, columns=100):
        self.master, self.slave = pty.openpty()
        self.resize(rows, columns)
        self.drawn = b''
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self):
        try:
            while more := os.read(self.master, 65536):
                # The terminal puts a carriage return before each line feed, if there is one or not.
                self.drawn = (self.drawn + more).replace(b'\r\r\n', b'\r\n')
        except OSError:
            pass  # nobody has the slave open any more

    def resize(self, rows, columns):
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack('HHHH', rows, columns, 0, 0))

    def pages(self):
        """The pages that were drawn to their ends, as lists of lines."""
        found = []
        for part in self.drawn.split(b'\x1b[H')[1:]:
            text, below, _ = part.partition(b'\x1b[J')
            if below:
                lines = text.split(b'\r\n')
                assert all(line.endswith(b'\x1b[K') for line in lines), lines
                found.append([line[:-3].decode('ascii') for line in lines])
        return found

    def shows(self, pattern_, within=PATIENCE):
        """Waits for a page with this, and answers the match."""
        def found():
            pages = self.pages()
            return pages and re.search(pattern_, '\n'.join(pages[-1]))
        return wait_until(found, f'{pattern_!r} on the page', within)

    def next_pages(self, count):
        """Pages that were begun from now on."""
        before = len(self.pages()) + 1
        wait_until(lambda: len(self.pages()) >= before + count, f'{count} pages')
        return self.pages()[before:]

    def on_second_screen(self):
        return self.drawn.count(ENTER) > self.drawn.count(LEAVE)

    def close(self):
        os.close(self.slave)
        self.reader.join(5)
        os.close(self.master)


class Live(Server):
    def __init__(self, name, *options, **more):
        self.terminal = Terminal()
        super().__init__(name, *options, '--live', stderr=self.terminal.slave, **more)

    def __exit__(self, *what):
        super().__exit__(*what)
        self.terminal.close()


class Page(Case):
    def test_counts_stand_on_it(self):
        with Live('echo', '--threads', '2') as server:
            terminal = server.terminal
            terminal.shows(f'listening on {re.escape(server.address)}, 2 loops')
            for number in range(12):
                client = server.connect()
                round_trip(client, pattern(1000))
                if number < 4:
                    harness.reset(client)
                else:
                    client.close()
            server.wait_reports(12)
            staying = [server.connect() for _ in range(3)]
            for client in staying:
                round_trip(client)
            terminal.shows(r'connections +3\n +idle 3  serving 0  flushing 0  acknowledging 0')
            terminal.shows(r'accepts +15   [1-9]\d*\.\d/s')
            terminal.shows(r'endings +graceful 8  delivered 0  degraded 0  aborted 0  reset 4')
            terminal.shows(r'delivery +acknowledged \d+  unacknowledged \d+  unknown 0')
            terminal.shows(r'bytes +sent 11.7 KiB|bytes +sent 12,000')
            terminal.shows(r'since start +p50 +\d+\.\d\d ms +p99 +\d+(\.\d\d)? ms +12 ended')
            terminal.shows(r'phase +serving')
            for client in staying:
                client.close()
            terminal.shows(r'connections +0\n')
            server.drained()

    def test_the_times_are_those_of_the_reports(self):
        with Live('once', '--bytes', '10', '--deadline', '300ms') as server:
            clients = [server.connect() for _ in range(3)]
            server.wait_reports(3)
            found = server.terminal.shows(r'since start +p50 +(\S+) ms +p99 +(\S+) ms +3 ended')
            longest = max(each['microseconds']['total'] for each in server.reports()) / 1000
            self.assertLessEqual(abs(float(found[2]) - longest), longest / 8 + 1)
            for client in clients:
                client.close()
            server.drained()

    def test_connections_stand_by_what_they_do(self):
        with Live('once', '--bytes', '20MiB', '--deadline', '20s', '--idle', '20s') as server:
            deaf = server.connect(receive_buffer=4096)
            server.terminal.shows(r'serving 0  flushing 1  acknowledging 0\n +finishing 0  joining 0')
            harness.reset(deaf)
            server.terminal.shows(r'serving 0  flushing 0  acknowledging 0\n +finishing 0  joining 0')
            server.drained()
        with Live('once', '--bytes', '10', '--deadline', '20s', '--idle', '20s') as server:
            staying = server.connect()
            server.terminal.shows(r'serving 0  flushing 0  acknowledging 0\n +finishing 1  joining 0')
            staying.close()
            server.drained()

    def test_also_those_that_end_in_the_background(self):
        with Live('once', '--bytes', '10', '--deadline', '20s', '--ending', 'background') as server:
            staying = server.connect()
            server.terminal.shows(r'connections +1\n +idle 0  serving 0 .*\n +finishing 1  joining 0')
            staying.close()
            server.drained()

    def test_a_drain_stands_on_it(self):
        with Live('echo', '--drain', '5s') as server, server.connect() as client:
            round_trip(client)
            server.ask_to_end()
            server.terminal.shows(r'phase +(?!serving)\w+, \d\.\d s to the deadline')
            client.close()
            server.ended()


class Drawing(Case):
    def test_the_terminal_is_as_before_at_the_end(self):
        with Live('echo') as server:
            server.terminal.shows('phase')
            server.drained()
            drawn = server.terminal.drawn
            wait_until(lambda: server.terminal.drawn.endswith(LEAVE), 'the first screen')
            drawn = server.terminal.drawn
            self.assertTrue(drawn.startswith(ENTER))
            self.assertEqual((drawn.count(ENTER), drawn.count(LEAVE)), (1, 1))

    def test_plain_sequences_only_and_never_an_empty_screen(self):
        with Live('echo') as server:
            server.terminal.next_pages(3)
            server.drained()
            rest = SEQUENCE.sub(b'', server.terminal.drawn)
            self.assertEqual(re.sub(rb'[\x20-\x7e\r\n]', b'', rest), b'')
            # What is erased is behind a line or below the page, once each.
            drawn = server.terminal.drawn
            self.assertEqual(drawn.count(b'\x1b[J'), drawn.count(b'\x1b[H'))
            self.assertNotIn(b'\x1b[H\x1b[J', drawn)

    def test_a_few_times_a_second(self):
        with Live('echo') as server:
            server.terminal.shows('phase')
            before, begun = len(server.terminal.pages()), time.monotonic()
            server.terminal.next_pages(4)
            drawn = len(server.terminal.pages()) - before
            rate = drawn / (time.monotonic() - begun)
            self.assertGreaterEqual(drawn, 4)
            self.assertLess(rate, 6)
            server.drained()

    def test_it_fits_into_the_window_as_that_changes(self):
        with Live('echo') as server:
            terminal = server.terminal
            terminal.shows('last 10 s')
            for rows, columns in ((6, 30), (1, 1), (3, 200), (40, 20), (24, 100)):
                terminal.resize(rows, columns)
                for page in terminal.next_pages(1):
                    self.assertLessEqual(len(page), rows)
                    self.assertLess(max(map(len, page)), max(columns, 1))
            terminal.shows('last 10 s')
            server.drained()

    def test_a_terminal_that_takes_nothing_holds_up_nobody(self):
        with Live('echo', '--metrics', '127.0.0.1:0') as server:
            terminal = server.terminal
            terminal.shows('phase')
            termios.tcflow(terminal.slave, termios.TCOOFF)
            before = len(terminal.pages())
            with server.connect() as client:
                for _ in range(5):
                    round_trip(client)
                    host, port = server.metrics.split(':')
                    with socket.create_connection((host, int(port)), 5.0) as scraper:
                        scraper.sendall(b'GET /metrics HTTP/1.0\r\n\r\n')
                        self.assertEqual(end_of(scraper), 'FIN')
                    time.sleep(0.1)
            self.assertLessEqual(len(terminal.pages()), before + 1)
            server.drained(within=8.0)
            termios.tcflow(terminal.slave, termios.TCOON)

    def test_a_signal_that_kills_leaves_the_terminal_as_before(self):
        with Live('echo') as server:
            server.terminal.shows('phase')
            os.kill(server.pid, signal.SIGHUP)
            self.assertEqual(server.process.wait(5), -signal.SIGHUP)
            wait_until(lambda: server.terminal.drawn.endswith(LEAVE), 'the first screen')

    def test_stopped_for_a_while_it_gives_the_terminal_back_until_it_goes_on(self):
        with Live('echo') as server:
            terminal = server.terminal
            terminal.shows('phase')
            os.kill(server.pid, signal.SIGTSTP)
            def state():
                with open(f'/proc/{server.pid}/stat', encoding='utf-8') as file:
                    return file.read().rsplit(')', 1)[1].split()[0]
            wait_until(lambda: state() == 'T', 'it stops')
            wait_until(lambda: not terminal.on_second_screen(), 'the first screen')
            os.kill(server.pid, signal.SIGCONT)
            wait_until(terminal.on_second_screen, 'the second screen')
            with server.connect() as client:
                round_trip(client)
            terminal.shows(r'accepts +1 ')
            server.drained()
            wait_until(lambda: not terminal.on_second_screen(), 'the first screen')

    def test_what_is_told_of_a_shortage_is_shown_and_told_at_the_end(self):
        with Live('echo', descriptors=14) as server:
            server.terminal.shows('phase')
            self.assertGreater(server.descriptors(), 14 - 5)
            clients = [server.connect() for _ in range(5)]
            server.terminal.shows('accepting pauses until connections end: Too many open files')
            for client in clients:
                client.close()
            server.wait_reports(5)
            server.drained()
            wait_until(lambda: server.terminal.drawn.endswith(b'Too many open files\r\n'),
                       'the line on the first screen')


if __name__ == '__main__':
    harness.main()
