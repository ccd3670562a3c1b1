"""--metrics: which requests are answered how, and what bounds them."""
import concurrent.futures
import select
import socket
import time

import harness
from harness import Case, Server, read_to_end, round_trip, wait_until
from scraper import SCRAPE, WITH_METRICS, ask, connect, parts_of, scrape


def is_reset(client):
    """Once true, true for ever: the error is left where it is."""
    return bool(client_state(client) & select.POLLERR)


def client_state(client):
    poll = select.poll()
    poll.register(client, 0)
    return sum(events for _, events in poll.poll(0))


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
                self.assert_lasted(time.monotonic() - begun, 2.0)
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


if __name__ == '__main__':
    harness.main()
