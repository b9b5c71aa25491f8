"""The access point of the mock, which simulated phones can join, and the chip that brings its own."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from typing import Final

from qiot.errors import HalError
from qiot.hal.contract import ChipSoftAp, SoftAp, SoftApSpec, Station
from qiot.hal.mock.radio import Radio
from qiot.hal.mock.scripted import ScriptedListener
from qiot.model import SSID_MAX, Reason
from qiot.sim.faults import Faults
from qiot.sim.wifi import AccessPoint

__all__ = ["MockChipSoftAp", "MockSoftAp"]

_CHANNELS: Final = frozenset({*range(1, 15), *range(36, 65, 4), *range(100, 145, 4), *range(149, 178, 4)})
"""Channels of 20 MHz in the 2.4 and 5 GHz bands (IEEE 802.11, annex E)."""

_PREFIXES: Final = range(8, 31)


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
        _check(spec)
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


def _check(spec: SoftApSpec) -> None:
    problem = ""
    if not 1 <= len(spec.ssid) <= SSID_MAX:
        problem = f"the ssid has {len(spec.ssid)} octets, it must have 1 to 32"
    elif spec.password is not None and not 8 <= len(spec.password) <= 63:  # noqa: PLR2004 - IEEE 802.11, annex J
        problem = f"the password has {len(spec.password)} octets, it must have 8 to 63"
    elif spec.channel not in _CHANNELS:
        problem = f"there is no channel {spec.channel}"
    elif spec.prefix not in _PREFIXES:
        problem = f"a prefix of {spec.prefix} leaves no room for stations, or is none"
    else:
        try:
            interface = ipaddress.IPv4Interface(f"{spec.address}/{spec.prefix}")
        except ValueError:
            problem = f"{spec.address!r} is no IPv4 address"
        else:
            network = interface.network
            if interface.ip in {network.network_address, network.broadcast_address}:
                problem = f"{spec.address}/{spec.prefix} is no host's address"
    if problem:
        raise HalError(f"the access point cannot start: {problem}", reason=Reason.CONFIGURATION)
