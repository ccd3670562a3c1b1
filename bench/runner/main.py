#!/usr/bin/env python3
"""Runs the bench suite: contestants take turns within each round, and ratios are taken there."""

import argparse
import datetime
import json
import os
import platform
import signal
import subprocess
import sys
import time

import figures
import goals
import namespace
import page
import plots
import report
from measure import DISTURBED, Failed, Stage
from plan import BENCHES, BY_HAND

RING = 'ring'
LATE = 'late'
# `retry_seconds`: how long disturbed figures are taken again, all in all.
QUICK = {'rounds': 1, 'seconds': 0.05, 'warm_up': 0.03, 'retry_seconds': 4}
USUAL = {'rounds': 5, 'seconds': 0.25, 'warm_up': 0.1, 'retry_seconds': 30}
COUNTING_SECONDS = 0.1
COUNTING_WARM_UP = 0.03
COUNTING_ROUNDS = 3  # of those that goals are about


class Progress:
    """One line that says where the run is, on a terminal; else a line for each bench."""

    def __init__(self, total):
        self.total, self.done, self.said = total, 0, ''
        self.began = time.monotonic()
        self.live = sys.stderr.isatty()

    def next(self, what, who):
        self.done += 1
        if self.live:
            spent = time.monotonic() - self.began
            left = spent / max(self.done - 1, 1) * (self.total - self.done + 1)
            ends = f'{left:3.0f} s left  ' if self.done > 10 else ''
            print(f'\r\x1b[K{self.done:4} of {self.total}  {ends}{what}: {who}', end='',
                  file=sys.stderr, flush=True)
        elif what != self.said:
            print(f'{self.done:4} of {self.total}  {what}', file=sys.stderr, flush=True)
        self.said = what

    def end(self):
        if self.live:
            print('\r\x1b[K', end='', file=sys.stderr, flush=True)


class Parser(argparse.ArgumentParser):
    """Refuses in one line, without repeating the usage."""

    def error(self, message):
        self.exit(2, f'bench: {message}\n')


def number(kind, lowest, highest):
    def read(text):
        try:
            value = kind(text)
        except ValueError:
            value = None
        if value is None or not lowest <= value <= highest:
            raise argparse.ArgumentTypeError(f"'{text}' is not a number from {lowest} to {highest}")
        return value
    return read


def read_arguments():
    names = [bench.name for bench in BENCHES] + [RING, LATE]
    parser = Parser(prog='bench', description=__doc__, allow_abbrev=False)
    parser.add_argument('--build', default='build', help='build folder [build]')
    parser.add_argument('--quick', action='store_true', help='one short round of everything')
    parser.add_argument('--only', action='append', metavar='NAME',
                        help='this bench, or all that begin so; may be given several times')
    parser.add_argument('--server', action='append', metavar='NAME',
                        help='this contestant; may be given several times')
    parser.add_argument('--rounds', type=number(int, 1, 1000), help=f'rounds [{USUAL["rounds"]}]')
    parser.add_argument('--seconds', type=number(float, 0.01, 3600),
                        help=f'measured for each figure of a round [{USUAL["seconds"]}]')
    parser.add_argument('--list', action='store_true', help='list the benches')
    given = parser.parse_args()
    given.only = given.only or names
    for wanted in given.only:
        if not any(name.startswith(wanted) for name in names):
            parser.error(f"no bench is called '{wanted}'; there are {', '.join(names)}")
    given.chosen = [bench for bench in BENCHES
                    if any(bench.name.startswith(wanted) for wanted in given.only)]
    given.ring = any(RING.startswith(wanted) for wanted in given.only)
    given.late = any(LATE.startswith(wanted) for wanted in given.only)
    usual = QUICK if given.quick else USUAL
    given.rounds = given.rounds or usual['rounds']
    given.seconds = given.seconds or usual['seconds']
    given.warm_up = min(usual['warm_up'], given.seconds)
    # Shorter windows are to see that all runs, not to be believed.
    given.retry_seconds = usual['retry_seconds'] if given.seconds >= QUICK['seconds'] else 0
    return given


