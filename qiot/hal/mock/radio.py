"""The one radio that the mock's station and access point share, and the rules of who may use it when."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from qiot.errors import HalError
from qiot.sim.station import Station
from qiot.sim.wifi import AccessPoint
from qiot.sim.world import World

__all__ = ["Radio"]


class Radio:
    """One radio.

    Args:
        world: Where it is.
        station: Its station side.
        ap_sta: True where it can be access point and station at the same time (on one channel).
    """

    def __init__(self, world: World, station: Station, *, ap_sta: bool) -> None:
        self.world = world
        self.station = station
        self.ap_sta = ap_sta
        self.access_point: AccessPoint | None = None
        self._suspended: AccessPoint | None = None
        self._at_work = ""

    @property
    def held_channel(self) -> int | None:
        """The channel of who uses the radio: the network that is joined, or the access point; else None."""
        user: AccessPoint | None = self.station.access_point or self.access_point
        return None if user is None else user.channel

    def is_own(self, address: bytes) -> bool:
        """True for the radio's own addresses, as station and as access point."""
        own = b"" if self.access_point is None else self.access_point.bssid
        return address in {self.station.mac, own}

    @property
    def can_scan(self) -> bool:
        """False while the only role it can hold is the access point's."""
        return self.ap_sta or self.access_point is None

    @contextmanager
    def joining(self) -> Iterator[None]:
        """Hold the radio for a join.

        Raises:
            HalError: The access point is up and the radio cannot be both, or another verb is at work.
        """
        if self.access_point is not None and not self.ap_sta:
            raise HalError(
                "the access point is up, and this radio cannot be access point and station at once",
                hint="Stop the access point before the join, or use --hal mock,ap_sta=yes.",
            )
        with self._working("a join"):
            yield
        self._share_channel()

    @contextmanager
    def starting(self) -> Iterator[None]:
        """Hold the radio for the start of the access point.

        Raises:
            HalError: The access point is up, or another verb is at work.
        """
        if self.access_point is not None:
            raise HalError("the access point is up already", hint="Stop it before the next start.")
        with self._working("the access point's start"):
            yield

    def raise_access_point(self, access_point: AccessPoint) -> None:
        """Bring it up. One radio leaves its network for it; with both roles, the channel is the network's."""
        if not self.ap_sta:
            self._suspended = self.station.access_point
            self.station.leave()
        self.world.wifi.add(access_point)
        self.access_point = access_point
        self._share_channel()

    def take_down_access_point(self) -> None:
        """Take it down, and be where the station was before. Idempotent."""
        if self.access_point is not None:
            self.world.wifi.remove(self.access_point)
            self.access_point = None
            if not self.ap_sta:
                self.station.restore(self._suspended)
                self._suspended = None

    def return_to(self, before: AccessPoint | None) -> None:
        """Bring the station back to `before`: at once, or when the access point has made room."""
        if self.access_point is not None and not self.ap_sta:
            self._suspended = before
        else:
            self.station.restore(before)
            self._share_channel()

    def _share_channel(self) -> None:
        if self.access_point is not None and self.station.access_point is not None:
            self.access_point.channel = self.station.access_point.channel

    @contextmanager
    def _working(self, verb: str) -> Iterator[None]:
        # Also with both roles, a join and a start come one after the other: there is one channel to find.
        if self._at_work:
            raise HalError(f"{verb} is refused: {self._at_work} is not finished")
        self._at_work = verb
        try:
            yield
        finally:
            self._at_work = ""
