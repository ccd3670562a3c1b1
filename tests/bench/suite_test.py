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
import goals  # noqa: E402
import plan  # noqa: E402


def copy_of(build):
    """A build folder of its own, so that a real report is not overwritten."""
    folder = tempfile.mkdtemp()
    for part in ('servers', 'load', 'ring', 'late'):
        os.makedirs(os.path.join(folder, 'bench'), exist_ok=True)
        os.symlink(os.path.join(build, 'bench', part), os.path.join(folder, 'bench', part))
    return folder


def run(build, *arguments):
    return subprocess.run([sys.executable, os.path.join(RUNNER, 'main.py'), '--build', build,
                           *arguments], capture_output=True, text=True, timeout=280)


def every_bench_runs(build):
    done = run(build, '--quick', '--seconds', '0.01')
    assert done.returncode == 0, done.stderr
    with open(os.path.join(build, 'bench', 'report.json')) as file:
        document = json.load(file)
    there = set(os.listdir(os.path.join(build, 'bench', 'servers')))
    used = 0
    for bench in plan.BENCHES:
        for contestant in set(bench.contestants) & there:
            row = document['figures'][bench.name][contestant]
            # Of so short a time it can get none, on a busy machine.
            used += row['cpu']['median']
            assert all(row[metric]['median'] >= 0 for metric in figures.columns(bench)), row
            assert row.get('punts', 0) == 0 or contestant != 'ringdown', f'{bench.name}: {row}'
            assert row.get('workers', 0) == 0 or contestant != 'ringdown', f'{bench.name}: {row}'
    assert used > 0
    assert [row['depth'] for row in document['ring'][:3]] == [1, 16, 128], document['ring']
    assert ({row['name'] for row in document['ring']} ==
            {'no-op', 'timer', 'deadline', 'channel', 'spawn'}), document['ring']
    for row in document['ring']:
        instructions = row['instructions']['ringdown']
        assert row['depth'] > 1 or instructions is None or instructions > 10, row
    every_crowd_ends(document['late'])
    every_goal_is_judged(document, there)
    with open(os.path.join(build, 'bench', 'report.md')) as file:
        text = file.read()
    assert '## Goals' in text and '## Overview' in text, text
    with open(os.path.join(build, 'bench', 'report.html')) as file:
        text = file.read()
    assert ('data:image/svg+xml' in text) == (shutil.which('gnuplot') is not None)
    for outside in ('src="http', 'src="/', 'href', '<link', '<script'):
        assert outside not in text, f'report.html is not self-contained: {outside}'
    html.parser.HTMLParser().feed(text)


def every_crowd_ends(late):
    """Each at its deadline and not before, by us and by hand, as the peers saw it."""
    assert [row['name'] for row in late] == ['stuck-1000', 'silent-15000', 'beside-15000'], late
    for row in late:
        assert set(row['rounds']) == {'ringdown', 'connect', 'linger'}, row
        for rounds in row['rounds'].values():
            for measured in rounds:
                resets = measured['reset']
                assert 0 <= resets['p50'] <= resets['p99'] <= resets['max'], row
                assert (measured['fin'] is None) == (row['name'] == 'stuck-1000'), row


def every_goal_is_judged(document, there):
    """Save those against contestants that are not built, that count where that is refused, or whose
    figure is 0: so short a time on a busy machine may give a server no CPU, and there is no ratio
    to nothing."""
    names = {bench.title: bench.name for bench in plan.BENCHES}

    def got_none(goal):
        rows = document['figures'].get(names.get(goal.what), {})
        return any(row['cpu']['median'] == 0 for row in rows.values())

    counted = not any('tracepoints' in remark for remark in document['remarks'])
    missing = [goal for goal in goals.GOALS
               if not any((row['bench'], row['against'], row['of']) ==
                          (goal.what, goal.against, goal.of) for row in document['goals'])]
    for goal in missing:
        assert goal.against in plan.EVERYONE and goal.against not in there or (
            goal.exact and not counted) or got_none(goal), goal.what


def bad_options_are_refused_in_one_line(build):
    """It says what was wrong and what would do."""
    for bad, helps in ((('--only', 'nothing'), 'server-first-64'),
                       (('--only', 'echo-1', '--server', 'nobody'), 'ringdown'),
                       (('--rounds', '0'), 'from 1 to'), (('--rounds', 'x'), 'from 1 to'),
                       (('--seconds', 'nan'), 'from 0.01 to'), (('--seconds',), 'argument'),
                       (('--quik',), '--quik'), (('--build', 'nowhere'), './dev build')):
        done = run(build, *bad)
        assert done.returncode == 2 and helps in done.stderr, f'{bad}: {done.stderr}'
        assert done.stderr.count('\n') == 1 and not done.stdout, f'{bad}: {done.stderr}'


def the_list_names_every_bench(build):
    done = run(build, '--list')
    named = [line.split()[0] for line in done.stdout.splitlines()]
    assert named == [bench.name for bench in plan.BENCHES] + ['ring', 'late'], done.stdout


