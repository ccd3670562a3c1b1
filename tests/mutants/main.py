#!/usr/bin/env python3
"""Plants single faults in the library, one at a time, and names those that no test notices.

Each fault is found in clang's syntax tree and has a name that outlives renames of variables and
moved lines: FILE:FUNCTION:OPERATOR:ORDINAL. Only its source is compiled again; the tests' programs
are those of the build folder, which must be up to date. A fault is killed when a test fails or
hangs, and then passes; one that survives fails.
"""
import argparse
import concurrent.futures
import fnmatch
import hashlib
import os
import pathlib
import signal
import sys
import tempfile

import lists
import trial
from faults import faults_of
from project import Project
from report import Report, difference
from syntax import Reader
from trial import PROGRAMS, Outcome, Trial, of_ending


def options():
    parser = argparse.ArgumentParser(prog="./dev mutants", description=__doc__.partition("\n")[0])
    parser.add_argument("--build", type=pathlib.Path, required=True, help=argparse.SUPPRESS)
    parser.add_argument("--check", action="store_true", help="those of check.txt, and no others")
    parser.add_argument("--file", action="append", metavar="PATTERN",
                        help="faults of these sources, as shutdown/ending/*")
    parser.add_argument("--only", action="append", metavar="NAME",
                        help="this fault; may be repeated")
    parser.add_argument("--sample", type=int, metavar="N", help="as many, chosen by hash")
    parser.add_argument("--seed", default="", help="of the sample")
    parser.add_argument("--list", action="store_true",
                        help="show them, with diffs, and run nothing")
    parser.add_argument("-j", type=int, default=2 * os.cpu_count(), metavar="N",
                        help="at a time; tests mostly wait")
    parser.add_argument("--survivors", metavar="FILE",
                        help="add what no test noticed to it, at once")
    return parser.parse_args()


reader = None  # of each process that parses


def prepare(build, sources, scratch):
    global reader
    reader = Reader(build, sources, scratch)


def read(source):
    return faults_of(source, reader.parse(source))


def enumerated(whole, sources):
    with tempfile.TemporaryDirectory() as scratch, concurrent.futures.ProcessPoolExecutor() as pool:
        prepare(whole.build, sources, pathlib.Path(scratch))
        return [fault for found in pool.map(read, sources) for fault in found]


def wanted_sources(whole, given):
    """Only those are read of which something is asked for."""
    named = lists.checked() if given.check else given.only
    if named:
        files = {name.partition(":")[0] for name in named}
        # Of a file that nobody knows, any fault may have been meant.
        everything = not files <= {each.file for each in whole.sources}
        return [each for each in whole.sources if everything or each.file in files]
    patterns = given.file or ["*"]
    found = [each for each in whole.sources
             if any(fnmatch.fnmatch(each.file, pattern) for pattern in patterns)]
    return found or sys.exit(f"mutants: no source matches {' '.join(patterns)}")


def chosen(faults, given):
    """The faults that are asked for, each with the programs that look for it."""
    equivalents = lists.equivalents()
    files = {each.source.file for each in faults}
    whole = not (given.file or given.only or given.check)
    lists.require_known([name for name in equivalents
                         if whole or name.partition(":")[0] in files], faults, "equivalent.txt")
    finders = {}
    if given.check:
        finders = lists.checked()
        lists.require_known(finders, faults, "check.txt")
        picked = [each for each in faults if each.name in finders]
    elif given.only:
        lists.require_known(given.only, faults, "--only")
        picked = [each for each in faults if each.name in given.only]
    else:
        picked = [each for each in faults if each.name not in equivalents]
    if given.sample is not None:
        picked = sorted(picked, key=lambda each: hashlib.sha256(
            f"{given.seed} {each.name}".encode()).digest())[:given.sample]
    return [(each, programs_of(each, finders.get(each.name, "any"))) for each in picked]


def programs_of(fault, finder):
    return PROGRAMS[fault.source.storey] if finder == "any" else of_ending(finder)


def main():
    given = options()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    whole = Project(given.build)
    jobs = chosen(enumerated(whole, wanted_sources(whole, given)), given)
    if given.list:
        for fault, _ in jobs:
            print(f"{fault.name}\n{difference(fault)}")
        print(f"{len(jobs)} faults")
        return
    sys.exit(not run(whole, jobs, given))


def run(whole, jobs, given):
    report = Report(len(jobs), given.survivors, all_compile=given.check)
    with concurrent.futures.ThreadPoolExecutor(given.j) as pool:
        # Tests that fail by themselves would seem to kill everything. `check` runs them elsewhere.
        controls = {} if given.check or given.only else {
            fault.source.storey: (fault.undone(), programs) for fault, programs in jobs}
        trials = [pool.submit(Trial(whole, *job).run) for job in [*controls.values(), *jobs]]
        try:
            for each in concurrent.futures.as_completed(trials):
                result = each.result()
                if result.fault.operator != "none":
                    report.add(result)
                elif result.outcome != Outcome.SURVIVED:
                    raise SystemExit(f"mutants: without any fault, too, this fails: {result.by}")
        except BaseException as why:
            pool.shutdown(wait=False, cancel_futures=True)
            trial.stop()
            if not isinstance(why, KeyboardInterrupt):
                raise
            report.cut_short()
    return report.close()


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
