"""A device, phones and a cloud on loopback: what the tests of this folder have in common."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import threading
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import Any, Self, cast
from urllib.parse import urlsplit

import attrs

from qiot.api import CloudOptions, Settings, WifiConfig
from qiot.cloud.tencent.binder import Clock, TencentBinder
from qiot.cloud.transport import HostTransport
from qiot.device_info import DeviceInfo
from qiot.hal.contract import Platform, Wifi
from qiot.hal.mock import MockPlatform
from qiot.hal.registry import PlatformSpec
from qiot.model import Credentials, Event, Outcome, Reason, Secret, Step
from qiot.sim.faults import Fault, Faults
from qiot.sim.wifi import HomeNetwork
from qiot.sim.world import World
from qiot.testbed.cloud import LocalCloud
from qiot.testbed.cloud.journal import Kind

PATIENCE = 20.0
"""Seconds after which a test that waits has failed; nothing ever takes so long."""
HOME = "Home"
PASSWORD = "home-password"
DEVICE: Mapping[str, Any] = {
    "auth_mode": "KEY",
    "productId": "L4WG9V9M2M",
    "deviceName": "TEST2",
    "region": "china",
    "productSecret": "XoezQjzzMedF4lAr2CqCkVYK",
    "key_deviceinfo": {"deviceSecret": "MLvMHde65nKPk0Lx+ZThaA=="},
}
NEW_DEVICE = DEVICE | {"key_deviceinfo": {"deviceSecret": "YOUR_IOT_PSK"}}
CERT_DEVICE = {key: value for key, value in DEVICE.items() if key != "key_deviceinfo"} | {
    "auth_mode": "CERT",
    "deviceName": "CERT1",
    "cert_deviceinfo": {
        "devCertFile": "YOUR_DEVICE_CERT_FILE_NAME",
        "devPrivateKeyFile": "YOUR_DEVICE_PRIVATE_KEY_FILE_NAME",
    },
}
IDENTITY = DeviceInfo(
    product_id=DEVICE["productId"],
    device_name=DEVICE["deviceName"],
    region="china",
    product_secret=Secret(DEVICE["productSecret"]),
    device_secret=Secret(DEVICE["key_deviceinfo"]["deviceSecret"]),
)


def settings(**changes: Any) -> Settings:
    """Loopback, any port, short pauses."""
    quick = Settings(udp_host="127.0.0.1", udp_port=0, timeout=PATIENCE, back_off=0.01, grace=0.05)
    return attrs.evolve(quick, **changes)


def at(cloud: LocalCloud, *, secure: bool = False) -> CloudOptions:
    """Cloud options that lead to a local cloud."""
    if secure:
        return CloudOptions(dynreg_url=cloud.https_url, mqtt_url=cloud.mqtts_url, ca_file=cloud.ca_file)
    return CloudOptions(dynreg_url=cloud.http_url, mqtt_url=cloud.mqtt_url)


async def _at_once(_seconds: float) -> None:
    return


def quick_binder(cloud: LocalCloud, info: DeviceInfo = IDENTITY, **changes: Any) -> TencentBinder:
    """Tencent's binder with short time-outs, and without the pause between two connections."""
    given: dict[str, Any] = {
        "dynreg_url": cloud.http_url,
        "mqtt_url": cloud.mqtt_url,
        "connect_timeout": 5.0,
        "reply_timeout": 0.1,
        "clock": Clock(sleep=_at_once),
    }
    return TencentBinder(info, HostTransport(), **given | changes)


def mock(*, home: Reason | None = None, times: int | None = None, **options: str) -> MockPlatform:
    """A mock device in a world of its own, with the networks Home and Old.

    Args:
        home: Why joins of Home fail; JOIN_TIMEOUT hangs until the join's time-out.
        times: How many of them fail; None for all.
        options: Of the platform.
    """
    faults = Faults(Fault(home, times)) if home else Faults()
    networks = [
        HomeNetwork(HOME.encode(), Secret(PASSWORD), faults=faults),
        HomeNetwork(b"Old", Secret("old-password")),
    ]
    return MockPlatform(PlatformSpec("mock", options=options), World(networks))


async def settle_in(platform: Platform, ssid: str, password: str) -> None:
    """Let the device be in a network and have it stored, as after an earlier run."""
    wifi = platform.port(Wifi)
    await wifi.join(Credentials(ssid.encode(), Secret(password)), 5.0)
    await wifi.settle(keep=True)


async def until(wifi: WifiConfig, step: Step, outcome: Outcome, count: int = 1) -> Event:
    """The count-th event of this kind."""
    async with asyncio.timeout(PATIENCE), contextlib.aclosing(wifi.events()) as events:
        async for event in events:
            if (event.step, event.outcome) == (step, outcome):
                count -= 1
                if not count:
                    return event
    raise AssertionError(f"no event {step} {outcome}; there was {[str(each) for each in wifi.history]}")


async def end_of(wifi: WifiConfig):
    """The run's result."""
    async with asyncio.timeout(PATIENCE):
        return await wifi.wait()


def place(wifi: WifiConfig) -> tuple[str, int]:
    """Where the device listens."""
    event = next(event for event in reversed(wifi.history) if event.detail.get("port"))
    return str(event.detail["host"]), int(event.detail["port"])


