"""ESP-TOUCH v1, the device's side: lengths to halves of codes, halves to a datum.

A middle length says its index; the lengths beside it say nothing of theirs. Which code they belong to is
found between two middle lengths: it is known which codes come in between, and the sequence numbers tell how
much else was sent. Right beside a middle length the numbers alone will do. Without usable numbers only three
lengths in a row whose checksum fits are believed.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import ClassVar, Final

import attrs

from qiot.model import AckRecipe, Credentials, Secret, SsidClue
from qiot.protocols.air.alignment import align
from qiot.protocols.air.calibration import OVERHEADS, GuideFinder, Recent
from qiot.protocols.air.decoder import TRACKS_MAX, Decoder, State
from qiot.protocols.air.esptouch import (
    ACK_PORT,
    BSSID_SIZE,
    GUIDE,
    LENGTH_BASE,
    MIDDLE,
    octet_of_first,
    octet_of_third,
)
from qiot.protocols.air.esptouch_evidence import Datum, Evidence
from qiot.protocols.air.observation import BROADCAST, Direction
from qiot.protocols.air.order import Heard
from qiot.protocols.air.results import ESPTOUCH, Decoded

__all__ = ["EspTouchDecoder"]

_GUIDE_STEP: Final = -1
_GUIDE_VALUES: Final = range(min(GUIDE) - LENGTH_BASE, max(GUIDE) - LENGTH_BASE + 1)
_EDGES: Final = range(MIDDLE)
_MIDDLES: Final = range(MIDDLE, MIDDLE + 128)
_TRIALS: Final = 3
"""Codes whose checksums fit before an overhead is believed without a guide."""
_KEEP: Final = 128
_CODE: Final = 3
"""Lengths of one code."""
_SPAN: Final = 45
"""Longest distance of two middle lengths between which places are found, less than the shortest datum."""
_HELD: Final = 64


@attrs.frozen
class _Window:
    """Lengths between two middle lengths, whose codes are not known yet.

    Attributes:
        one: Index of the middle length before them.
        other: Index of the one after them.
        span: How many places lie between the two.
        lengths: Places after the first one, lengths less 40, and when they were heard.
    """

    one: int
    other: int
    span: int
    lengths: tuple[tuple[int, int, float], ...]


@attrs.define(eq=False)
class _Track:
    """One of the phone's tracks: how long its frames are, and what was heard last."""

    direction: Direction
    overhead: int | None = None
    guided: bool = False
    finder: GuideFinder = attrs.field(factory=lambda: GuideFinder(_GUIDE_STEP, min(GUIDE)))
    recent: Recent = attrs.field(factory=lambda: Recent(_KEEP))
    trials: dict[int, list[int]] = attrs.field(factory=dict)


