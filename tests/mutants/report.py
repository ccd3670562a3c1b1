"""Tells how it goes, and at the end what was found."""
import collections
import difflib
import time

from trial import Outcome


def difference(fault):
    """The lines that the fault changes, as a diff without context."""
    right = fault.source.text.decode().splitlines()
    wrong = fault.text().decode().splitlines()
    lines = difflib.unified_diff(right, wrong, n=0, lineterm="")
    return "\n".join(f"  {each}" for each in list(lines)[2:])


class Report:
    def __init__(self, count, survivors_file, all_compile=False):
        self.count = count
        self.all_compile = all_compile
        self.began = time.monotonic()
        self.results = []
        self.survivors_file = survivors_file
        self.whole = True

    def add(self, result):
        self.results.append(result)
        seconds = time.monotonic() - self.began
        by = f" ({result.by})" if result.by else ""
        print(f"[{len(self.results)}/{self.count}, {seconds:.0f} s] {result.fault.name}: "
              f"{result.outcome.value}{by}", flush=True)
        if result.outcome == Outcome.SURVIVED and self.survivors_file:
            with open(self.survivors_file, "a", encoding="utf-8") as file:
                file.write(f"{result.fault.name}\n{difference(result.fault)}\n")

    def cut_short(self):
        self.whole = False
        print(f"\nmutants: interrupted; {self.count - len(self.results)} were not tried")

    def of(self, outcome):
        return sorted((each.fault for each in self.results if each.outcome == outcome),
                      key=lambda fault: (fault.source.file, fault.begin))

    def table(self):
        counts = collections.defaultdict(collections.Counter)
        for each in self.results:
            counts[each.fault.source.file][each.outcome] += 1
        width = max(map(len, counts), default=0)
        print(f"\n{'file':{width}}" + "".join(f"  {each.value:>16}" for each in Outcome))
        for file, of_file in sorted(counts.items()):
            print(f"{file:{width}}" + "".join(f"  {of_file[each]:16}" for each in Outcome))

    def close(self):
        """Answers whether every fault was tried and found."""
        self.table()
        if survivors := self.of(Outcome.SURVIVED):
            print("\nNo test noticed:")
        for fault in survivors:
            print(f"{fault.name}\n{difference(fault)}")
        killed = sum(each.outcome.is_killed for each in self.results)
        failed = len(survivors)
        if skipped := self.of(Outcome.NOT_COMPILED):
            says = "fail, because these have to" if self.all_compile else "count as nothing"
            print(f"\n{len(skipped)} do not compile and {says}")
            failed += len(skipped) * self.all_compile
        print(f"{killed} passed, {failed} failed")
        return self.whole and failed == 0 and killed > 0
