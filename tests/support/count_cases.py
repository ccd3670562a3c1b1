#!/usr/bin/env python3
"""Counts test cases, not test programs, in the log that `meson test` wrote.

usage: count_cases.py TESTLOG.json STATUS [NAME…]

STATUS is the exit status of `meson test`; each NAME is a test that must have run. Shows the log of
every test that failed, names what was skipped and closes with `N passed, N failed`.

A test program says how many cases it ran by doctest's summary, or by `N passed, N failed` (and
perhaps `, N skipped`) as its last line; without either it counts as one case. A skip is a line
`skip: reason`, printed plainly or by doctest's MESSAGE; a case that was skipped did not pass. Doubt
counts as a failure: a program that crashed, timed out, stopped before its summary or ran no case, a
log that is missing or cut off, and meson failing by itself. The exit status is 0 only when a case
ran and none failed.
"""

import json
import re
import signal
import sys

CLOSING = re.compile(r'(\d+) passed, (\d+) failed(?:, (\d+) skipped)?')
SUMMARY = re.compile(r'^\[doctest\] test cases: +\d+ \| +(\d+) passed \| +(\d+) failed \|'
                     r'(?: +(\d+) skipped)?', re.MULTILINE)
SKIP = re.compile(r'(?P<message>.*\bMESSAGE: )?\s*skip: *(?P<reason>.*)')
COLOUR = re.compile(r'\x1b\[[\d;]*m')
LINES_MAX = 300  # shown of one failing log; its end says what went wrong


def output_of(run):
    streams = (run.get('stdout'), run.get('stderr'))
    return COLOUR.sub('', '\n'.join(stream.rstrip() for stream in streams if stream))


def skips(run):
    """Returns (case, reason) of each skip; the case is known where doctest names it, else empty."""
    found, case = [], ''
    for line in output_of(run).splitlines():
        if line.startswith('TEST CASE:'):
            case = line.removeprefix('TEST CASE:').strip()
        elif skip := SKIP.fullmatch(line):
            found.append((case if skip['message'] else '', skip['reason']))
    return found


def reported(run):
    """Returns (passed, failed, skipped) as the program reported them, or None if it did not."""
    text = COLOUR.sub('', run.get('stdout') or '').rstrip()
    if closing := CLOSING.fullmatch(text.rpartition('\n')[2].strip()):
        return tuple(int(n) for n in closing.groups('0'))
    summaries = SUMMARY.findall(text)
    if not summaries:
        return None
    passed, failed, skipped = (sum(int(n or 0) for n in column) for column in zip(*summaries))
    # To doctest, a case that found its kernel feature missing, said so and returned has passed.
    returned = len({case for case, _ in skips(run) if case})
    return max(passed - returned, 0), failed, skipped + returned


def stopped_early(run):
    """Tells whether doctest began and never came to its summary, say because something exited."""
    text = run.get('stdout') or ''
    return '[doctest] doctest version' in text and reported(run) is None


def count(run):
    """Returns (passed, failed, skipped) as they count: meson's word overrules what was printed."""
    result = run['result']
    passed, failed, skipped = reported(run) or (0, 0, 0)
    if result == 'EXPECTEDFAIL':
        return 1, 0, 0
    if result == 'SKIP':
        return passed, failed, max(skipped, 1)
    if result != 'OK' or stopped_early(run):
        return passed, max(failed, 1), skipped
    if reported(run) is None:
        return (0, 0, 1) if skips(run) else (1, 0, 0)
    return passed, failed if passed + failed + skipped else 1, skipped


def how_it_ended(run):
    status = run.get('returncode')
    if run['result'] == 'TIMEOUT':
        return f'timed out after {run.get("duration", 0):.0f} s'
    if stopped_early(run):
        return 'stopped before the end of its test cases'
    if status == 0:
        return 'exit status 0, but not every case passed, or none ran'
    if status is not None and -status in set(signal.Signals):
        return f'killed by {signal.Signals(-status).name}'
    return f'exit status {status}'


def show_failure(name, run):
    lines = output_of(run).splitlines()
    print(f'----- failed: {name} ({how_it_ended(run)}) -----')
    if len(lines) > LINES_MAX:
        print(f'({len(lines) - LINES_MAX} lines left out; testlog.txt has them all)')
    print('\n'.join(lines[-LINES_MAX:]) or '(it printed nothing)')
    print(f'----- end of {name} -----')


def read(path):
    """Returns the runs in the log, and what is wrong with the log itself."""
    runs, faults = [], []
    try:
        with open(path, encoding='utf-8', errors='replace') as log:
            runs = [json.loads(line) for line in log if line.strip()]
    except OSError:
        faults = ['meson wrote no log']
    except ValueError:
        faults = ['the log is cut off']
    return runs, faults


def main(path, status, *names):
    sys.stdout.reconfigure(errors='backslashreplace')
    runs, faults = read(path)
    passed = failed = skipped = 0
    ran, failures = set(), []
    for run in runs:
        name = run['name'].rpartition(' / ')[2]  # project:suite / name
        ran.add(name)
        counts = count(run)
        if counts[1]:
            failures.append((name, run))
        known = skips(run)
        for case, reason in known:
            print(f'skip: {name}: {case + ": " if case else ""}{reason}')
        if counts[2] > len(known):
            print(f'skip: {name}: {counts[2] - len(known)} that gave no reason')
        passed, failed, skipped = passed + counts[0], failed + counts[1], skipped + counts[2]
    for name, run in failures:
        show_failure(name, run)

    faults = [f'no test named {name} ran' for name in names if name not in ran] or faults
    if status != '0' and not failed and not faults:
        faults.append(f'meson test failed by itself, with exit status {status}')
    if passed + failed == 0 and not faults:
        faults.append('no test case ran')
    for fault in faults:
        print(f'failed: {fault}')
    failed += len(faults)
    if skipped:
        print(f'{skipped} skipped, see above')
    print(f'{passed} passed, {failed} failed')
    return 1 if failed else 0


if __name__ == '__main__':
    if len(sys.argv) < 3:
        sys.exit('usage: count_cases.py TESTLOG.json STATUS [NAME…]')
    sys.exit(main(*sys.argv[1:]))
