"""--metrics: what a scraper gets, while serving and while draining, and who is refused how."""
import concurrent.futures
import json
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import time

import harness
from harness import Case, Server, pattern, read_to_end, round_trip, run, wait_until

PARSER = os.path.join(os.path.dirname(os.path.abspath(__file__)), 'parse_metrics.py')
WITH_METRICS = ('--metrics', '127.0.0.1:0')
SCRAPE = b'GET /metrics HTTP/1.1\r\nHost: test\r\n\r\n'


def connect(server):
    host, port = server.metrics.rsplit(':', 1)
    return socket.create_connection((host.strip('[]'), int(port)), 10.0)


def ask(server, request):
    """Sends bytes and answers (status, headers, body); a reset raises."""
    with connect(server) as client:
        client.sendall(request)
        return parts_of(read_to_end(client))


def parts_of(answer):
    head, body = answer.split(b'\r\n\r\n', 1)
    lines = head.decode('ascii').split('\r\n')
    version, status, _ = lines[0].split(' ', 2)
    assert version == 'HTTP/1.1', lines
    headers = dict(line.split(': ', 1) for line in lines[1:])
    return int(status), headers, body


def scrape(server):
    status, headers, body = ask(server, SCRAPE)
    assert status == 200, (status, body)
    assert headers['Content-Type'] == 'text/plain; version=0.0.4; charset=utf-8', headers
    assert int(headers['Content-Length']) == len(body), headers
    return body.decode()


def families(text):
    """What Prometheus's own parser reads, by name; None where there is none."""
    for python in (sys.executable, '/usr/bin/python3'):
        if os.path.exists(python):
            read = subprocess.run([python, PARSER], input=text, capture_output=True, text=True,
                                  timeout=20, check=False)
            if read.returncode != 77:
                assert read.returncode == 0, read.stderr
                return {each['name']: each for each in json.loads(read.stdout)}
    return None


def values(text):
    """The samples by their names and labels, as they are written."""
    return {line.rsplit(' ', 1)[0]: float(line.rsplit(' ', 1)[1])
            for line in text.splitlines() if not line.startswith('#')}


def is_reset(client):
    """Once true, true for ever: the error is left where it is."""
    return bool(client_state(client) & select.POLLERR)


def client_state(client):
    poll = select.poll()
    poll.register(client, 0)
    return sum(events for _, events in poll.poll(0))


