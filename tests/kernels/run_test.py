#!/usr/bin/env python3
"""Tries what a run makes of guests that end in every way, without a kernel: guests are scripts."""

import pathlib
import sys
import tempfile

import run

PASS = ['@@ begins one', '@@ passed 0.1']
LAST = ['@@ begins two', '@@ passed 0.1', '@@ ended 0']


class ScriptedGuest:
    """Says the lines of one script for each boot, and uses the processor as told."""

    def __init__(self, *scripts):
        self.scripts, self.used, self.commands = list(scripts), 0, []

    def boot(self, command, *_):
        self.commands.append(command)
        for line in self.scripts.pop(0):
            if isinstance(line, int):
                self.used += line
                yield None
            else:
                yield line

    def processor_seconds(self):
        return self.used

    def stop(self):
        pass


def outcomes_of(*scripts, total=2):
    """Runs a program of so many cases. Returns ([(name, fault, skip)], the cases that began boots)."""
    guest = ScriptedGuest(*scripts)
    with tempfile.TemporaryDirectory() as folder:
        program = pathlib.Path(folder, 'some_test')
        program.write_text(f'#!/bin/sh\necho filters: {total}\n', encoding='ascii')
        program.chmod(0o755)
        tried = run.Run('6.1', program, guest, pathlib.Path(folder, 'log'))
        tried.run()
    firsts = [int(command[2].partition('=')[2]) for command in guest.commands]
    return [(each.name, each.fault, each.skip) for each in tried.outcomes], firsts


def cases():
    """Yields (what it shows, what came, what should)."""
    yield ('all pass', outcomes_of(['@@ kernel 6.1.0', *PASS, *LAST]),
           ([('one', '', ''), ('two', '', '')], [1]))
    yield ('a failed case is one, and the rest goes on',
           outcomes_of(['@@ begins one', 'ERROR', '@@ failed 0.1', *LAST[:2], '@@ ended 1']),
           ([('one', 'failed', ''), ('two', '', '')], [1]))
    yield ('a skip has its reason',
           outcomes_of(['@@ begins one', 'a.cpp:1: MESSAGE: skip: no IPv6', *PASS[1:], *LAST]),
           ([('one', '', 'no IPv6'), ('two', '', '')], [1]))
    yield ('a hang that the watchdog ends is named, and the next boot goes on behind it',
           outcomes_of(['@@ begins one', 'a.cpp:1: watchdog: still running after 120 s, ended: one',
                        '@@ ended 1'], LAST),
           ([('one', 'still running after 120 s', ''), ('two', '', '')], [1, 2]))
    limit = run.PROCESSOR_SECONDS_MAX + 1
    yield ('so is one that computes for ever',
           outcomes_of(['@@ begins one', limit, limit], LAST),
           ([('one', f'still running after {limit} s of processor time, ended', ''),
             ('two', '', '')], [1, 2]))
    yield ('the time of one case is not that of another',
           outcomes_of(['@@ begins one', limit - 2, '@@ passed 1', '@@ begins two', limit - 2,
                        *LAST[1:]]), ([('one', '', ''), ('two', '', '')], [1]))
    yield ('a guest that dies fails the case that ran',
           outcomes_of(PASS + ['@@ begins two', 'Kernel panic']),
           ([('one', '', ''), ('two', 'the guest died', '')], [1]))
    yield ('a program that ends in a case fails it',
           outcomes_of(['@@ begins one', '@@ ended 3'], LAST),
           ([('one', 'ended with exit status 3', ''), ('two', '', '')], [1, 2]))
    yield ('a guest that dies behind the last case is a failure', outcomes_of(PASS + LAST[:2]),
           ([('one', '', ''), ('two', '', ''),
             ('some_test itself', 'the guest died between two cases, or behind the last', '')], [1]))
    yield ('so is an exit status behind cases that passed',
           outcomes_of(PASS + LAST[:2] + ['@@ ended 1']),
           ([('one', '', ''), ('two', '', ''),
             ('some_test itself', 'exit status 1, though each case passed', '')], [1]))
    yield ('a guest that runs no case is not booted again', outcomes_of(['no such program']),
           ([('some_test itself', 'ran no case', '')], [1]))
    yield ('a program that leaves cases out has failed, and they run',
           outcomes_of(PASS + ['@@ ended 0'], LAST),
           ([('one', '', ''), ('some_test itself', 'ended before its last case', ''),
             ('two', '', '')], [1, 2]))
    yield ('what else is in the line hides nothing',
           outcomes_of(['@@ begins one', 'no end of line@@ passed 0.1', *LAST]),
           ([('one', '', ''), ('two', '', '')], [1]))
    yield ('a case whose end is not told has failed', outcomes_of(['@@ begins one', *LAST]),
           ([('one', 'its end was not told', ''), ('two', '', '')], [1]))


def main():
    run.libraries = lambda program: {}
    passed = failed = 0
    for what, came, wanted in cases():
        passed, failed = passed + (came == wanted), failed + (came != wanted)
        if came != wanted:
            print(f'failed: {what}\n  came   {came}\n  wanted {wanted}')
    print(f'{passed} passed, {failed} failed')
    sys.exit(bool(failed))


if __name__ == '__main__':
    main()
