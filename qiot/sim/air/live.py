"""The air of a world: the world's access points and stations in it, and the world's clock moves it.

Nothing runs by itself. Whoever listens brings the air up to the present whenever it looks, and waits for the
next thing to happen; while nobody listens, nothing has to.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import attrs

from qiot.sim.air.access_point import AirAccessPoint
from qiot.sim.air.ciphers import protection_of
from qiot.sim.air.medium import Air
from qiot.sim.air.receiver import Bursts, Emission, Heard, Link, Receiver
from qiot.sim.air.station import AirStation
from qiot.sim.clock import Clock, sleep_or_change
from qiot.sim.station import Station
from qiot.sim.wifi import AccessPoint, Neighbourhood

__all__ = ["LiveAir"]


class LiveAir:
    """One world's air.

    Args:
        clock: The world's clock.
        wifi: The world's access points.
        seed: Of all losses and contents.

    Attributes:
        link: How well a receiver hears, where it has no figure of its own.
        bursts: What disturbs every receiver, or None.
        overhears: Receivers hear something of the neighbouring channels of 2.4 GHz.
    """

    def __init__(self, clock: Clock, wifi: Neighbourhood, *, seed: int | str, loss: float = 0.0) -> None:
        self.link = Link(loss)
        self.bursts: Bursts | None = None
        self.overhears = False
        self._clock = clock
        self._wifi = wifi
        self._seed = seed
        self._air: Air | None = None
        self._access_points: dict[AccessPoint, AirAccessPoint] = {}
        self._stations: dict[bytes, AirStation] = {}
        self._watchers: set[asyncio.Event] = set()

    # --- time -----------------------------------------------------------------------------------------------

    def catch_up(self) -> Air:
        """Let everything happen until now; gives the air itself, for what is not offered here."""
        now = self._clock.now()
        if self._air is None:
            self._air = Air(self._seed, start=now)
        self._follow_access_points(self._air)
        self._air.advance(now)
        return self._air

    async def wait(self, woken: asyncio.Event) -> None:
        """Return when something happened in the air, or `woken` is set; all that is due has been heard."""
        air = self.catch_up()
        left = None if air.next_time is None else max(0.0, air.next_time - self._clock.now())
        self._watchers.add(woken)
        try:
            await sleep_or_change(self._clock, left, woken)
        finally:
            self._watchers.discard(woken)
        self.catch_up()

    def _changed(self) -> None:
        """Something was sent: those who wait have another time to wait for."""
        for woken in self._watchers:
            woken.set()

    # --- who is there ---------------------------------------------------------------------------------------

    def access_point(self, access_point: AccessPoint) -> AirAccessPoint:
        """The radio of an access point that is up; its `manners` may be changed."""
        self.catch_up()
        return self._radio_of(access_point)

    def station(self, station: Station) -> AirStation:
        """The radio of a station that is joined; its `habits` may be changed.

        Raises:
            ValueError: It is not joined.
        """
        joined = station.access_point
        if joined is None:
            raise ValueError("a station that is not joined sends no data")
        access_point = self.access_point(joined)
        radio = self._stations.get(station.mac)
        if radio is None:
            radio = self._stations[station.mac] = AirStation(self.catch_up(), station.mac, access_point)
        radio.access_point = access_point
        return radio

    def _follow_access_points(self, air: Air) -> None:
        there = self._wifi.access_points
        for access_point in [known for known in self._access_points if not known.up]:
            self._access_points.pop(access_point).stop()
        for access_point in there:
            radio = self._access_points.get(access_point) or self._make_radio(air, access_point)
            radio.channel = access_point.channel
            radio.start()

    def _radio_of(self, access_point: AccessPoint) -> AirAccessPoint:
        # A world without networks makes them up when they are joined: they send on, and no beacons.
        air = self.catch_up()
        return self._access_points.get(access_point) or self._make_radio(air, access_point)

    def _make_radio(self, air: Air, access_point: AccessPoint) -> AirAccessPoint:
        radio = self._access_points[access_point] = AirAccessPoint(
            air,
            access_point.bssid,
            ssid=access_point.ssid,
            channel=access_point.channel,
            protection=protection_of(access_point.security),
            hidden=access_point.hidden,
            signal=access_point.signal,
        )
        return radio

    # --- sending and listening ------------------------------------------------------------------------------

    def listen(
        self,
        listener: Callable[[Heard], None],
        *,
        channel: int | Callable[[], int],
        loss: float | None = None,
        ignores: Callable[[bytes], bool] | None = None,
    ) -> Receiver:
        """Begin to listen; `wait` and `catch_up` bring what is heard, `stop_listening` ends it.

        Args:
            listener: Called with each frame.
            channel: IEEE channel number, or a function that gives it.
            loss: Share of frames that are not heard, or None for the world's.
            ignores: True for senders that are the receiver's own radio.
        """
        link = self.link if loss is None else attrs.evolve(self.link, loss=loss)
        return self.catch_up().receiver(
            listener,
            channel=channel,
            link=link,
            bursts=self.bursts,
            overhears=self.overhears,
            ignores=ignores,
        )

    def stop_listening(self, receiver: Receiver) -> None:
        """It hears nothing any more. Idempotent."""
        if self._air is not None:
            self._air.remove(receiver)

    def inject(self, frame: bytes, channel: int, sender: bytes) -> None:
        """Send octets as they are, at once.

        Args:
            frame: From frame control to the end of the body.
            channel: IEEE channel number.
            sender: Whose radio it is, whatever the frame says.
        """
        self.catch_up().emit(Emission(frame, sender, channel))
        self._changed()

    def touched(self) -> None:
        """A station's or an access point's radio was given something to send."""
        self._changed()