class Scrapes(Case):
    def parsed(self, text):
        found = families(text)
        if found is None:
            self.skipTest('no prometheus_client for Python (Debian: python3-prometheus-client)')
        return found

    def test_the_second_line_tells_where_and_the_first_stays(self):
        with Server('echo', *WITH_METRICS) as server:
            self.assertRegex(server.first_line, r'^listening on 127\.0\.0\.1:[1-9]\d*\n$')
            self.assertRegex(server.metrics, r'^127\.0\.0\.1:[1-9]\d*$')
            self.assertNotEqual(server.metrics, server.address)
            server.drained()

    def test_every_example_server_has_them(self):
        for name, options in (('once', ('--bytes', '10')), ('demo-server', ())):
            with Server(name, *options, *WITH_METRICS) as server:
                self.assertIn('ringdown_connections_open 0', scrape(server))
                server.drained()

    def test_they_are_served_on_unix_sockets_too(self):
        path = harness.scratch('metrics')
        with Server('echo', '--metrics', f'unix:{path}') as server:
            self.assertEqual(server.metrics, f'unix:{path}')
            with socket.socket(socket.AF_UNIX) as client:
                client.settimeout(10.0)
                client.connect(path)
                client.sendall(SCRAPE)
                self.assertEqual(parts_of(read_to_end(client))[0], 200)
            server.drained()
            self.assertFalse(os.path.exists(path))

    def test_prometheus_reads_every_value_from_the_start(self):
        with Server('echo', *WITH_METRICS) as server:
            found = self.parsed(scrape(server))
            for family in found.values():
                self.assertTrue(family['help'], family)
                self.assertIn(family['type'], ('counter', 'gauge', 'histogram'))
                self.assertTrue(all(value == 0 for _, _, value in family['samples']), family)
            for name, label in (('ringdown_connections_ended', 'ending'),
                                ('ringdown_ending_causes', 'cause'),
                                ('ringdown_ending_initiators', 'initiator'),
                                ('ringdown_ending_deliveries', 'delivery')):
                words = [labels[label] for _, labels, _ in found[name]['samples']]
                self.assertEqual(sorted(words), sorted(harness.WORDS[label]))
            server.drained()

    def test_prometheus_reads_what_the_reports_say(self):
        with Server('echo', '--threads', '3', *WITH_METRICS) as server:
            for number in range(30):
                client = server.connect()
                round_trip(client, pattern(100))
                if number % 3 == 0:
                    harness.reset(client)
                else:
                    client.close()
            reports = server.wait_reports(30)
            staying = [server.connect() for _ in range(4)]
            for client in staying:
                round_trip(client)
            found = self.parsed(scrape(server))
            for name, field in (('ringdown_connections_ended', 'ending'),
                                ('ringdown_ending_causes', 'cause'),
                                ('ringdown_ending_initiators', 'initiator'),
                                ('ringdown_ending_deliveries', 'delivery')):
                for _, labels, value in found[name]['samples']:
                    count = sum(1 for each in reports if each[field] == labels[field])
                    self.assertEqual(value, count, (name, labels))
            for field in ('sent', 'unsent', 'unacknowledged', 'received', 'discarded'):
                (_, _, value), = found[f'ringdown_{field}_bytes']['samples']
                self.assertEqual(value, sum(each[f'{field}_bytes'] for each in reports), field)
            self.assertEqual(found['ringdown_connections_open']['samples'][0][2], 4)
            self.assertEqual(found['ringdown_connections_accepted']['samples'][0][2], 34)
            self.histograms_hold(found, reports)
            for client in staying:
                client.close()
            self.assertEqual(server.drained()['accepts'], 34)

    def histograms_hold(self, found, reports):
        for name, field in (('', 'total'), ('flush_', 'flush'),
                            ('fin_acknowledged_', 'fin_acknowledged'),
                            ('peer_finished_', 'peer_finished')):
            times = [each['microseconds'][field] for each in reports]
            times = [time / 1e6 for time in times if time is not None]
            family = found[f'ringdown_ending_{name}duration_seconds']
            self.assertEqual(family['type'], 'histogram')
            for sample, labels, value in family['samples']:
                if sample.endswith('_bucket'):
                    bound = float(labels['le'])
                    self.assertEqual(value, sum(1 for time in times if time < bound), labels)
                elif sample.endswith('_count'):
                    self.assertEqual(value, len(times))
                else:
                    self.assertTrue(sample.endswith('_sum'), sample)
                    self.assertAlmostEqual(value, sum(times), places=6)

    def test_promtool_has_nothing_to_say(self):
        promtool = shutil.which('promtool')
        if not promtool:
            self.skipTest('promtool is not installed (Debian: prometheus)')
        with Server('echo', *WITH_METRICS) as server:
            checked = subprocess.run([promtool, 'check', 'metrics'], input=scrape(server),
                                     capture_output=True, text=True, timeout=20, check=False)
            self.assertEqual((checked.returncode, checked.stdout, checked.stderr), (0, '', ''))
            server.drained()

    def test_curl_gets_it_whole(self):
        curl = shutil.which('curl')
        if not curl:
            self.skipTest('curl is not installed')
        with Server('echo', *WITH_METRICS) as server:
            status, out, err = run([curl, '--silent', '--show-error', '--fail',
                                    f'http://{server.metrics}/metrics'])
            self.assertEqual((status, err), (0, ''))
            self.assertEqual(values(out), values(scrape(server)))
            server.drained()


