"""Realtek Simple Config, the device's side: group addresses and lengths to a profile.

Every symbol says its own place, and the key wrap's 64 bits decide in the end. The vendor's own decoder is not
public: what is decoded here is what its phone of 2014 sends.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import ClassVar, Final

import attrs

from qiot.model import AckRecipe, Credentials, Secret
from qiot.protocols.air.calibration import OVERHEAD_MAX, OVERHEADS
from qiot.protocols.air.decoder import TRACKS_MAX, Decoder, State
from qiot.protocols.air.observation import BROADCAST, Direction
from qiot.protocols.air.order import Heard
from qiot.protocols.air.realtek import (
    ACK_PORT,
    DEFAULT_PIN,
    HEADER,
    LENGTH_BASE,
    MARKERS,
    ROUND,
    ROUND_STEP,
    SALT_OF_LENGTHS,
    SALT_SIZE,
    WRAPPED,
    Profile,
    parse_profile,
    unwrap,
)
from qiot.protocols.air.results import REALTEK, Decoded

__all__ = ["RealtekDecoder"]

_GROUP: Final = b"\x01\x00\x5e"
_PATTERN, _TOTAL, _CHECK, _SALT = 2, 3, 4, 5
_PATTERNS: Final = (2, 3)
_RECOGNISED: Final = 3
"""Addresses of the sync part that have to be heard before the protocol counts as recognised."""
_PLACES: Final = range(1, ROUND + 1)
_TURNS: Final = (1, 3, 5, 7)
"""Places from one of the two sync lengths to the other."""
_BELIEVED_SOON: Final = 2
_BELIEVED: Final = 4
"""Times that a pair is heard before its overhead is believed, where ciphers have it, and where none has."""
_CANDIDATES: Final = 8
_PLAIN_MIN: Final = 5
_KEEP: Final = 3
"""Last values of a nibble that are kept: one may be a damaged frame's."""


def _syncs() -> dict[int, tuple[int, int]]:
    """The round and how many nibbles there are, by the difference of a round's two sync lengths."""
    found = {}
    for wrapped in WRAPPED:
        nibbles = 2 * wrapped
        for number, start in enumerate(range(0, nibbles, ROUND)):
            left = (nibbles - start) // 16 - (number == 0)
            found[LENGTH_BASE + ROUND_STEP * number + left - MARKERS[number]] = (number, nibbles)
    return found


_SYNCS: Final = _syncs()


@attrs.define(eq=False)
class _Track:
    """Pattern 4 on one track.

    Attributes:
        overhead: What its frames have beside the payload.
        number: The round that is on.
        last: Place and length of the last frame.
        latest: Place in the round of the last nibble.
        before: The same of the nibble before it.
        candidates: How often a pair of sync lengths told an overhead.
    """

    direction: Direction
    overhead: int | None = None
    number: int | None = None
    last: tuple[int, int] = (-10, 0)
    latest: int = 0
    before: int = 0
    candidates: dict[int, int] = attrs.field(factory=dict)