def new_token(cloud: LocalCloud) -> str:
    """A token that the cloud knows, as the application gets it."""
    return cloud.registry.create_token().text()


def bound_by(cloud: LocalCloud, token: str) -> str | None:
    """Which device has handed in the token."""
    found = cloud.registry.token(token)
    return found.device.path if found is not None and found.device is not None else None


def connects(cloud: LocalCloud) -> int:
    """How often a device has connected."""
    return sum(record.kind is Kind.CONNECT and record.code == 0 for record in cloud.records)


class Phone(asyncio.DatagramProtocol):
    """A UDP socket that says what a test wants and keeps what it hears."""

    def __init__(self) -> None:
        self.heard: asyncio.Queue[bytes] = asyncio.Queue()
        self.everything: list[bytes] = []
        self.port = 0
        self._transport: asyncio.DatagramTransport | None = None
        self._device = ("", 0)

    @classmethod
    async def open(cls, device: tuple[str, int]) -> Self:
        """A phone of a port of its own that speaks to `device`."""
        phone = cls()
        loop = asyncio.get_running_loop()
        await loop.create_datagram_endpoint(lambda: phone, local_addr=("127.0.0.1", 0))
        phone._device = device
        return phone

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.DatagramTransport", transport)
        self.port = transport.get_extra_info("sockname")[1]

    def datagram_received(self, data: bytes, addr: tuple[str | Any, int]) -> None:
        self.everything.append(data)
        self.heard.put_nowait(data)

    def send(self, message: bytes | Mapping[str, Any], to: tuple[str, int] | None = None) -> None:
        data = message if isinstance(message, bytes) else json.dumps(message).encode()
        assert self._transport is not None
        self._transport.sendto(data, to or self._device)

    def join(self, token: str, ssid: str = HOME, password: str = PASSWORD) -> None:
        """Send the credentials."""
        self.send({"cmdType": 1, "ssid": ssid, "password": password, "token": token})

    async def hear(self, wanted: Callable[[bytes], bool] = lambda _: True) -> bytes:
        """The next datagram that fits."""
        async with asyncio.timeout(PATIENCE):
            while True:
                data = await self.heard.get()
                if wanted(data):
                    return data

    async def info(self) -> dict[str, Any]:
        """The next device info."""
        return json.loads(await self.hear(lambda data: b'"productId"' in data))

    async def error(self) -> tuple[str, str]:
        """The next error record: whether current or previous, and its text."""
        record = json.loads(await self.hear(lambda data: b'"deviceReply"' in data))
        return record["deviceReply"], record["log"]

    def close(self) -> None:
        if self._transport is not None:
            self._transport.abort()


class Wiretap:
    """A TCP proxy before the cloud that keeps what the device has sent.

    Attributes:
        port: Where it listens.
        sent: Everything that came from the device.
    """

    def __init__(self, url: str) -> None:
        target = urlsplit(url)
        self._target = (target.hostname or "", target.port or 0)
        self.sent = bytearray()
        self.port = 0

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[Self]:
        tasks: set[asyncio.Task[None]] = set()

        def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            tasks.add(asyncio.create_task(self._serve(reader, writer)))

        server = await asyncio.start_server(accept, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        inside, outside = await asyncio.open_connection(*self._target)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(_copy(reader, outside, self.sent))
                group.create_task(_copy(inside, writer, bytearray()))
        finally:
            for each in (outside, writer):
                each.transport.abort()
            for each in (outside, writer):
                with contextlib.suppress(OSError):
                    await each.wait_closed()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, kept: bytearray) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(65536):
            kept += data
            writer.write(data)
            await writer.drain()
        writer.write_eof()


@contextlib.contextmanager
def deaf_port():
    """A TCP port on which no connection is ever made: its queue is full, so SYNs are dropped."""
    with contextlib.ExitStack() as stack:
        listening = stack.enter_context(socket.socket())
        listening.bind(("127.0.0.1", 0))
        listening.listen(0)
        for _ in range(4):
            filling = stack.enter_context(socket.socket())
            filling.setblocking(False)
            filling.connect_ex(listening.getsockname())
        yield listening.getsockname()[1]


@attrs.frozen
class Leftovers:
    """What a process holds."""

    threads: frozenset[threading.Thread]
    files: Counter[str]

    @classmethod
    def now(cls) -> Leftovers:
        files: Counter[str] = Counter()
        for descriptor in Path("/proc/self/fd").iterdir():
            with contextlib.suppress(OSError):
                files[str(descriptor.readlink())] += 1
        files = Counter({name: count for name, count in files.items() if not name.startswith("/proc/")})
        return cls(frozenset(threading.enumerate()), files)

    def since(self, before: Leftovers) -> list[str]:
        """What is there now and was not before."""
        threads = [str(thread) for thread in self.threads - before.threads]
        return threads + [f"{name} x{count}" for name, count in (self.files - before.files).items()]


def device_tasks() -> list[str]:
    """The device's own tasks that are alive: they have names."""
    return [task.get_name() for task in asyncio.all_tasks() if task.get_name().startswith("qiot")]


def is_free(host: str, port: int) -> bool:
    """True where nobody has the UDP port."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind((host, port))
        except OSError:
            return False
        return True
