#!/usr/bin/env python3
"""Uses Ringdown as other projects do: as a meson subproject, and installed, by pkg-config.

Usage: embed_test.py SOURCE_ROOT BUILD; the copy that is installed is what BUILD has built already,
the compiler is $CXX. Closes with 'N passed, N failed'.
"""
import concurrent.futures
import filecmp
import json
import os
import pathlib
import re
import shlex
import shutil
import subprocess
import sys
import tempfile

GREETING = "embed: both connections ended gracefully"
LIBRARIES_OF_TOOLS = re.compile(r'^\s*#\s*include\s*[<"](fmt/|doctest|nlohmann/|CLI/)', re.M)
WHOLE_PROGRAMS = ("README.md", "docs/guide.md")
STRICT = ["-Wall", "-Wextra", "-Werror"]  # what users may compile with
AT_ONCE = 2

passed = 0
failed = 0


def check(name, complaint):
    """Counts one case; an empty complaint is a success."""
    global passed, failed
    if complaint:
        failed += 1
        print(f"FAILED {name}\n{complaint}", flush=True)
    else:
        passed += 1
        print(f"ok {name}", flush=True)
    return not complaint


def run(command, **options):
    """Answers what a command printed, and a complaint if it failed."""
    command = [str(word) for word in command]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          **options)
    complaint = done.returncode and f"{shlex.join(command)}: exit {done.returncode}\n{done.stdout}"
    return done.stdout, complaint or ""


def run_all(*commands, **options):
    """Runs commands one after another, up to the first that fails; answers its complaint."""
    for command in commands:
        _, complaint = run(command, **options)
        if complaint:
            return complaint
    return ""


def greets(program, **options):
    """Runs the embedding program; answers a complaint."""
    output, complaint = run([program], timeout=30, **options)
    if not complaint and output.strip() != GREETING:
        complaint = f"it printed: {output}"
    return complaint


def copy_sources(root, to):
    """Copies what a clone would have: no build folders, nothing that git ignores."""
    listed = subprocess.run(
        ["git", "-c", f"safe.directory={root}", "-C", root, "ls-files", "-z", "--cached",
         "--others", "--exclude-standard"], capture_output=True, text=True, check=False)
    if listed.returncode:  # an archive, not a clone
        shutil.copytree(root, to, symlinks=True, ignore=shutil.ignore_patterns("build*", ".git"))
        return
    for name in filter(None, listed.stdout.split("\0")):
        source, copy = root / name, to / name
        if not source.is_symlink() and not source.is_file():
            continue  # deleted and not committed yet
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(source, copy, follow_symlinks=False)


def as_subproject(root, work):
    """Answers the headers that this showed to compile alone: a source begins with them."""
    project = work / "project"
    shutil.copytree(root / "tests/embed", project, ignore=shutil.ignore_patterns("__pycache__"))
    copy = project / "subprojects/ringdown"
    copy_sources(root, copy)
    build = work / "build"
    complaint = run_all(["meson", "setup", "--wrap-mode=forcefallback", build, project],
                        ["ninja", "-C", build, "-j", AT_ONCE])
    if not check("subproject: builds with meson's defaults", complaint):
        return set()
    check("subproject: the program runs", greets(build / "embed"))
    commands = json.loads((build / "compile_commands.json").read_text())
    sources = [(build / each["file"]).resolve() for each in commands]
    return {begun_with(each) for each in sources if each.is_relative_to(copy.resolve())}


def begun_with(source):
    """The header of the library that a source includes before anything but comments; or None."""
    first = re.match(r"(?:\s*//.*\n)*\s*#include <ringdown/(\S+)>\n", source.read_text())
    return first and pathlib.Path(first[1])


def install(built, work):
    """Installs below a folder of the test's own; answers that, and where there the files are."""
    stage = work / "stage"
    listed, complaint = run(["meson", "introspect", "--buildoptions", built])
    if complaint:
        return stage, stage, complaint
    prefix = next(each["value"] for each in json.loads(listed) if each["name"] == "prefix")
    complaint = run_all(["meson", "install", "-C", built, "--no-rebuild", "--quiet"],
                        env=dict(os.environ, DESTDIR=str(stage)))
    return stage, stage / prefix.lstrip("/"), complaint


