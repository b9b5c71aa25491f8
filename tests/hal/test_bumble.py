"""A bare controller by bumble: the kit's checks over a transport to a simulated one, and wrong use."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Self

import attrs
import pytest

from qiot.errors import ConfigurationError, HalError, NotSupportedError
from qiot.hal.bumble import BumblePlatform
from qiot.hal.conformance import GattConformance, PlatformConformance
from qiot.hal.conformance.simulated import SimulatedEnvironment
from qiot.hal.contract import BtCombo, Gatt, GattProfile, Role, Wifi
from qiot.hal.registry import PlatformSpec, open_platform, parse_spec
from qiot.sim.world import World
from qiot.testbed.ble_link import Wanted
from qiot.testbed.ble_link.on_bumble import BumbleCentral

PROFILE = GattProfile(
    "ffff",
    {"ff01": frozenset({"write"}), "ff02": frozenset({"read", "notify"})},
    bytes.fromhex("0201060303ffff"),
    bytes.fromhex("0309") + b"RY",
)


@attrs.define(kw_only=True, slots=False, eq=False)
class OnTransport(SimulatedEnvironment):
    """An air with a controller for another program."""

    name: str = ""
    stack: AsyncExitStack = attrs.field(factory=AsyncExitStack)

    async def __aenter__(self) -> Self:
        self.worlds = [World()]
        self.name = await self.stack.enter_async_context(self.worlds[-1].bluetooth.transport())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stack.aclose()


class Bumble:
    @pytest.fixture
    def environment(self) -> OnTransport:
        return OnTransport(cancel_after=(0.0, 0.004, 0.011, 0.03))

    @pytest.fixture
    def platform(self, environment: OnTransport) -> Callable[[], BumblePlatform]:
        return lambda: BumblePlatform(PlatformSpec("bumble", argument=environment.name))


class TestBumble(Bumble, PlatformConformance):
    pass


class TestBumbleGatt(Bumble, GattConformance):
    pass


def test_a_transports_name_is_taken_as_it_is() -> None:
    spec = parse_spec("bumble:serial:/dev/ttyUSB0,115200")
    assert (spec.name, spec.argument, spec.options) == ("bumble", "serial:/dev/ttyUSB0,115200", {})
    assert parse_spec("bumble:usb:[driver=rtk]0").argument == "usb:[driver=rtk]0"


def test_wrong_use() -> None:
    with pytest.raises(ConfigurationError, match="which controller") as caught:
        open_platform("bumble")
    assert "usb:0" in caught.value.hint
    with pytest.raises(NotSupportedError, match="Wifi") as missing:
        open_platform("bumble:usb:0").port(Wifi)
    assert "--hal linux:wlan0 --hal bumble:usb:0" in missing.value.hint


def test_without_bumble(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("qiot.hal.bumble.platform.bumble_installed", lambda: False)
    with pytest.raises(NotSupportedError) as caught:
        open_platform("bumble:usb:0")
    assert "pip install 'qiot[bumble]'" in caught.value.hint


@pytest.mark.parametrize("name", ["tcp-client:127.0.0.1:1", "nonsense:0", "serial:/dev/nothing-here"])
async def test_a_transport_that_does_not_open(name: str) -> None:
    platform = open_platform(f"bumble:{name}")
    with pytest.raises(HalError, match="bumble:") as caught:
        await platform.capabilities()
    assert caught.value.hint
    await platform.close()


async def test_beside_the_mock_it_brings_bluetooth_alone() -> None:
    world = World()
    async with world.bluetooth.transport() as name:
        platform = open_platform(f"bumble:{name}", "mock")
        found = await platform.capabilities()
        assert found.together(Role.STATION, Role.BLE)
        assert type(platform.port(Gatt)).__module__ == "qiot.hal.bumble.gatt"
        assert platform.port(BtCombo) is platform.port(BtCombo)
        assert await platform.port(Gatt).address()
        await platform.close()


async def test_every_octet_of_the_advertisement_is_on_the_air() -> None:
    world = World()
    async with world.bluetooth.transport() as name:
        platform = open_platform(f"bumble:{name}")
        gatt = platform.port(Gatt)
        await gatt.start([PROFILE])
        async with BumbleCentral(lambda: world.bluetooth.device(world.bluetooth.address())) as phone:
            seen = await phone.find(Wanted(service="ffff", name="RY"), 10)
        assert (seen.advertising, seen.scan_response) == (PROFILE.advertising, PROFILE.scan_response)
        assert seen.address == await gatt.address()
        await platform.close()


async def test_a_notification_longer_than_the_mtu_is_refused() -> None:
    world = World()
    async with world.bluetooth.transport() as name:
        platform = open_platform(f"bumble:{name}")
        gatt = platform.port(Gatt)
        await gatt.start([PROFILE])
        async with BumbleCentral(lambda: world.bluetooth.device(world.bluetooth.address())) as phone:
            await phone.connect(await phone.find(Wanted(), 10), 10, mtu=23)
            (peer, _), *_ = await gatt.read()
            await phone.subscribe("ff02")
            await gatt.notify("ff02", bytes(20), peer)
            with pytest.raises(HalError, match="21 octets do not fit"):
                await gatt.notify("ff02", bytes(21), peer)
        await platform.close()


async def test_two_advertisements_are_refused() -> None:
    gatt = open_platform("bumble:tcp-client:127.0.0.1:1").port(Gatt)
    other = attrs.evolve(PROFILE, service="fff0", characteristics={"ffe1": frozenset({"write"})})
    with pytest.raises(NotSupportedError, match="one advertisement"):
        await gatt.start([PROFILE, other])
