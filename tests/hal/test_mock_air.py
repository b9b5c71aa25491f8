"""Sniffer and injector of the mock: what the kit does not ask for."""

from __future__ import annotations

import asyncio
import itertools

import pytest

from qiot.errors import ConfigurationError, MediumError, NotSupportedError
from qiot.hal.contract import Frame, FrameFilter, Injector, Role, Sniffer, SoftAp, SoftApSpec, Wifi
from qiot.hal.mock import MockPlatform
from qiot.hal.mock.sniffer import CHANNELS, QUEUE_MAX
from qiot.hal.registry import parse_spec
from qiot.model import Reason, Secret
from qiot.protocols.air.airkiss import AirKiss
from qiot.protocols.air.dot11 import parse_header
from qiot.protocols.air.results import Decoded
from qiot.protocols.air.tracker import Tracker
from qiot.sim import HomeNetwork, Phone, World
from qiot.sim.air import Bursts, Link
from tests.hal.helpers import PASSWORD, ManualClock, credentials, until

GROUP_DATA = FrameFilter(kinds=frozenset({"data"}))
BEACONS = FrameFilter(kinds=frozenset({"beacon"}))
EVERYTHING = FrameFilter(kinds=frozenset({"data", "probe request", "beacon"}), group_addressed=False)


def home(channel: int = 6) -> HomeNetwork:
    return HomeNetwork(b"Home", Secret(PASSWORD), channel=channel)


async def listening(
    world: World, wanted: FrameFilter, channel: int = 6, spec: str = "mock"
) -> tuple[MockPlatform, Sniffer]:
    platform = MockPlatform(parse_spec(spec), world)
    sniffer = platform.port(Sniffer)
    await sniffer.start(wanted)
    assert await sniffer.tune(channel) == channel
    return platform, sniffer


async def joined_phone(world: World) -> Phone:
    phone = world.phone()
    await phone.join(credentials())
    return phone


async def heard_by(sniffer: Sniffer, clock: ManualClock, seconds: float) -> list[Frame]:
    """What comes within so many seconds of the clock."""
    found: list[Frame] = []

    async def read() -> None:
        while True:
            frames, _ = await sniffer.read()
            found.extend(frames)

    reading = asyncio.ensure_future(read())
    await clock.someone_sleeps()
    await clock.advance(seconds)
    reading.cancel()
    await asyncio.gather(reading, return_exceptions=True)
    return found


async def test_a_datagram_of_a_phone_is_heard_on_both_halves_of_its_way() -> None:
    clock = ManualClock()
    world = World([home()], clock=clock, seed=1)
    platform, sniffer = await listening(world, GROUP_DATA)
    phone = await joined_phone(world)
    world.air.station(phone.station).habits.unheard = 0.0
    world.air.station(phone.station).habits.unacknowledged = 0.0
    phone.send_datagram("255.255.255.255", 7001, 515)
    phone.send_datagram("239.1.130.3", 18864, b"abc")
    heard = await heard_by(sniffer, clock, 0.5)
    headers = [parse_header(frame.data) for frame in heard]
    assert {header.source for header in headers} == {phone.mac}
    assert {header.bssid for header in headers} == {world.wifi.access_points[0].bssid}
    up = [header for header in headers if header.to_ds]
    down = [header for header in headers if header.from_ds]
    group = bytes.fromhex("01005e018203")
    assert [header.destination for header in up] == [b"\xff" * 6, group]
    assert [header.destination for header in down] == [b"\xff" * 6, group]
    # LLC, IP, UDP, and CCMP's 16 octets.
    assert [header.body for header in up] == [header.body for header in down] == [515 + 52, 3 + 52]
    assert all(header.protected for header in headers)
    assert [header.tid for header in up] == [0, 0]
    assert [header.tid for header in down] == [None, None]
    assert {frame.channel for frame in heard} == {6}
    await platform.close()


async def test_a_phone_provisions_through_the_air() -> None:
    clock = ManualClock()
    world = World([home()], clock=clock, seed=2, air_loss=0.1)
    platform, sniffer = await listening(world, GROUP_DATA)
    phone = await joined_phone(world)
    tracker = Tracker()
    results: list[Decoded] = []

    async def read() -> None:
        while not results:
            for frame in (await sniffer.read())[0]:
                results.extend(tracker.hear(parse_header(frame.data), frame.channel, frame.t))

    reading = asyncio.ensure_future(read())
    await clock.someone_sleeps()
    now = 0.0
    for cast in itertools.islice(AirKiss(b"Home", Secret(PASSWORD), 7).casts(), 4000):
        await clock.advance(cast.t - now)
        now = cast.t
        phone.send_datagram(cast.to, cast.port, cast.payload)
        if results:
            break
    await asyncio.wait_for(reading, 10)
    assert results[0].credentials.ssid == b"Home"
    assert results[0].credentials.password == Secret(PASSWORD)
    assert results[0].transmitter == phone.mac
    await platform.close()


