"""The driver of methods over Bluetooth, with a GATT server and a codec of the test's own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

import attrs
import pytest

from qiot.errors import ConfigurationError, HalError, MediumError, NotSupportedError, ProtocolError
from qiot.hal.contract import (
    Capabilities,
    Combination,
    Gatt,
    GattEvent,
    GattProfile,
    ListenContext,
    Role,
    Written,
)
from qiot.hal.gatt_events import GattEvents
from qiot.model import Event as SessionEvent
from qiot.model import Offer, Outcome, Peer, Step
from qiot.protocols.base import (
    Answer,
    Ask,
    Codec,
    Connected,
    Drop,
    Input,
    Lost,
    Mtu,
    News,
    Output,
    Seen,
    Send,
    Subscribed,
)
from qiot.wifi_config.ble_codecs import codec_factory
from qiot.wifi_config.drivers.gatt import GattListener
from qiot.wifi_config.methods import METHODS, parse_methods
from qiot.wifi_config.plan import plan_turns

PATIENCE = 20.0
CONTEXT = ListenContext("L4WG9V9M2M", "TEST2")
PROFILE = GattProfile("ffff", {"ff01": frozenset({"write"}), "ff02": frozenset({"notify"})})
PHONE = Peer("gatt", "AA:BB:CC:DD:EE:FF", link=7)
OTHER = Peer("gatt", "AA:BB:CC:DD:EE:00", link=8)
NEWS = SessionEvent(1, 0.0, 1, Step.JOINING, Outcome.OK)


class FakeGatt(Gatt):
    def __init__(self) -> None:
        self.events = GattEvents()
        self.profiles: Sequence[GattProfile] = ()
        self.sent: list[tuple[str, bytes, Peer, bool]] = []
        self.dropped: list[Peer] = []
        self.room = asyncio.Event()
        self.room.set()
        self.refuse: HalError | None = None

    async def address(self) -> str:
        return "02:00:00:00:00:01"

    async def start(self, profiles: Sequence[GattProfile]) -> None:
        if self.refuse is not None:
            raise self.refuse
        self.profiles = profiles
        self.events.open()

    async def read(self) -> Sequence[tuple[Peer, GattEvent]]:
        return await self.events.read()

    async def notify(self, char: str, data: bytes, to: Peer, *, confirm: bool = False) -> None:
        await self.room.wait()
        if data == b"lost":
            raise MediumError("not connected")
        self.sent.append((char, data, to, confirm))

    async def disconnect(self, to: Peer) -> None:
        self.dropped.append(to)

    async def stop(self) -> None:
        self.profiles = ()
        self.events.close()


@attrs.define
class Script:
    """A codec that answers as the test says, and notes what it was fed."""

    answers: Callable[[Any], Sequence[Output]] = lambda _: ()
    fed: list[tuple[str, Input, Peer]] = attrs.field(factory=list)
    told: list[News] = attrs.field(factory=list)
    due: float | None = None
    ticks: int = 0

    def feed(self, port: str, data: Input, peer: Peer, now: float) -> Sequence[Output]:
        self.fed.append((port, data, peer))
        return self.answers((data, peer))

    def tell(self, news: News, now: float) -> Sequence[Output]:
        self.told.append(news)
        return self.answers(news)

    def deadline(self) -> float | None:
        return self.due

    def tick(self, now: float) -> Sequence[Output]:
        self.ticks += 1
        self.due = None
        return self.answers("tick")


@pytest.fixture
async def made() -> AsyncIterator[Callable[..., Any]]:
    listeners: list[GattListener] = []

    async def make(
        answers: Callable[[Any], Sequence[Output]] = lambda _: (),
    ) -> tuple[GattListener, FakeGatt, Script]:
        gatt, codec = FakeGatt(), Script(answers)

        async def factory(context: ListenContext) -> tuple[GattProfile, Codec]:
            assert context is CONTEXT
            return PROFILE, codec

        listener = GattListener(gatt, factory, method="blufi")
        listeners.append(listener)
        await listener.start(CONTEXT)
        return listener, gatt, codec

    yield make
    for each in listeners:
        await each.stop()


async def reading(listener: GattListener, codec: Script, count: int) -> None:
    """Read until the codec was fed so often."""
    task = asyncio.ensure_future(listener.read())
    async with asyncio.timeout(PATIENCE):
        while len(codec.fed) < count:  # noqa: ASYNC110 - the codec has no event to wait for
            await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_events_reach_the_codec_with_the_methods_name_and_a_link_of_their_own(made) -> None:
    listener, gatt, codec = await made()
    for peer in (PHONE, OTHER):
        gatt.events.put(peer, Connected())
    gatt.events.put(PHONE, Mtu(185))
    gatt.events.put(PHONE, Subscribed("ff02"))
    gatt.events.put(OTHER, Written("ff01", b"hello"))
    gatt.events.put(PHONE, Lost())
    gatt.events.put(PHONE, Written("ff01", b"after its end"))
    gatt.events.put(PHONE, Connected())
    await reading(listener, codec, 7)
    first, second = Peer("blufi", PHONE.address, 1), Peer("blufi", OTHER.address, 2)
    assert codec.fed == [
        ("", Connected(), first),
        ("", Connected(), second),
        ("", Mtu(185), first),
        ("ff02", Subscribed("ff02"), first),
        ("ff01", b"hello", second),
        ("", Lost(), first),
        ("", Connected(), Peer("blufi", PHONE.address, 3)),
    ]


async def test_what_is_said_goes_out_in_its_order_whoever_made_the_codec_say_it(made) -> None:
    def answers(what: Any) -> Sequence[Output]:
        if isinstance(what, SessionEvent):
            return [Send("ff02", b"told", peer, confirm=True), Drop(peer)]
        if what[0] == b"ask":
            return [Send("ff02", b"1", peer), Send("ff02", b"lost", peer), Send("ff02", b"2", peer)]
        return ()

    peer = Peer("blufi", PHONE.address, 1)
    listener, gatt, codec = await made(answers)
    gatt.room.clear()
    gatt.events.put(PHONE, Connected())
    gatt.events.put(PHONE, Written("ff01", b"ask"))
    await reading(listener, codec, 2)
    telling = asyncio.ensure_future(listener.tell(NEWS))
    draining = asyncio.ensure_future(listener.drain())
    await asyncio.sleep(0)
    assert not gatt.sent
    gatt.room.set()
    async with asyncio.timeout(PATIENCE):
        await asyncio.gather(telling, draining)
    assert gatt.sent == [
        ("ff02", b"1", PHONE, False),
        ("ff02", b"2", PHONE, False),
        ("ff02", b"told", PHONE, True),
    ]
    assert gatt.dropped == [PHONE]


async def test_nothing_goes_to_who_is_gone(made) -> None:
    peer = Peer("blufi", PHONE.address, 1)
    listener, gatt, codec = await made(lambda what: [Send("ff02", b"x", peer)] if what is NEWS else ())
    gatt.events.put(PHONE, Connected())
    gatt.events.put(PHONE, Lost())
    gatt.events.put(PHONE, Connected())
    await reading(listener, codec, 3)
    await listener.tell(NEWS)
    assert not gatt.sent, "it was for the link before"


async def test_what_is_for_the_session_is_read_from_the_clock_and_from_news_too(made) -> None:
    asking = Ask("scan", Peer("blufi", PHONE.address, 1))
    seen = Seen(0.5, None, "a tick")
    listener, _, codec = await made(lambda what: [seen] if what == "tick" else [asking])
    task = asyncio.ensure_future(listener.read())
    await asyncio.sleep(0)
    await listener.tell(Answer("errors", asking.peer))
    async with asyncio.timeout(PATIENCE):
        assert await task == [asking]
        codec.due = asyncio.get_running_loop().time()
        assert await listener.read() == [seen]
    assert codec.ticks == 1


async def test_input_of_another_protocol_does_not_end_it(made, caplog) -> None:
    offer = Offer(Peer("blufi", PHONE.address, 1))

    def answers(what: Any) -> Sequence[Output]:
        if what[0] == b"junk":
            raise ProtocolError("this is no frame")
        return [offer] if what[0] == b"good" else ()

    listener, gatt, _ = await made(answers)
    gatt.events.put(PHONE, Connected())
    gatt.events.put(PHONE, Written("ff01", b"junk"))
    gatt.events.put(PHONE, Written("ff01", b"good"))
    async with asyncio.timeout(PATIENCE):
        assert await listener.read() == [offer]
    assert "this is no frame" in caplog.text


async def test_stop_lets_nobody_wait(made) -> None:
    peer = Peer("blufi", PHONE.address, 1)
    listener, gatt, codec = await made(lambda what: [Send("ff02", b"x", peer)] if what is NEWS else ())
    gatt.events.put(PHONE, Connected())
    await reading(listener, codec, 1)
    gatt.room.clear()
    waiting = [
        asyncio.ensure_future(each) for each in (listener.tell(NEWS), listener.drain(), listener.read())
    ]
    await asyncio.sleep(0)
    await listener.stop()
    await listener.stop()
    async with asyncio.timeout(PATIENCE):
        results = await asyncio.gather(*waiting, return_exceptions=True)
    assert results[:2] == [None, None]
    assert isinstance(results[2], HalError)
    assert not gatt.profiles
    await listener.tell(NEWS)
    await listener.drain()
    with pytest.raises(HalError, match="does not listen"):
        await listener.read()
    await listener.start(CONTEXT)
    with pytest.raises(HalError, match="already"):
        await listener.start(CONTEXT)


async def test_a_start_that_fails_leaves_nothing() -> None:
    gatt = FakeGatt()
    gatt.refuse = HalError("no")

    async def factory(_context: ListenContext) -> tuple[GattProfile, Codec]:
        return PROFILE, Script()

    listener = GattListener(gatt, factory, method="blufi")
    with pytest.raises(HalError, match="no"):
        await listener.start(CONTEXT)
    gatt.refuse = None
    await listener.start(CONTEXT)
    assert gatt.profiles == [PROFILE]
    await listener.stop()


# --- which codec, and when ----------------------------------------------------------------------------------


@pytest.mark.parametrize("method", [name for name, each in METHODS.items() if each.gatt])
async def test_every_method_has_a_codec_and_its_door_is_the_service(method: str) -> None:
    profile, codec = await codec_factory(method, FakeGatt())(CONTEXT)
    door = METHODS[method].gatt
    assert door is not None
    assert door.place in (profile.service, profile.service[4:8])
    assert codec.deadline() is None


@pytest.mark.parametrize(
    ("method", "says"),
    [
        ("blufi", "ffff is advertised"),
        ("bt_combo", "ffff is advertised"),
        ("llsync", "fff0 is advertised, 0000fff0-65d0-4e20-b56a-e493541ba4e2 is served"),
        ("thing", "a101 is advertised, 1910 is served"),
    ],
)
async def test_the_log_says_which_service_phones_can_look_for(
    method: str, says: str, caplog: pytest.LogCaptureFixture
) -> None:
    gatt = FakeGatt()
    listener = GattListener(gatt, codec_factory(method, gatt), method=method)
    with caplog.at_level("INFO"):
        await listener.start(CONTEXT)
    await listener.stop()
    assert f"{method}: Bluetooth service {says}" in [record.getMessage() for record in caplog.records]


async def test_a_service_that_is_not_advertised_is_served(
    made: Callable[..., Any], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("INFO"):
        await made()
    assert "blufi: Bluetooth service ffff is served" in caplog.text


@pytest.mark.parametrize(
    ("method", "option", "says"),
    [
        ("blufi", {"blufi_version": "2.0"}, "1.2, 1.3, 1.4"),
        ("bt_combo", {"dialect": "v9"}, "v1, v2, v3"),
        ("llsync", {"llsync_mtu": "many"}, "no number"),
        ("thing", {"style": "baroque"}, "protco, sentino"),
        ("blufi", {"ble_name": "x" * 30}, "29 octets"),
    ],
)
async def test_options_that_cannot_be_used(method: str, option: dict[str, str], says: str) -> None:
    context = attrs.evolve(CONTEXT, options=option)
    with pytest.raises(ConfigurationError) as caught:
        await codec_factory(method, FakeGatt())(context)
    assert says in f"{caught.value} {caught.value.hint}"


async def test_options_reach_the_codec() -> None:
    context = attrs.evolve(CONTEXT, options={"ble_name": "BLUFI_KITCHEN"})
    profile, _ = await codec_factory("blufi", FakeGatt())(context)
    assert profile.scan_response[2:] == b"BLUFI_KITCHEN"
    profile, _ = await codec_factory("llsync", FakeGatt())(CONTEXT)
    assert bytes.fromhex("020000000001") in profile.advertising, "the adapter's address"


async def test_a_method_without_a_codec() -> None:
    with pytest.raises(NotSupportedError):
        await codec_factory("breeze", FakeGatt())(CONTEXT)


def test_bluetooth_methods_take_turns_and_go_beside_others() -> None:
    roles = frozenset({Role.BLE, Role.ACCESS_POINT})
    turns = plan_turns(parse_methods("blufi,soft_ap,thing,bt_combo"), Capabilities((Combination(roles),)))
    assert [[method.name for method in turn.methods] for turn in turns] == [
        ["blufi", "soft_ap"],
        ["thing"],
        ["bt_combo"],
    ]
    chip = Capabilities((Combination(roles),), chip={"bt_combo": Step.JOINING})
    together = plan_turns(parse_methods("blufi,bt_combo"), chip)
    assert [[method.name for method in turn.methods] for turn in together] == [["blufi", "bt_combo"]]
