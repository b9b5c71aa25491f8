"""A phone that is nothing but a UDP socket: it sends a command and keeps every datagram that comes back."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable
from typing import Any, Self

SSID = "qiot-home"
PASSWORD = "qiot-home-password"

_NUMBERS = re.compile(r"\((-?\d+), (-?\d+)\)$")


class RawPhone(asyncio.DatagramProtocol):
    """Use it as an asynchronous context manager.

    Args:
        port: The device's command port on 127.0.0.1; None where this phone only listens.
        local: Where it is bound.
    """

    def __init__(self, port: int | None, local: tuple[str, int] = ("127.0.0.1", 0)) -> None:
        self._device = None if port is None else ("127.0.0.1", port)
        self._local = local
        self._arrived = asyncio.Event()
        self._closed = asyncio.Event()
        self.heard: list[tuple[float, bytes]] = []
        """Loop time and octets of each datagram."""

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        self._transport, _ = await loop.create_datagram_endpoint(lambda: self, local_addr=self._local)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._transport.close()
        await self._closed.wait()

    def datagram_received(self, data: bytes, addr: object) -> None:
        self.heard.append((asyncio.get_running_loop().time(), data))
        self._arrived.set()

    def error_received(self, exc: Exception) -> None:
        """A device that has closed its port answers by ICMP; the test looks at what it said before."""

    def connection_lost(self, exc: Exception | None) -> None:
        self._closed.set()

    @property
    def port(self) -> int:
        return self._transport.get_extra_info("sockname")[1]

    def send(self, data: bytes) -> None:
        self._transport.sendto(data, self._device)

    def send_join(self, token: str, *, ssid: str = SSID, password: str = PASSWORD) -> None:
        message = {"cmdType": 1, "ssid": ssid, "password": password, "token": token}
        self.send(json.dumps(message).encode())

    async def until(self, found: Callable[[RawPhone], bool], limit: float = 5.0) -> None:
        """Return when `found` is true of what was heard so far."""
        async with asyncio.timeout(limit):
            while not found(self):
                self._arrived.clear()
                await self._arrived.wait()

    @property
    def messages(self) -> list[dict[str, Any]]:
        """What was heard and is JSON, in order."""
        return [json.loads(data) for _, data in self.heard if data.lstrip().startswith(b"{")]

    @property
    def infos(self) -> list[dict[str, Any]]:
        """Device info replies."""
        return [each for each in self.messages if each["cmdType"] == 2 and "productId" in each]

    @property
    def errors(self) -> list[tuple[str, int, int]]:
        """(deviceReply, error id, sub id) of each error record."""
        return [
            (message["deviceReply"], int(numbers[1]), int(numbers[2]))
            for message in self.messages
            if "deviceReply" in message and (numbers := _NUMBERS.search(message["log"]))
        ]
