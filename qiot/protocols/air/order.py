"""The order in which a station sent what was heard, from the sequence numbers of IEEE 802.11 (10.3.2.14).

A station counts the frames it sends, modulo 4096, for each traffic identifier apart. The difference between
two frames that were heard tells how many positions of a cyclic code lie between them, at most: a lost frame
leaves its gap, and so does a frame to others, unless that was heard and is left out of the count. Where a
capture has no usable numbers, only the order of arrival is left.
"""

from __future__ import annotations

from typing import Final

import attrs

from qiot.protocols.air.beacons import Beacons
from qiot.protocols.air.observation import Observation

__all__ = ["BREAK", "Heard", "Order"]

BREAK: Final = 100_000
"""Added to the order where it is not known how much is missing; nothing spans it."""

_MODULUS: Final = 4096
_LATEST: Final = 64
"""How late a frame may be, in positions: a block-ack window."""
_NEAR: Final = 300
"""A difference up to here speaks for usable numbers."""
_WRAP_TIME: Final = 8.0
"""Silence in seconds after which the counter may have gone round unseen."""
_TRUST_MAX: Final = 16
_TRUST_MIN: Final = 6
_TRUST_START: Final = 8
_DISTRUST: Final = 4
_CLASHES: Final = 2


@attrs.frozen
class Heard:
    """A frame as the decoders get it: once, and with its place in the order of its track.

    Attributes:
        seen: The frame.
        track: Which track it belongs to; a number.
        order: Its place among what its transmitter sent. Differences count positions where `sure`.
        sure: The sequence numbers can be used; else `order` only counts arrivals.
    """

    seen: Observation
    track: int
    order: int
    sure: bool


class Order:
    """Puts the frames of one track in order and drops what was heard before."""

    __slots__ = (
        "_beacons",
        "_clashes",
        "_last",
        "_length",
        "_others",
        "_passed",
        "_recent",
        "_tid",
        "_time",
        "_trust",
        "last",
    )

    def __init__(self) -> None:
        self.last = -1
        self._last = -1
        self._tid: int | None = None
        self._time = 0.0
        self._length = -1
        self._trust = _TRUST_START
        self._recent: list[tuple[int, int]] = []
        self._others: set[int] = set()
        self._passed: list[int] = []
        self._clashes = 0
        self._beacons: Beacons | None = None

    def beacon(self, sequence: int, time: float) -> None:
        """The sender of this track has sent a beacon; `skip`, and those that are lost are reckoned with."""
        if self._clashes >= _CLASHES or self._tid is not None:
            return
        self.skip(sequence, None)
        if sequence in self._others:
            if self._beacons is None:
                self._beacons = Beacons()
            self._beacons.hear(time)

    def skip(self, sequence: int, tid: int | None) -> None:
        """The station has used this number for a frame of no interest: it is no gap."""
        if self._clashes >= _CLASHES or tid != self._tid:
            return
        ahead = (sequence - self._last) % _MODULUS
        if not ahead:
            self._clash()
        elif ahead <= _NEAR:
            self._others.add(sequence)

    @property
    def sure(self) -> bool:
        """The numbers of this track have made sense so far."""
        return self._trust >= _TRUST_MIN

    def place(self, seen: Observation) -> int | None:
        """The frame's place, or None for one that was heard before."""
        if seen.sequence in self._others and not seen.retry:
            self._clash()
        if self._last < 0:
            return self._take(seen, 0)
        ahead = (seen.sequence - self._last) % _MODULUS
        if seen.tid != self._tid or seen.time - self._time > _WRAP_TIME:
            return self._take(seen, self.last + BREAK)
        if ahead == 0:
            return self._again(seen)
        if ahead >= _MODULUS - _LATEST and self.sure:
            late = _MODULUS - ahead
            others = sum(0 < (self._last - other) % _MODULUS < late for other in self._passed)
            return self._late(seen, self.last - late + others)
        if ahead <= _NEAR:
            self._trust = min(_TRUST_MAX, self._trust + 1)
        elif ahead > _MODULUS // 2:
            self._trust = max(0, self._trust - _DISTRUST)
            return self._take(seen, self.last + (BREAK if self.sure else 1))
        others = sum((other - self._last) % _MODULUS < ahead for other in self._others)
        others += self._lost_beacons(seen.time, ahead - 1 - others)
        return self._take(seen, self.last + (ahead - others if self.sure else 1))

    def _lost_beacons(self, time: float, room: int) -> int:
        """How many of the missing numbers are those of beacons that nobody heard."""
        if self._beacons is None:
            return 0
        lost = self._beacons.lost(self._time, time)
        if lost > room:
            self._beacons.doubt()
            return 0
        return lost

    def _clash(self) -> None:
        """A number that was said to be used otherwise: those frames are counted apart."""
        self._clashes += 1
        if self._clashes >= _CLASHES:
            self._others.clear()
            self._beacons = None

    def _again(self, seen: Observation) -> int | None:
        """The last frame's number once more: a duplicate, or a capture whose numbers mean nothing."""
        if seen.retry or (self.sure and seen.length == self._length):
            return None
        self._trust = max(0, self._trust - _DISTRUST)
        return self._take(seen, self.last + (BREAK if self.sure else 1))

    def _late(self, seen: Observation, place: int) -> int | None:
        if (place, seen.length) in self._recent:
            return None
        if not seen.retry:
            self._trust = max(0, self._trust - 1)
        self._remember(place, seen.length)
        return place

    def _take(self, seen: Observation, place: int) -> int:
        self.last = place
        if seen.tid != self._tid:
            self._others.clear()
        if self._others:
            ahead = (seen.sequence - self._last) % _MODULUS
            later = {other for other in self._others if (other - self._last) % _MODULUS > ahead}
            self._passed = [*self._passed, *(self._others - later)][-_LATEST:]
            self._others = later
        self._last = seen.sequence
        self._tid = seen.tid
        self._time = seen.time
        self._length = seen.length
        self._remember(place, seen.length)
        return place

    def _remember(self, place: int, length: int) -> None:
        self._recent.append((place, length))
        if len(self._recent) > _LATEST:
            del self._recent[: _LATEST // 2]
