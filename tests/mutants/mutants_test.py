#!/usr/bin/env python3
"""The faults that are found in a source, their names, and the totals."""
import contextlib
import io
import pathlib
import re
import sys
import tempfile
import types
import unittest

import lists
import project
from faults import faults_of
from report import Report
from syntax import Reader, Source
from trial import FEW_SCHEDULES, SHUTDOWN, Outcome, Result, Trial

ASSERT = "void require(bool holds, const char* why);\n"
BEGIN = """
#include <runtime/internal/assert.hpp>
namespace std {
template <class T> const T& min(const T& left, const T& right);
}
namespace ringdown {
struct peer {
    bool gone() const;
    int bytes() const;
    int end(int, bool);
    int fill(int&);
    int left = 0;
};
"""
# What a function does, and every fault in it: the operator and the text that stands there then.
BODIES = {
    "void f(peer& p) { p.end(1, true); }": [
        ("drop_call:1", "{ ; }"), ("constant:1", "p.end(2, true)"), ("boolean:1", "end(1, false)")],
    "void f(peer& p) { p.left = p.bytes(); ++p.left; }": [
        ("drop_assignment:1", "{ ; ++p.left"), ("drop_assignment:2", "p.bytes(); ;")],
    "void f(peer& p) { if (p.gone()) p.end(p.bytes(), p.gone()); }": [
        ("always:1", "if (true)"), ("drop_call:1", "if (p.gone()) ;")],
    "void f(peer& p) { if (!p.gone()) { p.left += p.bytes(); } }": [
        ("always:1", "if (true)"), ("never:1", "if (false)"), ("drop_assignment:1", "{ ; }")],
    "void f(peer* p) { if (peer* q = p) { q->left = q->bytes(); } }": [
        ("never:1", "(peer* q = p; false)"), ("drop_assignment:1", "{ ; }")],
    "bool f(peer& p) { return p.gone() && !p.bytes(); }": [
        ("never:1", "return false"), ("drop_left:1", "return !p.bytes()"),
        ("drop_right:1", "return p.gone();"), ("drop_not:1", "&& p.bytes()")],
    "bool f(peer& p) { return p.bytes() < p.left; }": [
        ("always:1", "return true"), ("never:1", "return false"), ("compare:1", "<= p.left")],
    "bool f(peer& p) { return p.bytes() == 3; }": [
        ("always:1", "return true"), ("never:1", "return false")],
    "bool f() { return false; }": [("boolean:1", "return true")],
    "int f(peer& p) { return std::min(p.bytes(), p.left); }": [
        ("keep_first:1", "return p.bytes()"), ("keep_second:1", "return p.left")],
    "int f(peer& p) { return p.gone() ? p.bytes() : p.left - p.bytes(); }": [
        ("always:1", "true ? "), ("never:1", "false ? "), ("drop_right:1", ": p.left;")],
    "void f(peer& p) { while (!p.gone()) { p.left = p.bytes(); } }": [
        ("never:1", "while (false)"), ("drop_assignment:1", "{ ; }")],
    "void f(peer& p) { for (int i = p.left; i > p.bytes(); --i) p.end(p.left, p.gone()); }": [
        ("never:1", "; false; --i"), ("compare:1", "i >= p.bytes()"), ("drop_call:1", "--i) ;")],
    "auto f(peer& p) { return [&] { p.end(p.left, p.gone()); }; }": [("drop_call:1", "[&] { ; }")],
    "int f(peer& p) { int n = 1; p.end(n, p.gone()); return n; }": [
        ("constant:1", "n = 2"), ("drop_call:1", "; ; return n")],
    # What nobody can see.
    "int f(peer& p) { int n = 1; p.fill(n); return n; }": [("drop_call:1", "; ; return n")],
    'void f(peer& p) { require(!p.gone() && p.left > 0, "it has gone"); }': [],
    "int f() { constexpr int most = 64; return most; }": [],
}


class Sources(unittest.TestCase):
    """Each test has a folder with sources."""

    def setUp(self):
        made = tempfile.TemporaryDirectory()
        self.addCleanup(made.cleanup)
        self.folder = pathlib.Path(made.name)
        place = self.folder / "runtime/internal/assert.hpp"
        place.parent.mkdir(parents=True)
        place.write_text(ASSERT)

    def source(self, body):
        path = self.folder / "it.cpp"
        path.write_text(BEGIN + body + "\n}\n")
        return Source("net/it.cpp", path, "net", ("c++", f"-I{self.folder}", "-std=c++23"), "it.o",
                      path.read_bytes())

    def faults(self, body):
        source = self.source(body)
        return faults_of(source, Reader(self.folder, [source], self.folder).parse(source))


