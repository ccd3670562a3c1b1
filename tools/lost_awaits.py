#!/usr/bin/env python3
"""Finds what g++ 12 compiles wrongly in coroutines.

usage: lost_awaits.py -p BUILD [FOLDER or FILE...]

Reads the sources that BUILD/compile_commands.json names, all of them or those given and below the
folders given, and prints a line for each place:

- a `co_await` in the condition of an `if`, `while`, `switch`, `for` or `do`: in a coroutine without
  local declarations the wait is lost, and the coroutine never goes on;
- a closure with captures, or an aggregate, that has members with destructors and is made inside a
  `co_await` expression: its members are destroyed twice.

Give the answer, or the object, a name first. Needs clang-query (Debian: clang-tools-19), which knows
the language; CLANG_QUERY names another one. Exit status: 0 when there is no such place, 1 when
there is one, 2 when the sources cannot be read.
"""
import argparse
import collections
import concurrent.futures
import json
import os
import pathlib
import re
import shlex
import shutil
import subprocess
import sys
import tempfile

IN_CONDITION = "co_await in a condition; give its answer a name first"
DESTROYED_TWICE = "a temporary made inside a co_await expression; give it a name first"

# A lambda inside the expression is another function, whose awaits are its own.
AWAIT_OF_THE_SAME = 'coawaitExpr(forCallable(decl(equalsBoundNode("coroutine"))))'
WITH_AWAIT = f"anyOf({AWAIT_OF_THE_SAME}, hasDescendant({AWAIT_OF_THE_SAME}))"
MADE_AT_ONCE = ("anyOf(has(lambdaExpr()), has(initListExpr()), "
                "has(cxxFunctionalCastExpr(has(initListExpr()))))")
CONDITIONED = "anyOf(ifStmt(), whileStmt(), switchStmt(), forStmt(), doStmt())"
QUERIES = [
    (IN_CONDITION, f'stmt(unless(isExpansionInSystemHeader()), {CONDITIONED}, '
                   f'forCallable(decl().bind("coroutine")), '
                   f'anyOf(ifStmt(hasCondition({WITH_AWAIT})), '
                   f'whileStmt(hasCondition({WITH_AWAIT})), '
                   f'switchStmt(hasCondition({WITH_AWAIT})), '
                   f'forStmt(hasCondition({WITH_AWAIT})), '
                   f'doStmt(hasCondition({WITH_AWAIT})))).bind("place")'),
    (DESTROYED_TWICE, f'cxxBindTemporaryExpr(unless(isExpansionInSystemHeader()), '
                      f'forCallable(decl().bind("coroutine")), '
                      f'{MADE_AT_ONCE}, hasAncestor({AWAIT_OF_THE_SAME})).bind("place")'),
]
INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*(?:<([^>\n]+)>|"([^"\n]+)")', re.MULTILINE)
FEW = 4  # sources, for which reading a header in advance costs more than it saves
PLACE = re.compile(r'^(?P<file>[^:\n]+):(?P<line>\d+):(?P<column>\d+): note: "place" binds here$')


def fail(why):
    print(f"lost_awaits: {why}", file=sys.stderr)
    sys.exit(2)


def clang_query():
    named = os.environ.get("CLANG_QUERY")
    for each in [named] if named else ["clang-query-19", "clang-query"]:
        if shutil.which(each):
            return each
    fail(f"there is no {named or 'clang-query'}; install Debian's clang-tools-19")


def without_precompiled(entry):
    """The entry's command without headers that only another compiler has, precompiled."""
    words = entry.get("arguments") or shlex.split(entry["command"])
    folders = ["", *(word[2:] for word in words if word.startswith("-I"))]

    def there(header):
        return any(os.path.exists(os.path.join(entry["directory"], folder, header))
                   for folder in folders)

    kept = []
    for before, word in zip(["", *words], words):
        if before == "-include" and not there(word):
            kept.pop()
        else:
            kept.append(word)
    return kept


def wanted_sources(build, wanted):
    """The entries of the sources that are wanted, each once."""
    try:
        entries = json.loads((build / "compile_commands.json").read_text())
    except (OSError, ValueError) as error:
        fail(f"cannot read {build / 'compile_commands.json'}: {error}")
    places = [pathlib.Path(each).resolve() for each in wanted]
    found = {}
    for entry in entries:
        source = pathlib.Path(os.path.normpath(pathlib.Path(entry["directory"]) / entry["file"]))
        if not places or any(source.is_relative_to(each) for each in places):
            found[source] = {"directory": entry["directory"], "file": str(source),
                             "arguments": without_precompiled(entry)}
    if not found:
        fail(f"{build / 'compile_commands.json'} names no source"
             + (f" at or below {' '.join(wanted)}" if wanted else ""))
    return list(found.values())


