"""The log service: after a failure, an access point of its own and UDP 9876 for the device log.

Contract sections 1, 4 and 7. Name and password of the access point are built into the mini program, so they
are the default; what is uploaded holds no secret.
"""

from __future__ import annotations

import asyncio
import secrets
from typing import Final

from qiot.hal.contract import ListenContext, Listener, Platform, SoftApSpec, Udp
from qiot.log import get_logger
from qiot.model import Failure, Secret
from qiot.protocols.base import Answer, Ask, Heard
from qiot.protocols.lan.app_message import AppMessageDevice
from qiot.wifi_config.dev_log import DevLog
from qiot.wifi_config.drivers.udp import UdpListener
from qiot.wifi_config.listeners import Listeners
from qiot.wifi_config.radio import Radio

__all__ = ["LOG_PORT", "LogService", "log_access_point"]

log = get_logger()

LOG_PORT: Final = 9876
_LIFE: Final = 360.0
"""Seconds that the service waits for a phone (contract section 2)."""
_LINGER: Final = 6.0
"""Seconds after an answer: a phone that lost it asks again after 5 s."""


def log_access_point(*, random_password: bool = False) -> SoftApSpec:
    """The access point that the mini program looks for; with a random password only a person can join it."""
    password = f"{secrets.randbelow(10**8):08}" if random_password else "86013388"
    return SoftApSpec(ssid=b"ESP-LOG-QUERY", password=Secret(password))


class LogService:
    """Serves the device log to phones.

    Args:
        platform: Where access point and sockets come from.
        dev_log: What is served.
        access_point: The access point; None serves in the network that is there.
        host: Local address.
        port: Local port.
    """

    def __init__(
        self,
        platform: Platform,
        dev_log: DevLog,
        *,
        access_point: SoftApSpec | None,
        host: str = "0.0.0.0",  # noqa: S104 - serves whoever is in the access point
        port: int = LOG_PORT,
    ) -> None:
        self._platform = platform
        self._dev_log = dev_log
        self._access_point = access_point
        self._asked = asyncio.Event()
        codec = AppMessageDevice(product_id="", device_name="", method="log", port_name="log", log_only=True)
        self._door = UdpListener(platform.port(Udp), codec, door="log", method="log", host=host, port=port)
        self._listeners = Listeners(ListenContext("", ""), self._on_heard, self._on_ended)
        self._answers = 0
        self._radio: Radio | None = None

    @property
    def local(self) -> tuple[str, int]:
        """Where it listens."""
        return self._door.local

    async def start(self) -> None:
        """Bring the access point up and open the port.

        Raises:
            HalError: Nothing is left of it.
        """
        try:
            if self._access_point is not None:
                self._radio = Radio(self._platform, await self._platform.capabilities(), self._access_point)
                await self._radio.open_access_point()
            await self._listeners.open("log service", self._door)
        except BaseException:
            await self.stop()
            raise

    async def run(self) -> bool:
        """Serve until a phone has had its answer, or 360 s have gone; True where one had."""
        try:
            async with asyncio.timeout(_LIFE):
                await self._asked.wait()
            while True:
                self._asked.clear()
                async with asyncio.timeout(_LINGER):
                    await self._asked.wait()
        except TimeoutError:
            return self._answers > 0
        finally:
            await self.stop()

    async def stop(self) -> None:
        """Close the port and take the access point down. Idempotent."""
        await self._listeners.close_all()
        if self._radio is not None:
            await self._radio.close_access_point()

    async def _on_heard(self, listener: Listener, heard: Heard) -> None:
        if isinstance(heard, Ask) and heard.what == "log":
            lines = self._dev_log.lines()
            log.info(f"log of {len(lines)} entries asked for by <{heard.peer.address}>")
            await self._listeners.answer(listener, Answer("log", heard.peer, lines))
            self._answers += 1
            self._asked.set()

    async def _on_ended(self, name: str, failure: Failure) -> None:
        log.error(f"{name} ended: {failure}")
        self._asked.set()
