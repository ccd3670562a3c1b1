"""Plots by gnuplot, as SVG text."""

import shutil
import subprocess

import figures
from plan import BASELINE, BENCHES

COLOURS = {'ringdown': '#c0392b', 'liburing': '#2c3e50', 'liburing-fin': '#7f8c8d',
           'epoll': '#2980b9', 'epoll-fin': '#85c1e9', 'asio-epoll': '#27ae60',
           'asio-uring': '#a9dfbf', 'libuv': '#e67e22'}


def available():
    return shutil.which('gnuplot') is not None


def gnuplot(script):
    run = subprocess.run(['gnuplot'], input=script, capture_output=True, text=True, timeout=60)
    if run.returncode != 0 or '<svg' not in run.stdout:
        raise RuntimeError(f'gnuplot: {run.stderr.strip()}')
    return run.stdout[run.stdout.index('<svg'):]


def preamble(width, height):
    return (f'set terminal svg size {width},{height} dynamic font "sans,12" background "white"\n'
            'set encoding utf8\nset border 3 lc "#888888"\nset tics nomirror\n'
            'set grid y lc "#dddddd"\n')


def bars(bench, rows):
    """Median ratio to the baseline, with the lowest and highest round as a whisker."""
    rows = [(name, row) for name, row in rows.items() if 'ratio' in row]
    data = '\n'.join(f'{i} {row["ratio"]["median"]} {row["ratio"]["lowest"]} '
                     f'{row["ratio"]["highest"]} {int(COLOURS.get(name, "#999999")[1:], 16)}'
                     for i, (name, row) in enumerate(rows))
    labels = ', '.join(f'"{name}" {i}' for i, (name, _) in enumerate(rows))
    label = figures.METRICS[bench.metric][0].split(',')[0]
    return gnuplot(preamble(860, 300) + f'''
$data << END
{data}
END
set title "{bench.title}: {label}, relative to {BASELINE} (less is better)"
set xtics ({labels})
set boxwidth 0.6
set style fill solid 0.85 noborder
set yrange [0:*]
set xrange [-0.6:{len(rows) - 0.4}]
unset key
plot $data using 1:2:5 with boxes lc rgb variable, \\
     $data using 1:2:3:4 with yerrorbars lc "#333333" pt 0, 1 with lines lc "#888888" dt 2
''')


def latencies(bench, runs):
    """Latency against the share of connections that took longer; one line a contestant."""
    blocks, plots = [], []
    for number, (name, rounds) in enumerate(runs.items()):
        counts = {}
        for run in rounds.values():
            for lower, count in run['latency_microseconds']['buckets']:
                counts[lower] = counts.get(lower, 0) + count
        total, left, lines = sum(counts.values()), sum(counts.values()), []
        for lower in sorted(counts):
            lines.append(f'{left / total} {max(lower, 1) / 1000}')
            left -= counts[lower]
        blocks.append(f'$of{number} << END\n' + '\n'.join(lines) + '\nEND\n')
        plots.append(f'$of{number} using 1:2 with lines lw 1.5 lc rgb '
                     f'"{COLOURS.get(name, "#999999")}" title "{name}"')
    return gnuplot(preamble(860, 340) + ''.join(blocks) + f'''
set title "{bench.title}: latency"
set logscale xy
set xrange [1:1e-5] reverse
set xtics ("p50" 0.5, "p90" 0.1, "p99" 0.01, "p99.9" 0.001, "p99.99" 0.0001)
set ylabel "µs"
set key outside right
plot {", ".join(plots)}
''')


def all_plots(made, results):
    """(title, SVG) of each bench that was measured."""
    drawn = []
    for bench in BENCHES:
        if bench.name not in made:
            continue
        if any('ratio' in row for row in made[bench.name].values()):
            drawn.append(bars(bench, made[bench.name]))
        drawn.append(latencies(bench, results[bench.name]))
    return drawn
