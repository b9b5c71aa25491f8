"""The stations that were heard, in bounded memory: many strangers come and go, phones that speak stay.

A station is a source address; its tracks are the halves of the way, the access point, and the kind of group
address. Strangers are forgotten first and cost little; a station of which a decoder has recognised something
is kept apart, so that a busy neighbourhood does not push it out.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Iterator, Sequence
from typing import Final, TypeAlias

import attrs

from qiot.protocols.air.decoder import Decoder
from qiot.protocols.air.observation import BROADCAST, Direction, Observation
from qiot.protocols.air.order import Heard, Order

__all__ = ["Station", "Stations", "Track"]

STRANGERS_MAX: Final = 256
PHONES_MAX: Final = 16
TRACKS_MAX: Final = 6
SILENT_TIME: Final = 10.0
"""Seconds after which a phone may make room for another one, however far it was."""
BUSY_FRAMES: Final = 8
BUSY_TIME: Final = 2.0
"""So many frames to group addresses within so many seconds make a station worth a decoder's time."""

_TrackKey: TypeAlias = tuple[bytes, Direction, bool]


@attrs.define(eq=False)
class Track:
    """Frames of one station by one way: what they have in common is their overhead and their numbering.

    Attributes:
        number: Counts the station's tracks from 1.
        sender: Who counts the frames: the station itself, or the access point that sends them on.
        order: Their order.
    """

    number: int
    sender: bytes
    order: Order = attrs.field(factory=Order)


@attrs.define(eq=False)
class Station:
    """One source address.

    Attributes:
        tracks: Its tracks, by access point, direction, and broadcast or multicast.
        waiting: Its last frames, until it is worth decoders.
        decoders: One for each protocol, once it is.
        kept: Something was recognised of it.
        time: When it was heard last.
        heard_on: The track of its last frame.
        is_new: It has tracks whose senders are not known to `Stations` yet.
    """

    tracks: dict[_TrackKey, Track] = attrs.field(factory=dict)
    waiting: deque[Heard] = attrs.field(factory=lambda: deque(maxlen=BUSY_FRAMES))
    decoders: Sequence[Decoder] = ()
    kept: bool = False
    time: float = 0.0
    heard_on: Track | None = None
    is_new: bool = False

    def hear(self, seen: Observation) -> Heard | None:
        """Put the frame in its track's order; None for one that was heard before."""
        self.time = seen.time
        key = (seen.bssid, seen.direction, seen.destination == BROADCAST)
        track = self.tracks.get(key)
        if track is None:
            if len(self.tracks) >= TRACKS_MAX:
                del self.tracks[next(iter(self.tracks))]
            number = 1 + max((known.number for known in self.tracks.values()), default=0)
            sender = seen.transmitter if seen.direction is Direction.TO_AP else seen.bssid
            track = self.tracks[key] = Track(number, sender)
            self.is_new = True
        self.heard_on = track
        place = track.order.place(seen)
        if place is None:
            return None
        return Heard(seen, track.number, place, track.order.sure)

    def is_busy(self) -> bool:
        """It sends to group addresses as often as no ordinary station does."""
        waiting = self.waiting
        return len(waiting) == BUSY_FRAMES and waiting[-1].seen.time - waiting[0].seen.time < BUSY_TIME

    def weight(self) -> float:
        """The best of its decoders'."""
        return max((decoder.weight for decoder in self.decoders), default=0.0)


class Stations:
    """All stations, the one heard last at the end."""

    def __init__(self) -> None:
        self._strangers: OrderedDict[bytes, Station] = OrderedDict()
        self._phones: OrderedDict[bytes, Station] = OrderedDict()

        self.senders: dict[bytes, list[Track]] = {}

    def __len__(self) -> int:
        return len(self._strangers) + len(self._phones)

    def __iter__(self) -> Iterator[Station]:
        yield from self._phones.values()
        yield from self._strangers.values()

    def get(self, address: bytes) -> Station:
        """The station of an address, an old stranger's place if need be."""
        station = self._phones.get(address)
        if station is not None:
            self._phones.move_to_end(address)
            if station.is_new:
                self._find_senders()
            return station
        station = self._strangers.get(address)
        if station is not None:
            self._strangers.move_to_end(address)
            return station
        if len(self._strangers) >= STRANGERS_MAX:
            self._strangers.popitem(last=False)
        station = self._strangers[address] = Station()
        return station

    def keep(self, address: bytes) -> None:
        """Something was recognised of this one."""
        station = self._strangers.pop(address, None)
        if station is None:
            return
        if len(self._phones) >= PHONES_MAX:
            del self._phones[self._least(station.time)]
        station.kept = True
        self._phones[address] = station
        self._find_senders()

    def _least(self, now: float) -> bytes:
        """The phone that is missed least: silent for a while, else the one that is least far."""

        def worth(address: bytes) -> tuple[bool, float]:
            phone = self._phones[address]
            return now - phone.time < SILENT_TIME, phone.weight()

        return min(self._phones, key=worth)

    def _find_senders(self) -> None:
        self.senders.clear()
        for station in self._phones.values():
            station.is_new = False
            for track in station.tracks.values():
                self.senders.setdefault(track.sender, []).append(track)

    def clear(self) -> None:
        """Forget everybody."""
        self._strangers.clear()
        self._phones.clear()
        self.senders.clear()
