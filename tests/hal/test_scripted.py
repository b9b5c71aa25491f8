"""Methods that run from the world's script."""

from __future__ import annotations

import asyncio
import json
import traceback
from pathlib import Path

import pytest

from qiot.errors import ConfigurationError, HalError, NotSupportedError
from qiot.hal.contract import (
    AirKiss,
    BtCombo,
    Camera,
    Capabilities,
    ChipSoftAp,
    Combination,
    Gatt,
    ListenContext,
    Listener,
    Role,
    SimpleConfig,
    SmartConfig,
    Transport,
    Wifi,
)
from qiot.hal.mock import MockPlatform
from qiot.hal.mock.scripted import ScriptedListener
from qiot.hal.registry import PlatformSpec, parse_spec
from qiot.model import Credentials, Event, Grant, Offer, Outcome, Peer, Reason, Secret, Step
from qiot.protocols.base import Refused
from qiot.sim import HomeNetwork, ScriptedOffer, World
from tests.hal.helpers import PASSWORD, WRONG, ManualClock, until

METHODS: list[tuple[type[Listener], str]] = [
    (SmartConfig, "smart_config"),
    (AirKiss, "airkiss"),
    (SimpleConfig, "simple_config"),
    (BtCombo, "bt_combo"),
    (ChipSoftAp, "soft_ap"),
]
CONTEXT = ListenContext(product_id="L4WG9V9M2M", device_name="TEST2")


def offer(method: str = "airkiss", **fields: object) -> ScriptedOffer:
    given = {"ssid": b"Home", "password": Secret(PASSWORD), "token": Secret("t0ken"), **fields}
    return ScriptedOffer(method=method, **given)  # type: ignore[arg-type]


async def listening(world: World, spec: str = "mock") -> ScriptedListener:
    listener = MockPlatform(parse_spec(spec), world).port(AirKiss)
    assert isinstance(listener, ScriptedListener)
    await listener.start(CONTEXT)
    return listener


@pytest.mark.parametrize(("kind", "method"), METHODS)
async def test_each_method_hears_its_own_offers(kind: type[Listener], method: str) -> None:
    world = World()
    for _, each in METHODS:
        world.offers.put(offer(each, ssid=each.encode(), address="10.0.0.7:999"))
    platform = MockPlatform(parse_spec("mock"), world)
    listener = platform.port(kind)
    assert listener is platform.port(kind)
    assert isinstance(listener, kind)
    await listener.start(CONTEXT)
    assert await asyncio.wait_for(listener.read(), 10) == (
        Offer(
            peer=Peer(method, "10.0.0.7:999"),
            credentials=Credentials(ssid=method.encode(), password=Secret(PASSWORD)),
            grant=Grant("tencent", Secret("t0ken")),
        ),
    )
    await platform.close()


@pytest.mark.parametrize(("kind", "method"), METHODS)
def test_without_a_script_it_says_what_to_do(kind: type[Listener], method: str) -> None:
    with pytest.raises(NotSupportedError) as caught:
        MockPlatform(parse_spec("mock,sniff=no")).port(kind)
    assert method in str(caught.value)
    assert "offers=FILE" in caught.value.hint
    assert caught.value.reason is Reason.NOT_SUPPORTED


@pytest.mark.parametrize("kind", [Camera, Transport])
def test_ports_that_the_mock_has_not(kind: type) -> None:
    with pytest.raises(NotSupportedError) as caught:
        MockPlatform(parse_spec("mock")).port(kind)
    assert kind.__name__ in str(caught.value)
    assert caught.value.hint


