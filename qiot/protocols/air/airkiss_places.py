"""Where the symbols of an AirKiss track belong.

A symbol says what it is, but an octet does not say where it belongs. Two header symbols in a row are an
anchor: the second is the sequence's index; so is a prefix symbol, which says its own place. Between two
anchors whose distance is exactly that of the code, nothing else was sent, and every symbol has its place.
Next to one anchor it has, too, as long as no number is missing.

Positions count from the first header of sequence 0; the prefix that comes before it is at -4 to -1.
"""

from __future__ import annotations

from typing import Final

import attrs

from qiot.protocols.air.airkiss import DATA, HEADER, PREFIX, SEQUENCE_OCTETS
from qiot.protocols.air.airkiss_evidence import BELIEVED, CHECKSUM, SEQUENCES_MAX, Evidence, Shape
from qiot.protocols.air.alignment import STRANGERS_MAX, align

__all__ = ["Places"]

_FIELD: Final = 4
_HEADERS: Final = 2
_SEQUENCE: Final = _HEADERS + SEQUENCE_OCTETS
_INDEX: Final = CHECKSUM + 1
_WAITING: Final = 48
_UNBROKEN: Final = 11
"""After so many frames without a missing number, the next one need not wait for its neighbour."""
_PENDING: Final = 400


@attrs.frozen
class _Window:
    """What was heard between two anchors.

    Attributes:
        start: Position of the first anchor.
        stop: Position of the second one.
        place: Place of the second one.
        span: Places from the first to the second one.
        symbols: Places after the first one, and the symbols.
    """

    start: int
    stop: int
    place: int
    span: int
    symbols: tuple[tuple[int, int], ...]