def missing_headers(root, include):
    """Names the headers of the library's folders that were not installed in their places as they
    are."""
    wanted = [header.relative_to(root)
              for folder in ("runtime", "net", "shutdown")
              for header in (root / folder).glob("*.hpp")]
    _, *missing = filecmp.cmpfiles(root, include, sorted(wanted), shallow=False)
    missing = sorted(missing[0] + missing[1])
    if not (include / "ringdown.hpp").is_file():
        missing.append("ringdown.hpp")
    return "\n".join(f"not installed, or otherwise: {header}" for header in missing)


def as_installed(root, built, compiler, work, compiled_alone):
    stage, prefix, complaint = install(built, work)
    if not check("installed: installs", complaint):
        return
    include = prefix / "include/ringdown"
    check("installed: every header is in its place", missing_headers(root, include))

    library = next(prefix.rglob("ringdown.pc")).parent.parent
    found = dict(os.environ, PKG_CONFIG_PATH=str(library / "pkgconfig"),
                 PKG_CONFIG_SYSROOT_DIR=str(stage))
    flags, complaint = run(["pkg-config", "--cflags", "--libs", "ringdown"], env=found)
    if not check("installed: pkg-config finds it", complaint):
        return
    program = work / "embed"
    complaint = run_all(compiler + STRICT + [root / "tests/embed/embed.cpp", "-o", program] +
                        shlex.split(flags))
    if check("installed: a program builds with pkg-config's flags alone", complaint):
        check("installed: the program runs",
              greets(program, env=dict(os.environ, LD_LIBRARY_PATH=str(library))))
    flags, complaint = run(["pkg-config", "--cflags", "ringdown"], env=found)
    if check("installed: pkg-config tells what compiling needs", complaint):
        check_documents(root, compiler, shlex.split(flags))
        check_headers(compiler, include, shlex.split(flags), compiled_alone)


def check_documents(root, compiler, flags):
    """The programs that the documents print whole compile, without a warning."""
    for name in WHOLE_PROGRAMS:
        blocks = re.findall(r"^```cpp\n(.*?)^```$", (root / name).read_text(), re.M | re.S)
        programs = [each for each in blocks if "int main(" in each]
        if not check(f"{name}: has a whole program", "" if programs else "no block has a main"):
            continue
        for number, each in enumerate(programs, 1):
            check(f"{name}: whole program {number} compiles",
                  run(compiler + STRICT + ["-fsyntax-only", "-x", "c++", "-"] + flags,
                      input=each)[1])


def check_headers(compiler, include, flags, compiled_alone):
    """Each header of the library compiles alone; those that a source began with have done so."""
    headers = sorted(include.rglob("*.hpp"))

    def compiles(header):
        if header.relative_to(include) in compiled_alone:
            return ""
        unit = f"#include <ringdown/{header.relative_to(include)}>\n"
        return run(compiler + ["-fsyntax-only", "-x", "c++", "-"] + flags, input=unit)[1]

    with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as workers:
        for header, complaint in zip(headers, workers.map(compiles, headers)):
            tools = LIBRARIES_OF_TOOLS.search(header.read_text())
            check(f"header compiles alone: {header.relative_to(include)}",
                  complaint or (tools and f"it has {tools.group(0).strip()}") or "")


def main():
    root, built = (pathlib.Path(argument).resolve() for argument in sys.argv[1:3])
    compiler = shlex.split(os.environ.get("CXX", "c++"))
    with tempfile.TemporaryDirectory(prefix="ringdown-embed-") as folder:
        work = pathlib.Path(folder)
        compiled_alone = as_subproject(root, work)
        as_installed(root, built, compiler, work, compiled_alone)
    print(f"{passed} passed, {failed} failed")
    return failed != 0


if __name__ == "__main__":
    sys.exit(main())
