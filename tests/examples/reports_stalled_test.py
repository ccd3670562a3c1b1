"""Reports whose reader stalls, or has not come yet: nobody is held up, none is lost in silence."""
import fcntl
import json
import os
import signal
import socket
import subprocess
import time

import harness
from harness import (PATIENCE, Case, name_of, program, read_to_end, round_trip, scratch, start,
                     wait_until)

PIPE_BYTES = 4096


class Stalled(Case):
    def start(self, reports, *options, stdout=subprocess.PIPE):
        """An echo server; its address."""
        self.process = start([program('echo'), '--listen', '127.0.0.1:0', '--reports', reports,
                              *options], stdout=stdout, stderr=subprocess.PIPE)
        host, port = self.process.stdout.readline().decode().split()[-1].rsplit(':', 1)
        self.addCleanup(self.process.stderr.close)
        self.addCleanup(self.process.stdout.close)
        return host, int(port)

    def visit(self, where, count):
        """That many clients, each of which is answered and ends."""
        names = []
        for _ in range(count):
            with socket.create_connection(where, 3.0) as client:
                names.append(name_of(client))
                round_trip(client)
                client.shutdown(socket.SHUT_WR)
                self.assertEqual(read_to_end(client), b'')
        return names

    def end(self, within, which=signal.SIGTERM):
        """How long it took."""
        begun = time.monotonic()
        self.process.send_signal(which)
        self.process.wait(within)
        return time.monotonic() - begun

    def peers(self, lines):
        return [harness.check_report(json.loads(line))['peer'] for line in lines]

    # A page holds some eight reports.
    def test_a_reader_of_stdout_that_stalls_holds_up_nobody(self):
        for options in ((), ('--threads', '3')):
            where = self.start('-', *options)
            fcntl.fcntl(self.process.stdout, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
            self.visit(where, 50)
            self.assertLess(self.end(within=PATIENCE), PATIENCE)
            self.assertEqual(self.process.returncode, 1)
            written = self.process.stdout.read().decode().splitlines()
            said = self.process.stderr.read().decode()
            # The totals found no room either.
            self.assertRegex(said, rf'^{50 - len(written)} reports could not be written\n'
                                   r'echo: cannot write to standard output: [^\n]*timed out\n$')
            self.assertEqual(len(set(self.peers(written))), len(written))

    def test_none_is_lost_when_the_reader_goes_on(self):
        where = self.start('-')
        fcntl.fcntl(self.process.stdout, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
        names = self.visit(where, 50)
        lines = [self.process.stdout.readline() for _ in range(50)]
        self.assertEqual(sorted(self.peers(lines)), sorted(names))
        self.assertLess(self.end(within=PATIENCE), PATIENCE)
        self.assertEqual(self.process.returncode, 0)
        self.assertEqual(json.loads(self.process.stdout.read())['reports'], 50)

    def test_what_is_queued_at_the_end_is_written(self):
        where = self.start('-')
        fcntl.fcntl(self.process.stdout, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
        names = self.visit(where, 50)
        self.process.terminate()
        out, err = self.process.communicate(timeout=PATIENCE)
        *lines, totals = out.splitlines()
        self.assertEqual((self.process.returncode, err), (0, b''))
        self.assertEqual(sorted(self.peers(lines)), sorted(names))
        self.assertEqual(json.loads(totals)['reports'], 50)

    def fifo(self):
        path = scratch('fifo')
        os.mkfifo(path)
        return path

    def test_a_fifo_that_nobody_reads_yet(self):
        path = self.fifo()
        where = self.start(path)
        names = self.visit(where, 20)
        with open(path, encoding='utf-8') as reader:
            self.assertEqual(self.peers(reader.readline() for _ in range(20)), names)
            self.end(within=PATIENCE)
            self.assertEqual(reader.read(), '')
        self.assertEqual(self.process.returncode, 0)

    def test_a_fifo_that_nobody_ever_reads(self):
        for which in (signal.SIGTERM, signal.SIGINT):
            where = self.start(self.fifo())
            self.visit(where, 3)
            self.assertLess(self.end(within=PATIENCE, which=which), PATIENCE)
            self.assertEqual(self.process.returncode, 1)
            self.assertEqual(json.loads(self.process.stdout.read())['reports'], 3)
            self.assertEqual(self.process.stderr.read(), b'3 reports could not be written\n')

    def test_a_fifo_without_a_reader_does_not_keep_an_idle_server_from_ending(self):
        self.start(self.fifo())
        self.assertLess(self.end(within=PATIENCE), PATIENCE)
        self.assertEqual(self.process.returncode, 0)

    def test_a_fifo_whose_reader_stalls(self):
        path = self.fifo()
        reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        self.addCleanup(os.close, reader)
        fcntl.fcntl(reader, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
        where = self.start(path)
        self.visit(where, 50)
        self.assertLess(self.end(within=PATIENCE), PATIENCE)
        self.assertEqual(self.process.returncode, 1)
        written = os.read(reader, 1 << 20).decode().splitlines()
        self.assertEqual(self.process.stderr.read().decode(),
                         f'{50 - len(written)} reports could not be written\n')

    def test_a_signal_is_not_for_the_thread_that_waits(self):
        where = self.start(self.fifo())
        names = self.visit(where, 1)
        wait_until(lambda: len(os.listdir(f'/proc/{self.process.pid}/task')) == 2, 'its thread')
        with socket.create_connection(where, 3.0) as client:
            round_trip(client)
            self.process.terminate()
            time.sleep(0.1)
            self.assertIsNone(self.process.poll(), f'ended with {names} and an open connection')
        self.process.wait(5.0)


if __name__ == '__main__':
    harness.main()
