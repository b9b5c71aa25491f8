"""The clock of a codec: waiting for what comes, but never longer than the codec's next deadline."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

from qiot.protocols.base import Codec

__all__ = ["CodecClock"]

_T = TypeVar("_T")


class CodecClock:
    """Waits for a medium on behalf of one codec; one waits at a time.

    Args:
        codec: Whose deadlines count.
    """

    def __init__(self, codec: Codec) -> None:
        self._codec = codec
        self._waiting: asyncio.Timeout | None = None
        self._quiet = asyncio.Event()
        self._quiet.set()

    async def wait(self, receiving: Awaitable[_T]) -> _T | None:
        """What was received, or None when `tick` is due or `wake` was called."""
        try:
            async with asyncio.timeout_at(self._codec.deadline()) as self._waiting:
                return await receiving
        except TimeoutError:
            return None
        finally:
            self._waiting = None

    def rearm(self) -> None:
        """Let `wait` return in time for the codec's deadline, whoever changed it."""
        deadline = self._codec.deadline()
        if deadline is None:
            self._quiet.set()
        else:
            self._quiet.clear()
        self._reschedule(deadline)

    def wake(self) -> None:
        """Let `wait` return now."""
        self._reschedule(asyncio.get_running_loop().time())

    async def wait_quiet(self) -> None:
        """Return when the codec has no deadline, or after `end`."""
        await self._quiet.wait()

    def end(self) -> None:
        """Nobody will wait any more."""
        self._quiet.set()

    def _reschedule(self, when: float | None) -> None:
        if self._waiting is not None and not self._waiting.expired():
            self._waiting.reschedule(when)
