"""To which block the symbols of an ESP-TOUCH v2 track belong.

A data symbol says its plane, not its sequence; a header says its sequence, not which of three it is. Between
two symbols the phone has sent at most as many as the sequence numbers say, so that each symbol narrows down
where the next one can be. Where only one block is left, the symbol belongs to it; where more are, it
waits for the next header. A symbol that cannot be anywhere means that the phone has started over.

What else the phone broadcasts may look like a symbol, and a block's checksum has only six bits. Such a frame
uses up a number: it cannot stand exactly where its neighbours on both sides leave room for it. A symbol that
does is certain; another one has to be heard twice.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from typing import Final

import attrs

from qiot.protocols.air.esptouch_v2 import PLANES
from qiot.protocols.air.esptouch_v2_evidence import HEAD, Found

__all__ = ["Places"]

_SYNCS: Final = 4
_HEADERS: Final = 3
_PENDING: Final = 64
_UNBROKEN: Final = 11
"""After so many frames without a missing number, the next one need not wait for its neighbour."""


@attrs.frozen
class _Waiting:
    """A data symbol with more than one possible position.

    Attributes:
        place: Its place in the track.
        plane: 0 to 7.
        bits: Six bits.
        lowest: First possible position.
        highest: Last possible position.
    """

    place: int
    plane: int
    bits: int
    lowest: int
    highest: int


class Places:
    """Finds the blocks of one track's symbols, in the order they were sent.

    Positions count symbols from the start of a round on, round after round.

    Args:
        count: Number of sequences, the head among them.
    """

    def __init__(self, count: int) -> None:
        self._headers: dict[int, tuple[int, ...]] = {}
        self._data: tuple[list[int], ...] = tuple([] for _ in range(PLANES))
        self._sequence_at: dict[int, int] = {}
        position = 0
        for sequence in range(HEAD, count - 1):
            headers = _SYNCS if sequence == HEAD else _HEADERS
            self._headers[sequence] = tuple(range(position, position + headers))
            for plane in range(PLANES):
                self._data[plane].append(position + headers + plane)
                self._sequence_at[position + headers + plane] = sequence
            position += headers + PLANES
        self._round = position
        self._last: int | None = None
        self._lowest = self._highest = 0
        self._waiting: list[_Waiting] = []
        self._before: Found | None = None
        self._unbroken = 0
        self._sequence = HEAD
        self._plane = PLANES
        self._believed = False

    # --- headers -------------------------------------------------------------------------------------------

    def sync(self, place: int, *, is_count: bool, sure: bool) -> tuple[bool, Sequence[Found]]:
        """A symbol of the head's guide; as `header`."""
        return self._header(place, HEAD, self._headers[HEAD][is_count::2], sure=sure)

    def header(self, place: int, sequence: int, *, sure: bool) -> tuple[bool, Sequence[Found]]:
        """A sequence's header.

        Returns:
            False where the phone has started over; and the symbols before it that have their block now.
        """
        positions = self._headers.get(sequence)
        return (True, ()) if positions is None else self._header(place, sequence, positions, sure=sure)

    def _header(
        self, place: int, sequence: int, positions: tuple[int, ...], *, sure: bool
    ) -> tuple[bool, Sequence[Found]]:
        found: list[Found] = []
        if not sure:
            return True, self._header_by_arrival(sequence)
        if self._last is not None and place <= self._last:
            return True, ()  # sent before what was heard last: too late
        fits = True
        possible: list[int] = list(positions)
        gap = self._round + 1 if self._last is None else place - self._last
        if gap <= self._round:
            possible = self._between(positions, self._lowest + 1, self._highest + gap)
            if self._is_exact(possible, gap):
                found += self._confirmed()
            if not possible:
                fits, possible = False, list(positions)
                self._waiting.clear()
        elif self._last is not None:
            self._waiting.clear()
        self._step(place, gap)
        # Of two rounds, the nearer one.
        self._lowest = possible[0]
        self._highest = max(one for one in possible if one < self._lowest + _SYNCS)
        self._before = None
        return fits, [*found, *self._settled(place)]

    def _header_by_arrival(self, sequence: int) -> Sequence[Found]:
        """Without usable numbers: believed where it comes again, or where the last block leads to it."""
        found = self._confirmed() if self._plane == PLANES - 1 else ()
        following = self._sequence + 1 if self._sequence + 1 in self._headers else HEAD
        leads = self._plane >= 0 and sequence == following
        self._believed = leads or (sequence == self._sequence and (self._believed or self._plane < 0))
        self._sequence, self._plane, self._before, self._last = sequence, -1, None, None
        return found

    def _settled(self, place: int) -> list[Found]:
        """What waited for the header at `place` and has its block now."""
        found = []
        for waiting in self._waiting:
            lowest = max(waiting.lowest, self._lowest - (place - waiting.place))
            highest = min(waiting.highest, self._highest - 1)
            possible = self._between(self._data[waiting.plane], lowest, highest)
            if len(possible) == 1:
                found.append(Found(self._sequence_of(possible[0]), waiting.plane, waiting.bits))
        self._waiting.clear()
        return found

    # --- data ----------------------------------------------------------------------------------------------

    def data(self, place: int, plane: int, bits: int, *, sure: bool) -> Sequence[Found]:
        """A data symbol; the symbols whose block is known now, or for certain now."""
        if not sure:
            return self._after_header(plane, bits)
        if self._last is None:
            self._wait(_Waiting(place, plane, bits, -self._round, self._round))
            return ()
        gap = place - self._last
        if not 0 < gap <= self._round:
            if gap > 0:
                self._last, self._before = None, None
                self._waiting.clear()
            return ()
        lowest, highest = self._lowest + 1, self._highest + gap
        possible = self._between(self._data[plane], lowest, highest)
        if not possible:
            self._before, self._unbroken = None, 0
            return ()
        exact = self._is_exact(possible, gap)
        if len(possible) > 1:
            self._before = None
            self._wait(_Waiting(place, plane, bits, lowest, highest))
            return ()
        found = list(self._confirmed()) if exact else []
        self._step(place, gap)
        self._lowest = self._highest = possible[0]
        certain = exact and self._unbroken >= _UNBROKEN
        heard = Found(self._sequence_of(possible[0]), plane, bits, certain)
        self._before = heard if exact and not certain else None
        return [*found, heard]

    def _after_header(self, plane: int, bits: int) -> Sequence[Found]:
        """Without usable numbers: of the last header, as long as the planes go up."""
        before, self._plane = self._plane, plane if plane > self._plane else PLANES
        if plane <= before or not self._believed:
            self._before = None
            return ()
        heard = Found(self._sequence, plane, bits)
        found = list(self._confirmed()) if plane == before + 1 else []
        self._before = heard if plane == before + 1 else None
        return [*found, heard]

    def _confirmed(self) -> Sequence[Found]:
        """The symbol before this one, which was exactly where it should be, and so is this one."""
        return () if self._before is None else (attrs.evolve(self._before, certain=True),)

    def _wait(self, waiting: _Waiting) -> None:
        if len(self._waiting) < _PENDING:
            self._waiting.append(waiting)

    # --- positions -----------------------------------------------------------------------------------------

    def _is_exact(self, possible: Sequence[int], gap: int) -> bool:
        """One of these positions leaves no room for anything else since the last symbol."""
        return any(self._lowest + gap <= one <= self._highest + gap for one in possible)

    def _step(self, place: int, gap: int) -> None:
        self._unbroken = self._unbroken + 1 if gap == 1 else 0
        self._last = place

    def _sequence_of(self, position: int) -> int:
        return self._sequence_at[position % self._round]

    def _between(self, positions: tuple[int, ...] | list[int], lowest: int, highest: int) -> list[int]:
        """Positions of any round from `lowest` to `highest`."""
        found: list[int] = []
        start = lowest // self._round * self._round
        while start <= highest:
            left = bisect_left(positions, lowest - start)
            right = bisect_right(positions, highest - start)
            found += [start + one for one in positions[left:right]]
            start += self._round
        return found