class EspTouchDecoder(Decoder):
    """ESP-TOUCH v1 from one phone."""

    protocol: ClassVar[str] = ESPTOUCH

    def __init__(self) -> None:
        super().__init__()
        self._tracks: dict[int, _Track] = {}
        self._evidence = Evidence()
        self._generation = 0
        self._held: deque[_Window] = deque(maxlen=_HELD)
        self._done: Datum | None = None
        self._fresh = False

    def _is_for_us(self, destination: bytes) -> bool:
        """Broadcast, or what 234.n.n.n becomes (RFC 1112, 6.4)."""
        if destination == BROADCAST:
            return True
        low, group = destination[3], destination[4]
        return destination[:3] == b"\x01\x00\x5e" and low == group & 0x7F and group == destination[5]

    def _start_over(self) -> None:
        self._evidence = Evidence()
        self._generation = 0
        self._held.clear()
        self._done = None
        for track in self._tracks.values():
            track.recent.clear()

    def _hear(self, heard: Heard) -> Decoded | None:
        seen = heard.seen
        track = self._track(heard)
        overhead = track.finder.feed(heard.order, seen.length)
        if overhead is not None and overhead != track.overhead:
            track.overhead, track.guided = overhead, True
            track.recent.clear()
            self.recognised = True
        if track.overhead is None:
            self._try(track, heard)
        else:
            self._read(track, heard.order, seen.length - track.overhead - LENGTH_BASE, seen.time, heard.sure)
        if self._evidence.generation != self._generation:
            self._generation = self._evidence.generation
            self._held.clear()
        return self._result(seen.bssid) if self._fresh else None

    def _track(self, heard: Heard) -> _Track:
        track = self._tracks.get(heard.track)
        if track is None:
            if len(self._tracks) >= TRACKS_MAX:
                del self._tracks[next(iter(self._tracks))]
            track = self._tracks[heard.track] = _Track(heard.seen.direction)
        return track

    # --- the overhead without a guide -----------------------------------------------------------------------

    def _try(self, track: _Track, heard: Heard) -> None:
        """Keep the frame, and see which overhead makes the checksums fit."""
        recent = track.recent
        index = recent.add(heard.order, heard.seen.length, heard.seen.time)
        if index < 2 or recent.places[index] - recent.places[index - 2] != 2:  # noqa: PLR2004 - three in a row
            return
        one, middle, three = recent.lengths[index - 2 : index + 1]
        for overhead in OVERHEADS:
            less = overhead + LENGTH_BASE
            if one - less not in _EDGES or middle - less not in _MIDDLES or three - less not in _EDGES:
                continue
            place = middle - less - MIDDLE
            tally = track.trials.setdefault(overhead, [0, 0])
            fits = octet_of_first(place)[one - less] == octet_of_third(place)[three - less]
            tally[0 if fits else 1] += 1
            if tally[0] >= _TRIALS and tally[0] > 2 * tally[1]:
                self._settle(track, overhead, sure=heard.sure)
                return

    def _settle(self, track: _Track, overhead: int, *, sure: bool) -> None:
        kept = list(zip(track.recent.places, track.recent.lengths, track.recent.times, strict=True))
        track.overhead = overhead
        self.recognised = True
        track.trials.clear()
        track.recent.clear()
        for place, length, time in kept:
            self._read(track, place, length - overhead - LENGTH_BASE, time, sure)

    # --- places ---------------------------------------------------------------------------------------------

    def _read(self, track: _Track, place: int, value: int, time: float, sure: bool) -> None:
        if value in _GUIDE_VALUES:
            self._evidence.boundary = time
            return
        if value not in _EDGES and value not in _MIDDLES:
            return
        index = track.recent.add(place, value, time)
        if not sure:
            self._three_in_a_row(track.recent, index)
            return
        values = track.recent.lengths
        left = _middle_before(values, index)
        right = _middle_after(values, index)
        if value in _MIDDLES:
            self._evidence.mark(value - MIDDLE)
            if left is not None:
                self._between(track.recent, left, index)
            else:
                self._beside(track.recent, index)
            left = index
        if left is None:
            return
        if right is not None:
            self._between(track.recent, left, right)
        elif left == index - 1:
            self._beside(track.recent, left)

    def _three_in_a_row(self, recent: Recent, index: int) -> None:
        if index < 2:  # noqa: PLR2004
            return
        one, middle, three = recent.lengths[index - 2 : index + 1]
        if middle not in _MIDDLES:
            return
        place = middle - MIDDLE
        self._evidence.mark(place)
        if one in _EDGES and three in _EDGES and octet_of_first(place)[one] == octet_of_third(place)[three]:
            self._evidence.first(place, one, recent.times[index - 2])
            self._evidence.third(place, three, recent.times[index])
            self._fresh = True

    def _beside(self, recent: Recent, index: int) -> None:
        """The lengths right before and right after a middle length."""
        places, values, times = recent.places, recent.lengths, recent.times
        code = values[index] - MIDDLE
        if index and places[index] - places[index - 1] == 1 and values[index - 1] in _EDGES:
            self._evidence.first(code, values[index - 1], times[index - 1])
            self._fresh = True
        if index + 1 < len(places) and places[index + 1] - places[index] == 1 and values[index + 1] in _EDGES:
            self._evidence.third(code, values[index + 1], times[index + 1])
            self._fresh = True

    def _between(self, recent: Recent, left: int, right: int) -> None:
        """The lengths between two middle lengths with no other heard in between."""
        self._beside(recent, left)
        self._beside(recent, right)
        places, values = recent.places, recent.lengths
        span = places[right] - places[left]
        if span > _SPAN:
            return
        one, other = values[left] - MIDDLE, values[right] - MIDDLE
        if span == _CODE and self._evidence.follow(other, one):
            self._again()
        between = range(left + 1, right)
        lengths = tuple(
            (places[index] - places[left], values[index], recent.times[index]) for index in between
        )
        window = _Window(one, other, span, lengths)
        if lengths and span > _CODE and not self._place(window):
            self._held.append(window)

    def _again(self) -> None:
        """Try the windows that wait for the order to be known."""
        waiting = list(self._held)
        self._held.clear()
        self._held.extend(window for window in waiting if not self._place(window))

    def _place(self, window: _Window) -> bool:
        """Give the lengths of a window to their codes; False where their order is not known yet."""
        chain = [window.one]
        while chain[-1] != window.other or len(chain) == 1:
            following = self._evidence.following(chain[-1])
            if following is None:
                return False
            chain.append(following)
            if _CODE * (len(chain) - 1) > window.span:
                return True  # the phone did something else in between: of no use
        lengths = window.lengths

        def fits(_index: int, gap: int) -> bool:
            return gap % _CODE != 0

        def agrees(index: int, gap: int) -> bool:
            if gap % _CODE == 0:
                return False
            code, is_third = _half_at(chain, gap)
            return self._evidence.agrees(code, lengths[index][1], is_third=is_third)

        steps = [gap for gap, _, _ in lengths]
        strangers = window.span - _CODE * (len(chain) - 1)
        found = align(steps, window.span, strangers, agrees) or align(steps, window.span, strangers, fits)
        for aligned, (_, value, time) in zip(found or (), lengths, strict=bool(found)):
            if aligned is None:
                continue
            code, is_third = _half_at(chain, aligned.distance)
            (self._evidence.third if is_third else self._evidence.first)(code, value, time)
            self._fresh = True
        return True

    # --- results --------------------------------------------------------------------------------------------

    def _result(self, bssid: bytes) -> Decoded | None:
        self._fresh = False
        datum = self._evidence.datum(bssid)
        if datum is None or datum == self._done:
            return None
        self._done = datum
        clue = SsidClue(datum.ssid_length, datum.ssid_crc, datum.bssid_crc) if datum.ssid is None else None
        return self._decoded(
            Credentials(datum.ssid, Secret(datum.password), datum.bssid, clue=clue),
            AckRecipe(ESPTOUCH, ACK_PORT, bytes((datum.total,))),
            ip=".".join(map(str, datum.ip)),
            complete=datum.ssid is not None and datum.bssid is not None,
            fields={"token": datum.total},
        )

    def _state(self) -> State:
        tracks = [track for track in self._tracks.values() if track.overhead is not None]
        shape = self._evidence.shape()
        known = self._evidence.known()
        need = 0 if shape is None else shape[0] + BSSID_SIZE
        start = (
            "guide heard" if any(track.guided for track in tracks) else "started in the middle of the data"
        )
        what = "complete" if self._done else f"{known} octets known, {need or 'unknown how many'} needed"
        return State(
            text=f"ESP-TOUCH: {start}, {what}",
            done=self._done is not None,
            directions=frozenset(track.direction for track in tracks),
            overhead=tuple(track.overhead for track in tracks if track.overhead is not None),
            have=known,
            need=need,
            missing=tuple(f"octet {index}" for index in self._evidence.missing()),
            wrong_checksums=self._evidence.wrong_checksums,
        )


def _half_at(chain: Sequence[int], gap: int) -> tuple[int, bool]:
    """Which code's length comes so far after the first middle length, and whether it is its third."""
    if gap % _CODE == 1:
        return chain[gap // _CODE], True
    return chain[gap // _CODE + 1], False


def _middle_before(values: list[int], index: int) -> int | None:
    for place in range(index - 1, -1, -1):
        if values[place] >= MIDDLE:
            return place
    return None


def _middle_after(values: list[int], index: int) -> int | None:
    for place in range(index + 1, len(values)):
        if values[place] >= MIDDLE:
            return place
    return None
