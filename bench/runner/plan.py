"""What is measured: each bench is one workload under one load, for several contestants."""

from dataclasses import dataclass

BASELINE = 'epoll'
EVERYONE = ('ringdown', 'liburing', 'liburing-fin', 'epoll', 'epoll-fin',
            'asio-epoll', 'asio-uring', 'libuv')
# Where our FIN is not the first, coalescing changes nothing.
WITHOUT_FIN = tuple(name for name in EVERYONE if not name.endswith('-fin'))
# Asio 1.22 on io_uring sometimes never hears of the peers' FIN when it drains busy connections, and
# accepts nobody any more once it has closed a socket with a write under way.
NEVER_STUCK = tuple(name for name in WITHOUT_FIN if name != 'asio-uring')
BY_HAND = ('ringdown', 'liburing', 'epoll')


@dataclass(frozen=True)
class Bench:
    name: str
    title: str
    workload: str
    load: tuple = ()
    contestants: tuple = WITHOUT_FIN
    one_cpu: bool = False
    unit: str = 'connection'
    metric: str = 'cpu'       # what the ratios are of: see figures.py
    scale: float = 1          # units to one that is shown
    counted: bool = True      # its system calls are counted in a run of their own
    paced: bool = False       # the load keeps a rate, so the CPUs are not meant to be busy
    longer: int = 1           # times as long a window, where there is less to count


def loads(connections, *more):
    return ('--connections', str(connections), *more)


BENCHES = (
    Bench('echo-1', 'echo 64 B, 1 connection', 'echo', loads(1), unit='message'),
    Bench('echo-64', 'echo 64 B, 64 connections', 'echo', loads(64), unit='message'),
    Bench('echo-1024', 'echo 64 B, 1,024 connections', 'echo', loads(1024), unit='message'),
    Bench('echo-16k', 'echo 16 KiB, 64 connections', 'echo', loads(64, '--bytes', '16384'),
          unit='message'),
    Bench('echo-64-one-cpu', 'echo 64 B, 64 connections, load on the same CPU', 'echo', loads(64),
          unit='message', one_cpu=True, counted=False),
    Bench('server-first-1', 'churn, server ends first, 1 at a time', 'churn-server-first',
          loads(1), EVERYONE),
    Bench('server-first-64', 'churn, server ends first, 64 at a time', 'churn-server-first',
          loads(64), EVERYONE),
    Bench('server-first-1024', 'churn, server ends first, 1,024 at a time', 'churn-server-first',
          loads(1024), EVERYONE),
    Bench('server-first-64-one-cpu', 'churn, server ends first, 64 at a time, load on the same CPU',
          'churn-server-first', loads(64), EVERYONE, one_cpu=True, counted=False),
    Bench('client-first-64', 'churn, client ends first, 64 at a time', 'churn-client-first',
          loads(64)),
    Bench('abort-64', 'churn, server aborts, 64 at a time', 'churn-abort', loads(64)),
    Bench('cancel-64', 'reset with a blocked send and a receive in flight, 64 at a time', 'cancel',
          loads(64), NEVER_STUCK),
    Bench('paced', 'churn, server ends first, 4,000 a second', 'churn-server-first',
          ('--rate', '4000'), BY_HAND, metric='p99', paced=True, counted=False, longer=4),
    Bench('paced-stuck', 'churn, server ends first, 4,000 a second, and 10 % more stuck',
          'churn-server-first', ('--rate', '4000', '--stuck', '10'), BY_HAND, metric='p99',
          paced=True, counted=False, longer=4),
    Bench('discard', 'uploads of 4 MiB dropped after FIN, 4 at a time', 'discard',
          loads(4, '--bytes', '4194304'), EVERYONE, unit='MiB', scale=1 << 20, counted=False),
    Bench('drain-1000', 'drain of 1,000 idle connections', 'drain', loads(1000),
          metric='gone', counted=False),
    Bench('drain-15000', 'drain of 15,000 idle connections', 'drain', loads(15000), BY_HAND,
          metric='gone', counted=False),
    Bench('drain-busy', 'drain of 1,000 busy connections', 'drain', loads(1000, '--busy'),
          NEVER_STUCK, metric='gone', counted=False),
)
