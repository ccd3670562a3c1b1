"""Reads metrics on standard input with Prometheus's own parser for Python, and writes them as JSON.

A program of its own, because the parser may be installed for another Python than the one that runs
the tests. Exit status 77 without it.
"""
import json
import sys

try:
    from prometheus_client.parser import text_string_to_metric_families
except ImportError:
    sys.exit(77)

print(json.dumps([
    {'name': family.name, 'type': family.type, 'help': family.documentation,
     'samples': [[sample.name, sample.labels, sample.value] for sample in family.samples]}
    for family in text_string_to_metric_families(sys.stdin.read())]))