def refuse(why):
    print(f'bench: {why}', file=sys.stderr)
    raise SystemExit(2)


def plan_of(given, stage):
    there = stage.contestants()
    for name in given.server or ():
        if name not in there:
            refuse(f"there is no server '{name}' in {given.build}/bench/servers; "
                   f"there are {', '.join(sorted(there))}")
    wanted = set(given.server or there)
    plan = []
    for bench in given.chosen:
        own = [name for name in bench.contestants if name in there & wanted]
        # Somebody's own server takes part when it is asked for.
        own += [name for name in given.server or () if name not in bench.contestants
                and not any(name in other.contestants for other in BENCHES)]
        plan.append((bench, own))
    return plan


def measure(given, stage, bench, contestant):
    """A run that others disturbed is done once more, while there is time for that."""
    first = stage.run(bench, contestant)
    if not first['disturbed'] or given.retry_seconds <= 0:
        return first
    began = time.monotonic()
    second = stage.run(bench, contestant)
    given.retry_seconds -= time.monotonic() - began
    second['retried'] = True
    return second


def run_servers(given, stage, plan):
    to_count = [(bench, contestant) for bench, own in plan if bench.counted
                for contestant in own if not given.quick or contestant in BY_HAND]
    in_a_round = sum(len(own) for _, own in plan)
    often = 1 if given.quick else COUNTING_ROUNDS
    to_count = [each for each in to_count for _ in range(often if each[1] in BY_HAND else 1)]
    progress = Progress(in_a_round * given.rounds + len(to_count))
    results, counts = {}, {}
    for round_ in range(given.rounds):
        for bench, own in plan:
            for contestant in own:
                progress.next(f'round {round_ + 1} of {given.rounds}, {bench.name}', contestant)
                of_bench = results.setdefault(bench.name, {}).setdefault(contestant, {})
                of_bench[round_] = measure(given, stage, bench, contestant)
    stage.seconds = min(stage.seconds, COUNTING_SECONDS)
    stage.warm_up = min(stage.warm_up, COUNTING_WARM_UP)
    for bench, contestant in to_count:
        progress.next(f'system calls, {bench.name}', contestant)
        counted = counts.setdefault(bench.name, {}).setdefault(contestant, [])
        counted.append(stage.run(bench, contestant, True))
        if counted[-1]['system_calls'] is None:
            break  # not permitted: nor are the others
    progress.end()
    return results, counts


def run_ring(given):
    print('ring', file=sys.stderr, flush=True)
    program = [os.path.join(given.build, 'bench', 'ring', 'ring'), '--json']
    program += ['--rounds', '3', '--quick'] if given.quick else []
    for _ in range(2):
        began = time.monotonic()
        run = subprocess.run(program, stdout=subprocess.PIPE, text=True, timeout=600)
        if run.returncode != 0:
            raise Failed(f'ring ended with status {run.returncode}')
        made = json.loads(run.stdout)
        made['disturbed'] = made['waited_share'] > DISTURBED
        took = time.monotonic() - began
        if not made['disturbed'] or given.retry_seconds < took:
            break
        given.retry_seconds -= took
    return made


def run_late(given, stage):
    """The rows of the program; their rounds say how long others had the CPUs."""
    print('late', file=sys.stderr, flush=True)
    if stage.isolated:
        namespace.enter_new()
    program = [os.path.join(given.build, 'bench', 'late', 'late'), '--json',
               '--rounds', str(given.rounds)] + (['--quick'] if given.quick else [])
    run = subprocess.run(program, stdout=subprocess.PIPE, text=True, timeout=600 * given.rounds)
    if run.returncode != 0:
        raise Failed(f'late ended with status {run.returncode}')
    return json.loads(run.stdout)['rows']


