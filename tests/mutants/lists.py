"""The names that people wrote down: faults that nobody can see, and faults that `check` plants."""
import difflib
import pathlib
import sys

HERE = pathlib.Path(__file__).parent


def read(name):
    """Each line is a fault's name and, behind it, a text; `#` begins a comment."""
    entries = {}
    for number, line in enumerate((HERE / name).read_text().splitlines(), 1):
        fault, _, text = line.partition(" ")
        if not fault or fault.startswith("#"):
            continue
        if not text.strip():
            sys.exit(f"mutants: {name}:{number}: nothing stands behind {fault}")
        if fault in entries:
            sys.exit(f"mutants: {name}:{number}: {fault} stands there twice")
        entries[fault] = text.strip()
    return entries


def equivalents():
    return read("equivalent.txt")


def checked():
    return read("check.txt")


def require_known(names, faults, where):
    """Stops at names of no fault, and says which ones they may have been."""
    known = {each.name for each in faults}
    unknown = [name for name in names if name not in known]
    for name in unknown:
        close = difflib.get_close_matches(name, known, n=4, cutoff=0.5)
        print(f"mutants: {where}: there is no fault {name}", file=sys.stderr)
        print("".join(f"  perhaps {each}\n" for each in close) or "  nor one like it\n", end="",
              file=sys.stderr)
    if unknown:
        sys.exit(2)
