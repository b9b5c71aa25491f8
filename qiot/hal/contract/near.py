"""Bluetooth and camera."""

from __future__ import annotations

import abc
from collections.abc import Sequence

import attrs

from qiot.model import Peer
from qiot.protocols.base import Connected, Lost, Mtu, Subscribed
from qiot.protocols.ble.profile import GattProfile

__all__ = ["Camera", "Gatt", "GattEvent", "GattProfile", "Written"]


@attrs.frozen
class Written:
    """A central wrote a characteristic."""

    char: str
    data: bytes


GattEvent = Connected | Mtu | Subscribed | Written | Lost


class Gatt(abc.ABC):
    """The GATT server.

    `Written`, `Subscribed` and `notify` name a characteristic by the third and fourth octet of its UUID, four
    hexadecimal digits in lower case: "ff01", "ffe1".
    """

    async def address(self) -> str:
        """The adapter's public address, "AA:BB:CC:DD:EE:FF"; empty where the platform does not know it."""
        return ""

    @abc.abstractmethod
    async def start(self, profiles: Sequence[GattProfile]) -> None:
        """Serve and advertise; a clash of services or an advertisement over 31 octets is refused."""

    @abc.abstractmethod
    async def read(self) -> Sequence[tuple[Peer, GattEvent]]:
        """What came, each with its central.

        Raises:
            HalError: It is not started, or was stopped meanwhile.
        """

    @abc.abstractmethod
    async def notify(self, char: str, data: bytes, to: Peer, *, confirm: bool = False) -> None:
        """Notify (or indicate) one central; waits for room.

        Raises:
            HalError: That central is not connected.
        """

    @abc.abstractmethod
    async def disconnect(self, to: Peer) -> None:
        """End one central's connection."""

    @abc.abstractmethod
    async def stop(self) -> None:
        """Stop advertising and serving. Idempotent."""


class Camera(abc.ABC):
    """Pictures for QR codes."""

    @abc.abstractmethod
    async def start(self) -> None:
        """Begin to take pictures."""

    @abc.abstractmethod
    async def read(self) -> bytes:
        """The newest picture, encoded (PNG or JPEG).

        Raises:
            HalError: It is not started, or was stopped meanwhile.
        """

    @abc.abstractmethod
    async def stop(self) -> None:
        """Give the camera back. Idempotent."""
