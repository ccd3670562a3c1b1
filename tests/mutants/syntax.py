"""Reads the library's sources by clang's syntax tree: its functions, and how expressions nest."""
import dataclasses
import os
import pathlib
import re
import sys

from clang import cindex
from clang.cindex import CursorKind, TypeKind

FUNCTIONS = {
    CursorKind.FUNCTION_DECL, CursorKind.CXX_METHOD, CursorKind.CONSTRUCTOR, CursorKind.DESTRUCTOR,
    CursorKind.CONVERSION_FUNCTION, CursorKind.FUNCTION_TEMPLATE,
}
AROUND_FUNCTIONS = {
    CursorKind.NAMESPACE, CursorKind.LINKAGE_SPEC, CursorKind.UNEXPOSED_DECL,
    CursorKind.CLASS_DECL, CursorKind.STRUCT_DECL, CursorKind.CLASS_TEMPLATE,
}
INCLUDE = re.compile(rb"^#include (<[^>\n]+>)", re.MULTILINE)
TO_SAVE = 0x10  # CXTranslationUnit_ForSerialization, for which the bindings have no name
FEW = 4  # sources, for which reading a header in advance costs more than it saves


@dataclasses.dataclass(frozen=True)
class Source:
    """A source of the library, and the command that compiles it."""
    file: str  # from the project's root on
    path: pathlib.Path
    storey: str
    command: tuple
    output: str  # the object, from the build folder on
    text: bytes = dataclasses.field(compare=False, repr=False)  # whatever becomes of the file

    @property
    def options(self):
        return [word for word in self.command if word.startswith(("-I", "-D", "-std="))]


def span(cursor):
    return cursor.extent.start.offset, cursor.extent.end.offset


def bare(cursor):
    """The expression inside the conversions that clang adds and nobody wrote."""
    while cursor.kind == CursorKind.UNEXPOSED_EXPR:
        inner = [each for each in cursor.get_children() if each.kind.is_expression()]
        if len(inner) != 1 or span(inner[0]) != span(cursor):
            break
        cursor = inner[0]
    return cursor


def is_bool(cursor):
    return cursor.type.get_canonical().kind == TypeKind.BOOL


def qualified(cursor):
    """The name of a function with its class and namespaces, save for the outermost namespace."""
    names = []
    while cursor is not None and cursor.kind != CursorKind.TRANSLATION_UNIT:
        if cursor.spelling and cursor.kind != CursorKind.LINKAGE_SPEC:
            names.append(re.sub(r"<.*>$", "", cursor.spelling))
        cursor = cursor.semantic_parent
    names.reverse()
    return "::".join(names[1:] or names).replace(" ", "_")


def functions(unit, path):
    """Every function with a body in the source itself."""
    def below(cursor):
        for each in cursor.get_children():
            if not each.location.file or each.location.file.name != path:
                continue
            if each.kind in FUNCTIONS and each.is_definition():
                yield each
            elif each.kind in AROUND_FUNCTIONS:
                yield from below(each)

    return below(unit.cursor)


class Reader:
    """Parses sources; what many of them include is read once."""

    def __init__(self, build, sources, scratch):
        self.directory = build
        self.index = cindex.Index.create()
        self.common = None
        counts = {}
        for source in sources:
            for header in set(INCLUDE.findall(source.text)):
                counts[header] = counts.get(header, 0) + 1
        common = sorted(header for header, count in counts.items() if count >= FEW)
        if len(sources) < FEW or not common:
            return
        header = scratch / "common.hpp"
        header.write_bytes(b"".join(b"#include %s\n" % each for each in common))
        os.chdir(build)
        unit = self.index.parse(str(header), args=[*sources[0].options, "-xc++-header"],
                                options=cindex.TranslationUnit.PARSE_INCOMPLETE | TO_SAVE)
        if not errors(unit):
            self.common = str(scratch / "common.pch")
            unit.save(self.common)

    def parse(self, source):
        os.chdir(self.directory)  # the options name folders from there
        advance = ["-include-pch", self.common] if self.common else []
        for further in [advance, []] if advance else [[]]:
            unit = self.index.parse(str(source.path), args=[*source.options, *further])
            if not errors(unit):
                return unit
        sys.exit(f"mutants: clang cannot read {source.file}:\n" + "\n".join(errors(unit)))


def errors(unit):
    return [str(each) for each in unit.diagnostics if each.severity >= cindex.Diagnostic.Error]
