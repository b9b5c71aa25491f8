"""Reads what a guest writes about its tests, and notices when it stops making progress."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lab.host.plan import Group

__all__ = ["Result", "Watch"]

# The guest enforces each test's limit itself; this much later the machine counts as hung.
_GRACE = 60.0
_START_LIMIT = 180.0


@dataclass(frozen=True, slots=True)
class Result:
    """How one test ended.

    Attributes:
        test: its node id.
        outcome: passed, failed, skipped, or what the machine made of it: hung, crashed, stopped, lost.
        seconds: how long it took.
        text: why it did not pass.
    """

    test: str
    outcome: str
    seconds: float = 0.0
    text: str = ""

    @property
    def passed(self) -> bool:
        """Whether this is what was wanted."""
        return self.outcome == "passed"


class Watch:
    """Follows the file of results of one machine.

    Args:
        group: the tests that the machine was given.
        path: the file, which may not be there yet.
        tell: called with each result as it comes.
        now: the clock, in seconds.
    """

    def __init__(
        self,
        group: Group,
        path: Path,
        tell: Callable[[Result], None],
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._group = group
        self._path = path
        self._tell = tell
        self._now = now
        self._read = 0
        self._partial = b""
        self._running = ""
        self._since = now()
        self._deadline: float | None = None
        self.results: dict[str, Result] = {}

    def look(self, up: bool = True) -> str:
        """Take in what is new.

        Args:
            up: the guest has booted: from then on it has to say something in time.

        Returns:
            what is wrong when nothing came for too long, otherwise "".
        """
        if up and self._deadline is None:
            self._allow(_START_LIMIT)
        for record in self._records():
            self._take(record)
        if self._deadline is not None and self._now() > self._deadline:
            where = f"in {self._running}" if self._running else "between tests"
            return f"the machine hung {where}: nothing came from it in time"
        return ""

    def _records(self) -> list[dict[str, Any]]:
        try:
            with self._path.open("rb") as file:
                file.seek(self._read)
                fresh = file.read()
        except FileNotFoundError:
            return []
        self._read += len(fresh)
        *lines, self._partial = (self._partial + fresh).split(b"\n")
        return [json.loads(line) for line in lines]

    def _allow(self, seconds: float) -> None:
        self._since = self._now()
        self._deadline = self._since + seconds

    def _take(self, record: dict[str, Any]) -> None:
        event = record["event"]
        self._allow(_START_LIMIT)
        if event == "start":
            self._running = record["test"]
            self._allow(record["limit"] + _GRACE)
        elif event == "result":
            self._running = ""
            self._add(Result(record["test"], record["outcome"], record["seconds"], record["text"]))
        elif event == "broken":
            for test in self._group.tests:
                if test.module == record["test"]:
                    self._add(Result(test.test, "failed", 0.0, record["text"]))

    def _add(self, result: Result) -> None:
        allowed = {test.test for test in self._group.tests if test.may_skip}
        if result.outcome == "skipped" and result.test in allowed:
            result = Result(result.test, "passed", result.seconds, result.text)
        self.results[result.test] = result
        self._tell(result)

    def close(self, fault: str, status: int | None, last_words: str = "") -> None:
        """Account for every test that has no result, and for a bad end after good results.

        Args:
            fault: what was wrong with the machine, "" when it ended by itself.
            status: the exit status of the guest's pytest, None when it has none.
            last_words: what the machine's files say; told with the test that was running.
        """
        self.look()
        word = next((word for word in ("hung", "crashed", "stopped") if word in fault), "lost")
        for test in self._group.tests:
            if test.test in self.results:
                continue
            if test.test == self._running:
                text = f"{fault or 'pytest ended in this test'}\n{last_words}"
                self._add(Result(test.test, word, self._now() - self._since, text))
            else:
                self._add(Result(test.test, "lost", 0.0, f"not run: {fault or 'pytest ended before it'}"))
        if all(result.passed for result in self.results.values()) and (fault or status != 0):
            # Somebody broke it, and the last one is the likeliest.
            last = list(self.results.values())[-1]
            text = f"it passed, then {fault or f'pytest ended with status {status}'}\n{last_words}"
            self._add(Result(last.test, word, last.seconds, text))
