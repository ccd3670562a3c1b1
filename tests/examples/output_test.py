"""Standard output that is closed or full: what is lost is said, and the exit status tells."""
import contextlib
import os
import re
import socket
import subprocess
import time

import harness
from harness import (PATIENCE, Case, pattern, program, read_exactly, round_trip, scratch, start,
                     wait_until)

SERVERS = (['echo'], ['once', '--bytes', '10'], ['demo-server'])


def closed(*descriptors):
    """For a child: it starts without these."""
    def close():
        for each in descriptors:
            os.close(each)
    return close


def listener_of(process):
    """Where a process listens, by its descriptors and the kernel's table."""
    inodes = set()
    for each in os.listdir(f'/proc/{process.pid}/fd'):
        with contextlib.suppress(FileNotFoundError):  # closed since it was listed
            found = re.fullmatch(r'socket:\[(\d+)\]', os.readlink(f'/proc/{process.pid}/fd/{each}'))
            if found:
                inodes.add(found[1])
    with open('/proc/net/tcp', encoding='utf-8') as table:
        for line in list(table)[1:]:
            words = line.split()
            if words[3] == '0A' and words[9] in inodes:
                return '127.0.0.1', int(words[1].split(':')[1], 16)
    return None


class Output(Case):
    def serve(self, words, **options):
        """Starts a server, is served by it, ends it; what it said."""
        process = start([program(words[0]), '--listen', '127.0.0.1:0', *words[1:]],
                        stderr=subprocess.PIPE, **options)
        where = wait_until(lambda: listener_of(process), 'it listens')
        for each in range(3):
            name = os.readlink(f'/proc/{process.pid}/fd/{each}')
            self.assertNotRegex(name, 'socket|anon_inode|reports', f'descriptor {each}')
        with socket.create_connection(where, 3.0) as client:
            if words[0] == 'echo':
                round_trip(client)
            if words[0] == 'demo-server':
                client.sendall(b'answer 10\n')
            if words[0] != 'echo':
                self.assertEqual(read_exactly(client, 10), pattern(10))
        process.terminate()
        said = process.stderr.read().decode()
        process.stderr.close()
        return process.wait(5), said

    def test_closed(self):
        for words in SERVERS:
            status, said = self.serve(words, preexec_fn=closed(1))
            self.assertEqual(status, 1)
            self.assertRegex(said, rf'^{words[0]}: [^\n]*standard output: Bad file desc[^\n]*\n$')

    def test_closed_with_standard_input(self):
        file = scratch('reports')
        status, said = self.serve(['echo', '--reports', file], preexec_fn=closed(0, 1))
        self.assertEqual((status, said.count('\n')), (1, 1), said)
        with open(file, encoding='utf-8') as reports:
            self.assertEqual(reports.read().count('\n'), 1)

    def test_full(self):
        for words in SERVERS:
            with open('/dev/full', 'wb') as full:
                status, said = self.serve(words, stdout=full)
            self.assertEqual(status, 1)
            self.assertRegex(said, rf'^{words[0]}: [^\n]*standard output: No space left[^\n]*\n$')

    def test_of_what_does_not_serve(self):
        with open('/dev/full', 'wb') as full:
            for words in (['ringdown-info'], ['echo', '--help'], ['demo', '--help']):
                process = start([program(words[0]), *words[1:]], stdout=full,
                                stderr=subprocess.PIPE)
                said = process.communicate(timeout=PATIENCE)[1].decode()
                self.assertEqual(process.returncode, 1)
                self.assertRegex(said, rf'^{words[0]}: [^\n]*standard output: [^\n]*\n$')

    def test_standard_error_closed_harms_nothing(self):
        process = start([program('echo'), '--listen', '127.0.0.1:0'], stdout=subprocess.PIPE,
                        preexec_fn=closed(2))
        self.assertRegex(process.stdout.readline(), b'^listening on ')
        self.assertNotIn('socket', os.readlink(f'/proc/{process.pid}/fd/2'))
        process.terminate()
        self.assertEqual(process.stdout.read().count(b'\n'), 1)
        process.stdout.close()
        self.assertEqual(process.wait(5), 0)

    def test_that_nobody_reads_does_not_keep_a_server_from_ending(self):
        reading, writing = os.pipe()
        os.set_blocking(writing, False)
        with open(reading, 'rb'), open(writing, 'wb', buffering=0) as full:
            while full.write(b'x' * 4096):
                pass
            os.set_blocking(writing, True)
            begun = time.monotonic()
            status, said = self.serve(['echo'], stdout=full)
            self.assertLess(time.monotonic() - begun, PATIENCE)
        self.assertEqual((status, said.count('\n')), (1, 1), said)


if __name__ == '__main__':
    harness.main()