class Faults(Sources):
    def test_each_operator(self):
        for body, expected in BODIES.items():
            with self.subTest(body):
                faults = self.faults(body)
                self.assertEqual(sorted(each.name for each in faults),
                                 sorted(f"net/it.cpp:f:{name}" for name, _ in expected))
                wrong = {each.name.removeprefix("net/it.cpp:f:"):
                         each.text().decode() for each in faults}
                for name, text in expected:
                    self.assertIn(text, wrong[name])

    def test_names_outlive_renames_and_moves(self):
        body = ("bool f(peer& p) { if (p.gone() || p.left > 1) p.end(2, false);\n"
                "    return p.bytes() > 2; }")
        moved = re.sub(r"\bp\b", "connection", body).replace("\n", " // why\n\n\n")
        before = [each.name for each in self.faults(body)]
        self.assertGreater(len(before), 8)
        self.assertEqual(before, [each.name for each in self.faults("int first();\n" + moved)])

    def test_names_tell_the_class(self):
        names = [each.name for each in self.faults(
            "namespace { struct it { void go(peer& p) { p.left = p.bytes(); } }; }\n"
            "int peer::end(int, bool) { left = bytes(); return left; }")]
        self.assertEqual(names, ["net/it.cpp:it::go:drop_assignment:1",
                                 "net/it.cpp:peer::end:drop_assignment:1"])

    def test_what_clang_cannot_read_is_no_source_without_faults(self):
        with self.assertRaises(SystemExit):
            self.faults("void f() { nobody(); }")


class Names(Sources):
    def test_an_unknown_name_is_answered_with_the_close_ones(self):
        faults = self.faults("void f(peer& p) { p.left = p.bytes(); }")
        lists.require_known(["net/it.cpp:f:drop_assignment:1"], faults, "--only")
        said = io.StringIO()
        with contextlib.redirect_stderr(said), self.assertRaises(SystemExit):
            lists.require_known(["net/it.cpp:f:drop_assignment:7"], faults, "--only")
        self.assertIn("there is no fault net/it.cpp:f:drop_assignment:7", said.getvalue())
        self.assertIn("perhaps net/it.cpp:f:drop_assignment:1", said.getvalue())

    def test_an_entry_needs_a_reason_and_stands_once(self):
        for text in ["a:b:c:1\n", "a:b:c:1 seen\na:b:c:1 again\n"]:
            place = self.folder / "list.txt"
            place.write_text(text)
            with self.assertRaises(SystemExit):
                lists.read(place)


class Totals(Sources):
    def closed(self, *outcomes, **how):
        fault = self.faults("void f(peer& p) { p.left = p.bytes(); }")[0]
        report = Report(len(outcomes), None, **how)
        said = io.StringIO()
        with contextlib.redirect_stdout(said):
            for each in outcomes:
                report.add(Result(fault, each, 1.0))
            good = report.close()
        return good, said.getvalue()

    def test_survivors_fail(self):
        good, said = self.closed(Outcome.KILLED, Outcome.SURVIVED, Outcome.TIMED_OUT)
        self.assertFalse(good)
        self.assertTrue(said.endswith("2 passed, 1 failed\n"), said)
        self.assertIn("+void f(peer& p) { ; }", said)

    def test_what_was_interrupted_is_no_success(self):
        report = Report(2, None)
        with contextlib.redirect_stdout(io.StringIO()):
            report.add(Result(self.faults("bool f() { return true; }")[0], Outcome.KILLED, 1.0))
            report.cut_short()
            self.assertFalse(report.close())

    def test_what_does_not_compile_is_no_success(self):
        self.assertEqual(self.closed(Outcome.NOT_COMPILED)[0], False)
        self.assertEqual(self.closed(Outcome.NOT_COMPILED, Outcome.KILLED)[0], True)

    def test_what_check_plants_has_to_compile(self):
        good, said = self.closed(Outcome.NOT_COMPILED, Outcome.KILLED, all_compile=True)
        self.assertFalse(good)
        self.assertTrue(said.endswith("1 passed, 1 failed\n"), said)


class Kills(unittest.TestCase):
    def found(self, program, *statuses):
        """What is said when the program, or one case of it, ends like that, one after the other."""
        left = list(statuses)
        looking = Trial(types.SimpleNamespace(scratch=pathlib.Path()),
                        types.SimpleNamespace(name="fault"), (program,))
        looking.test = lambda *_: left.pop(0)
        looking.failed_case = lambda: "case"
        found = looking.found_by(program)
        self.assertEqual(left, [])
        return found and found[0]

    def test_a_test_that_fails_kills(self):
        self.assertIsNone(self.found(SHUTDOWN, 0))
        self.assertEqual(self.found(FEW_SCHEDULES, 1), Outcome.KILLED)
        self.assertEqual(self.found(SHUTDOWN, 1, 1), Outcome.KILLED)
        self.assertEqual(self.found(SHUTDOWN, None), Outcome.TIMED_OUT)

    def test_on_the_real_clock_it_has_to_fail_twice(self):
        self.assertIsNone(self.found(SHUTDOWN, 1, 0, 0))
        self.assertEqual(self.found(SHUTDOWN, 1, 0, 1), Outcome.KILLED)


class Commands(unittest.TestCase):
    def test_another_text_is_compiled_like_its_source(self):
        source = Source("net/it.cpp", pathlib.Path("/src/net/it.cpp"), "net",
                        ("ccache", "c++", "-I../include", "-Werror", "-O3", "-MD", "-MQ", "it.o",
                         "-MF", "it.d", "-o", "it.o", "-c", "../net/it.cpp"), "it.o", b"")
        self.assertEqual(project.Project.compile_with(source, "/x/it.cpp", "/x/it.o"),
                         ["ccache", "c++", "-I../include", "-O3", "-w", "-iquote", "/src/net",
                          "-o", "/x/it.o", "-c", "/x/it.cpp"])


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0], *sys.argv[1:]], verbosity=0)