class Places:
    """Finds the places of one track's symbols, in the order they were sent."""

    def __init__(self, track: int) -> None:
        self._track = track
        self._unbroken = 0
        self._anchor: tuple[int, int] | None = None
        self._pending: list[tuple[int, int]] = []
        self._last = -1
        self._symbol = -1
        self._chained = False
        self._data_heard = False
        self._prefix_in_round = False
        self._waiting: list[_Window] = []

    def stop(self) -> None:
        """Another stage begins: nothing that comes is near what was."""
        self._anchor = None
        self._pending.clear()
        self._last = self._symbol = -1
        self._chained = self._data_heard = self._prefix_in_round = False

    def forget(self) -> None:
        """Another datum may begin: what waits is not of it."""
        self._waiting.clear()

    def symbol(self, place: int, symbol: int, evidence: Evidence) -> bool:
        """Take a header, prefix or data symbol; True where something found its place."""
        if place <= self._last:
            return self._late(place, symbol)
        near = place - self._last == 1
        self._unbroken = self._unbroken + 1 if near else 0
        before, self._last, self._symbol = self._symbol, place, symbol
        if symbol >= DATA:
            self._data_heard = True
        elif symbol < HEADER:
            self._prefix_in_round |= self._data_heard
            return self._at(place, (symbol - PREFIX >> 4) - _FIELD, evidence)
        elif near and HEADER <= before < DATA and symbol - HEADER < SEQUENCES_MAX:
            return self._at(place, (symbol - HEADER) * _SEQUENCE + 1, evidence)
        self._chained &= near
        if len(self._pending) < _PENDING:
            self._pending.append((place, symbol))
        return self._follows(place, symbol, evidence)

    def _late(self, place: int, symbol: int) -> bool:
        """A frame that was sent earlier: of use to the next window, if it is not too late for that."""
        if self._anchor is not None and place > self._anchor[0]:
            self._pending.append((place, symbol))
            self._pending.sort()
        return False

    def _follows(self, place: int, symbol: int, evidence: Evidence) -> bool:
        """Give a symbol its place if nothing is missing since the anchor."""
        if not self._chained or self._anchor is None:
            return False
        position = self._anchor[1] + place - self._anchor[0]
        shape = evidence.shape()
        if shape is None and position // _SEQUENCE != self._anchor[1] // _SEQUENCE:
            return False
        weight = BELIEVED if self._unbroken >= _UNBROKEN else 1
        return _put(position, symbol, shape, evidence, hearing=(self._track, place), weight=weight)

    def _at(self, place: int, position: int, evidence: Evidence) -> bool:
        """An anchor: settle what came between the last one and this one."""
        done = self._backwards(place, position, evidence)
        if self._anchor is not None:
            start, before = self._anchor
            if position < 0 <= before:
                evidence.round(before + place - start - (position + _FIELD))
            symbols = tuple((at - start, symbol) for at, symbol in self._pending if at < place)
            window = _Window(before, position, place, place - start, symbols)
            if symbols:
                settled = self._settle(window, evidence)
                if settled is None and len(self._waiting) < _WAITING:
                    self._waiting.append(window)
                done |= bool(settled)
        self._anchor = (place, position)
        self._chained = True
        self._pending.clear()
        return done

    def _backwards(self, place: int, position: int, evidence: Evidence) -> bool:
        """The symbols right before an anchor within a round."""
        done = False
        for at, symbol in reversed(self._pending):
            place, position = place - 1, position - 1
            if at != place or position < 0:
                break
            done |= _put(position, symbol, None, evidence, hearing=(self._track, place), weight=1)
        return done

    def _settle(self, window: _Window, evidence: Evidence) -> bool | None:
        """Give the symbols of a window their places; None where that cannot be said yet."""
        distance = window.stop - window.start
        shape = evidence.shape()
        around = data = 0
        if distance <= 0:
            if shape is None:
                return None
            data = shape.total + _HEADERS * shape.sequences
            around = data + (_FIELD if self._prefix_in_round else 0)
            distance += around

        def position(after: int) -> int:
            at = window.start + after
            return at - around if around and at >= data else at

        def fits(index: int, after: int) -> bool:
            return _fits(position(after), window.symbols[index][1], shape)

        def agrees(index: int, after: int) -> bool:
            at, symbol = position(after), window.symbols[index][1]
            return _fits(at, symbol, shape) and _agrees(at, symbol, evidence)

        steps = [step for step, _ in window.symbols]
        strangers = window.span - distance
        found = align(steps, window.span, strangers, agrees)
        if found is None:
            evidence.doubt = evidence.doubt or strangers <= STRANGERS_MAX
            found = align(steps, window.span, strangers, fits)
        if found is None:
            return False
        done = False
        first = window.place - window.span
        for aligned, (step, symbol) in zip(found, window.symbols, strict=True):
            if aligned is not None:
                weight = BELIEVED if aligned.exact else 1
                hearing = (self._track, first + step)
                done |= _put(
                    position(aligned.distance), symbol, shape, evidence, hearing=hearing, weight=weight
                )
        return done

    def again(self, evidence: Evidence) -> bool:
        """Try the windows that waited for the total length to be known."""
        if not self._waiting:
            return False
        waiting, self._waiting = self._waiting, []
        done = False
        for window in waiting:
            done |= bool(self._settle(window, evidence))
        return done


def _fits(position: int, symbol: int, shape: Shape | None) -> bool:
    """Whether a symbol can be at a position."""
    if position < 0:
        return PREFIX <= symbol < HEADER
    index, slot = divmod(position, _SEQUENCE)
    slot -= _HEADERS
    if shape is not None and (index >= shape.sequences or slot >= shape.octets_of(index)):
        return False
    if slot == _INDEX:
        return symbol == HEADER | index
    if slot == CHECKSUM:
        return HEADER <= symbol < DATA
    return symbol >= DATA


def _agrees(position: int, symbol: int, evidence: Evidence) -> bool:
    """Whether a symbol is what is known of its position already."""
    index, slot = divmod(position, _SEQUENCE)
    slot -= _HEADERS
    if slot < 0:
        return True
    octets = evidence.sequence(index)
    return octets is None or octets[slot] == symbol - DATA


def _put(
    position: int,
    symbol: int,
    shape: Shape | None,
    evidence: Evidence,
    *,
    hearing: tuple[int, int],
    weight: int,
) -> bool:
    """Give a symbol to the evidence, if it can be what the position says."""
    if position < 0 or not _fits(position, symbol, shape):
        return False
    index, slot = divmod(position, _SEQUENCE)
    slot -= _HEADERS
    if slot == _INDEX:
        return False
    value = symbol - HEADER if slot == CHECKSUM else symbol - DATA
    evidence.symbol(index, slot, value, hearing, weight)
    return True
