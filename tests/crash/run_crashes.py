#!/usr/bin/env python3
"""Runs programs that misuse the library, and checks that each is stopped with a helpful line.

usage: run_crashes.py PROGRAM…

Each program prints the line that it must be stopped with, then does what is not allowed. It has to
end by SIGABRT, with that line on standard error, behind 'ringdown: '. Closes with
`N passed, N failed`.
"""

import pathlib
import signal
import subprocess
import sys

PATIENCE_S = 20


def complaint(program):
    """Returns what is wrong about how the program ended, or None."""
    try:
        run = subprocess.run([program], capture_output=True, text=True, errors='replace',
                             timeout=PATIENCE_S, check=False)
    except subprocess.TimeoutExpired:
        return f'still ran after {PATIENCE_S} s'
    expected = run.stdout.strip()
    said = run.stderr.strip() or 'nothing'
    if not expected:
        return f'did not say what it expects; it wrote: {said}'
    if run.returncode != -signal.SIGABRT:
        return f'was not stopped (exit status {run.returncode}); expected: {expected}'
    if f'ringdown: {expected}' not in said.splitlines():
        return f'expected: {expected}\n  it wrote: {said}'
    return None


def main(programs):
    failed = 0
    for program in programs:
        wrong = complaint(program)
        failed += wrong is not None
        name = pathlib.Path(program).name.removeprefix('crash_')
        print(f'{name}: {"FAILED: " + wrong if wrong else "stopped as it should be"}')
    print(f'{len(programs) - failed} passed, {failed} failed')
    return 1 if failed else 0


if __name__ == '__main__':
    if len(sys.argv) < 2:
        sys.exit(f'usage: {sys.argv[0]} PROGRAM…')
    sys.exit(main(sys.argv[1:]))
