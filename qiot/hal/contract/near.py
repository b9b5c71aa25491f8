"""Bluetooth and camera."""

from __future__ import annotations

import abc
from collections.abc import Mapping, Sequence

import attrs

from qiot.model import Peer
from qiot.protocols.base import Connected, Lost, Mtu, Subscribed

__all__ = ["Camera", "Gatt", "GattEvent", "GattProfile", "Written"]


@attrs.frozen
class GattProfile:
    """One GATT service and how it is advertised.

    Attributes:
        service: UUID of the service.
        characteristics: UUID of each characteristic with its properties ("write", "notify", …).
        advertising: Advertisement octets, at most 31.
        scan_response: Scan response octets, at most 31.
    """

    service: str
    characteristics: Mapping[str, frozenset[str]] = attrs.field(hash=False)
    advertising: bytes = b""
    scan_response: bytes = b""


@attrs.frozen
class Written:
    """A central wrote a characteristic."""

    char: str
    data: bytes


GattEvent = Connected | Mtu | Subscribed | Written | Lost


class Gatt(abc.ABC):
    """The GATT server."""

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
