"""A phone in the simulated air, with its sockets on loopback, for the tests of this folder."""

from __future__ import annotations

import asyncio
import itertools
import random
import socket
from collections.abc import Callable, Mapping
from typing import Any

from qiot.hal.mock import MockPlatform
from qiot.hal.registry import PlatformSpec
from qiot.model import Credentials, Secret
from qiot.protocols.air.airkiss import AirKiss
from qiot.protocols.air.casts import Encoder
from qiot.protocols.air.esptouch import EspTouch
from qiot.protocols.air.esptouch_v2 import EspTouchV2
from qiot.protocols.air.realtek import DEFAULT_PIN, RealtekSimpleConfig
from qiot.sim.phone import Phone
from qiot.sim.wifi import HomeNetwork
from qiot.sim.world import World
from qiot.testbed.phone.air_phone import AckRules, AirPhone, AirResult
from qiot.testbed.phone.air_rules import airkiss_rules, esptouch_rules, esptouch_v2_rules, simple_config_rules
from tests.end_to_end.support import HOME, PASSWORD

METHODS = ("smart_config", "esptouch_v2", "airkiss", "simple_config")
_HOSTS = itertools.count(1)


def hosts() -> tuple[str, str]:
    """Loopback addresses for a device and a phone that nobody else has, so that fixed ports are free."""
    number = next(_HOSTS) * 2
    process = random.SystemRandom().randrange(2, 250)
    return (
        f"127.{process}.{number // 250 + 20}.{number % 250 + 1}",
        f"127.{process}.{number // 250 + 20}.{number % 250 + 2}",
    )


def air_mock(*, channel: int = 11, **options: str) -> MockPlatform:
    """A mock device in a world with two networks; the phone's is `HOME`."""
    networks = [
        HomeNetwork(HOME.encode(), Secret(PASSWORD), channel=channel),
        HomeNetwork(b"Old", Secret("old-password"), channel=3),
    ]
    return MockPlatform(PlatformSpec("mock", options=options), World(networks, seed=7))


class Sink:
    """Sends as a phone of the simulated air, and a device that has joined hears the same on its port."""

    def __init__(self, phone: Phone, echo: tuple[str, str] | None = None) -> None:
        self._phone = phone
        self._echo = echo

    async def send(self, to: str, port: int, length: int) -> None:
        self._phone.send_datagram(to, port, length)
        if self._echo is not None:
            host, device = self._echo
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
                sender.bind((host, 0))
                sender.sendto(bytes(length), (device, port))


class AirSide:
    """The owner with a phone in the home network.

    Args:
        platform: The device's.
        host: The phone's address.
    """

    def __init__(self, platform: MockPlatform, host: str) -> None:
        self.world = platform.world
        self.phone = self.world.phone()
        self.host = host
        self.events: list[Mapping[str, Any]] = []

    async def join(self) -> bytes:
        """Be in the home network; its access point's address."""
        await self.phone.join(Credentials(HOME.encode(), Secret(PASSWORD)))
        joined = self.phone.station.access_point
        assert joined is not None
        return joined.bssid

    async def run(
        self,
        method: str,
        token: str | None,
        token_port: Callable[[], int],
        *,
        ip: str = "192.168.1.100",
        ssid: bytes = HOME.encode(),
        password: str = PASSWORD,
        keys: Mapping[str, Secret] | None = None,
        echo: str | None = None,
    ) -> AirResult:
        """Send until the device answers, then give it the token."""
        bssid = await self.join()
        encoder, rules = self.plan(method, bssid, ip=ip, ssid=ssid, password=password, keys=keys or {})

        def note(event: Mapping[str, Any]) -> None:
            self.events.append(event)
            if event["event"] == "ack":
                sending.token_port = token_port()

        sink = Sink(self.phone, None if echo is None else (self.host, echo))
        sending = AirPhone(encoder, rules, host=self.host, sink=sink, token=token, on_event=note)
        return await sending.run()

    def plan(
        self, method: str, bssid: bytes, *, ip: str, ssid: bytes, password: str, keys: Mapping[str, Secret]
    ) -> tuple[Callable[[int], Encoder], AckRules]:
        """What is sent by a method, and how a device answers."""
        secret, numbers = Secret(password), random.Random(1).randbytes
        if method == "smart_config":
            one = EspTouch(ssid, secret, bssid, ip)
            return lambda _: one, esptouch_rules(one.token)
        if method == "esptouch_v2":
            key = keys.get("esptouch_key")
            return (
                lambda port: EspTouchV2(
                    ssid, secret, bssid, numbers, key=key, port_mark=(port - 18266) // 10000
                ),
                esptouch_v2_rules(None),
            )
        if method == "airkiss":
            kiss = AirKiss(ssid, secret, 77, key=keys.get("airkiss_key"))
            return lambda _: kiss, airkiss_rules(77)
        pin = keys.get("pin")
        simple = RealtekSimpleConfig(
            ssid, secret, ip, self.phone.mac, numbers, pattern=2 if pin is None else 3, pin=pin
        )
        known = DEFAULT_PIN if pin is None else pin.reveal()
        return lambda _: simple, simple_config_rules(known, self.phone.mac, numbers)


class Ear(asyncio.DatagramProtocol):
    """A UDP port that keeps what it hears, with the sender."""

    def __init__(self) -> None:
        self.heard: list[tuple[bytes, str]] = []
        self.news = asyncio.Event()
        self.transport: asyncio.DatagramTransport | None = None

    @classmethod
    async def open(cls, host: str, port: int) -> Ear:
        """Listen."""
        ear = cls()
        await asyncio.get_running_loop().create_datagram_endpoint(lambda: ear, local_addr=(host, port))
        return ear

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, addr: tuple[Any, int]) -> None:
        self.heard.append((data, f"{addr[0]}:{addr[1]}"))
        self.news.set()

    async def count(self, wanted: int) -> list[tuple[bytes, str]]:
        """So many datagrams, waited for."""
        async with asyncio.timeout(20):
            while len(self.heard) < wanted:
                self.news.clear()
                await self.news.wait()
        return self.heard

    def close(self) -> None:
        if self.transport is not None:
            self.transport.abort()
