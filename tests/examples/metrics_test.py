"""--metrics: what a scraper gets, while serving and while draining."""
import os
import shutil
import signal
import socket
import subprocess

import harness
from harness import (AT_ONCE, PATIENCE, Case, Server, pattern, read_to_end, round_trip, run,
                     wait_until)
from scraper import SCRAPE, WITH_METRICS, connect, families, parts_of, scrape, values


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
                                     capture_output=True, text=True, timeout=PATIENCE, check=False)
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
            self.assertEqual(server.ended(within=8.0)['accepts'], 3)
            with self.assertRaises(ConnectionRefusedError):
                connect(server)

    def test_a_silent_client_does_not_hold_up_the_end(self):
        with Server('echo', *WITH_METRICS) as server:
            with connect(server) as silent, connect(server) as begun:
                begun.sendall(SCRAPE[:10])
                scrape(server)
                server.drained()
                self.assertLess(server.took, AT_ONCE)
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
            self.assertEqual(client.recv(1), b'')  # idle, so it is asked to finish, and does not
            server.ask_to_end(signal.SIGINT)
            self.assertEqual(server.ended(within=4.0)['ending'], {'degraded': 1})


if __name__ == '__main__':
    harness.main()