async def test_home_networks_send_beacons_on_their_channels() -> None:
    clock = ManualClock()
    hidden = HomeNetwork(b"Hidden", Secret(PASSWORD), channel=6, hidden=True)
    world = World([home(), hidden, HomeNetwork(b"Far", channel=11)], clock=clock, seed=3)
    platform, sniffer = await listening(world, BEACONS)
    heard = await heard_by(sniffer, clock, 1.03)
    names = [frame.data[38 : 38 + frame.data[37]] for frame in heard]
    assert sorted(set(names)) == [b"", b"Home"]
    assert 18 <= len(names) <= 22
    world.wifi.remove(hidden)
    assert await sniffer.tune(11) == 11
    heard = await heard_by(sniffer, clock, 1.03)
    assert {frame.data[38 : 38 + frame.data[37]] for frame in heard} == {b"Far"}
    assert {frame.channel for frame in heard} == {11}
    await platform.close()


async def test_who_is_joined_holds_the_channel() -> None:
    world = World([home(channel=11)])
    platform, sniffer = await listening(world, GROUP_DATA)
    await platform.port(Wifi).join(credentials(), 10)
    assert await sniffer.tune(3) == 11
    await platform.port(Wifi).settle(keep=False)
    assert await sniffer.tune(3) == 3
    await platform.port(SoftAp).start(SoftApSpec(ssid=b"dev", password=None, channel=9))
    assert await sniffer.tune(3) == 9
    await platform.port(SoftAp).stop()
    assert await sniffer.tune(4) == 4
    await platform.close()


async def test_its_own_beacons_are_not_heard_but_others_hear_them() -> None:
    clock = ManualClock()
    world = World(clock=clock, seed=4)
    platform, sniffer = await listening(world, BEACONS)
    other, ear = await listening(world, BEACONS)
    await platform.port(SoftAp).start(SoftApSpec(ssid=b"dev", password=None, channel=6))
    heard = await heard_by(ear, clock, 0.5)
    assert {frame.data[38:41] for frame in heard} == {b"dev"}
    assert await heard_by(sniffer, clock, 0.5) == []
    await other.close()
    await platform.close()


async def test_what_is_lost_or_damaged_does_not_come_up() -> None:
    clock = ManualClock()
    world = World([home()], clock=clock, seed=5)
    platform, sniffer = await listening(world, BEACONS, spec="mock,air_loss=1")
    assert await heard_by(sniffer, clock, 1) == []
    await platform.close()
    platform, sniffer = await listening(world, BEACONS, spec="mock,air_loss=0.5")
    assert 0 < len(await heard_by(sniffer, clock, 2)) < 20
    await platform.close()


async def test_damaged_frames_are_counted_and_nothing_else() -> None:
    clock = ManualClock()
    world = World([home()], clock=clock, seed=6)
    world.air.link = Link(loss=0.5, damage=1.0)
    platform = MockPlatform(parse_spec("mock"), world)
    sniffer = platform.port(Sniffer)
    await sniffer.start(BEACONS)
    await sniffer.tune(6)
    heard = await heard_by(sniffer, clock, 2.06)
    assert all(frame.data[38:42] == b"Home" for frame in heard)
    assert sniffer.damaged > 0  # type: ignore[attr-defined]
    assert 18 <= len(heard) + sniffer.damaged <= 22  # type: ignore[attr-defined]
    await platform.close()


async def test_an_air_with_neighbouring_channels_and_interference() -> None:
    clock = ManualClock()
    world = World([home(channel=7)], clock=clock, seed=7)
    world.air.overhears = True
    platform, sniffer = await listening(world, BEACONS)
    heard = await heard_by(sniffer, clock, 4)
    assert 5 < len(heard) < 35
    assert {frame.channel for frame in heard} == {6}
    await platform.close()
    world.air.overhears = False
    world.air.bursts = Bursts(loss=1.0, seconds=1.0, every=1.0)
    platform, sniffer = await listening(world, BEACONS, channel=7)
    assert 5 < len(await heard_by(sniffer, clock, 5)) < 45
    await platform.close()


async def test_one_sniffer_hears_what_the_other_one_sends() -> None:
    world = World()
    one, _ = await listening(world, EVERYTHING)
    other, ear = await listening(world, EVERYTHING)
    third, elsewhere = await listening(world, EVERYTHING, channel=1)
    frame = bytes.fromhex("08020000ffffffffffff02000000000102000000000200") + bytes(30)
    await one.port(Injector).send(frame)
    (heard,), dropped = await asyncio.wait_for(ear.read(), 10)
    assert (heard.data, heard.channel, dropped) == (frame, 6, 0)
    pending = asyncio.ensure_future(elsewhere.read())
    await asyncio.sleep(0)
    assert not pending.done()
    await third.close()
    with pytest.raises(MediumError):
        await asyncio.wait_for(pending, 10)
    await other.close()
    await one.close()


