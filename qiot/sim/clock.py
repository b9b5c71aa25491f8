"""The world's clock: the running loop's by default, so that a loop with virtual time moves the world too."""

from __future__ import annotations

import asyncio
from typing import Protocol

__all__ = ["Clock", "LoopClock", "sleep_or_change"]


class Clock(Protocol):
    """Where the world's time comes from."""

    def now(self) -> float:
        """Monotonic seconds."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Return after `seconds`, 0 or more; gives way to other tasks even with 0."""
        ...


class LoopClock:
    """The clock of the running event loop."""

    def now(self) -> float:
        """The loop's time in seconds."""
        return asyncio.get_running_loop().time()

    async def sleep(self, seconds: float) -> None:
        """Sleep on the loop."""
        await asyncio.sleep(seconds)


async def sleep_or_change(clock: Clock, seconds: float | None, changed: asyncio.Event) -> None:
    """Return after so many seconds of the clock, None for never, or when `changed` is set."""
    if seconds is None:
        await changed.wait()
        return
    sleeping = asyncio.ensure_future(clock.sleep(seconds))
    changing = asyncio.ensure_future(changed.wait())
    try:
        await asyncio.wait((sleeping, changing), return_when=asyncio.FIRST_COMPLETED)
    finally:
        sleeping.cancel()
        changing.cancel()
        await asyncio.gather(sleeping, changing, return_exceptions=True)
