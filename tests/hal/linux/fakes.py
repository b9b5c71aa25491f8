"""A kernel and backends without a radio: they remember what they were asked and give what the test says."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import attrs

from qiot.errors import HalError, MediumError, NotSupportedError
from qiot.hal.contract import SoftApSpec, WifiStatus
from qiot.hal.linux.backends import AccessPointBackend, StationBackend, Target
from qiot.hal.linux.nl80211 import RadioChannel, Wiphy, WirelessInterface
from qiot.model import Band, IpConfig, Network, Security

OWN = bytes.fromhex("020000000100")
IP = IpConfig("192.168.77.10", 24, "192.168.77.1")


def channel(number: int, *, disabled: bool = False, no_ir: bool = False) -> RadioChannel:
    band = Band.GHZ_2_4 if number <= 14 else Band.GHZ_5
    frequency = 2407 + 5 * number if band is Band.GHZ_2_4 else 5000 + 5 * number
    return RadioChannel(number=number, frequency=frequency, band=band, disabled=disabled, no_ir=no_ir)


def network(
    ssid: bytes = b"Home",
    *,
    last: int = 1,
    number: int = 6,
    signal: int = -50,
    security: Security = Security.WPA2,
) -> Network:
    return Network(ssid, bytes((2, 0, 0, 0, 9, last)), number, signal, security)


@attrs.define
class Scan:
    """One scan that the kernel was asked for."""

    ssids: tuple[bytes, ...]
    frequencies: tuple[int, ...]


class FakeNl80211:
    """The kernel's wireless side: what is in the air, and what it was asked."""

    def __init__(self) -> None:
        self.air: list[Network] = []
        self.hiding: list[Network] = []
        self.scans: list[Scan] = []
        self.urgent: list[bool] = []
        self.still = False
        self.busy = False
        self.slow_from: int | None = None
        self.added: list[str] = []
        self.joined: tuple[int, bytes] | None = None
        self.associated: list[bytes] = []
        self.channels = (
            channel(1),
            channel(6),
            channel(11),
            channel(36, no_ir=True),
            channel(149, disabled=True),
        )

    async def wiphy(self, interface: str) -> Wiphy:
        del interface
        return Wiphy(index=0, name="phy0", modes=frozenset({"managed"}), limits=(), channels=self.channels)

    async def interfaces(self, wiphy: int | None = None) -> Sequence[WirelessInterface]:
        del wiphy
        return [await self.interface("wlan0"), *[self._facts(name, b"\x06" + OWN[1:]) for name in self.added]]

    async def interface(self, name: str) -> WirelessInterface:
        return self._facts(name, OWN)

    def _facts(self, name: str, mac: bytes) -> WirelessInterface:
        frequency, ssid = self.joined or (None, None)
        return WirelessInterface(
            name=name, index=3, wiphy=0, mode="managed", mac=mac, frequency=frequency, ssid=ssid
        )

    async def add_interface(self, wiphy: int, name: str, mode: str, *, mac: bytes | None = None) -> None:
        assert (wiphy, mode) == (0, "ap")
        assert mac is not None
        assert mac != OWN
        self.added.append(name)

    async def remove_interface(self, name: str) -> None:
        if name in self.added:
            self.added.remove(name)

    async def stations(self, name: str) -> Sequence[bytes]:
        del name
        return self.associated

    async def scan(
        self, name: str, *, ssids: Sequence[bytes], frequencies: Sequence[int], urgent: bool, timeout: float
    ) -> Sequence[Network]:
        del name, timeout
        self.urgent.append(urgent)
        if self.busy:
            raise MediumError("the radio is an access point", code=16)
        if self.slow_from is not None and len(self.scans) >= self.slow_from:
            await asyncio.Event().wait()  # for ever
        self.scans.append(Scan(tuple(ssids), tuple(frequencies)))
        await asyncio.sleep(0)
        heard = [*self.air, *(each for each in self.hiding if each.ssid in ssids)]
        return [each for each in heard if channel(each.channel).frequency in frequencies]

    async def end_scans(self, name: str) -> None:
        assert name == "wlan0"
        self.still = True
        try:
            await asyncio.Event().wait()
        finally:
            self.still = False

    async def close(self) -> None:
        return


class FakeLinks:
    """The kernel's network side."""

    async def up(self, name: str) -> None:
        del name

    async def neighbours(self, name: str) -> dict[bytes, str]:
        del name
        return {b"phone1": "192.168.4.2"}

    async def close(self) -> None:
        return


class FakeStation(StationBackend):
    """A station that joins what it is told to."""

    name = "fake"

    def __init__(self) -> None:
        self.targets: list[Target] = []
        self.settled: list[bool] = []
        self.going = asyncio.Event()
        self.going.set()
        self.refusal: NotSupportedError | None = None

    async def problem(self) -> NotSupportedError | None:
        return self.refusal

    async def join(self, target: Target, timeout: float) -> IpConfig:
        assert timeout > 0
        self.targets.append(target)
        await self.going.wait()
        return IP

    async def rejoin(self, timeout: float) -> IpConfig:
        assert timeout > 0
        return IP

    async def settle(self, *, keep: bool) -> None:
        self.settled.append(keep)

    async def forget(self) -> None:
        self.targets.clear()

    async def status(self) -> WifiStatus:
        return WifiStatus(connected=bool(self.targets))

    async def close(self) -> None:
        return


class FakeAccessPoint(AccessPointBackend):
    """An access point that is where it was last told to be."""

    name = "fake"

    def __init__(self) -> None:
        self.at: tuple[str, int] | None = None
        self.starts = 0
        self.can_move = False
        self.refused: set[int] = set()
        self.stopping = False
        self.may_stop = asyncio.Event()
        self.may_stop.set()
        self.refusal: NotSupportedError | None = None

    async def problem(self) -> NotSupportedError | None:
        return self.refusal

    async def start(self, spec: SoftApSpec, interface: str, frequency: int) -> None:
        del spec
        self.starts += 1
        if frequency in self.refused:
            raise HalError("not there")
        self.at = (interface, frequency)

    async def stop(self) -> None:
        self.stopping = True
        await self.may_stop.wait()
        self.at = None

    async def move(self, frequency: int) -> None:
        if not self.can_move:
            await super().move(frequency)
        assert self.at is not None
        self.at = (self.at[0], frequency)
