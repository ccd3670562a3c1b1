#!/usr/bin/env python3
"""The bench suite runs, tiny, and writes what it says.

usage: suite_test.py BUILD
"""

import html.parser
import json
import os
import shutil
import subprocess
import sys
import tempfile

RUNNER = os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', '..', 'bench', 'runner')
sys.path.insert(0, RUNNER)

import figures  # noqa: E402
import plan  # noqa: E402


def copy_of(build):
    """A build folder of its own, so that a real report is not overwritten."""
    folder = tempfile.mkdtemp()
    for part in ('servers', 'load', 'ring'):
        os.makedirs(os.path.join(folder, 'bench'), exist_ok=True)
        os.symlink(os.path.join(build, 'bench', part), os.path.join(folder, 'bench', part))
    return folder


def run(build, *arguments):
    return subprocess.run([sys.executable, os.path.join(RUNNER, 'main.py'), '--build', build,
                           *arguments], capture_output=True, text=True, timeout=110)


def every_bench_runs(build):
    done = run(build, '--quick', '--seconds', '0.02')
    assert done.returncode == 0, done.stderr
    with open(os.path.join(build, 'bench', 'report.json')) as file:
        document = json.load(file)
    there = set(os.listdir(os.path.join(build, 'bench', 'servers')))
    for bench in plan.BENCHES:
        for contestant in set(bench.contestants) & there:
            row = document['figures'][bench.name][contestant]
            assert row['cpu']['median'] > 0, f'{bench.name}, {contestant}: {row}'
            assert row.get('punts', 0) == 0 or contestant != 'ringdown', f'{bench.name}: {row}'
            assert row.get('workers', 0) == 0 or contestant != 'ringdown', f'{bench.name}: {row}'
    assert [row['depth'] for row in document['ring']] == [1, 16, 128], document['ring']
    assert len(document['goals']) == len(plan.GOALS) or 'asio-epoll' not in there
    with open(os.path.join(build, 'bench', 'report.html')) as file:
        text = file.read()
    assert ('data:image/svg+xml' in text) == (shutil.which('gnuplot') is not None)
    for outside in ('src="http', 'src="/', 'href', '<link', '<script'):
        assert outside not in text, f'report.html is not self-contained: {outside}'
    html.parser.HTMLParser().feed(text)


def a_wrong_name_is_refused_with_those_that_there_are(build):
    done = run(build, '--only', 'nothing')
    assert done.returncode == 2 and 'server-first-64' in done.stderr, done.stderr
    done = run(build, '--only', 'echo-1', '--server', 'nobody')
    assert done.returncode == 1 and 'ringdown' in done.stderr, done.stderr


def a_program_that_lies_fails_the_run(build):
    """Somebody's own server takes part by its name; one that sends wrong bytes is found out."""
    servers = os.path.join(build, 'bench', 'servers')
    originals = os.path.realpath(servers)
    os.unlink(servers)
    os.mkdir(servers)
    liar = os.path.join(os.path.dirname(os.path.abspath(__file__)), 'liar.py')
    with open(os.path.join(servers, 'liar'), 'w') as file:
        file.write(f'#!/bin/sh\nexec {sys.executable} {liar} "$@"\n')
    os.chmod(os.path.join(servers, 'liar'), 0o755)
    os.symlink(os.path.join(originals, 'epoll'), os.path.join(servers, 'epoll'))
    done = run(build, '--quick', '--only', 'echo-1', '--server', 'liar')
    assert done.returncode == 1, done.stdout + done.stderr
    assert 'echo-1, liar: load: an echo has a wrong byte' in done.stderr, done.stderr


def ratios_are_taken_within_a_round(_):
    bench = plan.BENCHES[0]

    def took(cpu):
        return {'cpu_nanoseconds': cpu * 1000, 'units': 1}

    results = {bench.name: {'ringdown': {0: took(50), 1: took(300), 2: took(7)},
                            plan.BASELINE: {0: took(100), 1: took(400)}}}
    assert figures.ratios(results, bench, 'ringdown', plan.BASELINE) == [0.5, 0.75]


def main(build):
    cases = (every_bench_runs, a_wrong_name_is_refused_with_those_that_there_are,
             a_program_that_lies_fails_the_run, ratios_are_taken_within_a_round)
    failed = 0
    for case in cases:
        folder = copy_of(build)
        try:
            case(folder)
        except AssertionError as wrong:
            failed += 1
            print(f'FAILED: {case.__name__}: {wrong}')
        finally:
            shutil.rmtree(folder)
    print(f'{len(cases) - failed} passed, {failed} failed')
    return 1 if failed else 0


if __name__ == '__main__':
    sys.exit(main(os.path.abspath(sys.argv[1])))
