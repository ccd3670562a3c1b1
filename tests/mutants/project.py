"""What meson knows of the project: the library's sources, and how things are linked."""
import functools
import json
import os
import pathlib
import shlex
import subprocess
import sys

from syntax import Source

ROOT = pathlib.Path(__file__).resolve().parents[2]
STOREYS = ("net", "shutdown")
LIBRARY = "libringdown.so"


def archive(storey):
    return f"libringdown_{storey}.a"


class Project:
    def __init__(self, build):
        self.build = build.resolve()
        commands = self.build / "compile_commands.json"
        if not commands.exists():
            sys.exit(f"mutants: {build}/ is no build folder; `./dev build` makes one")
        self.sources = []
        for entry in json.loads(commands.read_text()):
            storey = next((each for each in STOREYS
                           if entry.get("output", "").startswith(archive(each) + ".p/")), None)
            if storey:
                path = pathlib.Path(os.path.normpath(self.build / entry["file"]))
                self.sources.append(Source(
                    str(path.relative_to(ROOT)), path, storey, tuple(shlex.split(entry["command"])),
                    entry["output"], path.read_bytes()))
        self.sources.sort(key=lambda each: each.file)

    @property
    def scratch(self):
        folder = self.build / "mutants"
        folder.mkdir(exist_ok=True)
        return folder

    def run(self, *words):
        return subprocess.run(words, cwd=self.build, text=True, stdout=subprocess.PIPE,
                              check=True).stdout

    @functools.cached_property
    def library(self):
        """The file behind the library's name without versions."""
        return (self.build / LIBRARY).resolve().name

    @functools.cache
    def link_command(self, target):
        return tuple(shlex.split(self.run("ninja", "-t", "commands", target).splitlines()[-1]))

    @functools.cache
    def objects(self, storey):
        """The objects of an archive, from the build folder on."""
        return tuple(each if os.path.dirname(each) else f"{archive(storey)}.p/{each}"
                     for each in self.run("ar", "t", archive(storey)).split())

    def link_with(self, target, source, changed, output):
        """The command that links a target to another place, with one object changed."""
        words = list(self.link_command(target))
        words[words.index("-o") + 1] = str(output)
        place = words.index(archive(source.storey))
        objects = self.objects(source.storey)
        if source.output not in objects:
            raise RuntimeError(f"{archive(source.storey)} holds no {source.output}")
        words[place:place + 1] = [str(changed) if each == source.output else each
                                  for each in objects]
        return words

    @staticmethod
    def compile_with(source, changed, output):
        """The source's own command for another text of it. A fault may well deserve a warning."""
        words = []
        given = iter(source.command)
        for word in given:
            if word in ("-o", "-MF", "-MQ", "-c"):
                next(given)
            elif word not in ("-MD", "-Werror"):
                words.append(word)
        return [*words, "-w", "-iquote", str(source.path.parent), "-o", str(output), "-c",
                str(changed)]