class Requests(Case):
    def answers(self, request, status, *said):
        with Server('echo', *WITH_METRICS) as server:
            got, headers, body = ask(server, request)
            self.assertEqual(got, status, (request, body))
            self.assertEqual(headers['Connection'], 'close')
            self.assertRegex(headers['Date'], r'^\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT$')
            for each in said:
                self.assertIn(each, body.decode())
            server.drained()
            return headers, body

    def test_forms_of_a_request_that_are_one(self):
        for request in (b'GET /metrics HTTP/1.0\r\n\r\n',
                        b'GET /metrics HTTP/1.1\nhost:x\n\n',
                        b'\r\nGET /metrics?a=http://b HTTP/1.1\r\nHOST: x\r\nA:\tb\r\n\r\n',
                        b'GET http://host:1/metrics HTTP/1.1\r\nHost: host:1\r\n\r\n'):
            self.answers(request, 200, 'ringdown_draining 0')

    def test_the_head_alone(self):
        headers, body = self.answers(SCRAPE.replace(b'GET', b'HEAD'), 200)
        self.assertEqual(body, b'')
        self.assertGreater(int(headers['Content-Length']), 5000)

    def test_other_paths(self):
        for path in (b'/', b'/metrics/', b'/metric', b'//metrics', b'/x' * 1000):
            self.answers(SCRAPE.replace(b'/metrics', path), 404, '/metrics')

    def test_other_methods(self):
        for method in (b'POST', b'DELETE', b'get'):
            headers, _ = self.answers(SCRAPE.replace(b'GET', method), 405)
            self.assertEqual(headers['Allow'], 'GET, HEAD')

    def test_malformed_ones(self):
        for request in (b'GET\r\n\r\n', b'GET /metrics\r\n\r\n', b'GET /metrics HTTP/2.0\r\n\r\n',
                        b'GET metrics HTTP/1.0\r\n\r\n', b'G(T /metrics HTTP/1.0\r\n\r\n',
                        b'GET /metrics HTTP/1.1\r\n\r\n', b'GET  /metrics HTTP/1.0\r\n\r\n',
                        b'GET /metrics HTTP/1.0\r\nnonsense\r\n\r\n',
                        b'GET /metrics HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n',
                        b'GET /metrics HTTP/1.0\r\nA: b\r\n continued\r\n\r\n',
                        b'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'):
            self.answers(request, 400)

    def test_what_cannot_become_one_is_refused_before_it_ends(self):
        self.answers(b'\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03', 400, 'control characters')
        self.answers(b'GET /metrics\r HTTP/1.0', 400, 'control characters')

    def test_oversized_ones(self):
        for size in (8 << 10, 9 << 10, 100 << 10):
            headline = b'GET /metrics HTTP/1.0\r\nA: ' + b'x' * size
            self.answers(headline, 400, '8 KiB')
            self.answers(headline + b'\r\n\r\n', 400, '8 KiB')
        self.answers(b'GET /' + b'x' * (1 << 20), 400, '8 KiB')

    def test_the_largest_that_fits(self):
        head = b'GET /metrics HTTP/1.0\r\nA: '
        self.answers(head + b'x' * ((8 << 10) - len(head) - 4) + b'\r\n\r\n', 200)

    def test_one_that_ends_in_the_middle(self):
        with Server('echo', *WITH_METRICS) as server:
            with connect(server) as client:
                client.sendall(SCRAPE[:20])
                client.shutdown(socket.SHUT_WR)
                self.assertEqual(parts_of(read_to_end(client))[0], 400)
            server.drained()

    def test_one_byte_at_a_time_is_one_request(self):
        with Server('echo', *WITH_METRICS) as server:
            with connect(server) as client:
                client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                for byte in SCRAPE:
                    client.sendall(bytes([byte]))
                    time.sleep(0.001)
                self.assertEqual(parts_of(read_to_end(client))[0], 200)
            server.drained()

    def test_a_second_one_on_the_connection_is_not_answered(self):
        self.answers(SCRAPE + SCRAPE, 200)

    def test_one_with_a_body_is_answered_and_the_body_dropped(self):
        self.answers(SCRAPE + b'x' * 100_000, 200)

    def test_one_that_takes_too_long_is_told_so(self):
        with Server('echo', *WITH_METRICS) as server:
            begun = time.monotonic()
            with connect(server) as dripping, connect(server) as silent:
                dripping.sendall(b'GET /met')
                self.assertEqual(parts_of(read_to_end(dripping))[0], 408)
                self.assert_near(time.monotonic() - begun, 2.0, late=0.5)
                self.assertEqual(read_to_end(silent), b'')
            self.assertEqual(scrape(server).count('# TYPE'), 16)
            server.drained()


