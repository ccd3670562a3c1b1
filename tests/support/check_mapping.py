"""Checks that every test that the mapping tables in docs/ name exists.

Usage: check_mapping.py SOURCE_ROOT DOCUMENT...
"""

import pathlib
import re
import sys


def test_names(root):
    """The names of all cases; literals that a line break splits are one."""
    for path in (root / "tests").rglob("*_test.cpp"):
        for case in re.findall(r'TEST_CASE\(\s*((?:"[^"]*"\s*)+)\)', path.read_text()):
            yield "".join(re.findall(r'"([^"]*)"', case))


def claims(document):
    """The names in columns that are headed `test` or `tests`."""
    column = None
    for line in document.read_text().splitlines():
        if not line.startswith("|"):
            column = None
            continue
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if column is None:
            column = next((i for i, cell in enumerate(cells) if cell in ("test", "tests")), -1)
        elif column >= 0:
            yield from re.findall("`([^`]+)`", cells[column])


def main(root, documents):
    names = list(test_names(root))
    failures = checked = 0
    for document in documents:
        for claim in claims(document):
            checked += 1
            pattern = ".*".join(re.escape(part.strip()) for part in claim.split("…"))
            if not any(re.fullmatch(pattern, name) for name in names):
                failures += 1
                print(f"{document.name} names a test that does not exist: {claim}")
    print(f"{checked} names checked")
    return 1 if failures or not checked else 0


if __name__ == "__main__":
    sys.exit(main(pathlib.Path(sys.argv[1]), [pathlib.Path(each) for each in sys.argv[2:]]))