def only_what_was_asked_for_runs(build):
    """And each round is in the report, with a goal about it."""
    done = run(build, '--only', 'abort', '--rounds', '2', '--seconds', '0.01', '--server', 'epoll',
               '--server', 'ringdown')
    assert done.returncode == 0, done.stderr
    with open(os.path.join(build, 'bench', 'report.json')) as file:
        document = json.load(file)
    assert list(document['runs']) == ['abort-64'] and not document['ring'], document['runs'].keys()
    assert {name: len(rounds) for name, rounds in document['runs']['abort-64'].items()} == {
        'ringdown': 2, 'epoll': 2}
    assert ('churn, server aborts, 64 at a time', 'epoll') in [
        (goal['bench'], goal['against']) for goal in document['goals']], document['goals']


def a_ring_above_the_limit_ends_with_status_1(build):
    """And one below it with 0."""
    ring = os.path.join(build, 'bench', 'ring', 'ring')
    for limit, status in (('0.0001', 1), ('100000', 0)):
        done = subprocess.run([ring, '--only', 'no-op', '--rounds', '1', '--count', '1000',
                               '--limit', limit], capture_output=True, text=True, timeout=60)
        assert done.returncode == status, done.stdout + done.stderr
        assert ('above the limit' in done.stdout) == (status == 1), done.stdout
    for bad in (('--limit', '-1'), ('--only', 'nothing')):
        done = subprocess.run([ring, *bad], capture_output=True, text=True, timeout=60)
        assert done.returncode == 2 and done.stderr.count('\n') == 1, done.stderr


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


def lateness_is_compared_with_the_quicker_way_by_hand(_):
    """Of the same round."""
    def rounds(*last):
        return [{'reset': {'max': each}} for each in last]

    row = {'name': 'stuck-1000', 'rounds': {'ringdown': rounds(12, 10), 'connect': rounds(10, 20),
                                            'linger': rounds(16, 5)}}
    assert figures.late_ratios(row) == [1.2, 2.0]
    (goal,) = goals.judge(goals.Measured({}, {}, [], [row]))
    assert goal['is'] == 1.6 and not goal['met'], goal


def the_interval_holds_the_median_with_90_percent(_):
    """By the binomial distribution: of 5 values all, of 9 those without the outermost."""
    for values, lowest, highest in (([3], 3, 3), ([2, 1, 3], 1, 3), ([5, 1, 2, 3, 4], 1, 5),
                                    (list(range(9)), 1, 7), (list(range(15)), 3, 11)):
        assert goals.interval(values) == {'lowest': lowest, 'highest': highest}, values


def a_goal_is_met_by_the_median_and_sure_by_the_interval(_):
    """Each of the four verdicts, and one that few values cannot give."""
    def took(nanoseconds):
        return {'cpu_nanoseconds': nanoseconds, 'units': 1}

    def verdict(ratios):
        rounds = range(len(ratios))
        results = {'abort-64': {'ringdown': {i: took(ratios[i]) for i in rounds},
                                'epoll': {i: took(1) for i in rounds}}}
        (row,) = goals.judge(goals.Measured(results, {}, []))
        return row['met'], row['sure']

    assert verdict([0.7, 0.8, 0.8, 0.8, 0.89]) == (True, True)
    assert verdict([0.7, 0.8, 0.8, 0.8, 0.95]) == (True, False)
    assert verdict([0.7, 0.92, 0.95, 0.95, 0.95]) == (False, False)
    assert verdict([0.91, 0.92, 0.95, 0.95, 0.95]) == (False, True)
    assert verdict([0.7]) == (True, False)


def counted_goals_compare_with_the_limit(_):
    """System calls and punts come from the counting runs; where they are refused, from nowhere."""
    def counted(calls, punts):
        return [{'units': 100, 'system_calls': calls, 'punts': punts}]

    def rows(of):
        return {(row['bench'], row['of']): row
                for row in goals.judge(goals.Measured({}, {'client-first-64': of}, []))}

    made = rows({'ringdown': counted(530, 2), 'liburing': counted(500, 0)})
    calls = made['churn, client ends first, 64 at a time', 'system calls more']
    assert abs(calls['is'] - 0.3) < 1e-9 and not calls['met'], calls
    punts = made['kernel worker punts, every bench', 'operations']
    assert punts['is'] == 2 and not punts['met'] and punts['sure'], punts
    assert not rows({'ringdown': counted(None, None), 'liburing': counted(None, None)})


def main(build):
    cases = (every_bench_runs, bad_options_are_refused_in_one_line, the_list_names_every_bench,
             only_what_was_asked_for_runs, a_program_that_lies_fails_the_run,
             a_ring_above_the_limit_ends_with_status_1, ratios_are_taken_within_a_round,
             lateness_is_compared_with_the_quicker_way_by_hand,
             the_interval_holds_the_median_with_90_percent,
             a_goal_is_met_by_the_median_and_sure_by_the_interval,
             counted_goals_compare_with_the_limit)
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
