#!/usr/bin/env python3
"""Shows clang++ the sources of a build folder, with warnings as errors, and writes no objects.

Usage: check_syntax.py COMPILER BUILD FOLDER...; only sources below the folders.

What most of them include is read once for each set of options that they are compiled with. That a
source includes all that it needs, the build folder's own compiler has seen, where it reads nothing
in advance either.
"""
import concurrent.futures
import json
import os
import pathlib
import shlex
import subprocess
import sys
import tempfile

COMMON = ("algorithm", "chrono", "functional", "map", "memory", "optional", "string", "thread",
          "vector", "nlohmann/json.hpp", "fmt/format.h", "ringdown/ringdown.hpp")
FEW = 4  # sources, for which reading it in advance costs more than it saves


def options_of(entry):
    """The entry's own options, without what belongs to another compiler or writes something."""
    words = shlex.split(entry["command"])
    begin = next(i for i, word in enumerate(words) if word.startswith("-"))
    kept = []
    skip = False
    for word in words[begin:]:
        if skip:
            skip = False
        elif word in ("-o", "-MF", "-MQ", "-include"):
            skip = True
        elif word not in ("-c", "-MD", entry["file"]) and not word.startswith("-O"):
            kept.append(word)
    return kept


class Group:
    """Sources with equal options, save for where they find their own headers."""

    def __init__(self, compiler, folder):
        self.command = [compiler, "-Werror", "-Wno-unknown-warning-option"]
        self.precompiled = folder / "common.pch"
        self.entries = []

    def run(self, words, directory, given=None):
        done = subprocess.run([*self.command, *words], cwd=directory, text=True, input=given,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
        return done.stdout or (f"{shlex.join(words)}: exit {done.returncode}\n"
                               if done.returncode else "")

    def prepare(self):
        """Reads what is common, where that pays; answers a complaint."""
        if len(self.entries) < FEW:
            return ""
        folders = {word: None for entry in self.entries for word in options_of(entry)}
        text = "".join(f"#if __has_include(<{each}>)\n#include <{each}>\n#endif\n"
                       for each in COMMON)
        return self.run([*folders, "-fpch-instantiate-templates", "-x", "c++-header", "-", "-o",
                         str(self.precompiled)], self.entries[0]["directory"], text)

    def complaint(self, entry):
        common = ["-include-pch", str(self.precompiled)] if self.precompiled.exists() else []
        return self.run(["-fsyntax-only", *common, *options_of(entry), entry["file"]],
                        entry["directory"])


def grouped(compiler, entries, folder):
    groups = {}
    for entry in entries:
        options = tuple(word for word in options_of(entry) if not word.startswith("-I"))
        if options not in groups:
            of_its_own = folder / str(len(groups))
            of_its_own.mkdir()
            groups[options] = Group(compiler, of_its_own)
        groups[options].entries.append(entry)
    return list(groups.values())


def main():
    compiler, build, *folders = sys.argv[1:]
    build = pathlib.Path(build).resolve()
    entries = json.loads((build / "compile_commands.json").read_text())
    wanted = {}
    for entry in entries:
        source = pathlib.Path(os.path.normpath(build / entry["file"]))
        if any(source.is_relative_to(pathlib.Path(each).resolve()) for each in folders):
            wanted.setdefault(source, entry)
    if not wanted:
        sys.exit(f"no sources below {' '.join(folders)}")
    with tempfile.TemporaryDirectory() as folder, \
            concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        groups = grouped(compiler, wanted.values(), pathlib.Path(folder))
        complaints = list(pool.map(Group.prepare, groups))
        complaints += pool.map(lambda of: of[0].complaint(of[1]),
                               [(group, entry) for group in groups for entry in group.entries])
    print("".join(complaints), end="")
    sys.exit(any(complaints))


if __name__ == "__main__":
    main()
