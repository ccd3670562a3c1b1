"""The report as text: tables in Markdown, which are also what is printed."""

from statistics import median

import figures
from plan import BASELINE, BENCHES, EVERYONE


def number(value):
    if value is None:
        return '·'
    if value >= 1000:
        return f'{value:,.0f}'
    return f'{value:.2f}' if value < 10 else f'{value:.1f}'


def between(values, digits=2):
    return f'{values["lowest"]:.{digits}f}–{values["highest"]:.{digits}f}'


def table(head, rows):
    """Aligned as it stands, so that it reads well without being rendered."""
    cells = [head, *rows]
    widths = [max(len(row[i]) for row in cells) for i in range(len(head))]

    def line(row):
        first = row[0].ljust(widths[0])
        return '| ' + ' | '.join([first] + [cell.rjust(width) for cell, width
                                            in zip(row[1:], widths[1:])]) + ' |'

    rule = '|' + '|'.join([':' + '-' * (widths[0] + 1)] +
                          ['-' * (width + 1) + ':' for width in widths[1:]]) + '|'
    return '\n'.join([line(head), rule, *map(line, rows)])


def bench_table(bench, rows):
    shown = figures.columns(bench)
    name = figures.METRICS[bench.metric][0]
    head = ['', f'{name} to {BASELINE}', 'lowest–highest',
            *(figures.METRICS[metric][0] for metric in shown)]
    counted = any('system_calls' in row for row in rows.values())
    memory = any('resident_bytes_each' in row for row in rows.values())
    head += ['system calls', 'ring operations'] if counted else []
    head += ['bytes each', 'kernel'] if memory else []
    lines = []
    for contestant, row in rows.items():
        mark = f' ({row["disturbed_rounds"]} disturbed)' if row['disturbed_rounds'] else ''
        ratio = row.get('ratio')
        line = [contestant + mark, number(ratio and ratio['median']),
                between(ratio) if ratio else '·', *(number(row[metric]['median'])
                                                    for metric in shown)]
        line += [number(row.get('system_calls')), number(row.get('operations'))] if counted else []
        line += [number(row.get(kind)) for kind in ('resident_bytes_each', 'kernel_bytes_each')
                 ] if memory else []
        lines.append(line)
    return table(head, lines)


def goal_table(goals):
    rows = []
    for goal in goals:
        digits = goal['digits']
        verdict = ('yes' if goal['met'] else 'no') + ('' if goal['sure'] else '?')
        rows.append([goal['bench'], goal['against'], goal['of'], f'{goal["limit"]:.{digits}f}',
                     f'{goal["is"]:.{digits}f}', between(goal, digits), verdict])
    return table(['ringdown', 'against', 'of', 'at most', 'is', 'interval', 'met'], rows)


def overview(figures_made):
    """Of each bench the median ratio of each contestant to the baseline: what is to be cited."""
    names = [name for name in EVERYONE
             if any('ratio' in rows.get(name, {}) for rows in figures_made.values())]
    rows = []
    for bench in BENCHES:
        of = figures_made.get(bench.name, {})
        ratios = [of.get(name, {}).get('ratio') for name in names]
        if any(ratios):
            rows.append([bench.title, figures.METRICS[bench.metric][0].split(',')[0],
                         *(f'{ratio["median"]:.2f}' if ratio else '·' for ratio in ratios)])
    return table([f'relative to {BASELINE}', 'of', *names], rows) if rows else ''


def ring_table(ring):
    rows = [[f'{row["name"]}, {row["depth"]} at a time', row['by_hand_is'],
             number(row['nanoseconds']['by_hand']), number(row['nanoseconds']['ringdown']),
             f'{median(row["ratios"]):.2f}', between(figures.spread(row['ratios'])),
             number(row['goal']), number(row['instructions']['by_hand']),
             number(row['instructions']['ringdown'])] for row in ring]
    return table(['', 'by hand', 'ns by hand', 'ringdown', 'ratio', 'lowest–highest', 'at most',
                  'instructions by hand', 'ringdown'], rows)


LATE_NAMES = {'ringdown': 'ringdown', 'connect': 'by hand, connect(AF_UNSPEC) and close',
              'linger': 'by hand, SO_LINGER {1, 0} and close'}


def late_table(row):
    """Medians of the rounds; the ratio is of the same round."""
    kinds = [kind for kind in ('reset', 'fin') if row['rounds']['ringdown'][0][kind]]
    lines = []
    for kind in kinds:
        title = 'RST, past the deadline' if kind == 'reset' else 'FIN, past the asking'
        for who, rounds in row['rounds'].items():
            shown = [number(median(each[kind][which] for each in rounds))
                     for which in ('p50', 'p99', 'max')]
            ratios = figures.late_ratios(row, kind) if who == 'ringdown' else []
            lines.append([f'{LATE_NAMES[who]}: {title}', *shown,
                          f'{median(ratios):.2f}' if ratios else '·',
                          between(figures.spread(ratios)) if ratios else '·'])
    return table(['', 'p50, µs', 'p99, µs', 'last, µs', 'ratio of the last', 'lowest–highest'],
                 lines)


def markdown(document):
    """The parts of the report, as (name of the bench or '', Markdown)."""
    of = document['machine']
    parts = [('', '# Ringdown: bench report'),
             ('', f'{of["when"]}; Linux {of["kernel"]}, {of["cpus"]} CPUs ({of["model"]}); '
              f'{document["rounds"]} round{"s" if document["rounds"] > 1 else ""} of '
              f'{document["seconds"]} s, '
              f'{document["took_seconds"]:.0f} s in all.')]
    if document['remarks']:
        parts.append(('', '\n'.join(f'- {remark}' for remark in document['remarks'])))
    if document['goals']:
        met = sum(goal['met'] for goal in document['goals'])
        parts += [('', '## Goals'), ('', goal_table(document['goals'])),
                  ('', f'{met} of {len(document["goals"])} met, by the median of the rounds. The '
                   'interval holds that median with 90 % confidence from five rounds on; with '
                   'fewer it is all of them. A question mark: more rounds could tell '
                   'otherwise.')]
    cited = overview(document['figures'])
    if cited:
        parts += [('', '## Overview'), ('', 'Medians of the rounds; less is better.'),
                  ('overview', cited)]
    for bench in BENCHES:
        rows = document['figures'].get(bench.name)
        if rows:
            parts += [('', f'## {bench.title} (`{bench.name}`)'),
                      (bench.name, bench_table(bench, rows))]
    if document['ring']:
        parts += [('', '## Overhead on the ring (`ring`)'), ('ring', ring_table(document['ring']))]
    for row in document['late']:
        parts += [('', f'## Lateness: {row["title"]} (`late`)'),
                  ('', f'{row["connections"]:,} connections, of which {row["resets"]:,} are reset '
                   'at the deadline, as their peers saw it.'), ('late', late_table(row))]
    return parts
