"""Ports that the mock does not have: in memory, but with the real behaviour that the contract asks for."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import struct
import time
import zlib
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

import attrs

from qiot.cloud.transport import HostTransport
from qiot.errors import HalError, MediumError
from qiot.hal.conformance import Central, Ear
from qiot.hal.conformance.simulated import SimulatedEnvironment
from qiot.hal.contract import (
    AirKiss,
    BtCombo,
    Camera,
    Capabilities,
    ChipSoftAp,
    Combination,
    Frame,
    FrameFilter,
    Gatt,
    GattEvent,
    GattProfile,
    Injector,
    Listener,
    Platform,
    PortT,
    Role,
    SimpleConfig,
    SmartConfig,
    Sniffer,
    Transport,
    Written,
)
from qiot.hal.mock import MockPlatform
from qiot.hal.registry import PlatformSpec
from qiot.model import Credentials, Peer, Reason, Secret
from qiot.protocols.base import Connected, Lost, Subscribed
from qiot.sim import ScriptedOffer, World

QUEUE_MAX = 512
ADVERTISEMENT_MAX = 31
FAKE_UUID = "0000{}-0000-1000-8000-00805f9b34fb"
METHODS: dict[type[Listener], str] = {
    SmartConfig: "smart_config",
    AirKiss: "airkiss",
    SimpleConfig: "simple_config",
    BtCombo: "bt_combo",
    ChipSoftAp: "soft_ap",
}


@attrs.define(eq=False)
class Queue:
    """What waits to be read: bounded, counted, and closed at the end."""

    waiting: deque[Any] = attrs.field(factory=deque)
    dropped: int = 0
    opened: bool = False
    changed: asyncio.Event = attrs.field(factory=asyncio.Event)

    def open(self) -> None:
        self.waiting.clear()
        self.dropped = 0
        self.opened = True

    def close(self) -> None:
        self.opened = False
        self.waiting.clear()
        self.changed.set()

    def put(self, item: object) -> None:
        if len(self.waiting) < QUEUE_MAX:
            self.waiting.append(item)
        else:
            self.dropped += 1
        self.changed.set()

    async def get(self) -> tuple[list[Any], int]:
        while self.opened and not self.waiting:
            self.changed.clear()
            await self.changed.wait()
        if not self.opened:
            raise MediumError("it is not started", reason=Reason.STOPPED)
        items, dropped = list(self.waiting), self.dropped
        self.waiting.clear()
        self.dropped = 0
        return items, dropped


# --- the air -----------------------------------------------------------------------------------------------


@attrs.define(eq=False)
class Air:
    """Who listens, and on which channel."""

    listeners: list[Callable[[bytes, int], None]] = attrs.field(factory=list)

    def send(self, frame: bytes, channel: int, without: Callable[[bytes, int], None] | None = None) -> None:
        for each in list(self.listeners):
            if each != without:
                each(frame, channel)


def _kind(frame: bytes) -> str:
    return {0x08: "data", 0x40: "probe request", 0x80: "beacon"}.get(frame[0], "")


class FakeSniffer(Sniffer):
    def __init__(self, air: Air) -> None:
        self.air = air
        self.queue = Queue()
        self.channel = 1
        self.wanted = FrameFilter(kinds=frozenset())

    async def channels(self) -> Sequence[int]:
        return (*range(1, 14), 36, 40)

    async def start(self, wanted: FrameFilter) -> None:
        await asyncio.sleep(0.002)
        self.wanted = wanted
        self.queue.open()
        self.air.listeners.append(self.hear)

    async def tune(self, channel: int) -> int:
        self.check()
        if channel not in await self.channels():
            raise MediumError(f"there is no channel {channel}")
        self.channel = channel
        return channel

    async def read(self) -> tuple[Sequence[Frame], int]:
        return await self.queue.get()

    async def stop(self) -> None:
        if self.hear in self.air.listeners:
            self.air.listeners.remove(self.hear)
        self.queue.close()

    def hear(self, frame: bytes, channel: int) -> None:
        group = bool(frame[4] & 1)
        passes = _kind(frame) in self.wanted.kinds and (
            group or _kind(frame) != "data" or not self.wanted.group_addressed
        )
        if channel == self.channel and passes:
            self.queue.put(Frame(frame, time.monotonic(), channel, -40))

    def check(self) -> None:
        if not self.queue.opened:
            raise MediumError("the sniffer is not started")


class FakeInjector(Injector):
    def __init__(self, sniffer: FakeSniffer) -> None:
        self.sniffer = sniffer

    async def send(self, frame: bytes) -> None:
        self.sniffer.check()
        await asyncio.sleep(0)
        self.sniffer.air.send(frame, self.sniffer.channel, without=self.sniffer.hear)


class FakeEar(Ear):
    def __init__(self, channel: int) -> None:
        self.channel = channel
        self.heard: list[bytes] = []

    def hear(self, frame: bytes, channel: int) -> None:
        if channel == self.channel:
            self.heard.append(frame)

    async def hears(self, frame: bytes, seconds: float) -> bool:
        return frame in self.heard


# --- Bluetooth ---------------------------------------------------------------------------------------------


class FakeGatt(Gatt):
    """It serves centrals of this process."""

    def __init__(self) -> None:
        self.profiles: Sequence[GattProfile] = ()
        self.queue = Queue()
        self.centrals: dict[Peer, FakeCentral] = {}
        self.numbers = itertools.count(1)

    async def start(self, profiles: Sequence[GattProfile]) -> None:
        for each in profiles:
            if max(len(each.advertising), len(each.scan_response)) > ADVERTISEMENT_MAX:
                raise HalError("the advertisement is too long", hint="At most 31 octets.")
        if len({each.service for each in profiles}) != len(profiles):
            raise HalError("a service twice", hint="Each once.")
        await asyncio.sleep(0.002)
        self.profiles = profiles
        self.queue.open()

    async def read(self) -> Sequence[tuple[Peer, GattEvent]]:
        return (await self.queue.get())[0]

    async def notify(self, char: str, data: bytes, to: Peer, *, confirm: bool = False) -> None:
        if to not in self.centrals:
            raise MediumError(f"{to.address} is not connected")
        self.centrals[to].notifications.put_nowait((FAKE_UUID.format(char), data))

    async def disconnect(self, to: Peer) -> None:
        self.drop(to)

    async def stop(self) -> None:
        self.profiles = ()
        for peer in list(self.centrals):
            self.drop(peer)
        self.queue.close()

    def connect(self) -> FakeCentral:
        peer = Peer("gatt", f"00:00:5E:00:53:{next(self.numbers):02X}")
        self.centrals[peer] = FakeCentral(self, peer)
        self.queue.put((peer, Connected()))
        return self.centrals[peer]

    def drop(self, peer: Peer) -> None:
        central = self.centrals.pop(peer, None)
        if central is not None:
            central.gone.set()
            self.queue.put((peer, Lost()))


class FakeCentral(Central):
    def __init__(self, gatt: FakeGatt, peer: Peer) -> None:
        self.gatt = gatt
        self.peer = peer
        self.notifications: asyncio.Queue[tuple[str, bytes]] = asyncio.Queue()
        self.gone = asyncio.Event()

    async def services(self) -> Sequence[str]:
        return [each.service.upper() for each in self.gatt.profiles]

    async def write(self, char: str, data: bytes) -> None:
        await asyncio.sleep(0)
        self.gatt.queue.put((self.peer, Written(char[4:8], data)))

    async def subscribe(self, char: str) -> None:
        self.gatt.queue.put((self.peer, Subscribed(char[4:8])))

    async def notified(self) -> tuple[str, bytes]:
        return await self.notifications.get()

    async def wait_disconnected(self) -> None:
        await self.gone.wait()

    async def disconnect(self) -> None:
        self.gatt.drop(self.peer)


# --- pictures ----------------------------------------------------------------------------------------------


def _png(grey: int) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", 8, 8, 8, 0, 0, 0, 0)
    rows = b"".join(b"\x00" + bytes([grey]) * 8 for _ in range(8))
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", head)
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )


class FakeCamera(Camera):
    def __init__(self) -> None:
        self.started = False
        self.greys = itertools.cycle(range(256))

    async def start(self) -> None:
        await asyncio.sleep(0.002)
        self.started = True

    async def read(self) -> bytes:
        if not self.started:
            raise MediumError("the camera is not started")
        await asyncio.sleep(0.001)
        return _png(next(self.greys))

    async def stop(self) -> None:
        self.started = False


# --- all of it ---------------------------------------------------------------------------------------------


class FullPlatform(MockPlatform):
    """The mock with every port of the contract."""

    def __init__(self, air: Air) -> None:
        world = World()
        for method in METHODS.values():  # which makes the world know the methods
            world.offers.put(
                ScriptedOffer(method=method, after=1e9, ssid=b"never", password=Secret("12345678"))
            )
        super().__init__(PlatformSpec("mock"), world)
        self.sniffer = FakeSniffer(air)
        self.gatt = FakeGatt()
        self.camera = FakeCamera()
        self.more: dict[type, object] = {
            Sniffer: self.sniffer,
            Injector: FakeInjector(self.sniffer),
            Gatt: self.gatt,
            Camera: self.camera,
            Transport: HostTransport(),
        }

    async def capabilities(self) -> Capabilities:
        found = await super().capabilities()
        alone = (Role.SNIFF, Role.INJECT, Role.BLE, Role.CAMERA)
        both = frozenset({Role.SNIFF, Role.INJECT})
        more = [Combination(frozenset({role})) for role in alone] + [Combination(both)]
        return attrs.evolve(found, combinations=(*found.combinations, *more))

    def port(self, kind: type[PortT]) -> PortT:
        found: Any = self.more.get(kind)
        return super().port(kind) if found is None else found

    async def close(self) -> None:
        for each in (self.sniffer, self.gatt, self.camera):
            await each.stop()
        await super().close()


@attrs.define(kw_only=True, slots=False, eq=False)
class FullEnvironment(SimulatedEnvironment):
    """The other end of each of them."""

    air: Air = attrs.field(factory=Air)
    platforms: list[FullPlatform] = attrs.field(factory=list)
    numbers: itertools.count[int] = attrs.field(factory=itertools.count)

    def opened(self, platform: Platform) -> None:
        super().opened(platform)
        assert isinstance(platform, FullPlatform)
        self.platforms.append(platform)

    async def transmit(self, frames: Sequence[bytes], channel: int) -> None:
        for frame in frames:
            self.air.send(frame, channel)

    @contextlib.asynccontextmanager
    async def ear(self, channel: int) -> AsyncIterator[FakeEar]:
        made = FakeEar(channel)
        self.air.listeners.append(made.hear)
        yield made
        self.air.listeners.remove(made.hear)

    @contextlib.asynccontextmanager
    async def central(self) -> AsyncIterator[FakeCentral]:
        made = self.platforms[-1].gatt.connect()
        yield made
        await made.disconnect()

    async def advertised(self) -> bool:
        return bool(self.platforms[-1].gatt.profiles)

    async def offer(self, method: type[Listener]) -> Credentials:
        credentials = Credentials(ssid=f"home {next(self.numbers)}".encode(), password=Secret("secret123"))
        self.worlds[-1].offers.put(
            ScriptedOffer(method=METHODS[method], ssid=credentials.ssid, password=credentials.password)
        )
        return credentials


def full_environment() -> FullEnvironment:
    return FullEnvironment(
        cancel_after=(0.0, 0.001, 0.05),
        sends_frames=(6, 11),
        lossless=True,
        offered=frozenset(METHODS),
    )


def full_factory(environment: FullEnvironment) -> Callable[[], FullPlatform]:
    return lambda: FullPlatform(environment.air)
