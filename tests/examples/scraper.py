"""A scraper of --metrics, and what it makes of an answer."""
import json
import os
import socket
import subprocess
import sys

from clients import read_to_end

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
                                  timeout=30, check=False)
            if read.returncode != 77:
                assert read.returncode == 0, read.stderr
                return {each['name']: each for each in json.loads(read.stdout)}
    return None


def values(text):
    """The samples by their names and labels, as they are written."""
    return {line.rsplit(' ', 1)[0]: float(line.rsplit(' ', 1)[1])
            for line in text.splitlines() if not line.startswith('#')}
