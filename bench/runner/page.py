"""The report as one HTML file that needs nothing else."""

import base64
import html

# Plots stay on white in the dark, too: one drawing for both.
STYLE = ''':root{color-scheme:light dark;--text:#1d2330;--faint:#667;--line:#d8dce4;--page:#fbfbfd;
--card:#fff;--good:#1a7f4b;--bad:#c0392b;--ours:#c0392b14}
@media(prefers-color-scheme:dark){:root{--text:#e3e6ee;--faint:#99a;--line:#343a48;--page:#14171f;
--card:#1b1f2a;--good:#4cc38a;--bad:#ff7b6b;--ours:#ff7b6b1f}}
body{font:15px/1.55 system-ui,sans-serif;max-width:76rem;margin:0 auto;padding:1.5rem 1rem 4rem;
color:var(--text);background:var(--page)}
h1{font-size:1.6rem;margin:.5rem 0}h2{font-size:1.15rem;margin:2.5rem 0 .5rem}
p,li{color:var(--faint)}
.wide{overflow-x:auto;background:var(--card);border:1px solid var(--line);border-radius:8px}
table{border-collapse:collapse;width:100%;font-size:13px;font-variant-numeric:tabular-nums}
td,th{padding:.35rem .75rem;border-bottom:1px solid var(--line);text-align:right;
vertical-align:top}
td.n{white-space:nowrap}th{color:var(--faint);font-weight:600}
tr:last-child td{border-bottom:0}
td:first-child,th:first-child{text-align:left;position:sticky;left:0;background:var(--card)}
tr.ours td{background-color:var(--card);
background-image:linear-gradient(var(--ours),var(--ours));font-weight:600}
td.yes{color:var(--good);font-weight:600}td.no{color:var(--bad);font-weight:600}
img{display:block;width:100%;height:auto;margin:1rem 0;background:#fff;border-radius:8px;
border:1px solid var(--line);box-sizing:border-box;padding:.25rem}
@media(max-width:40rem){body{font-size:14px;padding:1rem .6rem}td,th{padding:.3rem .5rem}
td:first-child,th:first-child{min-width:7rem;max-width:9rem}}'''


def kind_of(cell):
    """A verdict has a colour, and a number is never broken."""
    word = cell.rstrip('?')
    if word in ('yes', 'no'):
        return f' class="{word}"'
    return ' class="n"' if cell[:1].isdigit() else ''


def table_of(lines):
    head, _, *rows = [[html.escape(cell.strip()) for cell in line.strip('|').split('|')]
                      for line in lines]
    titles = ''.join(f'<th>{cell}</th>' for cell in head)
    made = [f'<div class="wide"><table><tr>{titles}</tr>']
    for row in rows:
        ours = ' class="ours"' if row[0].partition(' ')[0] == 'ringdown' else ''
        made.append(f'<tr{ours}>' + ''.join(f'<td{kind_of(cell)}>{cell}</td>' for cell in row)
                    + '</tr>')
    return '\n'.join(made) + '</table></div>'


def block(text):
    """Of Markdown just what report.py writes."""
    if text.startswith('|'):
        return table_of(text.splitlines())
    if text.startswith('- '):
        return '<ul>' + ''.join(f'<li>{html.escape(line[2:])}</li>'
                                for line in text.splitlines()) + '</ul>'
    level = len(text) - len(text.lstrip('#'))
    kind = f'h{level}' if level else 'p'
    words = html.escape(text.lstrip('# ')).split('`')
    words[1::2] = [f'<code>{word}</code>' for word in words[1::2]]
    return f'<{kind}>{"".join(words)}</{kind}>'


def picture(title, svg):
    # As a picture, not inline: gnuplot gives parts of every plot the same names.
    data = base64.b64encode(svg.encode()).decode()
    return f'<img alt="{html.escape(title)}" src="data:image/svg+xml;base64,{data}">'


def page(parts, plots):
    """`plots` has for a part's name what is drawn behind it, as (title, SVG)."""
    body = []
    for name, text in parts:
        body.append(block(text))
        body += [picture(title, svg) for title, svg in plots.get(name, ())]
    return ('<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" '
            'content="width=device-width,initial-scale=1"><title>Ringdown: bench '
            f'report</title><style>{STYLE}</style></head><body>\n' + '\n'.join(body) +
            '\n</body></html>\n')
