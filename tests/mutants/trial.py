"""Builds one fault into the library and lets the tests look for it."""
import dataclasses
import enum
import hashlib
import os
import re
import shutil
import signal
import subprocess
import time

BUILD_SECONDS = 300


class Outcome(enum.Enum):
    KILLED = "killed"
    TIMED_OUT = "timed out"
    SURVIVED = "SURVIVED"
    NOT_COMPILED = "does not compile"

    @property
    def is_killed(self):
        return self in (Outcome.KILLED, Outcome.TIMED_OUT)


@dataclasses.dataclass(frozen=True)
class Program:
    """A test program; it takes the library as it finds it, or is linked from the storeys."""
    target: str
    seconds: int  # several times what it takes without a fault
    linked: bool = False
    schedules: int = 0
    cases: str = ""


@dataclasses.dataclass(frozen=True)
class Result:
    fault: object
    outcome: Outcome
    seconds: float
    by: str = ""  # the test case, or the compiler's complaint


ALLOCATION = Program("tests/shutdown/session_allocation_test", 120)
FEW_SCHEDULES = Program("tests/shutdown/schedules_test", 120, schedules=200)
MANY_SCHEDULES = Program("tests/shutdown/schedules_test", 300, schedules=1000)
NET = Program("tests/net/net_test", 300, linked=True)
SHUTDOWN = Program("tests/shutdown/shutdown_test", 600)

# What kills most in the least time comes first; many schedules take the processor for long, and
# seldom find what few of them and the sockets do not.
PROGRAMS = {
    "shutdown": (ALLOCATION, FEW_SCHEDULES, SHUTDOWN, MANY_SCHEDULES),
    "net": (ALLOCATION, FEW_SCHEDULES, NET, SHUTDOWN, MANY_SCHEDULES),
}
OF_AN_ENDING = 2000  # schedules, by which one ending alone must find a fault


def of_ending(cases):
    """The schedules of one ending, as many as its fault must be found by."""
    return (dataclasses.replace(MANY_SCHEDULES, schedules=OF_AN_ENDING,
                                cases=f"schedules: {cases} keeps*"),)


running = set()  # programs, each the leader of its group


def stop():
    """Ends whatever runs; no outcome of it counts."""
    for each in list(running):
        end(each)


def end(started):
    try:
        os.killpg(started.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass


def finish(words, seconds, log, **options):
    """Runs a program and all that it starts; answers its status, None when it was out of time."""
    with open(log, "wb") as output:
        started = subprocess.Popen(words, stdout=output, stderr=subprocess.STDOUT,
                                   stdin=subprocess.DEVNULL, start_new_session=True, **options)
        running.add(started)
        try:
            return started.wait(seconds)
        except subprocess.TimeoutExpired:
            return None
        finally:
            running.discard(started)
            end(started)  # and what it has left behind
            started.wait()


class Trial:
    """One fault, in a folder of its own whose path is always the same, as ccache wants it."""

    def __init__(self, whole, fault, programs):
        self.whole = whole
        self.fault = fault
        self.programs = programs
        readable = re.sub(r"[^\w.-]", "_", fault.name)
        unique = hashlib.sha256(fault.name.encode()).hexdigest()[:8]
        self.folder = whole.scratch / f"{readable}_{unique}"
        self.log = self.folder / "log.txt"

    def run(self):
        began = time.monotonic()
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        try:
            outcome, by = self.outcome()
        finally:
            shutil.rmtree(self.folder, ignore_errors=True)
        return Result(self.fault, outcome, time.monotonic() - began, by)

    def outcome(self):
        source = self.fault.source
        changed = self.folder / source.path.name
        changed.write_bytes(self.fault.text())
        self.object = self.folder / "changed.o"
        if not self.builds(self.whole.compile_with(source, changed, self.object)):
            return Outcome.NOT_COMPILED, self.complaint()
        for program in self.programs:
            target = program.target if program.linked else self.whole.library
            if not self.link(target):
                return Outcome.NOT_COMPILED, self.complaint()
            if found := self.found_by(program):
                return found
        return Outcome.SURVIVED, ""

    def found_by(self, program):
        status = self.test(program)
        if status == 0:
            return None
        case = self.failed_case()
        # On the real clock it may have been the machine, busy with other faults.
        may_be_late = case and status is not None and not program.schedules
        if may_be_late and self.test(program, case) == 0:
            if self.test(program) == 0:
                return None
            case = self.failed_case()
        outcome = Outcome.TIMED_OUT if status is None else Outcome.KILLED
        return outcome, f"{os.path.basename(program.target)}: {case or self.last_line()}"

    def builds(self, words):
        return finish(words, BUILD_SECONDS, self.log, cwd=self.whole.build) == 0

    def link(self, target):
        output = self.folder / os.path.basename(target)
        return output.exists() or self.builds(
            self.whole.link_with(target, self.fault.source, self.object, output))

    def test(self, program, case=""):
        """Its status, None when it was out of time; one case of it, or all that it has."""
        words = [str(self.whole.build / program.target)]
        surroundings = dict(os.environ)
        if program.linked:
            words = [str(self.folder / os.path.basename(program.target))]
        else:
            # It stands for the library of the same name, wherever the program looks for that.
            surroundings["LD_PRELOAD"] = str(self.folder / self.whole.library)
        if program.schedules:
            surroundings["RINGDOWN_SCHEDULES"] = str(program.schedules)
        if cases := case.replace(",", "?") or program.cases:  # a comma begins the next pattern
            words.append(f"--test-case={cases}")
        status = finish([*words, "--abort-after=1", "--no-colors=true"], program.seconds, self.log,
                        cwd=self.folder, env=surroundings)
        said = self.said()
        if "cannot be preloaded" in said:
            raise RuntimeError(said)
        if status == 0 and not re.search(r"test cases: +[1-9]", said):
            raise RuntimeError(f"{words[0]}: no test case ran")
        return status

    def said(self):
        return self.log.read_text(errors="replace")

    def failed_case(self):
        named = re.findall(r"^TEST CASE: +(.*)", self.said(), re.MULTILINE)
        return named[-1].strip() if named else ""

    def last_line(self):
        return self.said().strip().rpartition("\n")[2]

    def complaint(self):
        return next((each for each in self.said().splitlines() if "error" in each), "")
