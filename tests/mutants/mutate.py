"""Copies a source file with one line made wrong; fails when the line is not there any more.

usage: mutate.py SOURCE COPY 'right text' 'wrong text'
"""
import pathlib
import sys

source, copy, right, wrong = sys.argv[1:]
text = pathlib.Path(source).read_text()
if text.count(right) != 1:
    sys.exit(f"{source} holds {text.count(right)} times, not once: {right}")
pathlib.Path(copy).write_text(text.replace(right, wrong))
