"""A phone's Bluetooth, whatever it runs on."""

from __future__ import annotations

import abc
import asyncio
from collections.abc import AsyncGenerator
from types import TracebackType
from typing import Final, Self

import attrs

from qiot.errors import MediumError
from qiot.protocols.base import Lost
from qiot.testbed.ble_link.advertisement import Advertisement, Wanted

__all__ = ["Central", "LinkError", "Notified"]

_WAITING_MAX: Final = 1024


class LinkError(MediumError):
    """The device was not found, is gone, or refuses what is asked of it."""


@attrs.frozen
class Notified:
    """The device notified a characteristic.

    Attributes:
        char: Third and fourth octet of its UUID, "ff02".
        data: Its value.
    """

    char: str
    data: bytes


class Central(abc.ABC):
    """One link to one device at a time. Characteristics are named as in the HAL's contract: "ff01".

    Use it as an asynchronous context manager: leaving it disconnects and gives the adapter back.
    """

    def __init__(self) -> None:
        self._incoming: asyncio.Queue[Notified | Lost] = asyncio.Queue(_WAITING_MAX)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    @property
    @abc.abstractmethod
    def mtu(self) -> int:
        """ATT MTU of the link, 23 to 517."""

    @abc.abstractmethod
    async def find(self, wanted: Wanted, timeout: float) -> Advertisement:
        """Scan until the device is seen.

        Raises:
            LinkError: It was not seen in time.
        """

    @abc.abstractmethod
    async def connect(self, seen: Advertisement, timeout: float, *, mtu: int = 517) -> None:
        """Connect, exchange the MTU as far as this adapter lets one choose, and look at the services.

        Raises:
            LinkError: It did not work.
        """

    @abc.abstractmethod
    async def services(self) -> list[str]:
        """UUIDs of the services, 36 characters each."""

    @abc.abstractmethod
    async def subscribe(self, char: str) -> None:
        """Ask for notifications (or indications where there is nothing else)."""

    @abc.abstractmethod
    async def write(self, char: str, data: bytes, *, response: bool = True) -> None:
        """Write; without `response` nobody says that it has arrived.

        Raises:
            LinkError: The link is gone, or the device refuses.
        """

    @abc.abstractmethod
    async def disconnect(self) -> None:
        """End the link. Idempotent."""

    @abc.abstractmethod
    async def close(self) -> None:
        """Disconnect and give the adapter back. Idempotent."""

    async def next_notification(self) -> Notified | Lost:
        """The next one; a call that is cancelled takes nothing."""
        return await self._incoming.get()

    async def notifications(self) -> AsyncGenerator[Notified | Lost, None]:
        """What the device notifies, in order; at the end of the link `Lost`, and then no more."""
        while True:
            item = await self.next_notification()
            yield item
            if isinstance(item, Lost):
                return

    # --- for adapters -----------------------------------------------------------------------------------

    def _begin(self) -> None:
        """A new link: what an earlier one left is forgotten."""
        self._incoming = asyncio.Queue(_WAITING_MAX)

    def _notified(self, char: str, data: bytes) -> None:
        if not self._incoming.full():
            self._incoming.put_nowait(Notified(char, data))

    def _lost(self) -> None:
        if self._incoming.full():
            self._incoming.get_nowait()
        self._incoming.put_nowait(Lost())
