"""A house in the simulated air: an access point, phones that cast, and somebody who listens."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import attrs

from qiot.errors import ProtocolError
from qiot.protocols.air.casts import Cast
from qiot.protocols.air.dot11 import is_group_data, parse_header
from qiot.protocols.air.results import Decoded
from qiot.protocols.air.tracker import Tracker
from qiot.sim.air import (
    BROADCAST,
    DEAF,
    Air,
    AirAccessPoint,
    AirStation,
    Bursts,
    Habits,
    Heard,
    House,
    Link,
    Manners,
    Protection,
    Traffic,
    group_address,
    keep_house_busy,
    keep_station_busy,
    udp_packet,
)

PHONE = bytes.fromhex("0a1b2c3d4e5f")
ACCESS_POINT = bytes.fromhex("00e04c8712ab")
ADDRESS = "192.168.1.100"
BEACON = b"\x80"


@attrs.define
class Scene:
    """One access point and what happens at it.

    Attributes:
        seed: Of everything.
        heard: What the sniffer's filter passes: "everything", "data" to everybody, or as a "device" has it,
            that and beacons.
        start: Seconds of the air when everything begins; so much has happened before the first cast.
    """

    seed: int | str = 0
    channel: int = 6
    bssid: bytes = ACCESS_POINT
    protection: Protection = attrs.field(factory=Protection)
    manners: Manners = attrs.field(factory=Manners)
    house: House = attrs.field(factory=House)
    heard: str = "everything"
    start: float = 1.0
    air: Air = attrs.field(init=False)
    access_point: AirAccessPoint = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.air = Air(self.seed)
        self.access_point = self.add_access_point(self.bssid)

    def add_access_point(self, bssid: bytes) -> AirAccessPoint:
        """One more of the same kind; it knows nothing of the others."""
        found = AirAccessPoint(
            self.air, bssid, channel=self.channel, protection=self.protection, manners=self.manners
        )
        found.start()
        keep_house_busy(self.air, found, self.house)
        return found

    def phone(
        self,
        casts: Iterable[Cast],
        mac: bytes = PHONE,
        *,
        access_point: AirAccessPoint | None = None,
        habits: Habits | None = None,
        traffic: Traffic | None = None,
        after: float = 0.0,
    ) -> AirStation:
        """A phone that sends these from `after` on; what is heard of each has it as its origin."""
        station = AirStation(self.air, mac, access_point or self.access_point, habits=habits)
        if traffic is not None:
            keep_station_busy(self.air, station, traffic)
        self.cast(station, casts, after)
        return station

    def cast(self, station: AirStation, casts: Iterable[Cast], after: float = 0.0) -> None:
        """The phone sends these too, one after the other."""
        coming = iter(casts)
        begin = self.start + after

        def send_next(cast: Cast) -> None:
            station.send(
                udp_packet(
                    station.mac,
                    group_address(cast.to) or BROADCAST,
                    address=ADDRESS,
                    to=cast.to,
                    port=cast.port,
                    payload=cast.payload,
                    origin=cast,
                )
            )
            plan()

        def plan() -> None:
            cast = next(coming, None)
            if cast is not None:
                self.air.at(begin + cast.t, lambda: send_next(cast))

        plan()

    def hear(
        self,
        seconds: float,
        *,
        link: Link | None = None,
        links: Mapping[bytes, Link] | None = None,
        bursts: Bursts | None = None,
        channel: int | None = None,
    ) -> Iterator[Heard]:
        """What is heard from the first cast on, damaged frames too; times count from there."""
        waiting: list[Heard] = []
        self.air.advance(self.start)
        receiver = self.air.receiver(
            waiting.append,
            channel=channel or self.channel,
            link=link or Link(),
            links=links,
            bursts=bursts,
        )
        try:
            while (following := self.air.next_time) is not None and following < self.start + seconds:
                self.air.advance(following)
                for heard in waiting:
                    if self._passes(heard.data):
                        yield attrs.evolve(heard, t=heard.t - self.start)
                waiting.clear()
        finally:
            self.air.remove(receiver)

    def _passes(self, frame: bytes) -> bool:
        if self.heard == "everything" or is_group_data(frame):
            return True
        return self.heard == "device" and frame[:1] == BEACON


def only(direction: str, link: Link | None = None) -> dict[bytes, Link]:
    """Links of who hears one half of the way: "to" the access point, "from" it, or "both"."""
    link = link or Link()
    return {
        PHONE: DEAF if direction == "from" else link,
        ACCESS_POINT: DEAF if direction == "to" else link,
    }


def take(tracker: Tracker, heard: Heard) -> list[Decoded]:
    """What the tracker makes of a frame; it is not told of damaged ones."""
    if not heard.intact:
        return []
    try:
        header = parse_header(heard.data)
    except ProtocolError:
        return []
    return list(tracker.hear(header, heard.channel, heard.t))


def results(heard: Iterable[Heard], tracker: Tracker | None = None) -> list[Decoded]:
    """Everything that the tracker makes of it."""
    tracker = Tracker() if tracker is None else tracker
    return [result for each in heard for result in take(tracker, each)]
