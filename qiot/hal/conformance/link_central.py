"""A phone of the testbed as the suite wants it: characteristics by their whole UUID."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from qiot.hal.conformance.check import Broken
from qiot.hal.conformance.environment import Central
from qiot.protocols.base import Lost

if TYPE_CHECKING:
    from qiot.testbed.ble_link import central as link

__all__ = ["LinkCentral"]


class LinkCentral(Central):
    """A central of `qiot.testbed.ble_link`, connected, on bleak or bumble.

    Args:
        phone: It is connected, and stays its owner's to close.
    """

    def __init__(self, phone: link.Central) -> None:
        self._phone = phone
        self._uuids: dict[str, str] = {}

    async def services(self) -> Sequence[str]:
        """UUIDs."""
        return await self._phone.services()

    async def write(self, char: str, data: bytes) -> None:
        """With a response."""
        await self._phone.write(char[4:8], data)

    async def subscribe(self, char: str) -> None:
        """To notifications."""
        self._uuids[char[4:8]] = char
        await self._phone.subscribe(char[4:8])

    async def notified(self) -> tuple[str, bytes]:
        """The next, with the characteristic that was subscribed to."""
        item = await self._phone.next_notification()
        if isinstance(item, Lost):
            raise Broken("the central was lost before it was notified")
        return self._uuids[item.char], item.data

    async def wait_disconnected(self) -> None:
        """Return when the device, or the air, has ended the connection."""
        async for item in self._phone.notifications():
            if isinstance(item, Lost):
                return

    async def disconnect(self) -> None:
        """End the connection."""
        await self._phone.disconnect()
