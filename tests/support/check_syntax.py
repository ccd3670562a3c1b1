#!/usr/bin/env python3
"""Shows a compiler the sources of a build folder, with warnings as errors, and writes no objects.

Usage: check_syntax.py COMPILER BUILD FOLDER...; only sources below the folders.
"""
import concurrent.futures
import json
import os
import pathlib
import shlex
import subprocess
import sys


def command_of(compiler, entry):
    """The entry's own command, without what belongs to another compiler or writes something."""
    words = shlex.split(entry["command"])
    begin = next(i for i, word in enumerate(words) if word.startswith("-"))
    kept = []
    skip = False
    for word in words[begin:]:
        if skip:
            skip = False
        elif word in ("-o", "-MF", "-MQ", "-include"):
            skip = True
        elif word not in ("-c", "-MD") and not word.startswith("-O"):
            kept.append(word)
    return [compiler, "-fsyntax-only", "-Werror", "-Wno-unknown-warning-option", *kept]


def complaint(compiler, entry):
    done = subprocess.run(command_of(compiler, entry), cwd=entry["directory"], text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    return done.stdout or (f"{entry['file']}: exit {done.returncode}\n" if done.returncode else "")


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
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        complaints = list(pool.map(lambda entry: complaint(compiler, entry), wanted.values()))
    print("".join(complaints), end="")
    sys.exit(any(complaints))


if __name__ == "__main__":
    main()
