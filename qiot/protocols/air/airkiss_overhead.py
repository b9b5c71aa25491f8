"""How long an AirKiss phone's frames are, for a receiver that starts in the middle of the data.

A few overheads are possible, and each would make other symbols of the same lengths. The right one makes whole
sequences, six frames in a row, whose checksums fit, and prefix fields that sequence 0 follows. A wrong one
makes a checksum of seven bits fit in 1 of 128, and mostly no sequence at all: then the headers are none, or
their number is too high. The same sequence says the same again in each round, so that only different ones
count, and more of them have to fit than not.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from qiot.protocols.air.airkiss import DATA, HEADER, PREFIX, SEQUENCE_OCTETS, sequence_checksum
from qiot.protocols.air.airkiss_evidence import SEQUENCES_MAX
from qiot.protocols.air.calibration import OVERHEADS, Recent
from qiot.protocols.air.crc import crc8

__all__ = ["OverheadFinder"]

_KEEP: Final = 256
_FIELD: Final = 4
_HEADERS: Final = 2
_ROW: Final = _HEADERS + SEQUENCE_OCTETS
_ENOUGH: Final = 3
"""Facts that have to fit. A prefix field counts for two: its places say as much as its checksum."""
_PREFIX_FACTS: Final = 2
_FACTS_MAX: Final = 64
_INDEXES: Final = range(HEADER + min(OVERHEADS), HEADER + SEQUENCES_MAX + max(OVERHEADS))
"""Lengths that may be that of an index, whatever the overhead."""


class _Tally:
    """What fits one overhead, and how often something did not."""

    def __init__(self) -> None:
        self.fitting: set[tuple[int, ...]] = set()
        self.prefix = False
        self.wrong = 0

    @property
    def is_enough(self) -> bool:
        """It cannot be chance."""
        facts = len(self.fitting) + _PREFIX_FACTS * self.prefix
        return facts >= _ENOUGH and facts > 2 * self.wrong


class OverheadFinder:
    """Finds the overhead of one track by what the protocol's checksums say; keeps the frames until then."""

    def __init__(self) -> None:
        self._recent = Recent(_KEEP)
        self._tallies: dict[int, _Tally] = {}

    def clear(self) -> None:
        """Forget everything: the phone may send something else now."""
        self._recent.clear()
        self._tallies.clear()

    def feed(self, place: int, length: int, time: float) -> int | None:
        """Take the next frame; the overhead, once enough fits it."""
        index = self._recent.add(place, length, time)
        if index != len(self._recent) - 1:
            return None  # sent earlier
        lengths = self._recent.lengths
        if self._in_a_row(_ROW):
            if lengths[-1] in _INDEXES:
                self._prefix(lengths[-_ROW:])
            if lengths[1 - _ROW] in _INDEXES:
                self._sequence(lengths[-_ROW:])
        octets = 1
        while octets < SEQUENCE_OCTETS and self._in_a_row(_HEADERS + octets + 1):
            if lengths[-octets - _HEADERS] in _INDEXES and lengths[-1] < lengths[-2]:
                self._sequence(lengths[-octets - _HEADERS - 1 : -1], after=lengths[-1])
            octets += 1
        return next((overhead for overhead, tally in self._tallies.items() if tally.is_enough), None)

    def _in_a_row(self, frames: int) -> bool:
        """None is missing among the last ones."""
        places = self._recent.places
        return len(places) >= frames and places[-1] - places[-frames] == frames - 1

    def _sequence(self, lengths: Sequence[int], *, after: int | None = None) -> None:
        """These may be a whole sequence, a short one if something else comes after it."""
        for overhead in OVERHEADS:
            symbols = [length - overhead for length in lengths]
            checksum, index = symbols[0] - HEADER, symbols[1] - HEADER
            if not 0 <= checksum < DATA - HEADER or not 0 <= index < SEQUENCES_MAX:
                continue
            if min(symbols[_HEADERS:]) < DATA or max(symbols) >= 2 * DATA:
                continue
            if after is not None and not PREFIX <= after - overhead < DATA:
                continue
            octets = bytes(symbol - DATA for symbol in symbols[_HEADERS:])
            tally = self._tally(overhead)
            if sequence_checksum(index, octets) != checksum:
                tally.wrong += 1
            elif len(tally.fitting) < _FACTS_MAX:
                tally.fitting.add((index, *octets))

    def _prefix(self, lengths: Sequence[int]) -> None:
        """These may be a prefix field and the headers of sequence 0."""
        overhead = lengths[-1] - HEADER
        if overhead not in OVERHEADS or not 0 <= lengths[-2] - overhead - HEADER < DATA - HEADER:
            return
        fields = [length - overhead - PREFIX for length in lengths[:_FIELD]]
        if any(field >> 4 != place for place, field in enumerate(fields)):
            return
        high, low, crc_high, crc_low = (field & 0x0F for field in fields)
        tally = self._tally(overhead)
        if crc8((high << 4 | low,)) == crc_high << 4 | crc_low:
            tally.prefix = True
        else:
            tally.wrong += 1

    def _tally(self, overhead: int) -> _Tally:
        return self._tallies.setdefault(overhead, _Tally())

    def data(self, overhead: int) -> list[tuple[int, int]]:
        """Places and symbols of what was kept of one datum, which a guide code or magic field began."""
        recent = self._recent
        symbols = [
            (place, length - overhead) for place, length in zip(recent.places, recent.lengths, strict=True)
        ]
        start = 0
        for index in range(1, len(symbols)):
            if symbols[index][1] < PREFIX <= symbols[index - 1][1]:
                start = index
        return symbols[start:]
