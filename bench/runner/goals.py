"""What Ringdown is to reach, and whether it did."""

from dataclasses import dataclass, field
from math import comb
from statistics import median
from typing import Callable

import figures
from plan import BENCHES

OURS = 'ringdown'
LIMIT = 'liburing'  # hand-written: what can be reached
CONFIDENCE = 0.9
SURE_FROM = 5  # values


@dataclass(frozen=True)
class Measured:
    """All that was measured: see main.py."""
    results: dict
    counts: dict
    ring: list
    late: list = field(default_factory=list)


@dataclass(frozen=True)
class Goal:
    """The median of `values` is to be at most `limit`."""
    what: str
    against: str
    of: str
    limit: float
    values: Callable[[Measured], list]
    digits: int = 2
    exact: bool = False  # counted, so that few values will do to be sure


def bench_of(name):
    return next(bench for bench in BENCHES if bench.name == name)


def ratio(name, against, limit, against_bench=None):
    """Two figures of the same round, of the bench's own metric; in `against_bench`
    nobody is stuck."""
    bench = bench_of(name)
    other = bench_of(against_bench or name)
    return Goal(bench.title, 'the same, nobody stuck' if against_bench else against,
                {'cpu': 'server CPU'}.get(bench.metric, bench.metric), limit,
                lambda of: figures.ratios(of.results, bench, OURS, against, other))


def more_system_calls(name, limit):
    def values(of):
        ours, theirs = (figures.counted_each(of.counts.get(name, {}).get(who, []), 'system_calls')
                        for who in (OURS, LIMIT))
        return [each - other for each, other in zip(ours, theirs)]
    return Goal(bench_of(name).title, LIMIT, 'system calls more', limit, values, exact=True)


def punts(of):
    """Of each bench that was counted, all that were handed to a kernel worker."""
    runs = [run for rows in of.counts.values() for run in rows.get(OURS, [])]
    return [run['punts'] for run in runs if run['punts'] is not None]


def noop_ratio(depth):
    return Goal(f'no-op on the ring, {depth} at a time', LIMIT, 'nanoseconds', 1.10,
                lambda of: next((row['ratios'] for row in of.ring
                                 if (row['name'], row['depth']) == ('no-op', depth)), []))


def late_ratio(name, title, kind='reset', limit=1.20):
    """The last of a crowd, against the last of the quicker way by hand of the same round."""
    against = 'bare resets' if kind == 'reset' else 'bare shutdown(2)'
    return Goal(title, against, f'lateness of the last {kind.upper()}', limit,
                lambda of: next((figures.late_ratios(row, kind) for row in of.late
                                 if row['name'] == name), []))


def resident_bytes(name):
    bench = bench_of(name)
    return lambda of: [run['resident_bytes_each'] for run
                       in of.results.get(bench.name, {}).get(OURS, {}).values()]


GOALS = (
    ratio('server-first-64', 'epoll', 0.78),
    ratio('server-first-64', 'epoll-fin', 0.90),
    ratio('server-first-64', 'liburing-fin', 1.05),
    ratio('server-first-64', 'asio-epoll', 0.66),
    ratio('server-first-64-one-cpu', 'epoll', 0.84),
    ratio('client-first-64', 'epoll', 0.95),
    ratio('abort-64', 'epoll', 0.90),
    ratio('echo-64', 'liburing', 1.03),
    ratio('echo-64', 'epoll', 0.98),
    ratio('echo-1024', 'liburing', 1.03),
    ratio('echo-1024', 'epoll', 0.98),
    ratio('echo-64-one-cpu', 'asio-epoll', 0.82),
    ratio('paced-stuck', OURS, 1.10, against_bench='paced'),
    noop_ratio(1), noop_ratio(16), noop_ratio(128),
    late_ratio('stuck-1000', '1,000 stuck connections'),
    late_ratio('silent-15000', '15,000 idle connections, none answers FIN'),
    late_ratio('silent-15000', '15,000 idle connections, none answers FIN', 'fin', 2.0),
    late_ratio('beside-15000', '1,000 stuck connections beside 15,000 idle ones'),
    more_system_calls('server-first-1', 0.2),
    more_system_calls('server-first-64', 0.2),
    more_system_calls('client-first-64', 0.2),
    Goal('kernel worker punts, every bench', '', 'operations', 0, punts, 0, True),
    Goal('idle connection, 15,000 of them', '', 'bytes of user space', 768,
         resident_bytes('drain-15000'), 0),
)


def interval(values):
    """Lowest and highest value between which the median lies with 90 % confidence, by order
    statistics; of fewer than five values, all of them."""
    ordered, outside, left = sorted(values), 0, 0.0
    while True:
        left += comb(len(ordered), outside) / 2 ** len(ordered)
        if 1 - 2 * left < CONFIDENCE:
            break
        outside += 1
    skipped = max(outside - 1, 0)
    return {'lowest': ordered[skipped], 'highest': ordered[-1 - skipped]}


def judge(measured):
    """A row for each goal that was measured. `met` goes by the median; it is `sure` when the
    interval lies on the same side of the limit."""
    made = []
    for goal in GOALS:
        values = goal.values(measured)
        if not values:
            continue
        middle = max(values) if goal.values is punts else median(values)
        around = interval(values)
        met = middle <= goal.limit
        one_side = around['highest'] <= goal.limit if met else around['lowest'] > goal.limit
        made.append({'bench': goal.what, 'against': goal.against, 'of': goal.of,
                     'limit': goal.limit, 'is': middle, **around, 'values': len(values), 'met': met,
                     'sure': one_side and (goal.exact or len(values) >= SURE_FROM),
                     'digits': goal.digits})
    return made
