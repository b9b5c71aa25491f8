"""Waiting for conditions: tests in the lab never sleep for a fixed time."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

__all__ = ["NotInTimeError", "until"]

T = TypeVar("T")


class NotInTimeError(AssertionError):
    """What was waited for did not happen."""


def until(condition: Callable[[], T], what: str, seconds: float = 30.0, every: float = 0.1) -> T:
    """Call `condition` until what it returns is true.

    It blocks; in an asyncio test run it by ``asyncio.to_thread``.

    Args:
        condition: called again and again; its exceptions are the caller's.
        what: named in the error.
        seconds: the longest wait. Simulated radios are quick, Python on a loaded machine is not: be generous.
        every: seconds between calls.

    Returns:
        the first true thing that `condition` returned.

    Raises:
        NotInTimeError: it stayed false.
    """
    __tracebackhide__ = True  # in a failure's report, the test's own line says more
    end = time.monotonic() + seconds
    while True:
        found = condition()
        if found:
            return found
        if time.monotonic() > end:
            raise NotInTimeError(f"not after {seconds:g} s: {what}")
        time.sleep(every)
