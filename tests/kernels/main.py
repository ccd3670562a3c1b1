#!/usr/bin/env python3
"""Runs test programs on Debian's kernels, under emulation."""

import argparse
import concurrent.futures
import os
import pathlib
import signal
import sys
import time

import guests
from guest import Guest
from run import Run

SAID_LINES_MAX = 60 # of what a failed case said; its log has it all


class Parser(argparse.ArgumentParser):
    """Refuses in one line, without repeating the usage."""

    def error(self, message):
        self.exit(2, f'kernels: {message}\n')


def read_arguments():
    parser = Parser(prog='kernels', description=__doc__, allow_abbrev=False)
    parser.add_argument('kernels', nargs='*', metavar='KERNEL', help='6.1, 6.12, newest [all]')
    parser.add_argument('--program', type=pathlib.Path, action='append', default=[],
                        help='a program of tests; repeatable')
    parser.add_argument('--prepare', action='store_true',
                        help='only download what is missing')
    parser.add_argument('--case', default='', metavar='PATTERN', help="doctest's filter of cases")
    parser.add_argument('--folder', type=pathlib.Path, default='build-kernels',
                        help='keeps kernels, QEMU and logs [build-kernels]')
    arguments = parser.parse_args()
    for name in arguments.kernels:
        if name not in guests.SUITES:
            parser.error(f"there is no kernel '{name}'; these are: {', '.join(guests.SUITES)}")
    arguments.kernels = arguments.kernels or list(guests.SUITES)
    return arguments


class Progress:
    """Tells what the guests do: on a terminal one line that changes, else a line now and then."""

    def __init__(self, runs):
        self.runs, self.shown = runs, [0] * len(runs)
        self.began = self.said = time.monotonic()
        self.live = sys.stdout.isatty()

    def show(self):
        for position, run in enumerate(self.runs):
            outcomes = run.outcomes[self.shown[position]:]
            self.shown[position] += len(outcomes)
            for outcome in outcomes:
                if outcome.fault:
                    self.clear()
                    show_failure(run, outcome)
        now = time.monotonic()
        if not self.live and now - self.said < 15:
            return
        self.said = now
        self.clear()
        spent = int(now - self.began)
        line = (f'{spent // 60}:{spent % 60:02} {sum(map(len_of, self.runs))} of '
                f'{sum(run.total for run in self.runs)} cases'
                + ''.join(f'; {run.kernel} {run.program.name} {len_of(run)}/{run.total}'
                          for run in self.runs if run.begun and not run.ended))
        print(line, end='' if self.live else '\n', flush=True)

    def clear(self):
        if self.live:
            print('\r\x1b[K', end='')


def len_of(run):
    return len(run.outcomes)


def show_failure(run, outcome):
    print(f'----- kernel {run.release or run.kernel}, {run.program.name}: {outcome.name}: '
          f'{outcome.fault} -----')
    for line in outcome.said[-SAID_LINES_MAX:]:
        print(line)
    print('-----', flush=True)


def run_all(runs):
    """Runs one guest for each processor at a time; those that take longest come first."""
    progress = Progress(runs)
    workers = len(os.sched_getaffinity(0))
    order = sorted(runs, key=lambda run: -run.total)
    with concurrent.futures.ThreadPoolExecutor(workers) as pool:
        waiting = {pool.submit(run.run) for run in order}
        try:
            while waiting:
                _, waiting = concurrent.futures.wait(waiting, timeout=1)
                progress.show()
        except BaseException: # an interrupt, say
            for run in runs:
                run.stop()
            raise
    progress.clear()


def show_table(runs):
    """Closes with a line for each kernel, and the totals. Returns the number of failures."""
    row = '{:<32} {:>7} {:>7} {:>7} {:>8}'.format
    print(row('kernel', 'passed', 'failed', 'skipped', 'seconds'))
    passed = failed = 0
    skips, faults = {}, []
    for kernel in dict.fromkeys(run.kernel for run in runs):
        mine = [run for run in runs if run.kernel == kernel]
        outcomes = [outcome for run in mine for outcome in run.outcomes]
        release = next((run.release for run in mine if run.release), kernel)
        bad = [outcome for outcome in outcomes if outcome.fault]
        skipped = [outcome for outcome in outcomes if outcome.skip]
        print(row(release, len(outcomes) - len(bad) - len(skipped), len(bad), len(skipped),
                  f'{sum(run.seconds for run in mine):.0f}'))
        passed += len(outcomes) - len(bad) - len(skipped)
        failed += len(bad)
        faults += [f'failed: {release}: {outcome.name}: {outcome.fault}' for outcome in bad]
        for outcome in skipped:
            skips.setdefault((outcome.name, outcome.skip), []).append(kernel)
    for (name, reason), kernels in skips.items():
        print(f'skip: {name}: {reason} ({", ".join(kernels)})')
    print(*faults, sep='\n', end='\n' if faults else '')
    if not passed + failed:
        failed = 1
        print('failed: no test case ran')
    print(f'{passed} passed, {failed} failed')
    return failed


def main():
    arguments = read_arguments()
    folder = arguments.folder.resolve()
    folder.mkdir(exist_ok=True)
    try:
        qemu, busybox = guests.have_tools(folder)
        kernels = {name: guests.have_kernel(folder, name) for name in arguments.kernels}
    except guests.Unavailable as fault:
        sys.exit(f'kernels: {fault}')
    if arguments.prepare:
        return 0
    runs = [Run(name, program, Guest(kernel, qemu, busybox, folder),
                folder / f'{name}-{program.name}.log', arguments.case)
            for name, kernel in kernels.items() for program in arguments.program]
    runs = [run for run in runs if run.total]
    run_all(runs)
    return 1 if show_table(runs) else 0


def be_terminated(*_):
    sys.exit(143)


if __name__ == '__main__':
    signal.signal(signal.SIGTERM, be_terminated)
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
