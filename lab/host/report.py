"""What `lab/run` prints."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from lab.host.plan import Group, Test
from lab.host.watch import Result

__all__ = ["Reporter", "shown", "table"]

_GOOD = ("passed", "earlier")


def table(results: Iterable[Result]) -> str:
    """One line for each test: result, seconds, name."""
    rows = [(result.outcome.upper(), f"{result.seconds:.1f}", result.test) for result in results]
    rows.insert(0, ("RESULT", "SECONDS", "TEST"))
    return "\n".join(f"{outcome:<8} {seconds:>8}  {test}" for outcome, seconds, test in rows)


def shown(groups: Iterable[Group], earlier: Iterable[Result] = ()) -> str:
    """The plan: the machines in the order they start, with their tests."""
    lines = []
    for group in groups:
        lines.append(f"{group.name}: {len(group.tests)} tests, about {group.duration:.0f} s")
        lines += [f"  {test.duration:5.0f} s  {test.test}{_mark(test)}" for test in group.tests]
    lines += [f"  earlier  {result.test}" for result in earlier]
    return "\n".join(lines)


def _mark(test: Test) -> str:
    return "  (smoke)" if test.smoke else ""


class Reporter:
    """Prints results as they come and all of them at the end.

    Args:
        expected: how many tests are going to run.
    """

    def __init__(self, expected: int) -> None:
        self._expected = expected
        self._seen: set[str] = set()

    def say(self, text: str) -> None:
        """One line about the run itself."""
        print(f"lab: {text}", flush=True)

    def plan(self, groups: Sequence[Group], jobs: int, cpus: int, earlier: int) -> None:
        """What is going to run."""
        left_out = f"; {earlier} that passed earlier are left out" if earlier else ""
        what = f"{self._expected} tests, {len(groups)} machines, {jobs} at a time, {cpus} processors each"
        self.say(f"{what}{left_out}")

    def result(self, result: Result) -> None:
        """One line about a test."""
        self._seen.add(result.test)
        place = f"[{len(self._seen)}/{self._expected}]"
        print(f"{place:>9} {result.outcome.upper():<8} {result.seconds:6.1f} s  {result.test}", flush=True)

    def end(self, tests: Sequence[Test], results: Sequence[Result], seconds: float) -> int:
        """The texts of what failed, the table of all tests, and the count.

        Args:
            tests: what was selected.
            results: what became of it.
            seconds: how long it took.

        Returns:
            0 when every one of `tests` passed, now or earlier, else 1.
        """
        by_name = {result.test: result for result in results}
        whole = [by_name.get(test.test, Result(test.test, "lost", 0.0, "it has no result")) for test in tests]
        bad = [result for result in whole if result.outcome not in _GOOD]
        for result in bad:
            print(f"\n=== {result.outcome.upper()}: {result.test}\n{result.text.rstrip()}")
        print(f"\n{table(whole)}")
        word = "FAILED" if bad else "PASSED"
        print(f"\n{word}: {len(whole) - len(bad)} of {len(whole)} passed in {seconds:.0f} s", flush=True)
        return 1 if bad else 0
