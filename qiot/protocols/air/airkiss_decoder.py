"""AirKiss, the device's side: lengths to symbols, symbols to sequences, sequences to credentials.

Rounds between two guide codes are one datum. A phone may start over with other credentials, so that what was
heard before a guide code is used only where the random byte, or what depends on it, has come again unchanged.

A receiver that starts in the middle of the data waits for no guide code: the checksums of sequences tell the
overhead, and the length of a round tells the total length. The SSID's checksum is not known then; each symbol
has to be heard twice instead.
"""

from __future__ import annotations

from collections import deque
from typing import ClassVar, Final

import attrs

from qiot.model import AckRecipe, Credentials, Secret
from qiot.protocols.air.airkiss import (
    ACK_PORT,
    DATA,
    GUIDE,
    HEADER,
    PREFIX,
    SEQUENCE_OCTETS,
    decrypt,
    sequence_checksum,
)
from qiot.protocols.air.airkiss_evidence import BELIEVED, CHECKSUM, SEQUENCES_MAX, Evidence
from qiot.protocols.air.airkiss_overhead import OverheadFinder
from qiot.protocols.air.airkiss_places import Places
from qiot.protocols.air.calibration import GuideFinder
from qiot.protocols.air.crc import crc8
from qiot.protocols.air.decoder import TRACKS_MAX, Decoder, State
from qiot.protocols.air.observation import Direction
from qiot.protocols.air.order import Heard
from qiot.protocols.air.results import AIRKISS, Decoded

__all__ = ["AirKissDecoder"]

_GUIDE_STEP: Final = 1
_SYMBOLS: Final = range(2 * DATA)
_LAST_FIELD_PLACE: Final = 3
_EARLIER_MAX: Final = 6
"""Data between two guide codes that wait for proof that they are of the same datum."""
_TWICE: Final = 64
"""Sequences without numbers that are remembered until they come again."""


@attrs.define(eq=False)
class _Track:
    """One of the phone's tracks."""

    number: int
    direction: Direction
    places: Places
    overhead: int | None = None
    guiding: bool = False
    guided: bool = False
    finder: GuideFinder = attrs.field(factory=lambda: GuideFinder(_GUIDE_STEP, GUIDE[0]))
    unguided: OverheadFinder = attrs.field(factory=OverheadFinder)
    place: int = -1
    symbol: int = -1
    arrived: list[int] = attrs.field(factory=list)
    once: deque[tuple[int, ...]] = attrs.field(factory=lambda: deque(maxlen=_TWICE))


