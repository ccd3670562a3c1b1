"""Runs a test program in guests until each of its cases has ended, one way or the other."""

import dataclasses
import pathlib
import re
import subprocess
import sys
import time

from guest import HERE, libraries

sys.path.insert(0, str(HERE.parent / 'support'))
from count_cases import COLOUR, SKIP # pylint: disable=wrong-import-position

# A case's own limit is of the guest's clock (support/watchdog.cpp), which skips idle time: a hang
# that waits ends soon. These are for what computes for ever, or for a guest that died. Processor
# time is what the emulation used; by the clock, a machine may be ten times as busy.
PROCESSOR_SECONDS_MAX = 400
SECONDS_MAX = 3000
# What the guest's init and support/progress.cpp say.
WORD = re.compile(r'@@ (kernel|begins|passed|failed|ended) (.*)')


@dataclasses.dataclass
class Outcome:
    """How one case ended: with a fault, a reason to skip it, or neither."""

    name: str
    fault: str = ''
    skip: str = ''
    said: list = dataclasses.field(default_factory=list)


class Limit:
    """The time that something may take in a guest."""

    def __init__(self, guest):
        self.guest, self.began = guest, time.monotonic()
        self.processor_began = guest.processor_seconds()

    def passed(self):
        """Says which limit has passed, or nothing."""
        used = self.guest.processor_seconds() - self.processor_began
        if used > PROCESSOR_SECONDS_MAX:
            return f'still running after {used:.0f} s of processor time, ended'
        if (spent := time.monotonic() - self.began) > SECONDS_MAX:
            return f'still running after {spent:.0f} s, ended'
        return ''


class Run:
    """A test program on a kernel: `outcomes` grows while it runs."""

    def __init__(self, kernel, program, guest, log, case_pattern=''):
        self.kernel, self.program, self.guest, self.log = kernel, program, guest, log
        self.filters = [f'--test-case={case_pattern}'] if case_pattern else []
        self.outcomes, self.release, self.seconds = [], '', 0.0
        self.begun = self.ended = self.stopped = False
        # Read once, so that a build beside the run changes nothing.
        self.files = {inside: pathlib.Path(outside).read_bytes() for inside, outside in
                      {f'/bin/{program.name}': program, **libraries(program)}.items()}
        told = subprocess.run((program, '--count', '--no-colors', *self.filters), check=True,
                              capture_output=True, text=True).stdout
        self.total = int(re.search(r'filters: (\d+)', told)[1])
        self.cases = 0 # that have begun
        self.case, self.rest = None, [] # the one that runs, and what was said beside cases

    def run(self):
        began, self.begun = time.monotonic(), True
        try:
            with open(self.log, 'w', encoding='utf-8') as log:
                while self.cases < self.total and not self.stopped:
                    before = len(self.outcomes)
                    fault, status = self.boot(log)
                    self.judge(fault, status, before)
        except Exception as fault: # pylint: disable=broad-except
            self.end_itself(repr(fault))
        self.seconds = time.monotonic() - began
        self.ended = True

    def stop(self):
        """From another thread: ends the guest, and boots no other."""
        self.stopped = True
        self.guest.stop()

    def boot(self, log):
        """Runs the cases that have not run yet. Returns (limit that passed, exit status or None)."""
        command = (f'/bin/{self.program.name}', '--no-colors', f'--first={self.cases + 1}',
                   *self.filters)
        self.case, self.rest, limit = None, [], None
        for line in self.guest.boot(command, {'RINGDOWN_TEST_PROGRESS': '1'}, self.files):
            limit = limit or Limit(self.guest)
            if self.stopped or (fault := limit.passed()):
                return 'stopped' if self.stopped else fault, None
            if line is None:
                continue
            line = COLOUR.sub('', line)
            print(line, file=log, flush=True)
            if not (word := WORD.search(line)):
                (self.case.said if self.case else self.rest).append(line)
            elif word[1] == 'ended':
                return '', int(word[2])
            elif self.hear(*word.groups()):
                limit = Limit(self.guest)
        return '', None

    def hear(self, word, value):
        """Takes what the guest says of its cases. Returns whether one begins or has ended."""
        if word == 'kernel':
            self.release = value
            return False
        if self.case:
            self.end_case({'failed': 'failed', 'passed': ''}.get(word, 'its end was not told'))
        if word == 'begins':
            self.case = Outcome(value)
            self.cases += 1
        return True

    def judge(self, fault, status, before):
        """After a guest has ended: whatever did not end as it should is a failure."""
        if self.case:
            self.end_case(fault or self.how_it_died(status))
        elif len(self.outcomes) == before:
            self.end_itself(fault or 'ran no case')
            self.stopped = True # another boot would not either
        elif status is None:
            self.end_itself(fault or 'the guest died between two cases, or behind the last')
        elif status and not any(outcome.fault for outcome in self.outcomes[before:]):
            self.end_itself(f'exit status {status}, though each case passed')
        elif self.cases < self.total:
            self.end_itself('ended before its last case')

    def end_case(self, fault):
        case, self.case = self.case, None
        case.fault = fault
        skips = [skip['reason'] for skip in map(SKIP.fullmatch, case.said) if skip]
        case.skip = skips[0] if skips and not fault else ''
        self.outcomes.append(case)

    def end_itself(self, fault):
        self.outcomes.append(Outcome(f'{self.program.name} itself', fault, said=self.rest[-20:]))

    def how_it_died(self, status):
        if status is None:
            return 'the guest died'
        for line in self.case.said:
            if told := re.search(r'watchdog: (.*), ended', line):
                return told[1]
        return f'ended with exit status {status}'
