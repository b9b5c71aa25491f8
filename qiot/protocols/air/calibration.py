"""How long the datagram in a frame is: what the ciphers add, measured and never assumed.

A frame body is the datagram's payload and an overhead: LLC/SNAP 8, IPv4 20, UDP 8, and what the cipher adds
(IEEE 802.11, 12.3 to 12.5). Guide codes tell it; a receiver that starts in the middle of the data has few
candidates, and the protocol's checksums choose.
"""

from __future__ import annotations

from bisect import bisect_left
from typing import Final

__all__ = ["OVERHEADS", "OVERHEAD_MAX", "GuideFinder", "Recent"]

_HEADERS: Final = 8 + 20 + 8
OVERHEADS: Final = tuple(_HEADERS + cipher for cipher in (0, 16, 8, 20, 24))
"""Open, CCMP, WEP, TKIP (with its MIC), and CCMP-256 or GCMP."""
OVERHEAD_MAX: Final = 127
"""Longest overhead that a guide may tell; VLAN tags and IP options stay far below."""

_GUIDE_FRAMES: Final = 8
_GUIDE_LENGTHS: Final = 4
_GUIDE_STEPS: Final = 3


class Recent:
    """The last frames of one track, by their order: places, and what was heard there.

    Args:
        size: How many are kept.
    """

    __slots__ = ("_size", "lengths", "places", "times")

    def __init__(self, size: int) -> None:
        self._size = size
        self.places: list[int] = []
        self.lengths: list[int] = []
        self.times: list[float] = []

    def __len__(self) -> int:
        return len(self.places)

    def add(self, place: int, length: int, time: float) -> int:
        """Put a frame where it belongs; gives its index."""
        places = self.places
        if len(places) >= self._size:
            cut = max(1, self._size // 4)
            del places[:cut], self.lengths[:cut], self.times[:cut]
        index = len(places) if not places or place > places[-1] else bisect_left(places, place)
        places.insert(index, place)
        self.lengths.insert(index, length)
        self.times.insert(index, time)
        return index

    def clear(self) -> None:
        """Forget all of them."""
        self.places.clear()
        self.lengths.clear()
        self.times.clear()


class GuideFinder:
    """Finds a guide code of four lengths in a row, sent again and again.

    Args:
        step: -1 where each length is one less than the one before (ESP-TOUCH), +1 for one more (AirKiss).
        lowest: The payload length of the shortest of the four.
    """

    __slots__ = ("_lengths", "_lowest", "_places", "_step")

    def __init__(self, step: int, lowest: int) -> None:
        self._step = step
        self._lowest = lowest
        self._places: list[int] = []
        self._lengths: list[int] = []

    def feed(self, place: int, length: int) -> int | None:
        """Take the next frame; the overhead, once the last eight frames are all of one guide code."""
        lengths, places = self._lengths, self._places
        if lengths and abs(length - lengths[-1]) >= _GUIDE_LENGTHS:
            lengths.clear()
            places.clear()
        lengths.append(length)
        places.append(place)
        if len(lengths) < _GUIDE_FRAMES:
            return None
        overhead = self._judge()
        del lengths[0], places[0]
        return overhead

    def _judge(self) -> int | None:
        lengths, places = self._lengths, self._places
        lowest = min(lengths)
        overhead = lowest - self._lowest
        if max(lengths) - lowest != _GUIDE_LENGTHS - 1 or not 0 <= overhead <= OVERHEAD_MAX:
            return None
        good = bad = 0
        for index in range(1, len(lengths)):
            gap = places[index] - places[index - 1]
            if gap % 2:  # an even gap looks the same in both directions
                change = lengths[index] - lengths[index - 1] - self._step * gap
                if change % _GUIDE_LENGTHS:
                    bad += 1
                else:
                    good += 1
        return overhead if good >= _GUIDE_STEPS and good > 2 * bad else None