def test_bluetooth_without_bumble(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("qiot.hal.mock.gatt.bumble_installed", lambda: False)
    with pytest.raises(NotSupportedError, match="needs bumble") as caught:
        MockPlatform(parse_spec("mock")).port(Gatt)
    assert "pip install" in caught.value.hint


async def test_offers_come_when_they_are_due_in_the_order_of_their_times() -> None:
    clock = ManualClock()
    world = World(clock=clock)
    for name, after in ((b"five", 5.0), (b"one", 1.0), (b"now", 0.0)):
        world.offers.put(offer(ssid=name, after=after))
    listener = await listening(world)
    heard: list[tuple[float, bytes | None]] = []

    async def read() -> None:
        start = clock.now()
        while True:
            for each in await listener.read():
                assert isinstance(each, Offer)
                assert each.credentials is not None
                heard.append((clock.now() - start, each.credentials.ssid))

    reading = asyncio.ensure_future(read())
    await clock.someone_sleeps()
    await clock.advance(3)
    assert heard == [(0, b"now"), (1, b"one")]
    world.offers.put(offer(ssid=b"at once"))
    await until(lambda: len(heard) == 3)
    world.offers.put(offer(ssid=b"in one", after=1.0))
    await until(lambda: clock.sleepers)
    await clock.advance(10)
    assert heard[2:] == [(3, b"at once"), (4, b"in one"), (5, b"five")]
    reading.cancel()
    await asyncio.gather(reading, return_exceptions=True)
    assert clock.sleepers == 0


async def test_time_runs_on_while_another_method_has_its_turn() -> None:
    clock = ManualClock()
    world = World(clock=clock)
    world.offers.put(offer(after=5.0))
    listener = await listening(world)
    await listener.stop()
    await clock.advance(6)
    await listener.start(CONTEXT)
    assert len(await asyncio.wait_for(listener.read(), 10)) == 1


async def test_a_cancelled_read_takes_nothing() -> None:
    world = World()
    world.offers.put(offer())
    listener = await listening(world)
    for turns in range(8):
        reading = asyncio.ensure_future(listener.read())
        for _ in range(turns):
            await asyncio.sleep(0)
        if reading.done():
            break
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)
        if not reading.cancelled():
            break
        assert len(asyncio.all_tasks()) == 1
    else:
        reading = asyncio.ensure_future(listener.read())
    assert len(await asyncio.wait_for(reading, 10)) == 1


async def test_a_stop_wakes_the_reader_and_the_script_goes_on_after_it() -> None:
    world = World()
    world.offers.put(offer(after=3600))
    listener = await listening(world)
    reading = asyncio.ensure_future(listener.read())
    await asyncio.sleep(0)
    await listener.stop()
    await listener.stop()
    with pytest.raises(HalError) as caught:
        await asyncio.wait_for(reading, 10)
    assert caught.value.reason is Reason.STOPPED
    with pytest.raises(HalError):
        await listener.read()
    assert len(asyncio.all_tasks()) == 1
    world.offers.put(offer(ssid=b"later"))
    await listener.start(CONTEXT)
    with pytest.raises(HalError):
        await listener.start(CONTEXT)
    (heard,) = await asyncio.wait_for(listener.read(), 10)
    assert isinstance(heard, Offer)


async def test_it_notes_what_it_is_told() -> None:
    world = World()
    world.offers.put(offer())
    listener = await listening(world)
    news = [
        Event(seq=number, t=0.0, attempt=0, step=Step.JOINING, outcome=Outcome.STARTED) for number in (1, 2)
    ]
    for each in news:
        await listener.tell(each)
    await listener.drain()
    assert list(listener.told) == news
    assert listener.context == CONTEXT


async def test_a_start_that_fails_and_a_method_that_breaks_down() -> None:
    world = World()
    world.offers.put(offer(failure=Reason.MEDIUM))
    world.offers.put(offer())
    listener = MockPlatform(parse_spec("mock,start_failure=airkiss:medium*1"), world).port(AirKiss)
    with pytest.raises(HalError) as caught:
        await listener.start(CONTEXT)
    assert caught.value.reason is Reason.MEDIUM
    await listener.stop()
    await listener.start(CONTEXT)
    with pytest.raises(HalError) as caught:
        await asyncio.wait_for(listener.read(), 10)
    assert caught.value.reason is Reason.MEDIUM
    await listener.stop()
    await listener.start(CONTEXT)
    assert len(await asyncio.wait_for(listener.read(), 10)) == 1


