"""Signs of phones: what is heard before an offer is whole."""

from __future__ import annotations

import asyncio
from typing import Final

from qiot.model import Outcome, Step
from qiot.protocols.base import Seen
from qiot.wifi_config.events import EventStream

__all__ = ["PROGRESS", "PROGRESS_MAX", "Sightings"]

PROGRESS: Final = 3.0
"""Seconds that a sign of a phone, in the air or in our access point, puts off the end of its turn."""
PROGRESS_MAX: Final = 10
"""How often that is done."""


class Sightings:
    """The last sign of a phone in the air.

    Args:
        events: Where signs are told.
    """

    def __init__(self, events: EventStream) -> None:
        self._events = events
        self._last: tuple[Seen, float] | None = None

    @property
    def text(self) -> str:
        """What was heard last; empty where nothing was."""
        return self._last[0].text if self._last is not None else ""

    @property
    def recent(self) -> bool:
        """True where something of weight was heard just now."""
        now = asyncio.get_running_loop().time()
        return self._last is not None and self._last[0].weight > 0 and now - self._last[1] < PROGRESS

    def note(self, seen: Seen) -> None:
        """What is in the air is worth an event; a message that nobody has to answer is not."""
        if seen.channel is None and not seen.weight:
            return
        self._last = (seen, asyncio.get_running_loop().time())
        where = 0 if seen.channel is None else seen.channel
        self._events.emit(
            Step.LISTENING, Outcome.PROGRESS, weight=round(seen.weight, 2), channel=where, text=seen.text
        )
