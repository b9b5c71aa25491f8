"""Telling when a platform blocks the event loop, and breaking a block that does not end."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import threading
import time
from collections.abc import Iterator
from types import FrameType
from typing import Final

__all__ = ["BlockedError", "LoopWatch"]

_TICK: Final = 0.05


class BlockedError(BaseException):
    """Raised inside the code that blocks the loop. No `Exception`: the platform is not to catch it."""


class LoopWatch:
    """Measures how long the loop does not run.

    Args:
        interrupt: Seconds after which a block is broken, where this is the main thread and nobody else uses
            the alarm signal. Code that holds the interpreter in C cannot be broken.
    """

    def __init__(self, interrupt: float) -> None:
        self.worst = 0.0
        self._interrupt = interrupt

    @contextlib.contextmanager
    def watching(self) -> Iterator[None]:
        """Watch for as long as the body runs; to be entered on the loop."""
        loop = asyncio.get_running_loop()
        alarm = self._can_interrupt()
        last = time.monotonic()
        ticking: asyncio.TimerHandle | None = None

        def tick() -> None:
            nonlocal last, ticking
            now = time.monotonic()
            self.worst = max(self.worst, now - last - _TICK)
            last = now
            if alarm:
                signal.setitimer(signal.ITIMER_REAL, self._interrupt)
            ticking = loop.call_later(_TICK, tick)

        previous = signal.signal(signal.SIGALRM, self._on_alarm) if alarm else None
        ticking = loop.call_later(_TICK, tick)
        if alarm:
            signal.setitimer(signal.ITIMER_REAL, self._interrupt)
        try:
            yield
        finally:
            if alarm:
                signal.setitimer(signal.ITIMER_REAL, 0)
                signal.signal(signal.SIGALRM, previous)
            if ticking is not None:
                ticking.cancel()
            self.worst = max(self.worst, time.monotonic() - last - _TICK)

    def _on_alarm(self, _: int, frame: FrameType | None) -> None:
        where = "" if frame is None else f" at {frame.f_code.co_filename}:{frame.f_lineno}"
        raise BlockedError(f"blocks the event loop for over {self._interrupt:g} s{where}")

    @staticmethod
    def _can_interrupt() -> bool:
        return (
            threading.current_thread() is threading.main_thread()
            and signal.getsignal(signal.SIGALRM) in {signal.SIG_DFL, signal.SIG_IGN}
            and signal.getitimer(signal.ITIMER_REAL)[0] == 0
        )
