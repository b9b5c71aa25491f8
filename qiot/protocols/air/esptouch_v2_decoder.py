"""ESP-TOUCH v2, the device's side: lengths to symbols, symbols to blocks, blocks to credentials."""

from __future__ import annotations

from typing import ClassVar, Final

import attrs

from qiot.model import AckRecipe, Credentials, Secret, SsidClue
from qiot.protocols.air.calibration import OVERHEAD_MAX, OVERHEADS, Recent
from qiot.protocols.air.crc import crc8
from qiot.protocols.air.decoder import TRACKS_MAX, Decoder, State
from qiot.protocols.air.esptouch_v2 import (
    ACK_PORT,
    ACK_PORT_STEP,
    COUNT,
    DATA,
    KEY_SIZE,
    SEQUENCE,
    SEQUENCES_MAX,
    SYNC,
    decrypt,
)
from qiot.protocols.air.esptouch_v2_evidence import Body, Evidence, Head
from qiot.protocols.air.esptouch_v2_places import Places
from qiot.protocols.air.observation import Direction
from qiot.protocols.air.order import Heard
from qiot.protocols.air.results import ESPTOUCH_V2, Decoded

__all__ = ["EspTouchV2Decoder"]

_DATA: Final = range(1 << 10)
_BITS: Final = 0x3F
_PLANE_SHIFT: Final = 7
_HEADERS: Final = range(SEQUENCE, SEQUENCE + SEQUENCES_MAX)
_COUNTS: Final = range(COUNT, COUNT + SEQUENCES_MAX)
_STEPS: Final = range(_COUNTS[0] - SYNC, _COUNTS[-1] - SYNC + 1)
_NEAR: Final = (1, 3)
"""Places from one of the two sync lengths to the other."""
_KEEP: Final = 192
_BELIEVED: Final = 2
"""Times that a pair is heard before an overhead that no cipher has is believed."""
_PAIRS: Final = 8
_WAITING: Final = 10
"""Sync symbols in a row, from which on the phone waits for its user (section 1, pre-sync)."""
_SYMBOLS_MIN: Final = 0.8
"""Share of a track's last frames that have to be symbols; with a wrong overhead half of them are."""


@attrs.define(eq=False)
class _Track:
    """One of the phone's tracks.

    Attributes:
        overhead: What its frames have beside the payload.
        places: Where its symbols belong, once a guide was heard.
        muted: The phone has started over on another track; what comes here is still the old datum.
        recent: The last frames, from before the guide was heard, too.
        long: Place and length of the last frame that may have been a sync symbol.
        pairs: How often a pair of sync lengths was heard.
        syncs: Sync symbols since anything else of that size.
    """

    direction: Direction
    overhead: int | None = None
    places: Places | None = None
    muted: bool = False
    recent: Recent = attrs.field(factory=lambda: Recent(_KEEP))
    long: tuple[int, int] = (-10, 0)
    pairs: dict[tuple[int, int], int] = attrs.field(factory=dict)
    syncs: int = 0


