"""A pytest plugin for the guest: writes every test's start and result at once, and enforces its limit.

Each line of the file is one JSON object with the key "event":

- ``collected`` (tests): what this machine is going to run;
- ``start`` (test, limit in seconds);
- ``result`` (test, outcome, seconds, text): outcome is passed, failed or skipped;
- ``broken`` (test, text): a file that could not be collected;
- ``finished`` (status): the session came to its end with pytest's exit status.
"""

from __future__ import annotations

import faulthandler
import json
import os
import signal
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from lab.guest.collect import described

__all__ = ["Results"]

_FOLDER = "LAB_OUT"
_TEARDOWN_LIMIT = 60.0
_LAST_RESORT = 30.0
_LONGEST_TEXT = 100_000


def pytest_configure(config: pytest.Config) -> None:
    """Start writing into the folder that the runner named."""
    config.pluginmanager.register(Results(Path(os.environ[_FOLDER])), "lab-results")


class Results:
    """Writes the files results and traces into `folder`; the plugin's hooks are its methods."""

    def __init__(self, folder: Path) -> None:
        self._file = (folder / "results").open("a", encoding="utf-8")
        self._traces = (folder / "traces").open("a", encoding="utf-8")
        self._reports: list[pytest.TestReport] = []
        self._started = 0.0
        self._left = 0.0

    def _write(self, event: str, **content: Any) -> None:
        self._file.write(json.dumps({"event": event, **content}) + "\n")
        self._file.flush()

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Tell what is coming."""
        self._write("collected", tests=[item.nodeid for item in session.items])

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Tell which file could not be collected."""
        if report.failed:
            self._write("broken", test=report.nodeid, text=report.longreprtext)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, object, object]:
        """Bracket a test with its start and its result."""
        limit = described(item)["limit"]
        self._reports = []
        self._left = limit
        self._started = time.monotonic()
        self._write("start", test=item.nodeid, limit=limit + _TEARDOWN_LIMIT)
        # For code that never comes back to Python: the interpreter ends, and the runner sees what was lost.
        faulthandler.dump_traceback_later(
            limit + _TEARDOWN_LIMIT + _LAST_RESORT, exit=True, file=self._traces
        )
        try:
            return (yield)
        finally:
            faulthandler.cancel_dump_traceback_later()
            self._write("result", test=item.nodeid, **self._verdict(time.monotonic() - self._started))

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Keep the parts of a test until its end."""
        self._reports.append(report)

    def _verdict(self, seconds: float) -> dict[str, Any]:
        outcomes = {report.outcome for report in self._reports}
        whens = {report.when for report in self._reports}
        bad = [report for report in self._reports if report.failed]
        if bad or not {"setup", "teardown"} <= whens:
            texts = ["\n".join((f"[{bad_one.when}]", *_texts(bad_one))) for bad_one in bad]
            return {"outcome": "failed", "seconds": seconds, "text": "\n".join(texts)[-_LONGEST_TEXT:]}
        if "skipped" in outcomes:
            skipped = next(report for report in self._reports if report.skipped)
            text = (
                skipped.longrepr[2] if isinstance(skipped.longrepr, tuple) else "expected to fail, and failed"
            )
            return {"outcome": "skipped", "seconds": seconds, "text": text}
        return {"outcome": "passed", "seconds": seconds, "text": ""}

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> Generator[None, None, None]:
        """Limit the set-up."""
        with self._limited(f"the test's limit ({described(item)['limit']:g} s) was over in the set-up"):
            return (yield)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Generator[None, None, None]:
        """Limit the test itself to what the set-up left."""
        with self._limited(f"the test's limit ({described(item)['limit']:g} s) was over"):
            return (yield)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_teardown(self) -> Generator[None, None, None]:
        """Limit the end of a test."""
        self._left = _TEARDOWN_LIMIT
        with self._limited(f"the end of the test took longer than {_TEARDOWN_LIMIT:g} s"):
            return (yield)

    @contextmanager
    def _limited(self, text: str) -> Iterator[None]:
        def over(_number: int, _frame: FrameType | None) -> None:
            faulthandler.dump_traceback(file=self._traces)
            pytest.fail(text)

        before = signal.signal(signal.SIGALRM, over)
        # Repeats, in case the first one is swallowed on its way.
        signal.setitimer(signal.ITIMER_REAL, max(self._left, 0.001), 10.0)
        began = time.monotonic()
        try:
            yield
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            self._left -= time.monotonic() - began
            signal.signal(signal.SIGALRM, before)

    def pytest_sessionfinish(self, exitstatus: int) -> None:
        """Tell that nothing is missing because of an early end."""
        self._write("finished", status=int(exitstatus))


def _texts(report: pytest.TestReport) -> list[str]:
    sections = [f"--- {title} ---\n{content}" for title, content in report.sections if content.strip()]
    return [report.longreprtext, *sections]