def machine():
    model = 'unknown'
    with open('/proc/cpuinfo') as info:
        for line in info:
            if line.startswith('model name'):
                model = line.partition(':')[2].strip()
                break
    return {'when': datetime.datetime.now().strftime('%Y-%m-%d %H:%M'),
            'kernel': platform.release(), 'cpus': os.cpu_count(), 'model': model}


def remarks_of(stage, results, counts, ring, late):
    made = []
    if not stage.isolated:
        made.append('No network namespace could be made '
                    f'({stage.not_isolated_because}): ports and TIME_WAIT did not start equal.')
    if len(stage.cpus) == 1:
        made.append('There is one CPU only: servers and load share it everywhere.')
    counted = [run for rows in counts.values() for each in rows.values() for run in each]
    if any(run['system_calls'] is None for run in counted):
        made.append('System calls and operations: unavailable, tracepoints are not permitted here.')
    if any(row['depth'] == 1 and row['instructions']['ringdown'] is None for row in ring['rows']):
        made.append('Instructions: unavailable, ptrace(2) is not permitted here.')
    if ring['disturbed']:
        made.append('The overhead on the ring was disturbed by other processes, also when it was '
                    'taken again, if there was time for that.')
    endings = [each for row in late for rounds in row['rounds'].values() for each in rounds]
    disturbed = sum(each['waited_share'] > DISTURBED for each in endings)
    if disturbed:
        made.append(f'{disturbed} of {len(endings)} endings of crowds were disturbed by other '
                    'processes.')
    runs = [run for rows in results.values() for rounds in rows.values() for run in rounds.values()]
    disturbed = sum(run['disturbed'] for run in runs)
    if disturbed:
        made.append(f'{disturbed} of {len(runs)} figures were disturbed by other processes, also '
                    'when they were taken again, as far as there was time for that.')
    return made


def write(given, document, results):
    parts = report.markdown(document)
    text = '\n\n'.join(part for _, part in parts) + '\n'
    drawn = plots.all_plots(document['figures'], results) if plots.available() else {}
    folder = os.path.join(given.build, 'bench')
    for name, content in (('report.json', json.dumps(document | {'runs': results}, indent=1)),
                          ('report.md', text), ('report.html', page.page(parts, drawn))):
        with open(os.path.join(folder, name), 'w') as file:
            file.write(content)
    print(text)
    print(f'written: {folder}/report.json, report.md, report.html'
          + ('' if drawn or not results else ' (without plots: there is no gnuplot)'))


def main():
    # So that no server is left behind.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    given = read_arguments()
    if given.list:
        for bench in BENCHES:
            print(f'{bench.name:24} {bench.title}')
        print(f'{RING:24} no-op, timer, deadline, channel, spawn, against the same by hand')
        print(f'{LATE:24} how late crowds of connections end, against bare resets by hand')
        return 0
    began = time.monotonic()
    if not os.path.isfile(os.path.join(given.build, 'bench', 'load', 'load')):
        refuse(f"there is no bench suite in '{given.build}'; ./dev build makes it")
    stage = Stage(given.build, given.seconds, given.warm_up)
    plan = plan_of(given, stage)
    try:
        ring = run_ring(given) if given.ring else {'rows': [], 'disturbed': False}
        late = run_late(given, stage) if given.late else []
        results, counts = run_servers(given, stage, plan)
    except Failed as failure:
        print(f'\nbench: failed: {failure}', file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print('\nbench: interrupted', file=sys.stderr)
        return 130
    document = {'machine': machine(), 'rounds': given.rounds, 'seconds': given.seconds,
                'took_seconds': time.monotonic() - began,
                'remarks': remarks_of(stage, results, counts, ring, late),
                'figures': figures.summarize(results, counts), 'ring': ring['rows'],
                'late': late,
                'goals': goals.judge(goals.Measured(results, counts, ring['rows'], late))}
    write(given, document, results)
    return 0


if __name__ == '__main__':
    sys.exit(main())
