"""The report as text: tables in Markdown, which are also what is printed."""

import figures
from plan import BASELINE, BENCHES


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
    rows = [[goal['bench'], goal['against'], goal['metric'], f'{goal["limit"]:.2f}',
             f'{goal["ratio"]["median"]:.2f}', between(goal['ratio']),
             'yes' if goal['met'] else 'no'] for goal in goals]
    return table(['ringdown', 'against', 'ratio of', 'at most', 'is', 'lowest–highest', 'met'],
                 rows)


def ring_table(ring):
    rows = [[f'{row["name"]}, {row["depth"]} at a time', f'{row["ringdown"]:.1f}',
             f'{row["liburing"]:.1f}', f'{row["ratio"]["median"]:.3f}', between(row['ratio'], 3)]
            for row in ring]
    return table(['on the ring, ns each', 'ringdown', 'liburing', 'ratio', 'lowest–highest'], rows)


def markdown(document):
    of = document['machine']
    parts = ['# Ringdown: bench report',
             f'{of["when"]}; Linux {of["kernel"]}, {of["cpus"]} CPUs ({of["model"]}); '
             f'{document["rounds"]} rounds of {document["seconds"]} s.']
    if document['remarks']:
        parts.append('\n'.join(f'- {remark}' for remark in document['remarks']))
    for bench in BENCHES:
        rows = document['figures'].get(bench.name)
        if rows:
            parts += [f'## {bench.title} (`{bench.name}`)', bench_table(bench, rows)]
    if document['ring']:
        parts += ['## Overhead on the ring (`ring`)', ring_table(document['ring'])]
    if document['goals']:
        parts += ['## Goals', goal_table(document['goals'])]
    return '\n\n'.join(parts) + '\n'
