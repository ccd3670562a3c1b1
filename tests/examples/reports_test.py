"""The report file: one JSON object a line, every field, written as each connection ends."""
import json
import os
import socket
import subprocess

import harness
from harness import (PATIENCE, Case, Server, name_of, program, read_to_end, reset, round_trip, run,
                     start)


class Reports(Case):
    # `Server.reports` holds every line of every test against the whole table of fields; this test
    # looks at the bytes themselves once.
    def test_a_line_is_one_json_object_with_every_field_in_order(self):
        with Server('echo') as server:
            with server.connect() as client:
                round_trip(client)
            server.report()
            with open(server.reports_file, encoding='utf-8') as file:
                text = file.read()
            self.assertEqual(text.count('\n'), 1)
            pairs = json.loads(text, object_pairs_hook=list)
            self.assertEqual([name for name, _ in pairs], harness.FIELDS)
            self.assertEqual([name for name, _ in pairs[-1][1]], harness.TIMES)
            server.drained()

    def test_each_is_readable_as_its_connection_ends(self):
        with Server('echo') as server:
            staying = server.connect()
            round_trip(staying)
            for count in range(1, 21):
                client = server.connect()
                round_trip(client)
                name = name_of(client)
                client.close()
                self.assertEqual(server.wait_reports(count, 2.0)[-1]['peer'], name)
            staying.close()
            server.drained()

    def test_numbers_are_unique_and_peers_are_the_clients(self):
        with Server('echo') as server:
            names = []
            for number in range(100):
                client = server.connect()
                names.append(name_of(client))
                if number % 3 == 0:
                    reset(client)
                else:
                    client.close()
            reports = server.wait_reports(100)
            self.assertEqual(sorted(each['peer'] for each in reports), sorted(names))
            self.assertEqual(sorted(each['connection'] for each in reports), list(range(1, 101)))
            server.drained()

    def test_a_dash_writes_them_to_stdout_before_the_totals(self):
        process = start([program('echo'), '--listen', '127.0.0.1:0', '--reports', '-'],
                        stdout=subprocess.PIPE)
        host, port = process.stdout.readline().decode().split()[-1].rsplit(':', 1)
        with socket.create_connection((host, int(port))) as client:
            round_trip(client)
        report = json.loads(process.stdout.readline())
        self.assertEqual(harness.check_report(report)['sent_bytes'], 4)
        process.terminate()
        lines = process.stdout.read().decode().splitlines()
        self.assertEqual(process.wait(10), 0)
        process.stdout.close()
        self.assertEqual(len(lines), 1)
        self.assertEqual(json.loads(lines[0])['reports'], 1)

    def test_none_are_written_unless_asked_for(self):
        process = start([program('echo'), '--listen', '127.0.0.1:0'],
                        stdout=subprocess.PIPE)
        host, port = process.stdout.readline().decode().split()[-1].rsplit(':', 1)
        with socket.create_connection((host, int(port))) as client:
            round_trip(client)
            client.shutdown(socket.SHUT_WR)
            self.assertEqual(read_to_end(client), b'')
        process.terminate()
        lines = process.stdout.read().decode().splitlines()
        self.assertEqual(process.wait(10), 0)
        process.stdout.close()
        self.assertEqual([json.loads(line)['reports'] for line in lines], [1])

    def test_a_full_disk_is_said_once_and_serving_goes_on(self):
        if not os.path.exists('/dev/full'):
            self.skipTest('no /dev/full here')
        process = start([program('echo'), '--listen', '127.0.0.1:0', '--reports', '/dev/full'],
                        stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        host, port = process.stdout.readline().decode().split()[-1].rsplit(':', 1)
        for _ in range(3):
            with socket.create_connection((host, int(port))) as client:
                round_trip(client)
        process.terminate()
        out, err = process.communicate(timeout=PATIENCE)
        self.assertEqual(process.returncode, 1)
        self.assertEqual(json.loads(out)['reports'], 3)
        self.assertRegex(err.decode(), r'^[^\n]*reports[^\n]*No space left[^\n]*\n'
                                       r'3 reports could not be written\n$')

    def test_a_reader_of_stdout_that_goes_away_does_not_end_the_server(self):
        process = start([program('echo'), '--listen', '127.0.0.1:0', '--reports', '-'],
                        stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        host, port = process.stdout.readline().decode().split()[-1].rsplit(':', 1)
        process.stdout.close()
        for _ in range(3):
            with socket.create_connection((host, int(port))) as client:
                round_trip(client)
        process.terminate()
        self.assertEqual(process.wait(10), 1)
        self.assertRegex(process.stderr.read().decode(), r'^reports [^\n]*Broken pipe\n'
                         r'3 reports could not be written\n[^\n]*standard output: Broken pipe\n$')
        process.stderr.close()

    def test_a_server_that_cannot_listen_leaves_the_reports_of_another_alone(self):
        with Server('echo') as server:
            with server.connect() as client:
                round_trip(client)
            server.report()
            status, out, err = run([program('echo'), '--listen', server.address,
                                    '--reports', server.reports_file])
            self.assertEqual((status, out), (2, ''), err)
            self.assertEqual(len(server.reports()), 1, 'its report file was emptied')
            server.drained()


if __name__ == '__main__':
    harness.main()
