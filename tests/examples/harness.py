"""What the tests of the examples share: servers as processes, clients as sockets, reports as data.

Each script takes the folder of the built examples as its first argument and closes with
'N passed, N failed'. Tests run side by side, since most of them only wait; those that need the
processors for themselves, or measure time, are marked @alone.
"""
import concurrent.futures
import faulthandler
import os
import signal
import sys
import threading
import time
import unittest

from clients import (end_of, fill, name_of, pattern, queued_for_reading, read_exactly, read_to_end,
                     reset, round_trip, send_beside)
from reports import FIELDS, TIMES, WORDS, check_report
from servers import (LONGEST, PATIENCE, Server, as_ordinary_user, program, run, scratch, start,
                     wait_until)

__all__ = [
    'AT_ONCE', 'Case', 'FIELDS', 'LONGEST', 'PATIENCE', 'Server', 'TIMES', 'WORDS', 'alone',
    'as_ordinary_user', 'check_report', 'end_of', 'fill', 'main', 'name_of', 'pattern', 'program', 'queued_for_reading', 'read_exactly', 'read_to_end',
    'reset', 'round_trip', 'run', 'scratch', 'send_beside', 'start', 'wait_until']


# Seconds for what happens at once, on a machine that is busy: shorter than the limit that it is to
# be told apart from.
AT_ONCE = 3.0


CASE_SECONDS = 180  # a case that takes so long hangs


def alone(test):
    test.alone = True
    return test


class Case(unittest.TestCase):
    longMessage = True
    maxDiff = 400

    def assert_report(self, report, **expected):
        for field, value in expected.items():
            if report[field] != value:
                self.fail(f'{field} is {report[field]!r}, not {value!r}: {report}')

    def assert_lasted(self, seconds, expected, early=0.002):
        """What has a time by its nature took that, and ended. How late it may be on a quiet machine is
        said on the simulated clock (punctual_test.cpp) and by the bench (`late`)."""
        self.assertGreaterEqual(seconds, expected - early)
        self.assertLessEqual(seconds, expected + PATIENCE)


def _flatten(suite):
    for each in suite:
        if isinstance(each, unittest.TestSuite):
            yield from _flatten(each)
        else:
            yield each


def patience():
    """How many times longer cases may take here: where all is emulated, say."""
    return float(os.environ.get('RINGDOWN_TEST_PATIENCE', '1'))


def _end_hung(name):
    print(f'FAIL {name}: watchdog: still running after {CASE_SECONDS * patience():.0f} s; threads:',
          flush=True)
    faulthandler.dump_traceback(sys.stdout)
    sys.stdout.flush()
    os._exit(1)


def _run_one(test):
    result = unittest.TestResult()
    begun = time.monotonic()
    name = test._testMethodName.removeprefix('test_').replace('_', ' ')
    watchdog = threading.Timer(CASE_SECONDS * patience(), _end_hung, [name])
    watchdog.daemon = True
    watchdog.start()
    test.run(result)
    watchdog.cancel()
    took = time.monotonic() - begun
    if result.wasSuccessful() and result.skipped:
        return 'skipped', f'skip {name}: {result.skipped[0][1]}'
    if result.wasSuccessful():
        return 'passed', f'ok   {name} ({took:.2f} s)'
    texts = [text for _, text in result.errors + result.failures]
    return 'failed', '\n'.join([f'FAIL {name} ({took:.2f} s)', *texts])


def main():
    if len(sys.argv) < 2 or not os.path.isdir(sys.argv[1]):
        sys.exit(f'usage: {sys.argv[0]} FOLDER-OF-THE-EXAMPLES [PART-OF-A-NAME]')
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    part = sys.argv[2] if len(sys.argv) > 2 else ''
    suite = unittest.defaultTestLoader.loadTestsFromModule(sys.modules['__main__'])
    tests = [test for test in _flatten(suite) if part in test._testMethodName]
    marked = [t for t in tests if hasattr(getattr(t, t._testMethodName), 'alone')]
    counts = {'passed': 0, 'failed': 0, 'skipped': 0}

    def note(outcome, text):
        counts[outcome] += 1
        print(text, flush=True)

    for test in marked:
        note(*_run_one(test))
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        for outcome, text in pool.map(_run_one, [t for t in tests if t not in marked]):
            note(outcome, text)
    skipped = f", {counts['skipped']} skipped" if counts['skipped'] else ''
    print(f"{counts['passed']} passed, {counts['failed']} failed{skipped}", flush=True)
    sys.exit(1 if counts['failed'] else 0)
