"""Runs a test program in guests until each of its cases has ended, one way or the other."""

import dataclasses
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
        self.kernel, self.program, self.log = kernel, program, log
        self.guest = guest
        self.filters = [f'--test-case={case_pattern}'] if case_pattern else []
        self.outcomes, self.release, self.seconds = [], '', 0.0
        self.begun = self.ended = False
        told = subprocess.run((program, '--count', '--no-colors', *self.filters), check=True,
                              capture_output=True, text=True).stdout
        self.total = int(re.search(r'filters: (\d+)', told)[1])

    def run(self):
        began, self.begun = time.monotonic(), True
        try:
            with open(self.log, 'w', encoding='utf-8') as log:
                while len(self.outcomes) < self.total and self.boot(log):
                    pass
        except Exception as fault: # pylint: disable=broad-except # one guest's, of many
            self.outcomes.append(Outcome(f'{self.program.name} itself', repr(fault)))
        self.seconds = time.monotonic() - began
        self.ended = True

    def boot(self, log):
        """Runs the cases that have not run yet. Returns whether another boot may bring more."""
        before = len(self.outcomes)
        command = (f'/bin/{self.program.name}', '--no-colors', f'--first={before + 1}', *self.filters)
        files = {command[0]: self.program, **libraries(self.program)}
        case = status = limit = None
        fault, rest = '', []
        for line in self.guest.boot(command, {'RINGDOWN_TEST_PROGRESS': '1'}, files):
            limit = limit or Limit(self.guest)
            if fault := limit.passed():
                break
            if line is None:
                continue
            line = COLOUR.sub('', line)
            print(line, file=log, flush=True)
            word, _, value = line.removeprefix('@@ ').partition(' ')
            if not line.startswith('@@ '):
                (case.said if case else rest).append(line)
            elif word == 'kernel':
                self.release = value
            elif word == 'begins':
                case, limit = Outcome(value), Limit(self.guest)
            elif word in ('passed', 'failed') and case:
                case.fault = 'failed' if word == 'failed' else ''
                case, limit = self.end(case), Limit(self.guest)
            elif word == 'ended':
                status = int(value)
                break
        if case:
            case.fault = fault or self.how_it_died(case, status)
            self.end(case)
        elif len(self.outcomes) == before:
            self.end(Outcome(f'{self.program.name} itself', fault or 'ran no case', said=rest[-20:]))
            return False
        elif status and not any(outcome.fault for outcome in self.outcomes[before:]):
            self.end(Outcome(f'{self.program.name} itself',
                             f'exit status {status}, though each case passed', said=rest[-20:]))
            return False
        return True

    def end(self, case):
        if not case.fault:
            skips = [skip['reason'] for skip in map(SKIP.fullmatch, case.said) if skip]
            case.skip = skips[0] if skips else ''
        self.outcomes.append(case)

    @staticmethod
    def how_it_died(case, status):
        if status is None:
            return 'the guest died'
        watchdog = [line.partition('watchdog: ')[2] for line in case.said if 'watchdog: ' in line]
        return watchdog[-1].rpartition(':')[0] if watchdog else f'ended with exit status {status}'
