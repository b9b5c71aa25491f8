"""The access point of the mock, which simulated phones can join, and the chip that brings its own."""

from __future__ import annotations

from collections.abc import Sequence

from qiot.errors import HalError
from qiot.hal.contract import ChipSoftAp, SoftAp, SoftApSpec, Station
from qiot.hal.mock.radio import Radio
from qiot.hal.mock.scripted import ScriptedListener
from qiot.sim.faults import Faults
from qiot.sim.wifi import AccessPoint

__all__ = ["MockChipSoftAp", "MockSoftAp"]


class MockSoftAp(SoftAp):
    """The access point side of the mock's radio.

    Args:
        radio: The radio.
        start_delay: Seconds until it is up.
        start_failures: Starts that fail.
    """

    def __init__(self, radio: Radio, *, start_delay: float, start_failures: Faults) -> None:
        self._radio = radio
        self._start_delay = start_delay
        self._start_failures = start_failures

    async def start(self, spec: SoftApSpec) -> None:
        """Bring it up; the DHCP server gives addresses from the second of its network on."""
        spec.check()
        with self._radio.starting():
            await self._radio.world.clock.sleep(self._start_delay)
            failure = self._start_failures.take()
            if failure is not None:
                raise HalError("the access point did not start: start_failure says so", reason=failure)
            self._radio.raise_access_point(
                AccessPoint(
                    spec.ssid, spec.password, channel=spec.channel, address=spec.address, prefix=spec.prefix
                )
            )

    async def stop(self) -> None:
        """Take it down; its stations lose it."""
        self._radio.take_down_access_point()

    async def stations(self) -> Sequence[Station]:
        """Who is joined, with the address that DHCP gave."""
        if self._radio.access_point is None:
            return ()
        joined = self._radio.access_point.stations
        return [Station(mac=mac, address=ip.address) for mac, ip in joined.items()]


class MockChipSoftAp(ScriptedListener, ChipSoftAp):
    """A chip with its own access point and command server, played from the world's script."""

    method = "soft_ap"