async def test_a_chip_that_joins_by_itself_has_joined_when_it_offers() -> None:
    world = World([HomeNetwork(b"Home", Secret(PASSWORD))])
    world.offers.put(offer(password=Secret(WRONG), reached=Step.JOINING))
    world.offers.put(offer(reached=Step.JOINING))
    platform = MockPlatform(parse_spec("mock"), world)
    listener, wifi = platform.port(AirKiss), platform.port(Wifi)
    await listener.start(CONTEXT)
    (refused,) = await asyncio.wait_for(listener.read(), 10)
    assert isinstance(refused, Refused)
    assert (refused.failure.step, refused.failure.reason) == (Step.JOINING, Reason.WRONG_PASSWORD)
    assert not (await wifi.status()).connected
    (heard,) = await asyncio.wait_for(listener.read(), 10)
    assert isinstance(heard, Offer)
    assert heard.reached is Step.JOINING
    assert (await wifi.status()).ssid == b"Home"
    await wifi.settle(keep=True)
    assert (await wifi.status()).saved == b"Home"


async def test_a_chip_that_is_cancelled_while_it_joins_offers_again() -> None:
    clock = ManualClock()
    world = World(clock=clock)
    world.offers.put(offer(reached=Step.JOINING))
    platform = MockPlatform(parse_spec("mock,join_delay=4"), world)
    listener, wifi = platform.port(AirKiss), platform.port(Wifi)
    await listener.start(CONTEXT)
    reading = asyncio.ensure_future(listener.read())
    await clock.someone_sleeps()
    reading.cancel()
    await asyncio.gather(reading, return_exceptions=True)
    assert not (await wifi.status()).connected
    reading = asyncio.ensure_future(listener.read())
    await clock.someone_sleeps()
    await clock.advance(10)
    assert len(await asyncio.wait_for(reading, 10)) == 1
    assert (await wifi.status()).connected