def options_of(entry):
    """Its options, without what writes something and without itself."""
    kept = []
    words = iter(entry["arguments"])
    for word in words:
        if word in ("-o", "-MF", "-MQ", "-MT"):
            next(words, None)
        elif word not in ("-c", "-MD", "-MMD", entry["file"]):
            kept.append(word)
    begin = next((i for i, word in enumerate(kept) if word.startswith("-")), len(kept))
    return [word for word in kept[begin:]
            if os.path.normpath(os.path.join(entry["directory"], word)) != entry["file"]]


def included(entry):
    """What it includes itself, with the whole path where that is beside it."""
    source = pathlib.Path(entry["file"])
    for system, own in INCLUDE.findall(source.read_text(errors="replace")):
        beside = source.parent / own
        if system:
            yield f"<{system}>"
        elif beside.is_file():
            yield f'"{beside.resolve()}"'


def read_in_advance(query, entries, folder):
    """Reads what several sources with equal options include once for all of them, where clang++ is
    there to do it; answers the further arguments of each source."""
    compiler = shutil.which(query.replace("clang-query", "clang++"))
    groups = {}
    for entry in entries if compiler else []:
        options = tuple(word for word in options_of(entry) if not word.startswith("-I"))
        groups.setdefault((entry["directory"], options), []).append(entry)

    def prepare(numbered):
        number, ((directory, options), group) = numbered
        counts = collections.Counter(header for entry in group for header in set(included(entry)))
        common = sorted(header for header, count in counts.items() if count >= FEW)
        if not common:
            return {}
        precompiled = os.path.join(folder, f"{number}.pch")
        places = dict.fromkeys(word for entry in group for word in options_of(entry)
                               if word.startswith("-I"))
        text = "".join(f"#include {header}\n" for header in common)
        done = subprocess.run([compiler, *options, *places, "-w", "-Wno-error", "-x", "c++-header",
                               "-", "-o", precompiled], cwd=directory, text=True, input=text,
                              capture_output=True, check=False)
        if done.returncode:
            return {}
        return dict.fromkeys((entry["file"] for entry in group),
                             ["--extra-arg=-include-pch", f"--extra-arg={precompiled}"])

    further = {}
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for each in pool.map(prepare, enumerate(groups.items())):
            further.update(each)
    return further


def look(query, commands, entry, further):
    """The places of one source, and what could not be read of it."""
    words = [query, "-p", commands, "--extra-arg=-w", "--extra-arg=-Wno-error", *further,
             "-c", "set output diag", "-c", "set bind-root false"]
    for _, matcher in QUERIES:
        words += ["-c", f"match {matcher}"]
    directory = entry["directory"]
    done = subprocess.run([*words, entry["file"]], cwd=directory, text=True, capture_output=True,
                          check=False)
    places = set()
    what = 0
    for line in done.stdout.splitlines():
        found = PLACE.match(line)
        if found:
            file = os.path.normpath(os.path.join(directory, found["file"]))
            places.add((file, int(found["line"]), int(found["column"]), QUERIES[what][0]))
        elif re.fullmatch(r"\d+ match(es)?\.", line):
            what += 1
    if what == len(QUERIES) and not done.returncode:
        return places, ""
    # What is read in advance may not suit a source that defines something before it.
    return look(query, commands, entry, []) if further else (places, done.stderr)


def main():
    parser = argparse.ArgumentParser(usage=__doc__.split("\n\n")[1].removeprefix("usage: "))
    parser.add_argument("-p", dest="build", required=True, type=pathlib.Path)
    parser.add_argument("wanted", nargs="*")
    given = parser.parse_args()
    build = given.build.resolve()
    query = clang_query()
    entries = wanted_sources(build, given.wanted)
    with tempfile.TemporaryDirectory() as commands, \
            concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        (pathlib.Path(commands) / "compile_commands.json").write_text(json.dumps(entries))
        further = read_in_advance(query, entries, commands)
        answers = list(pool.map(
            lambda entry: look(query, commands, entry, further.get(entry["file"], [])), entries))
    unread = "".join(complaint for _, complaint in answers)
    if unread:
        print(unread, end="", file=sys.stderr)
        fail("not every source could be read (see above)")
    here = pathlib.Path.cwd()
    places = set().union(*(found for found, _ in answers))
    for file, line, column, why in sorted(places):
        shown = os.path.relpath(file, here) if pathlib.Path(file).is_relative_to(here) else file
        print(f"{shown}:{line}:{column}: {why}")
    sys.exit(bool(places))


if __name__ == "__main__":
    main()
