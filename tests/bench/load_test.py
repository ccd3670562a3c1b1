#!/usr/bin/env python3
"""The load finds out servers that break a promise, and passes those that keep them.

usage: load_test.py BUILD
"""

import os
import socket
import subprocess
import sys
import time

LIAR = os.path.join(os.path.dirname(os.path.abspath(__file__)), 'liar.py')

# What the server does, under which workload, and what the load has to say to it.
LIES = (
    ('wrong byte', 'churn-server-first', 'an answer has a wrong byte'),
    ('short', 'churn-server-first', 'FIN came before the answer was whole'),
    ('long', 'churn-server-first', 'an answer is longer than its request'),
    ('reset', 'churn-server-first', 'FIN was due, but instead there was'),
    ('reset', 'churn-client-first', 'FIN was due, but instead there was'),
    ('none', 'churn-abort', 'FIN came where RST was due'),
    ('silent', 'churn-server-first', 'nothing was done while it was measured'),
    ('silent once', 'churn-server-first', 'an answer, or the end of a connection, never came'),
    ('silent', 'discard', 'nothing was done while it was measured'),
    ('leak', 'churn-server-first', 'the server keeps sockets of connections that ended'),
    ('none', 'echo', 'FIN came before the echo was whole'),
    ('wrong byte', 'cancel', 'a flood has a wrong byte'),
    ('finish', 'cancel', 'FIN came where RST was due'),
    ('early', 'cancel', 'a flood ended before it was to stop'),
    ('roomy', 'cancel', "a flood fits into the server's buffers"),
    ('deaf', 'cancel', 'nothing was done while it was measured'),
    ('none', 'churn-server-first', None),
    ('reset', 'churn-abort', None),
    ('none', 'cancel', None),
)

WAITED_FOR = ('nothing was done while it was measured',
              'an answer, or the end of a connection, never came',
              'the server keeps sockets of connections that ended')


def free_port():
    with socket.create_server(('127.0.0.1', 0)) as any_port:
        return any_port.getsockname()[1]


def wait_until_it_listens(port):
    give_up = time.monotonic() + 10
    while time.monotonic() < give_up:
        with open('/proc/self/net/tcp') as table:
            if any(f':{port:04X} 00000000:0000 0A' in line for line in table):
                return
        time.sleep(0.005)
    raise AssertionError('the server does not listen')


def run(build, lie, workload, patience):
    port = free_port()
    server = subprocess.Popen([sys.executable, LIAR, workload, str(port)],
                              env=os.environ | {'LIE': lie}, stderr=subprocess.DEVNULL)
    try:
        wait_until_it_listens(port)
        return subprocess.run([os.path.join(build, 'bench', 'load', 'load'), workload, str(port),
                               '--server', str(server.pid), '--connections', '2',
                               '--seconds', '0.02', '--warm-up', '0.01',
                               '--patience', patience],
                              capture_output=True, text=True, timeout=30)
    finally:
        server.kill()
        server.wait()


def main(build):
    failed = 0
    for lie, workload, complaint in LIES:
        # Who lies is found out however short the patience; who does not, however slow the machine.
        done = run(build, lie, workload, '0.2' if complaint in WAITED_FOR else '20')
        found = complaint in done.stderr if complaint else not done.stderr
        if not found or done.returncode != (1 if complaint else 0):
            failed += 1
            print(f'FAILED: {workload}, {lie}: status {done.returncode}, {done.stderr}')
    print(f'{len(LIES) - failed} passed, {failed} failed')
    return 1 if failed else 0


if __name__ == '__main__':
    sys.exit(main(os.path.abspath(sys.argv[1])))