async def test_what_is_no_frame_is_not_sent() -> None:
    platform, _ = await listening(World(), EVERYTHING)
    for octets in (b"", b"\x08\x02", b"\x0b" + bytes(40)):
        with pytest.raises(MediumError):
            await platform.port(Injector).send(octets)
    await platform.close()


async def test_the_queue_is_bounded_and_a_new_start_has_an_empty_one() -> None:
    world = World()
    platform, sniffer = await listening(world, GROUP_DATA)
    frame = bytes.fromhex("08020000ffffffffffff02000000000102000000000200") + bytes(30)
    for _ in range(QUEUE_MAX + 10):
        world.air.inject(frame, 6, b"\x02" * 6)
    frames, dropped = await sniffer.read()
    assert (len(frames), dropped) == (QUEUE_MAX, 10)
    world.air.inject(frame, 6, b"\x02" * 6)
    await sniffer.stop()
    await sniffer.start(GROUP_DATA)
    world.air.inject(frame, 6, b"\x02" * 6)
    frames, dropped = await sniffer.read()
    assert (len(frames), dropped) == (1, 0)
    await platform.close()


async def test_a_cancelled_read_leaves_no_task() -> None:
    clock = ManualClock()
    platform, sniffer = await listening(World([home()], clock=clock), GROUP_DATA)
    for _ in range(3):
        reading = asyncio.ensure_future(sniffer.read())
        await clock.someone_sleeps()
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)
        await until(lambda: clock.sleepers == 0)
    assert len(asyncio.all_tasks()) == 1
    await platform.close()


async def test_a_read_does_not_go_on_over_a_stop_and_a_start() -> None:
    platform, sniffer = await listening(World(), GROUP_DATA)
    reading = asyncio.ensure_future(sniffer.read())
    await asyncio.sleep(0)
    await sniffer.stop()
    await sniffer.start(GROUP_DATA)
    with pytest.raises(MediumError):
        await asyncio.wait_for(reading, 10)
    await platform.close()


async def test_a_start_that_is_told_to_fail() -> None:
    sniffer = MockPlatform(parse_spec("mock,start_failure=sniffer:no_permission*1")).port(Sniffer)
    with pytest.raises(MediumError) as caught:
        await sniffer.start(GROUP_DATA)
    assert caught.value.reason is Reason.NO_PERMISSION
    await sniffer.start(GROUP_DATA)
    with pytest.raises(MediumError, match="already"):
        await sniffer.start(GROUP_DATA)
    await sniffer.stop()


async def test_without_monitor_mode() -> None:
    platform = MockPlatform(parse_spec("mock,sniff=no"))
    assert not {Role.SNIFF, Role.INJECT} & (await platform.capabilities()).roles
    for kind in (Sniffer, Injector):
        with pytest.raises(NotSupportedError):
            platform.port(kind)


async def test_monitor_mode_goes_beside_everything() -> None:
    for spec in ("mock", "mock,ap_sta=yes"):
        found = await MockPlatform(parse_spec(spec)).capabilities()
        for role in (Role.STATION, Role.ACCESS_POINT):
            combination = found.together(role, Role.SNIFF, Role.INJECT)
            assert combination is not None
            assert combination.same_channel
        assert found.together(Role.SNIFF) is not None
        both = found.together(Role.STATION, Role.ACCESS_POINT, Role.SNIFF)
        assert (both is not None) is (spec != "mock")


def test_options_that_cannot_be() -> None:
    for options in ("sniff=maybe", "air_loss=2", "air_loss=x"):
        with pytest.raises(ConfigurationError):
            MockPlatform(parse_spec(f"mock,{options}"))


async def test_the_channels_are_those_of_both_bands() -> None:
    platform, sniffer = await listening(World(), GROUP_DATA)
    assert list(await sniffer.channels()) == list(CHANNELS)
    assert {1, 13, 36, 165} <= set(CHANNELS)
    await platform.close()


async def test_a_phone_that_is_not_joined_cannot_send() -> None:
    world = World([home()])
    phone = world.phone()
    with pytest.raises(ValueError, match="not joined"):
        phone.send_datagram("255.255.255.255", 7001, 1)
    await phone.join(credentials())
    assert phone.ip is not None
    for to, port, payload in (
        ("nowhere", 7001, 1),
        ("255.255.255.255", 0, 1),
        ("255.255.255.255", 7001, 1473),
        ("255.255.255.255", 7001, -1),
    ):
        with pytest.raises(ValueError, match=r"\w"):
            phone.send_datagram(to, port, payload)
    phone.leave()
    with pytest.raises(ValueError, match="not joined"):
        phone.send_datagram("255.255.255.255", 7001, 1)
