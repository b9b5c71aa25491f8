"""What `lab/run` prints."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from lab.host.watch import Result

__all__ = ["Reporter", "table"]


def table(results: Iterable[Result]) -> str:
    """One line for each test: result, seconds, name."""
    rows = [(result.outcome.upper(), f"{result.seconds:.1f}", result.test) for result in results]
    rows.insert(0, ("RESULT", "SECONDS", "TEST"))
    return "\n".join(f"{outcome:<8} {seconds:>8}  {test}" for outcome, seconds, test in rows)


class Reporter:
    """Prints results as they come and all of them at the end.

    Args:
        expected: how many tests there are.
    """

    def __init__(self, expected: int) -> None:
        self._expected = expected
        self._count = 0

    def say(self, text: str) -> None:
        """One line about the run itself."""
        print(f"lab: {text}", flush=True)

    def result(self, result: Result) -> None:
        """One line about a test, and why it did not pass."""
        self._count += 1
        place = f"[{self._count}/{self._expected}]"
        print(f"{place:>9} {result.outcome.upper():<8} {result.seconds:6.1f} s  {result.test}", flush=True)

    def end(self, results: Sequence[Result], seconds: float) -> None:
        """The texts of what failed, the table of all tests, and the count."""
        bad = [result for result in results if not result.passed]
        for result in bad:
            print(f"\n=== {result.outcome.upper()}: {result.test}\n{result.text.rstrip()}")
        print(f"\n{table(results)}")
        word = "FAILED" if bad else "PASSED"
        print(f"\n{word}: {len(results) - len(bad)} of {len(results)} passed in {seconds:.0f} s", flush=True)