class AirKissDecoder(Decoder):
    """AirKiss from one phone.

    Args:
        key: The device's key, 1 to 16 octets, where it has one.
    """

    protocol: ClassVar[str] = AIRKISS

    def __init__(self, key: Secret | None = None) -> None:
        super().__init__()
        self._key = key
        self._tracks: dict[int, _Track] = {}
        self._evidence = Evidence()
        self._earlier: list[Evidence] = []
        self._done: tuple[bytes, int] | None = None
        self._wrong_ssid = self._wrong_key = 0
        self._fresh = False

    def _start_over(self) -> None:
        self._evidence = Evidence()
        self._earlier.clear()
        self._done = None
        self._wrong_ssid = self._wrong_key = 0
        for track in self._tracks.values():
            track.places = Places(track.number)
            track.unguided.clear()
            track.arrived.clear()
            track.once.clear()

    def _hear(self, heard: Heard) -> Decoded | None:
        track = self._track(heard)
        length = heard.seen.length
        overhead = track.finder.feed(heard.order, length)
        if overhead is not None:
            self._guide(track, overhead)
        if track.overhead is None:
            self._try(track, heard)
        else:
            self._read(track, heard.order, length - track.overhead, sure=heard.sure)
        return self._result() if self._fresh else None

    def _try(self, track: _Track, heard: Heard) -> None:
        """Keep the frame until it is known what it says, by a guide code or by checksums."""
        overhead = track.unguided.feed(heard.order, heard.seen.length, heard.seen.time)
        if overhead is None:
            return
        track.overhead = overhead
        self.recognised = True
        for place, symbol in track.unguided.data(overhead):
            self._read(track, place, symbol, sure=heard.sure)
        track.unguided.clear()

    def _read(self, track: _Track, place: int, symbol: int, *, sure: bool) -> None:
        if symbol not in _SYMBOLS:
            self._evidence.doubt = True
            return
        if symbol < PREFIX:
            self._magic(track, place, symbol)
        else:
            track.guiding = False
            if symbol < HEADER:
                self._evidence.prefix(symbol - PREFIX >> 4, symbol & 0x0F)
                self._fresh = True
            if sure:
                self._fresh |= track.places.symbol(place, symbol, self._evidence)
                if symbol < HEADER:
                    self._try_again()
            else:
                self._arrive(track, symbol)
        track.place, track.symbol = place, symbol
        if self._evidence.is_quarrelling:
            self._replace_evidence()
            self._earlier.clear()

    def _replace_evidence(self) -> None:
        """Another datum may begin."""
        self._evidence = Evidence()
        for track in self._tracks.values():
            track.places.forget()

    def _track(self, heard: Heard) -> _Track:
        track = self._tracks.get(heard.track)
        if track is None:
            if len(self._tracks) >= TRACKS_MAX:
                del self._tracks[next(iter(self._tracks))]
            track = self._tracks[heard.track] = _Track(heard.track, heard.seen.direction, Places(heard.track))
        return track

    # --- guide code and magic field ------------------------------------------------------------------------

    def _guide(self, track: _Track, overhead: int) -> None:
        """A guide code: how long the frames are, and perhaps the start of another datum."""
        if track.overhead != overhead:
            track.overhead = overhead
            track.places = Places(track.number)
            self.recognised = True
        track.guided = True
        track.unguided.clear()
        if track.guiding:
            return
        track.guiding = True
        track.places.stop()
        if not self._evidence.is_empty:
            self._look_back()
            self._earlier.append(self._evidence)
            del self._earlier[:-_EARLIER_MAX]
            self._replace_evidence()

    def _magic(self, track: _Track, place: int, symbol: int) -> None:
        """A symbol of the magic field, or of the guide code, which looks like the first one."""
        track.places.stop()
        at, nibble = symbol >> 4, symbol & 0x0F
        near = place - track.place == 1
        if at:
            self._evidence.magic(at, nibble)
            if near and at == 1 and 0 <= track.symbol >> 4 < 1:
                self._evidence.magic(0, track.symbol & 0x0F)
        elif near and track.symbol >> 4 == _LAST_FIELD_PLACE:
            self._evidence.magic(0, nibble)
        self._try_again()

    def _try_again(self) -> None:
        """What has waited for the total length, on all tracks."""
        if self._evidence.shape() is not None:
            for known in self._tracks.values():
                self._fresh |= known.places.again(self._evidence)

    # --- without usable numbers ----------------------------------------------------------------------------

    def _arrive(self, track: _Track, symbol: int) -> None:
        """Look for whole sequences in the order of arrival."""
        arrived = track.arrived
        if symbol >= DATA and len(arrived) >= 2:  # noqa: PLR2004 - after both headers
            if len(arrived) <= 2 + SEQUENCE_OCTETS:
                arrived.append(symbol)
            return
        if HEADER <= symbol < DATA and len(arrived) == 1:
            arrived.append(symbol)
            return
        if len(arrived) > 2:  # noqa: PLR2004
            self._whole(
                track, arrived[0] - HEADER, arrived[1] - HEADER, bytes(octet - DATA for octet in arrived[2:])
            )
        track.arrived = [symbol] if HEADER <= symbol < DATA else []

    def _whole(self, track: _Track, checksum: int, index: int, octets: bytes) -> None:
        if (
            len(octets) > SEQUENCE_OCTETS
            or index >= SEQUENCES_MAX
            or sequence_checksum(index, octets) != checksum
        ):
            return
        found = (index, *octets)
        if found not in track.once:
            track.once.append(found)
            return
        hearing = (track.number, track.place)
        for slot, value in ((CHECKSUM, checksum), *enumerate(octets)):
            self._evidence.symbol(index, slot, value, hearing, BELIEVED)
        self._fresh = True

    # --- results -------------------------------------------------------------------------------------------

    def _look_back(self) -> None:
        """Use what was heard before the guide code, where the phone has not started over."""
        left = []
        for earlier in self._earlier:
            if self._evidence.contradicts(earlier):
                continue
            if self._evidence.continues(earlier):
                self._evidence.absorb(earlier)
            else:
                left.append(earlier)
        self._earlier = left

    def _result(self) -> Decoded | None:
        self._fresh = False
        self._look_back()
        shape = self._evidence.shape()
        if shape is None or shape.password is None:
            return None
        octets = self._evidence.octets()
        if octets is None:
            return None
        field, random, ssid = octets[: shape.password], octets[shape.password], octets[shape.password + 1 :]
        if shape.ssid_crc is not None and crc8(ssid) != shape.ssid_crc:
            self._wrong_ssid += 1
            return None
        if (octets, shape.password) == self._done:
            return None
        password = field if self._key is None else decrypt(field, self._key.reveal())
        if password is None:
            self._wrong_key += 1
            return None
        self._done = (octets, shape.password)
        return self._decoded(
            Credentials(ssid, Secret(password)),
            AckRecipe(AIRKISS, ACK_PORT, bytes((random,))),
            fields={"random": random},
        )

    def _state(self) -> State:
        tracks = [track for track in self._tracks.values() if track.overhead is not None]
        everything = (self._evidence, *reversed(self._earlier))
        # After a guide code there is nothing at first; what came before it says more.
        evidence = max(everything, key=lambda each: (each.shape() is not None, each.known()))
        shape = evidence.shape()
        known: dict[int, bytes] = {}
        missing: tuple[str, ...] = ("magic field",)
        need = 0
        if shape is not None:
            known, need = evidence.sequences(), shape.sequences
            missing = tuple(f"sequence {index}" for index in range(need) if index not in known)
            if shape.password is None:
                missing = ("prefix field", *missing)
        if self._done:
            text = "complete"
        elif self._wrong_key:
            text = "complete, but not encrypted with this key"
        elif shape is None:
            start = (
                "guide code heard"
                if any(track.guided for track in tracks)
                else "started in the middle of the data"
            )
            text = f"{start}, the magic field is missing"
        elif evidence.wrong_prefix:
            text = f"{len(known)} of {need} sequences, the prefix field's checksum is wrong"
        else:
            text = f"{len(known)} of {need} sequences"
        return State(
            text=f"AirKiss: {text}",
            done=self._done is not None,
            directions=frozenset(track.direction for track in tracks),
            overhead=tuple(track.overhead for track in tracks if track.overhead is not None),
            have=len(known),
            need=need,
            missing=missing,
            wrong_checksums=sum(each.wrong_checksums + each.wrong_prefix for each in everything)
            + self._wrong_ssid
            + self._wrong_key,
        )
