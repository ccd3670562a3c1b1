"""The report as one HTML file that needs nothing else."""

import base64
import html

STYLE = '''body{font:15px/1.5 sans-serif;max-width:62rem;margin:2rem auto;padding:0 1rem;color:#222}
table{border-collapse:collapse;margin:1rem 0;font-size:13px}td,th{padding:.2rem .7rem;
border-bottom:1px solid #ddd;text-align:right}td:first-child,th:first-child{text-align:left}
img{display:block;max-width:100%;margin:1rem 0}'''


def table_of(lines):
    rows = [[html.escape(cell.strip()) for cell in line.strip('|').split('|')] for line in lines]
    made = ['<table><tr>' + ''.join(f'<th>{cell}</th>' for cell in rows[0]) + '</tr>']
    made += ['<tr>' + ''.join(f'<td>{cell}</td>' for cell in row) + '</tr>' for row in rows[2:]]
    return '\n'.join(made) + '</table>'


def block(text):
    """Of Markdown just what report.py writes."""
    if text.startswith('|'):
        return table_of(text.splitlines())
    if text.startswith('- '):
        return '<ul>' + ''.join(f'<li>{html.escape(line[2:])}</li>'
                                for line in text.splitlines()) + '</ul>'
    level = len(text) - len(text.lstrip('#'))
    kind = f'h{level}' if level else 'p'
    return f'<{kind}>{html.escape(text.lstrip("# "))}</{kind}>'


def picture(svg):
    # As a picture, not inline: gnuplot gives parts of every plot the same names.
    data = base64.b64encode(svg.encode()).decode()
    return f'<img alt="plot" src="data:image/svg+xml;base64,{data}">'


def page(markdown, plots):
    body = [block(text) for text in markdown.strip().split('\n\n')]
    if plots:
        body += ['<h2>Plots</h2>', *map(picture, plots)]
    return ('<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Ringdown: bench '
            f'report</title><style>{STYLE}</style></head><body>\n' + '\n'.join(body) +
            '\n</body></html>\n')
