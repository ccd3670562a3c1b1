"""Checks that every test that the mapping tables in docs/ name exists, and that each row names one.

Usage: check_mapping.py SOURCE_ROOT DOCUMENT...
"""

import pathlib
import re
import sys

HEADINGS = ("test", "tests", "proved by")


def test_names(below):
    """The names of all cases of a file or folder; literals that a line break splits are one."""
    for path in [below] if below.is_file() else below.rglob("*_test.cpp"):
        for case in re.findall(r'TEST_CASE\(\s*((?:"[^"]*"\s*)+)\)', path.read_text()):
            yield "".join(re.findall(r'"([^"]*)"', case))


def script_names(root):
    """The names of the cases in Python, as their output has them, behind that of the file."""
    for path in (root / "tests").rglob("*_test.py"):
        for case in re.findall(r"def test_(\w+)", path.read_text()):
            yield f"{path.stem}: {case.replace('_', ' ')}"


def cells_of_tests(document):
    """The cells in columns that are headed `test`, `tests` or `proved by`, and that heading."""
    column = heading = None
    for line in document.read_text().splitlines():
        if not line.startswith("|"):
            column = None
            continue
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if column is None:
            column = next((i for i, cell in enumerate(cells) if cell in HEADINGS), -1)
            heading = cells[column]
        elif column >= 0 and set(cells[column]) != {"-"}:
            yield heading, cells[column]


def claims(document):
    """The names of tests, each behind that of its file: under `proved by` names are in quotes, and
    the file in front of them; elsewhere it is None. A cell that names no test, nor refers to one
    that does, is a claim that no test meets."""
    for heading, cell in cells_of_tests(document):
        file = None
        found = re.findall(r'`([^`]+)`|"([^"]+)"', cell)
        if not found and not cell.startswith(("the same", "as ")):
            yield None, f"(a row of {heading}: {cell or 'empty'})"
        for ticked, quoted in found:
            if heading != "proved by":
                yield None, ticked or quoted
            elif quoted:
                yield file, quoted
            else:
                file = ticked


def in_file(root, file):
    """The names of the cases in a file, whatever its language."""
    path = next((root / "tests").rglob(file), None)
    if path is None:
        return []
    if path.suffix == ".py":
        return [name.split(": ", 1)[1] for name in script_names(root)
                if name.startswith(path.stem + ": ")]
    return list(test_names(path))


def main(root, documents):
    names = [*test_names(root / "tests"), *script_names(root)]
    failures = checked = 0
    for document in documents:
        for file, claim in claims(document):
            checked += 1
            pattern = ".*".join(re.escape(part.strip()) for part in claim.split("…"))
            among = in_file(root, file) if file else names
            if not any(re.fullmatch(pattern, name) for name in among):
                failures += 1
                where = f" in {file}" if file else ""
                print(f"{document.name} names a test that does not exist{where}: {claim}")
    print(f"{checked} names checked")
    return 1 if failures or not checked else 0


if __name__ == "__main__":
    sys.exit(main(pathlib.Path(sys.argv[1]), [pathlib.Path(each) for each in sys.argv[2:]]))
