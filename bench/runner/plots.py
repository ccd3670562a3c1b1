"""Plots by gnuplot, as SVG text."""

import shutil
import subprocess

import figures
from plan import BASELINE, BENCHES, EVERYONE

COLOURS = {'ringdown': '#c0392b', 'liburing': '#1f3a5f', 'liburing-fin': '#6c8ebf',
           'epoll': '#555555', 'epoll-fin': '#a6a6a6', 'asio-epoll': '#1e8449',
           'asio-uring': '#82c99a', 'libuv': '#e08e0b'}
OTHER = '#8e44ad'  # somebody else's server
WIDTH = 900
EDGE = 2.6  # of the overview


def available():
    return shutil.which('gnuplot') is not None


def colour(name):
    return COLOURS.get(name, OTHER)


def gnuplot(script):
    run = subprocess.run(['gnuplot'], input=script, capture_output=True, text=True, timeout=60)
    if run.returncode != 0 or '<svg' not in run.stdout:
        raise RuntimeError(f'gnuplot: {run.stderr.strip()}')
    return run.stdout[run.stdout.index('<svg'):]


def preamble(height, title):
    return (f'set terminal svg size {WIDTH},{height} dynamic font "sans,13" background "white"\n'
            'set encoding utf8\nset border 3 lc "#999999"\nset tics nomirror scale 0.5 '
            'textcolor "#444444"\nset grid lc "#e4e4e4" lt 1\nunset key\n'
            f'set title "{title}" textcolor "#222222"\n')


def block(name, lines):
    return f'${name} << END\n' + '\n'.join(lines) + '\nEND\n'


def overview(made):
    """One line a bench, one point a contestant; a whisker for ours from lowest to highest."""
    shown = [bench for bench in BENCHES
             if any('ratio' in row for row in made.get(bench.name, {}).values())]
    places = {bench.name: len(shown) - i for i, bench in enumerate(shown)}
    script, plots = [], []
    for number, name in enumerate(reversed(EVERYONE)):  # ours last, so on top
        lines = [f'{min(row["ratio"]["median"], EDGE)} {places[bench.name]} '
                 f'{row["ratio"]["lowest"]} {row["ratio"]["highest"]}' for bench in shown
                 if 'ratio' in (row := made[bench.name].get(name, {}))]
        if not lines or name == BASELINE:
            continue
        script.append(block(f'of{number}', lines))
        if name == 'ringdown':
            plots.append(f'$of{number} using 3:2:($4-$3):(0) with vectors nohead lw 2 '
                         f'lc "{colour(name)}" notitle')
        size = 1.1 if name == 'ringdown' else 0.8
        plots.append(f'$of{number} using 1:2 with points pt 7 ps {size} '
                     f'lc "{colour(name)}" title "{name}"')
    labels = ', '.join(f'"{bench.name}" {places[bench.name]}' for bench in shown)
    title = (f'relative to {BASELINE}: CPU; paced, p99; drains, time (further left is better; '
             f'{EDGE} and more: at the edge)')
    return gnuplot(preamble(max(110 + 24 * len(shown), 300), title) + ''.join(script) + f'''
set ytics ({labels})
set yrange [0.4:{len(shown) + 0.6}]
set xrange [0.3:{EDGE}]
set arrow from 1,graph 0 to 1,graph 1 nohead lc "#555555" dt 2
set key outside right top invert textcolor "#444444"
plot {", ".join(plots)}
''')


def bars(bench, rows):
    """Median ratio to the baseline, with the lowest and highest round as a whisker."""
    rows = [(name, row) for name, row in rows.items() if 'ratio' in row]
    data = [f'{i} {row["ratio"]["median"]} {row["ratio"]["lowest"]} {row["ratio"]["highest"]} '
            f'{int(colour(name)[1:], 16)} "{row["ratio"]["median"]:.2f}"'
            for i, (name, row) in enumerate(rows)]
    labels = ', '.join(f'"{name}" {i}' for i, (name, _) in enumerate(rows))
    metric = figures.METRICS[bench.metric][0].split(',')[0]
    title = f'{bench.title}: {metric}, relative to {BASELINE} (less is better)'
    return gnuplot(preamble(300, title) + block('data', data) + f'''
set grid noxtics ytics
set xtics ({labels}) scale 0
set boxwidth 0.55
set style fill solid 0.9 noborder
set yrange [0:*]
set offsets 0, 0, graph 0.12, 0
set xrange [-0.6:{len(rows) - 0.4}]
plot $data using 1:2:5 with boxes lc rgb variable, \\
     $data using 1:3:(0):($4-$3) with vectors nohead lw 2 lc "#222222", \\
     $data using 1:(0):6 with labels offset 0,0.7 textcolor "white", \\
     1 with lines lc "#555555" dt 2
''')


def latencies(bench, runs):
    """Latency against the share of connections that took longer; one line a contestant."""
    script, plots = [], []
    for number, (name, rounds) in enumerate(runs.items()):
        counts = {}
        for run in rounds.values():
            for lower, count in run['latency_microseconds']['buckets']:
                counts[lower] = counts.get(lower, 0) + count
        total, left, lines = sum(counts.values()), sum(counts.values()), []
        for lower in sorted(counts):
            lines.append(f'{left / total} {max(lower, 1) / 1000}')
            left -= counts[lower]
        script.append(block(f'of{number}', lines))
        plots.append(f'$of{number} using 1:2 with lines lw {2.5 if name == "ringdown" else 1.5} '
                     f'lc "{colour(name)}" title "{name}"')
    return gnuplot(preamble(340, f'{bench.title}: latency of each') + ''.join(script) + f'''
set logscale xy
set xrange [1:1e-5] reverse
set xtics ("p50" 0.5, "p90" 0.1, "p99" 0.01, "p99.9" 0.001, "p99.99" 0.0001)
set ylabel "µs" textcolor "#444444"
set key outside right textcolor "#444444"
plot {", ".join(plots)}
''')


def all_plots(made, results):
    """What is drawn behind each part of the report, as (title, SVG)."""
    drawn = {}
    if sum(any('ratio' in row for row in rows.values()) for rows in made.values()) > 3:
        drawn['overview'] = [('all benches', overview(made))]
    for bench in BENCHES:
        if bench.name not in made:
            continue
        behind = drawn.setdefault(bench.name, [])
        if any('ratio' in row for row in made[bench.name].values()):
            behind.append((f'{bench.title}: ratios', bars(bench, made[bench.name])))
        behind.append((f'{bench.title}: latency', latencies(bench, results[bench.name])))
    return drawn
