"""Beacons that were lost, but must have been sent: they use up sequence numbers like any frame to everybody.

An access point sends them by the clock (IEEE 802.11, 11.1.3.2), so that a few that were heard tell when the
others came. One counts only where the frames around it leave room for the lateness of those that were heard.
"""

from __future__ import annotations

import math
from typing import Final

__all__ = ["Beacons"]

_INTERVAL: Final = 0.1024
"""Seconds; what nearly every access point has. Others are not followed."""
_ON_TIME: Final = 0.02
"""Lateness up to which a beacon fits the clock, seconds."""
_EARLY: Final = 0.001
_LATE_MIN: Final = 0.002
_LATE_FACTOR: Final = 1.5
_DRIFT: Final = 0.0001
"""How far the two clocks may drift apart from one beacon to the next, seconds."""
_TRUST: Final = 3
_FORGET: Final = 0.9
_HEARD_MAX: Final = 128
"""More than come in the longest silence after which numbers are still believed."""


class Beacons:
    """The clock of one access point's beacons."""

    __slots__ = ("_heard", "_late", "_origin", "_trust")

    def __init__(self) -> None:
        self._origin = -1.0
        self._late = 0.0
        self._trust = 0
        self._heard: list[float] = []

    def hear(self, time: float) -> None:
        """A beacon was heard."""
        self._heard.append(time)
        if len(self._heard) > _HEARD_MAX:
            del self._heard[0]
        count = round((time - self._origin) / _INTERVAL)
        late = time - self._origin - count * _INTERVAL
        if self._origin < 0 or abs(late) >= _ON_TIME:
            self._origin, self._late, self._trust = time, 0.0, 0
            return
        self._trust += 1
        # The earliest ones tell the clock; the others had to wait for a free channel.
        self._origin += count * _INTERVAL + min(late, _DRIFT)
        self._late = max(_FORGET * self._late, late) - min(late, 0.0)

    def lost(self, after: float, before: float) -> int:
        """How many were sent between two frames that were heard at these times, and not heard themselves."""
        heard = sum(after < time < before for time in self._heard)
        self._heard = [time for time in self._heard if time >= before]
        if self._trust < _TRUST:
            return 0
        late = max(_LATE_MIN, _LATE_FACTOR * self._late)
        first = math.ceil((after + _EARLY - self._origin) / _INTERVAL)
        last = math.floor((before - late - self._origin) / _INTERVAL)
        return max(0, last - first + 1 - heard)

    def doubt(self) -> None:
        """There was no room for those that must have been sent: believe nothing for a while."""
        self._trust = 0