@pytest.mark.parametrize(
    "fields",
    [
        {"method": "wps"},
        {"after": -1.0},
        {"ssid": b""},
        {"ssid": b"x" * 33},
        {"ssid": None, "token": None},
        {"reached": Step.CONNECTING},
        {"reached": Step.BOUND},
    ],
)
def test_an_offer_that_cannot_be(fields: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        offer(**fields)  # type: ignore[arg-type]


async def test_bluetooth_goes_beside_every_role() -> None:
    found = await MockPlatform(parse_spec("mock,ap_sta=yes")).capabilities()
    assert found.together(Role.BLE) == Combination(frozenset({Role.BLE}))
    everything = frozenset({Role.STATION, Role.ACCESS_POINT, Role.BLE})
    assert found.together(*everything) == Combination(everything, same_channel=True)


async def test_capabilities_name_the_roles_and_the_scripted_methods(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("qiot.hal.mock.platform.bumble_installed", lambda: False)
    station, access_point = (Combination(frozenset({role})) for role in (Role.STATION, Role.ACCESS_POINT))
    both = Combination(frozenset({Role.STATION, Role.ACCESS_POINT}), same_channel=True)
    without_ears = await MockPlatform(parse_spec("mock,sniff=no")).capabilities()
    assert without_ears == Capabilities((station, access_point))
    world = World()
    world.offers.put(offer("airkiss", reached=Step.JOINING))
    world.offers.put(offer("bt_combo"))
    found = await MockPlatform(parse_spec("mock,ap_sta=yes,sniff=no"), world).capabilities()
    assert found.combinations == (station, access_point, both)
    assert found.chip == {"airkiss": Step.JOINING, "bt_combo": Step.LISTENING}


# --- files ----------------------------------------------------------------------------------------


def write(tmp_path: Path, content: object) -> str:
    file = tmp_path / "file.json"
    file.write_text(content if isinstance(content, str) else json.dumps(content))
    return str(file)


async def test_offers_from_a_file(tmp_path: Path) -> None:
    file = write(
        tmp_path,
        [
            {"method": "airkiss", "ssid_hex": "bcd2", "password": PASSWORD, "token": "t"},
            {"method": "airkiss", "after": 0.0, "token": "only", "cloud": "alibaba", "address": "1.2.3.4:5"},
        ],
    )
    listener = MockPlatform(PlatformSpec("mock", options={"offers": file})).port(AirKiss)
    await listener.start(CONTEXT)
    (first,), (second,) = [await asyncio.wait_for(listener.read(), 10) for _ in range(2)]
    assert isinstance(first, Offer)
    assert first.credentials == Credentials(ssid="家".encode("gbk"), password=Secret(PASSWORD))
    assert second == Offer(peer=Peer("airkiss", "1.2.3.4:5"), grant=Grant("alibaba", Secret("only")))


async def test_networks_from_a_file(tmp_path: Path) -> None:
    network = {
        "ssid": "Home", "password": PASSWORD, "security": "wpa3", "channel": 149, "signal": -33,
        "bssid": "02:aa:bb:cc:dd:ee", "hidden": False, "faults": ["dhcp*2", "other"],
    }  # fmt: skip
    file = write(tmp_path, [network, {"ssid": "Open", "password": ""}])
    platform = MockPlatform(PlatformSpec("mock", options={"networks": file}))
    home, opened = await platform.port(Wifi).scan()
    assert (home.ssid, home.channel, home.signal, home.security) == (b"Home", 149, -33, "wpa3")
    assert home.bssid == bytes.fromhex("02aabbccddee")
    assert opened.security == "open"
    faults = platform.world.wifi.access_points[0].faults
    assert [faults.take() for _ in range(4)] == [
        Reason.DHCP,
        Reason.DHCP,
        Reason.JOIN_OTHER,
        Reason.JOIN_OTHER,
    ]


BAD_OFFERS = [
    "not json s3cret",
    "{}",
    "[1]",
    "[" * 100_000,
    [{"ssid": "Home"}],
    [{"method": "wps", "ssid": "Home"}],
    [{"method": "airkiss"}],
    [{"method": "airkiss", "ssid": "Home", "pasword": "s3cret"}],
    [{"method": "airkiss", "ssid": "Home", "ssid_hex": "00"}],
    [{"method": "airkiss", "ssid": ""}],
    [{"method": "airkiss", "ssid": "é" * 17}],
    [{"method": "airkiss", "ssid_hex": "0"}],
    [{"method": "airkiss", "ssid": 1}],
    [{"method": "airkiss", "ssid": "Home", "after": -1}],
    [{"method": "airkiss", "ssid": "Home", "after": True}],
    [{"method": "airkiss", "ssid": "Home", "after": "1"}],
    '[{"method": "airkiss", "ssid": "Home", "after": NaN}]',
    [{"method": "airkiss", "ssid": "Home", "reached": "bound"}],
    [{"method": "airkiss", "ssid": "Home", "reached": ["joining"]}],
    [{"method": "airkiss", "ssid": "Home", "failure": "no such reason"}],
    [{"method": "airkiss", "ssid": "Home", "password": ["s3cret"]}],
    '[{"method": "airkiss", "ssid": "Home", "password": "s3cret\\ud800"}]',
]
BAD_NETWORKS = [
    [{"password": "s3cret-password"}],
    [{"ssid": "Home", "security": "wpa9"}],
    [{"ssid": "Home", "channel": 0}],
    [{"ssid": "Home", "channel": 6.0}],
    [{"ssid": "Home", "signal": 1}],
    [{"ssid": "Home", "hidden": 1}],
    [{"ssid": "Home", "bssid": "02:aa"}],
    [{"ssid": "Home", "faults": "dhcp"}],
    [{"ssid": "Home", "faults": ["dhcp*0"]}],
    [{"ssid": "Home", "faults": ["platform"]}],
    [{"ssid": "Home", "faults": [["dhcp"]]}],
    [{"ssid": "Home", "password": {"a": 1}}],
]


@pytest.mark.parametrize(
    ("option", "content"),
    [("offers", bad) for bad in BAD_OFFERS] + [("networks", bad) for bad in BAD_NETWORKS],
)
def test_a_bad_file_is_an_error_that_names_it_and_shows_no_secret(
    tmp_path: Path, option: str, content: object
) -> None:
    file = write(tmp_path, content)
    with pytest.raises(ConfigurationError) as caught:
        MockPlatform(PlatformSpec("mock", options={option: file}))
    assert file in str(caught.value)
    assert "s3cret" not in "".join(traceback.format_exception(caught.value))
    assert caught.value.__context__ is None or caught.value.__suppress_context__


@pytest.mark.parametrize("option", ["offers", "networks"])
def test_a_file_that_is_not_there(tmp_path: Path, option: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        MockPlatform(PlatformSpec("mock", options={option: str(tmp_path / "none.json")}))
    assert "none.json" in str(caught.value)
