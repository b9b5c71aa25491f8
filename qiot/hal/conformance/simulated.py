"""The environment of the mock platform: its own world, seen from outside."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from functools import partial
from typing import Final

import attrs

from qiot.hal.conformance.environment import Central, Ear, Environment, Phone
from qiot.hal.conformance.link_central import LinkCentral
from qiot.hal.contract import Platform
from qiot.hal.mock import MockPlatform
from qiot.model import Credentials
from qiot.sim.air import Heard
from qiot.sim.air.live import LiveAir
from qiot.sim.world import World

__all__ = ["SimulatedEnvironment"]


_SEEN_WITHIN: Final = 10.0
_SILENT_AFTER: Final = 0.3
"""Seconds; the simulated air has an advertisement every 30 ms and loses none."""


@attrs.define(kw_only=True, slots=False, eq=False)
class SimulatedEnvironment(Environment):
    """Looks into the worlds of the mock platforms that the suite opens.

    Attributes:
        worlds: Those worlds, the newest last.
    """

    worlds: list[World] = attrs.field(factory=list)
    sends_frames: Sequence[int] = (6, 1, 11, 36)
    lossless: bool = True

    def opened(self, platform: Platform) -> None:
        """Remember its world."""
        if isinstance(platform, MockPlatform) and platform.world not in self.worlds:
            self.worlds.append(platform.world)

    async def access_point_visible(self, ssid: bytes) -> bool:
        """Whether one of this name is up in any of the worlds."""
        return any(each.ssid == ssid for world in self.worlds for each in world.wifi.access_points)

    @contextlib.asynccontextmanager
    async def central(self) -> AsyncIterator[Central]:
        """A simulated phone in the newest world, connected to whoever advertises there."""
        from qiot.testbed.ble_link import Wanted
        from qiot.testbed.ble_link.on_bumble import BumbleCentral

        air = self.worlds[-1].bluetooth
        async with BumbleCentral(partial(air.device, air.address())) as phone:
            await phone.connect(await phone.find(Wanted(), _SEEN_WITHIN), _SEEN_WITHIN)
            yield LinkCentral(phone)

    async def advertised(self) -> bool:
        """Whether anybody advertises in the newest world."""
        from qiot.testbed.ble_link import LinkError, Wanted
        from qiot.testbed.ble_link.on_bumble import BumbleCentral

        air = self.worlds[-1].bluetooth
        async with BumbleCentral(partial(air.device, air.address())) as phone:
            try:
                await phone.find(Wanted(), _SILENT_AFTER)
            except LinkError:
                return False
            return True

    @contextlib.asynccontextmanager
    async def phone(self, credentials: Credentials) -> AsyncIterator[Phone]:
        """A simulated phone in the newest world."""
        station = self.worlds[-1].station()
        ip = await station.join(credentials, self.join_seconds)
        try:
            yield Phone(mac=station.mac, address=ip.address, gateway=ip.gateway)
        finally:
            station.leave()

    async def transmit(self, frames: Sequence[bytes], channel: int) -> None:
        """Into the newest world's air, at once."""
        air = self.worlds[-1].air
        for frame in frames:
            air.inject(frame, channel, _OUTSIDE)

    @contextlib.asynccontextmanager
    async def ear(self, channel: int) -> AsyncIterator[Ear]:
        """A receiver in the newest world's air."""
        air = self.worlds[-1].air
        ear = _Ear(air)
        receiver = air.listen(ear.note, channel=channel, loss=0.0)
        try:
            yield ear
        finally:
            air.stop_listening(receiver)


_OUTSIDE: Final = b"\x02\x71\x00\x00\x00\x01"
"""The radio that sends from outside."""


class _Ear(Ear):
    def __init__(self, air: LiveAir) -> None:
        self._air = air
        self._heard: set[bytes] = set()
        self._changed = asyncio.Event()

    def note(self, heard: Heard) -> None:
        self._heard.add(heard.data)
        self._changed.set()

    async def hears(self, frame: bytes, seconds: float) -> bool:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while frame not in self._heard:
                    self._changed.clear()
                    await self._air.wait(self._changed)
        return frame in self._heard
