#!/usr/bin/env python3
"""tools/lost_awaits.py names what g++ 12 compiles wrongly in coroutines, and nothing else.

Where the compiler at hand is g++ 12, the same code is run: what is named must go wrong there, and
what is not named must not. Closes with 'N passed, N failed'.
"""
import json
import pathlib
import re
import subprocess
import sys
import tempfile

TOOL = pathlib.Path(__file__).resolve().parents[2] / "tools" / "lost_awaits.py"

PROGRAM = """
#include <coroutine>
#include <utility>
std::coroutine_handle<> pending;
struct wait {
    bool await_ready() const noexcept { return false; }
    void await_suspend(std::coroutine_handle<> task) noexcept { pending = task; }
    int await_resume() const noexcept { return 1; }
};
struct task {
    struct promise_type {
        task get_return_object() {
            return {std::coroutine_handle<promise_type>::from_promise(*this)};
        }
        std::suspend_always initial_suspend() noexcept { return {}; }
        std::suspend_always final_suspend() noexcept { return {}; }
        void unhandled_exception() {}
        void return_void() {}
    };
    std::coroutine_handle<promise_type> frame;
};
int alive = 0;
struct counted {
    counted() { ++alive; }
    counted(const counted&) { ++alive; }
    ~counted() { --alive; }
};
struct aggregate { counted member; };
struct awaited_aggregate : wait { counted member; };
template <class Body> wait run(Body) { return {}; }
wait take(const counted&) { return {}; }
int reached = 0;
counted outside;

task coroutine() {
    BODY
    reached += 10;
}

int main() {
    auto made = coroutine();
    made.frame.resume();
    for (int i = 0; i < 9 && !made.frame.done() && pending; ++i)
        std::exchange(pending, nullptr).resume();
    return made.frame.done() && reached == 11 && alive == 1 ? 0 : 1;
}
"""

CONDITION = "co_await in a condition"
TEMPORARY = "a temporary made inside a co_await expression"

# What is named, the body, and whether g++ 12 gets it wrong.
BODIES = [
    (CONDITION, "if (co_await wait{} == 1) reached = 1;", True),
    (CONDITION, "while (co_await wait{} == 1) { reached = 1; break; }", True),
    (CONDITION, "switch (co_await wait{}) { case 1: reached = 1; }", True),
    (CONDITION, "for (; co_await wait{} == 1;) { reached = 1; break; }", True),
    (CONDITION, "do { reached = 1; } while (co_await wait{} == 0);", True),
    (CONDITION, "int local = 0; if (co_await wait{} == 1) reached = 1 + local;", False),
    (None, "const int answer = co_await wait{}; if (answer == 1) reached = 1;", False),
    (None, "reached = co_await wait{} == 1 ? 1 : 0;", False),
    (None, "reached = co_await wait{} == 1 && co_await wait{} == 1;", False),
    (TEMPORARY, "reached = 1; co_await run([copy = outside] {});", True),
    (TEMPORARY, "reached = 1; co_await run(aggregate{});", True),
    (TEMPORARY, "reached = co_await awaited_aggregate{};", True),
    (None, "auto body = [copy = outside] {}; reached = 1; co_await run(body);", False),
    (None, "reached = 1; auto named = run([copy = outside] {}); co_await named;", False),
    (None, "reached = 1; co_await run([&] { (void)outside; });", False),
    (None, "reached = co_await take(counted());", False),
    # The awaits of a lambda are its own.
    (None, "reached = co_await wait{}; "
           "if ([]() -> task { co_await wait{}; }().frame.done()) --reached;", False),
]


def named(folder, source, command):
    (folder / "compile_commands.json").write_text(json.dumps(
        [{"directory": str(folder), "file": source.name, "command": command}]))
    done = subprocess.run([sys.executable, TOOL, "-p", folder], cwd=folder, text=True,
                          capture_output=True, check=False)
    if done.returncode == 2:
        sys.exit(done.stderr)
    found = re.findall(rf"^{source.name}:\d+:\d+: (.*?);", done.stdout, re.MULTILINE)
    return done.returncode, found


def main():
    version = subprocess.run(["g++", "-dumpversion"], text=True, capture_output=True, check=False)
    has_defects = version.stdout.startswith("12")
    passed = failed = 0
    with tempfile.TemporaryDirectory() as made:
        folder = pathlib.Path(made)
        for expected, body, wrong in BODIES:
            source = folder / "body.cpp"
            source.write_text(PROGRAM.replace("BODY", body))
            command = "g++ -std=c++23 -O0 -w body.cpp -o body"
            status, found = named(folder, source, command)
            good = found == ([expected] if expected else []) and status == bool(expected)
            if has_defects:
                subprocess.run(command.split(), cwd=folder, check=True)
                good = good and wrong == bool(subprocess.run([folder / "body"],
                                                             check=False).returncode)
            passed, failed = passed + good, failed + (not good)
            if not good:
                print(f"FAIL {body}\n     named: {found}, status {status}")
    print(f"{passed} passed, {failed} failed")
    sys.exit(bool(failed))


if __name__ == "__main__":
    main()
