"""The environment of the mock platform: its own world, seen from outside."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator

import attrs

from qiot.hal.conformance.environment import Environment, Phone
from qiot.hal.contract import Platform
from qiot.hal.mock import MockPlatform
from qiot.model import Credentials
from qiot.sim.world import World

__all__ = ["SimulatedEnvironment"]


@attrs.define(kw_only=True, slots=False, eq=False)
class SimulatedEnvironment(Environment):
    """Looks into the worlds of the mock platforms that the suite opens.

    Attributes:
        worlds: Those worlds, the newest last.
    """

    worlds: list[World] = attrs.field(factory=list)

    def opened(self, platform: Platform) -> None:
        """Remember its world."""
        if isinstance(platform, MockPlatform) and platform.world not in self.worlds:
            self.worlds.append(platform.world)

    async def access_point_visible(self, ssid: bytes) -> bool:
        """Whether one of this name is up in any of the worlds."""
        return any(each.ssid == ssid for world in self.worlds for each in world.wifi.access_points)

    @contextlib.asynccontextmanager
    async def phone(self, credentials: Credentials) -> AsyncIterator[Phone]:
        """A simulated phone in the newest world."""
        station = self.worlds[-1].station()
        ip = await station.join(credentials, self.join_seconds)
        try:
            yield Phone(mac=station.mac, address=ip.address, gateway=ip.gateway)
        finally:
            station.leave()
