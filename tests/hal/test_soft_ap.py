"""The mock's access point, and phones that join it."""

from __future__ import annotations

import asyncio

import attrs
import pytest

from qiot.errors import HalError, JoinError
from qiot.hal.contract import SoftAp, SoftApSpec, Station
from qiot.hal.mock import MockPlatform
from qiot.hal.registry import parse_spec
from qiot.model import IpConfig, Reason, Secret, Security
from qiot.sim import World
from tests.hal.helpers import PASSWORD, WRONG, ManualClock, credentials

SPEC = SoftApSpec(ssid=b"qcloud-softap", password=Secret(PASSWORD))


async def test_phones_join_it_and_get_addresses() -> None:
    world = World()
    platform = MockPlatform(parse_spec("mock"), world)
    soft_ap = platform.port(SoftAp)
    await soft_ap.start(SPEC)
    phones = [world.station() for _ in range(2)]
    wanted = credentials("qcloud-softap")
    with pytest.raises(JoinError) as caught:
        await phones[0].join(credentials("qcloud-softap", WRONG), 5)
    assert caught.value.reason is Reason.WRONG_PASSWORD
    for number, phone in enumerate(phones, 2):
        ip = await phone.join(wanted, 5)
        assert ip == IpConfig(f"192.168.4.{number}", 24, "192.168.4.1")
    (seen,) = await phones[0].scan()
    assert (seen.ssid, seen.channel, seen.security) == (b"qcloud-softap", 6, Security.WPA2)
    assert await soft_ap.stations() == [
        Station(mac=phone.mac, address=f"192.168.4.{number}") for number, phone in enumerate(phones, 2)
    ]
    phones[0].leave()
    assert [station.mac for station in await soft_ap.stations()] == [phones[1].mac]
    await soft_ap.stop()
    await soft_ap.stop()
    assert phones[1].ip is None
    assert world.wifi.access_points == ()
    assert await soft_ap.stations() == ()


async def test_it_can_be_raised_again() -> None:
    world = World()
    soft_ap = MockPlatform(parse_spec("mock"), world).port(SoftAp)
    await soft_ap.stop()
    for _ in range(3):
        await soft_ap.start(SPEC)
        with pytest.raises(HalError):
            await soft_ap.start(SPEC)
        assert len(world.wifi.access_points) == 1
        await soft_ap.stop()


@pytest.mark.parametrize(
    "change",
    [
        {"ssid": b""},
        {"ssid": b"x" * 33},
        {"password": Secret("1234567")},
        {"password": Secret("x" * 64)},
        {"password": Secret("")},
        {"channel": 0},
        {"channel": 15},
        {"channel": 35},
        {"address": "192.168.4"},
        {"address": "::1"},
        {"address": "192.168.4.0"},
        {"address": "192.168.4.255"},
        {"prefix": 31},
        {"prefix": -1},
    ],
)
async def test_a_spec_that_no_radio_can_do(change: dict[str, object]) -> None:
    world = World()
    soft_ap = MockPlatform(parse_spec("mock"), world).port(SoftAp)
    with pytest.raises(HalError) as caught:
        await soft_ap.start(attrs.evolve(SPEC, **change))
    assert caught.value.reason is Reason.CONFIGURATION
    assert world.wifi.access_points == ()
    await soft_ap.stop()
    await soft_ap.start(SPEC)


@pytest.mark.parametrize(
    "change", [{"password": None}, {"channel": 165}, {"ssid": b"\xff" * 32}, {"prefix": 30}]
)
async def test_a_spec_at_the_edge(change: dict[str, object]) -> None:
    world = World()
    await MockPlatform(parse_spec("mock"), world).port(SoftAp).start(attrs.evolve(SPEC, **change))
    assert len(world.wifi.access_points) == 1


async def test_a_start_that_is_cancelled_leaves_nothing() -> None:
    clock = ManualClock()
    world = World(clock=clock)
    soft_ap = MockPlatform(parse_spec("mock,start_delay=3"), world).port(SoftAp)
    starting = asyncio.ensure_future(soft_ap.start(SPEC))
    await clock.someone_sleeps()
    await clock.advance(2.9)
    starting.cancel()
    await asyncio.gather(starting, return_exceptions=True)
    assert starting.cancelled()
    assert (world.wifi.access_points, clock.sleepers) == ((), 0)
    await soft_ap.stop()
    starting = asyncio.ensure_future(soft_ap.start(SPEC))
    await clock.someone_sleeps()
    await clock.advance(3)
    await asyncio.wait_for(starting, 10)
    assert len(world.wifi.access_points) == 1


@pytest.mark.parametrize(
    ("option", "reason"),
    [
        ("soft_ap*1", Reason.PLATFORM),
        ("soft_ap:no_permission*1", Reason.NO_PERMISSION),
        ("soft_ap:not_supported*1", Reason.NOT_SUPPORTED),
    ],
)
async def test_a_start_that_fails_is_typed_and_leaves_nothing(option: str, reason: Reason) -> None:
    world = World()
    soft_ap = MockPlatform(parse_spec(f"mock,start_failure={option}"), world).port(SoftAp)
    with pytest.raises(HalError) as caught:
        await soft_ap.start(SPEC)
    assert caught.value.reason is reason
    assert world.wifi.access_points == ()
    await soft_ap.stop()
    await soft_ap.start(SPEC)
    assert len(world.wifi.access_points) == 1


async def test_closing_the_platform_takes_it_down() -> None:
    world = World()
    platform = MockPlatform(parse_spec("mock"), world)
    await platform.port(SoftAp).start(SPEC)
    await platform.close()
    await platform.close()
    assert world.wifi.access_points == ()