class RealtekDecoder(Decoder):
    """Simple Config from one phone, in group addresses (patterns 2 and 3) and in lengths (pattern 4).

    Args:
        pin: The device's PIN, where it has one of its own.
    """

    protocol: ClassVar[str] = REALTEK

    def __init__(self, pin: Secret | None = None) -> None:
        super().__init__()
        self._pins = [DEFAULT_PIN] if pin is None else [pin.reveal(), DEFAULT_PIN]
        self._tracks: dict[int, _Track] = {}
        self._octets: dict[int, int] = {}
        self._nibbles: dict[int, list[int]] = {}
        self._count: int | None = None
        self._done: bytes | None = None
        self._tried: tuple[bytes, ...] = ()
        self._wrong = 0

    def _is_for_us(self, destination: bytes) -> bool:
        return destination == BROADCAST or destination[:3] == _GROUP

    def _start_over(self) -> None:
        self._octets.clear()
        self._nibbles.clear()
        self._count = None
        self._done = None
        self._tried = ()
        for track in self._tracks.values():
            track.number = None

    def _hear(self, heard: Heard) -> Decoded | None:
        track = self._tracks.get(heard.track)
        if track is None:
            if len(self._tracks) >= TRACKS_MAX:
                del self._tracks[next(iter(self._tracks))]
            track = self._tracks[heard.track] = _Track(heard.seen.direction)
        if heard.seen.destination == BROADCAST:
            return self._length(track, heard)
        return self._address(heard.seen.destination, heard.seen.transmitter)

    # --- patterns 2 and 3 ----------------------------------------------------------------------------------

    def _address(self, destination: bytes, mac: bytes) -> Decoded | None:
        """An octet in a group address: its number lacks the top bit, which the checksum gives back."""
        number, octet = destination[3], destination[5]
        total = sum(destination) & 0xFF
        if total:
            number |= 0x80
            if (total + 0x80) & 0xFF:
                return None
        if self._octets.get(number) == octet:
            return None
        self._octets[number] = octet
        octets = self._octets
        if not self.recognised:
            syncs = sum(place in octets for place in range(HEADER))
            self.recognised = syncs >= _RECOGNISED and octets.get(_PATTERN) in _PATTERNS
        size = octets.get(_TOTAL, 0)
        if octets.get(_PATTERN) not in _PATTERNS or len(octets) < size or size <= HEADER:
            return None
        if any(place not in octets for place in range(size)) or octets[0] or octets[1]:
            return None
        # Packet 0 adds its number, 0; packet 1 its checksum, which is -(0x5f + 1).
        if octets[_CHECK] != (octets[_PATTERN] + size - 0x60) & 0xFF:
            self._wrong += 1
            return None
        salt = bytes(octets[place] for place in range(_SALT, _SALT + SALT_SIZE))
        data = bytes(octets[place] for place in range(HEADER, size))
        return self._open(data, mac, salt, octets[_PATTERN]) or self._plain(data, octets[_PATTERN])

    def _plain(self, data: bytes, pattern: int) -> Decoded | None:
        profile = parse_profile(data) if len(data) > _PLAIN_MIN else None
        return None if profile is None or profile.ip is None else self._found(profile, data, pattern)

    # --- pattern 4 -----------------------------------------------------------------------------------------

    def _length(self, track: _Track, heard: Heard) -> Decoded | None:
        length = heard.seen.length
        place, before = track.last
        track.last = (heard.order, length)
        if heard.order - place in _TURNS and abs(length - before) in _SYNCS:
            self._sync(track, min(length, before), abs(length - before))
        if track.overhead is None or track.number is None:
            return None
        number, nibble = divmod(length - track.overhead, 16)
        if number not in _PLACES:
            return None
        if number < track.before:
            track.number = None  # the next round has begun unheard
            return None
        if number >= track.latest:
            track.before = track.latest  # else the last one was a damaged frame, and does not count
        track.latest = number
        return self._nibble(ROUND * track.number + number - 1, nibble, heard.seen.transmitter)

    def _nibble(self, index: int, nibble: int, mac: bytes) -> Decoded | None:
        if self._count is None or index >= self._count:
            return None
        values = self._nibbles.setdefault(index, [])
        if values == [nibble] * _KEEP:
            return None
        values.append(nibble)
        del values[:-_KEEP]
        if len(self._nibbles) < self._count:
            return None
        heard = [self._nibbles[place] for place in range(self._count)]
        newest = [each[-1] for each in heard]
        return self._pair(newest, mac) or self._pair([_usual(each) for each in heard], mac)

    def _pair(self, nibbles: list[int], mac: bytes) -> Decoded | None:
        data = bytes(high << 4 | low for high, low in zip(nibbles[::2], nibbles[1::2], strict=True))
        return self._open(data, mac, SALT_OF_LENGTHS, 4)

    def _sync(self, track: _Track, shorter: int, difference: int) -> None:
        """Two lengths by turns: the round, the size, and how long the frames are."""
        number, count = _SYNCS[difference]
        overhead = shorter - MARKERS[number]
        if not 0 <= overhead <= OVERHEAD_MAX:
            return
        if overhead != track.overhead:
            seen = track.candidates[overhead] = track.candidates.get(overhead, 0) + 1
            if len(track.candidates) > _CANDIDATES:
                track.candidates.clear()
            if seen < (_BELIEVED_SOON if track.overhead is None and overhead in OVERHEADS else _BELIEVED):
                return
            track.overhead = overhead
        self.recognised = True
        track.candidates.clear()
        if count != self._count:
            self._count = count
            self._nibbles.clear()
        track.number, track.latest, track.before = number, 0, 0

    # --- results -------------------------------------------------------------------------------------------

    def _open(self, data: bytes, mac: bytes, salt: bytes, pattern: int) -> Decoded | None:
        if len(data) not in WRAPPED or data + salt in self._tried:
            return None
        self._tried = (data + salt, *self._tried[:1])
        for pin in self._pins:
            padded = unwrap(data, mac, pin, salt)
            profile = None if padded is None else parse_profile(padded)
            if profile is not None:
                return self._found(profile, data, pattern)
        self._wrong += 1
        return None

    def _found(self, profile: Profile, data: bytes, pattern: int) -> Decoded | None:
        told = profile.ssid + profile.password + data
        if told == self._done:
            return None
        self._done = told
        return self._decoded(
            Credentials(profile.ssid, Secret(profile.password)),
            AckRecipe(REALTEK, ACK_PORT),
            ip=profile.ip,
            fields={"pattern": pattern},
        )

    def _state(self) -> State:
        tracks = [track for track in self._tracks.values() if track.overhead is not None]
        by_address = self._octets.get(_PATTERN) in _PATTERNS
        known: Iterable[int] = self._octets if by_address else self._nibbles
        need = self._octets.get(_TOTAL, 0) if by_address else self._count or 0
        name = "octet" if by_address else "nibble"
        missing = [f"{name} {place}" for place in range(need) if place not in known]
        if self._done is not None:
            text = "complete"
        elif need and not missing:
            text = "complete, but PIN, key or checksum do not fit"
        else:
            text = f"{need - len(missing)} of {need or 'an unknown number of'} {name}s"
        return State(
            text=f"Realtek Simple Config: {text}",
            done=self._done is not None,
            directions=frozenset(track.direction for track in self._tracks.values()),
            overhead=tuple(track.overhead for track in tracks if track.overhead is not None),
            have=need - len(missing),
            need=need,
            missing=tuple(missing),
            wrong_checksums=self._wrong,
        )


def _usual(values: list[int]) -> int:
    """The value that came most often, the newest of several."""
    return Counter(reversed(values)).most_common(1)[0][0]
