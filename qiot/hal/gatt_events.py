"""What centrals did, kept until it is read."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

from qiot.errors import HalError
from qiot.hal.contract import GattEvent
from qiot.log import get_logger
from qiot.model import Peer, Reason

__all__ = ["GattEvents"]

log = get_logger()

_MAX: Final = 1024
"""Events of all centrals together; a phone that writes faster than we read has a fault or bad intentions."""


class GattEvents:
    """A bounded queue from callbacks to `Gatt.read`."""

    def __init__(self) -> None:
        self._waiting: list[tuple[Peer, GattEvent]] = []
        self._changed = asyncio.Event()
        self._open = False

    def open(self) -> None:
        """Begin, with nothing of earlier."""
        self._waiting.clear()
        self._open = True

    def close(self) -> None:
        """End: who reads gets an error. Idempotent."""
        self._open = False
        self._waiting.clear()
        self._changed.set()

    def put(self, peer: Peer, event: GattEvent) -> None:
        """An event came; nothing happens while it is closed."""
        if not self._open:
            return
        if len(self._waiting) >= _MAX:
            log.warning(f"<{peer.address}> writes faster than it is read: {type(event).__name__} is lost")
            return
        self._waiting.append((peer, event))
        self._changed.set()

    async def read(self) -> Sequence[tuple[Peer, GattEvent]]:
        """Everything that waits; a read that is cancelled takes nothing.

        Raises:
            HalError: STOPPED: it is closed.
        """
        while self._open and not self._waiting:
            self._changed.clear()
            await self._changed.wait()
        if not self._open:
            raise HalError("the GATT server is not started", reason=Reason.STOPPED)
        events, self._waiting = self._waiting, []
        return events
