"""The results as a table for people, row by row as they come."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Sequence

from qiot.hal.conformance.check import Check, Outcome, Result

__all__ = ["Table"]


class Table:
    """Writes to standard output. What is not claimed for the same reason takes one row for each port.

    Args:
        checks: Every check that can come; they give the widths.
    """

    def __init__(self, checks: Sequence[Check]) -> None:
        self._widths = [
            max(len(text) for text in texts)
            for texts in zip(*((each.port, each.verb, each.title) for each in checks), strict=True)
        ]
        self._waiting: list[Result] = []

    def add(self, result: Result) -> None:
        """Write the row, or wait for others like it."""
        if self._waiting and not _alike(self._waiting[-1], result):
            self._flush()
        self._waiting.append(result)
        if result.outcome is not Outcome.NOT_CLAIMED:
            self._flush()

    def end(self, results: Sequence[Result]) -> None:
        """Write what waits, and the summary of all results."""
        self._flush()
        counted = Counter(each.outcome for each in results)
        words = {Outcome.PASS: "passed", Outcome.FAIL: "failed", Outcome.NOT_CLAIMED: "not claimed"}
        parts = ", ".join(f"{counted[outcome]} {word}" for outcome, word in words.items())
        sys.stdout.write(f"\n{parts}, in {sum(each.seconds for each in results):.1f} s\n")

    def _flush(self) -> None:
        if not self._waiting:
            return
        result = self._waiting[0]
        check, more = result.check, len(self._waiting) > 1
        verb = "" if more else check.verb
        title = f"({len(self._waiting)} checks)" if more else check.title
        port_width, verb_width, title_width = self._widths
        why = f": {result.why}" if result.why else ""
        row = f"{check.port:{port_width}}  {verb:{verb_width}}  {title:{title_width}}"
        sys.stdout.write(f"{row}  {result.outcome}{why}\n")
        sys.stdout.flush()
        self._waiting.clear()


def _alike(one: Result, other: Result) -> bool:
    return (one.check.port, one.outcome, one.why) == (other.check.port, other.outcome, other.why)