class EspTouchV2Decoder(Decoder):
    """ESP-TOUCH v2 from one phone.

    Args:
        key: The device's key of 16 octets, where it has one.
    """

    protocol: ClassVar[str] = ESPTOUCH_V2

    def __init__(self, key: Secret | None = None) -> None:
        super().__init__()
        self._key = key
        self._tracks: dict[int, _Track] = {}
        self._evidence = Evidence()
        self._done: Body | None = None
        self._trouble = ""
        self._fresh = False

    def _start_over(self) -> None:
        self._evidence = Evidence()
        self._done = None
        self._trouble = ""
        for track in self._tracks.values():
            track.places = None
            track.muted = False
            track.recent.clear()

    def _hear(self, heard: Heard) -> Decoded | None:
        track = self._track(heard)
        length = heard.seen.length
        self._look_for_guide(track, heard.order, length, sure=heard.sure)
        track.recent.add(heard.order, length, heard.seen.time)
        if track.places is not None and track.overhead is not None:
            self._read(track, track.places, heard.order, length - track.overhead, sure=heard.sure)
        return self._result(heard.seen.bssid) if self._fresh else None

    def _track(self, heard: Heard) -> _Track:
        track = self._tracks.get(heard.track)
        if track is None:
            if len(self._tracks) >= TRACKS_MAX:
                del self._tracks[next(iter(self._tracks))]
            track = self._tracks[heard.track] = _Track(heard.seen.direction)
        return track

    # --- the guide -----------------------------------------------------------------------------------------

    def _look_for_guide(self, track: _Track, place: int, length: int, *, sure: bool) -> None:
        """Two long lengths that come by turns: 1048, and 1071 and the number of sequences."""
        if length < SYNC:
            return
        before, other = track.long
        track.long = (place, length)
        track.syncs = track.syncs + 1 if length == other and length - SYNC in OVERHEADS else 0
        self.recognised |= track.syncs >= _WAITING
        if abs(length - other) not in _STEPS or place - before not in (_NEAR if sure else (1,)):
            return
        overhead, count = min(length, other) - SYNC, abs(length - other) + SYNC - COUNT + 1
        if overhead > OVERHEAD_MAX:
            return
        if (overhead, count) == (track.overhead, self._evidence.count) and track.places is not None:
            track.pairs.clear()
            return
        pair = (overhead, count)
        if len(track.pairs) >= _PAIRS:
            track.pairs.clear()
        track.pairs[pair] = track.pairs.get(pair, 0) + 1
        known = track.places is not None
        enough = track.pairs[pair] >= _BELIEVED or (not known and overhead in OVERHEADS)
        if enough and _share_of_symbols(track.recent, overhead, count) >= _SYMBOLS_MIN:
            self._settle(track, overhead, count, sure=sure)

    def _settle(self, track: _Track, overhead: int, count: int, *, sure: bool) -> None:
        """The overhead and the number of sequences are known: read what was kept."""
        if self._evidence.count not in (None, count):
            self._restart(track)
        self.recognised = True
        self._evidence.count = count
        track.pairs.clear()
        track.overhead = overhead
        places = track.places = Places(count)
        for place, length in zip(track.recent.places, track.recent.lengths, strict=True):
            self._read(track, places, place, length - overhead, sure=sure)

    def _restart(self, track: _Track) -> None:
        """The phone sends another datum now: on this track already, on the others in a moment."""
        self._evidence, count = Evidence(), self._evidence.count
        self._evidence.count = count
        for other in self._tracks.values():
            other.muted = other is not track

    # --- symbols -------------------------------------------------------------------------------------------

    def _read(self, track: _Track, places: Places, place: int, symbol: int, *, sure: bool) -> None:
        fits = True
        if symbol == SYNC or symbol in _COUNTS:
            track.muted = False
            fits, found = places.sync(place, is_count=symbol != SYNC, sure=sure)
        elif symbol in _HEADERS:
            fits, found = places.header(place, symbol - SEQUENCE, sure=sure)
        elif symbol in _DATA and symbol & DATA:
            found = places.data(place, symbol >> _PLANE_SHIFT, symbol & _BITS, sure=sure)
        else:
            return
        if not fits:
            self._restart(track)
        if not track.muted:
            for one in found:
                if self._evidence.contradicts(one):
                    self._restart(track)
                self._fresh |= self._evidence.plane(one)

    # --- results -------------------------------------------------------------------------------------------

    def _result(self, heard_bssid: bytes) -> Decoded | None:
        self._fresh = False
        body = self._evidence.body()
        if body is None or body == self._done:
            return None
        content = self._open(body)
        if content is None or not _has_octets_as_told(body.head, body.fields[-1], *content):
            return None
        self._done = body
        password, reserved = content
        head, ssid = body.head, body.fields[-1]
        clue = None if ssid else SsidClue(0, 0, head.bssid_crc)
        bssid = heard_bssid if crc8(heard_bssid) == head.bssid_crc else None
        return self._decoded(
            Credentials(ssid or None, Secret(password), bssid, clue=clue),
            AckRecipe(ESPTOUCH_V2, ACK_PORT + ACK_PORT_STEP * head.port_mark, bytes((head.port_mark,))),
            reserved=reserved,
            complete=bool(ssid),
            fields={
                "port_mark": head.port_mark,
                "security": head.security,
                "ipv4": head.ipv4,
                "bssid_crc": head.bssid_crc,
            },
        )

    def _open(self, body: Body) -> tuple[bytes, bytes] | None:
        """Password and reserved data, or None where the key is missing or another one."""
        head = body.head
        if not head.security:
            content = b"".join(body.fields[:-1])
            return content[: head.password], content[head.password :]
        if self._key is None:
            self._trouble = "complete, but encrypted: a key is needed"
            return None
        cipher, *rest = body.fields[:-1]
        iv = rest[0] if rest else bytes(KEY_SIZE)
        plain = decrypt(cipher, self._key.reveal(), iv[:KEY_SIZE])
        if plain is None or len(plain) != head.password + head.reserved:
            self._trouble = "complete, but not encrypted with this key"
            return None
        return plain[: head.password], plain[head.password :]

    def _state(self) -> State:
        evidence = self._evidence
        tracks = [track for track in self._tracks.values() if track.overhead is not None]
        head: Head | None = evidence.head()
        known = evidence.known()
        if self._done is not None:
            text = "complete"
        elif self._trouble:
            text = self._trouble
        elif not tracks:
            text = "the phone waits for its user: start it in the application"
        else:
            text = f"{known} of {evidence.need} planes, head {'known' if head else 'missing'}"
        return State(
            text=f"ESP-TOUCH v2: {text}",
            done=self._done is not None,
            directions=frozenset(track.direction for track in tracks),
            overhead=tuple(track.overhead for track in tracks if track.overhead is not None),
            have=known,
            need=evidence.need,
            missing=tuple(evidence.missing()),
            wrong_checksums=evidence.wrong_checksums,
        )


def _has_octets_as_told(head: Head, ssid: bytes, password: bytes, reserved: bytes) -> bool:
    """The head says of each field whether an octet of it needs eight bits; so a wrong one betrays itself."""
    needs = tuple(any(octet > 0x7F for octet in field) for field in (ssid, password, reserved))  # noqa: PLR2004
    return needs == head.wide


def _share_of_symbols(recent: Recent, overhead: int, count: int) -> float:
    """How many of the last frames can be what a phone with so many sequences sends."""
    symbols = [length - overhead for length in recent.lengths]
    good = sum(
        symbol in (SYNC, COUNT + count - 1)
        or SEQUENCE <= symbol < SEQUENCE + count - 1
        or (symbol in _DATA and bool(symbol & DATA))
        for symbol in symbols
    )
    return good / len(symbols) if symbols else 1.0