class Bounds(Case):
    def test_who_does_not_read_the_answer_holds_up_nobody(self):
        with Server('echo', *WITH_METRICS) as server:
            with connect(server) as deaf:
                deaf.sendall(SCRAPE)
                for _ in range(5):
                    scrape(server)
            server.drained()

    def test_no_more_than_64_at_a_time(self):
        with Server('echo', *WITH_METRICS) as server:
            before = server.descriptors()
            silent, refused = [], 0
            for _ in range(150):
                try:
                    silent.append(connect(server))
                except ConnectionResetError:
                    refused += 1
            wait_until(lambda: refused + sum(map(is_reset, silent)) >= 150 - 64,
                       'the rest is reset', 1.5)
            self.assertEqual(refused + sum(map(is_reset, silent)), 150 - 64)
            self.assertLessEqual(server.descriptors() - before, 64)
            with server.connect() as client:
                round_trip(client)
            for client in silent:
                client.close()
            wait_until(lambda: server.descriptors() == before, 'all gone')
            scrape(server)
            server.drained()

    def test_many_scrapers_at_once(self):
        with Server('echo', '--threads', '2', *WITH_METRICS) as server:
            with concurrent.futures.ThreadPoolExecutor(20) as pool:
                pages = list(pool.map(lambda _: scrape(server), range(200)))
            self.assertEqual(len(pages), 200)
            with server.connect() as client:
                round_trip(client)
            self.assertEqual(server.drained()['accepts'], 1)


class Draining(Case):
    def test_they_are_answered_during_a_drain_and_end_with_it(self):
        with Server('echo', '--threads', '2', '--drain', '3s', *WITH_METRICS) as server:
            clients = [server.connect() for _ in range(3)]
            for client in clients:
                round_trip(client)
            server.ask_to_end()
            wait_until(lambda: 'ringdown_draining 1' in scrape(server), 'a drain')
            for left in (2, 1):
                clients.pop().close()
                wait_until(lambda: f'ringdown_connections_open {left}\n' in scrape(server),
                           f'{left} connections are left')
            clients.pop().close()
            self.assertEqual(server.ended(within=2.0)['accepts'], 3)
            with self.assertRaises(ConnectionRefusedError):
                connect(server)

    def test_a_silent_client_does_not_hold_up_the_end(self):
        with Server('echo', *WITH_METRICS) as server:
            with connect(server) as silent, connect(server) as begun:
                begun.sendall(SCRAPE[:10])
                scrape(server)
                server.drained()
                self.assertLess(server.took, 0.45)
                for client in (silent, begun):
                    self.assertEqual(read_to_end(client), b'')

    def test_one_that_is_being_answered_at_the_end_gets_it_whole(self):
        for _ in range(20):
            with Server('echo', *WITH_METRICS) as server:
                clients = [connect(server) for _ in range(8)]
                scrape(server) # so these have been accepted
                for client in clients:
                    client.sendall(SCRAPE)
                server.ask_to_end()
                for client in clients:
                    answer = read_to_end(client)
                    client.close()
                    # Asked before the end or after; never a part of an answer.
                    if answer:
                        status, headers, body = parts_of(answer)
                        self.assertEqual((status, int(headers['Content-Length'])),
                                         (200, len(body)))
                server.ended()

    def test_a_second_signal_ends_all_of_it(self):
        with Server('echo', '--drain', '5s', *WITH_METRICS) as server, server.connect() as client:
            round_trip(client)
            server.ask_to_end()
            wait_until(lambda: 'ringdown_draining 1' in scrape(server), 'a drain')
            server.ask_to_end(signal.SIGINT)
            self.assertEqual(server.ended(within=1.0)['ending'], {'aborted': 1})


if __name__ == '__main__':
    harness.main()
