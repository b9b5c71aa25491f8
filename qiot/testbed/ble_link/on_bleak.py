"""The phone's Bluetooth on this computer's own adapter, by bleak."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable
from typing import TYPE_CHECKING, Any, Final

from qiot.errors import NotSupportedError
from qiot.testbed.ble_link.advertisement import Advertisement, Wanted
from qiot.testbed.ble_link.central import Central, LinkError

if TYPE_CHECKING:
    from bleak import BleakClient
    from bleak.backends.device import BLEDevice
    from bleak.backends.scanner import AdvertisementData

__all__ = ["BleakCentral"]

_TRIES: Final = 3
"""A first connection on BlueZ is often aborted, and the next one works."""
_ATT_HEADER: Final = 3
_MTU_DEFAULT: Final = 23
_HINT: Final = "Is Bluetooth on (bluetoothctl show), and may this user use it?"


class BleakCentral(Central):
    """A phone on an adapter of the system.

    The MTU is the system's to exchange. The octets of an advertisement are not given by all systems; what
    they say is.

    Args:
        adapter: On Linux "hci0" and the like; empty for the first one.
    """

    def __init__(self, adapter: str = "") -> None:
        super().__init__()
        self._adapter = adapter
        self._devices: dict[str, BLEDevice] = {}
        self._client: BleakClient | None = None
        self._chars: dict[str, Any] = {}

    @property
    def mtu(self) -> int:
        """ATT MTU of the link, as far as the system tells; else 23."""
        sizes = [char.max_write_without_response_size for char in self._chars.values()]
        return max(sizes, default=_MTU_DEFAULT - _ATT_HEADER) + _ATT_HEADER

    async def find(self, wanted: Wanted, timeout: float) -> Advertisement:
        """Scan until the device is seen."""
        from bleak import BleakScanner

        found: asyncio.Future[Advertisement] = asyncio.get_running_loop().create_future()
        names: set[str] = set()

        def take(device: BLEDevice, data: AdvertisementData) -> None:
            seen = Advertisement(
                address=device.address,
                name=data.local_name or device.name or "",
                services=frozenset(each.lower() for each in data.service_uuids),
                manufacturer=dict(data.manufacturer_data),
                signal=data.rssi,
            )
            names.add(f"{seen.address} {seen.name}".rstrip())
            if wanted.fits(seen) and not found.done():
                self._devices[device.address] = device
                found.set_result(seen)

        scanner = BleakScanner(take, **self._bluez())
        try:
            await _guarded(scanner.start(), "the adapter does not scan")
            async with asyncio.timeout(timeout):
                return await found
        except TimeoutError:
            here = ", ".join(sorted(names)) or "none"
            raise LinkError(
                f"no device was seen with {wanted}", hint=f"Devices in reach: {here}. Is it on and near?"
            ) from None
        finally:
            with contextlib.suppress(Exception):
                await scanner.stop()

    async def connect(self, seen: Advertisement, timeout: float, *, mtu: int = 517) -> None:
        """Connect; the system chooses the MTU."""
        from bleak import BleakClient

        del mtu
        device = self._devices.get(seen.address, seen.address)
        client = BleakClient(device, self._on_disconnected, timeout=timeout, **self._bluez())
        for left in reversed(range(_TRIES)):
            try:
                await _guarded(client.connect(), f"{seen.address} cannot be connected")
            except LinkError:
                if not left:
                    raise
            else:
                break
        self._begin()  # a try that failed may have said that it was lost
        self._client = client
        self._chars = {
            char.uuid[4:8]: char for service in client.services for char in service.characteristics
        }

    async def services(self) -> list[str]:
        """UUIDs of the services."""
        return [] if self._client is None else [each.uuid for each in self._client.services]

    async def subscribe(self, char: str) -> None:
        """Ask for notifications."""
        client, served = self._of(char)
        await _guarded(
            client.start_notify(served, lambda _, value: self._notified(char, bytes(value))),
            f"{char} does not notify",
        )

    async def write(self, char: str, data: bytes, *, response: bool = True) -> None:
        """Write; the other way where the device takes it only so."""
        client, served = self._of(char)
        if ("write" if response else "write-without-response") not in served.properties:
            response = not response
        await _guarded(client.write_gatt_char(served, data, response=response), "the device refuses")

    async def disconnect(self) -> None:
        """End the link."""
        client, self._client = self._client, None
        self._chars = {}
        if client is not None:
            with contextlib.suppress(Exception):
                await client.disconnect()

    async def close(self) -> None:
        """Disconnect."""
        await self.disconnect()

    def _bluez(self) -> Any:
        return {"bluez": {"adapter": self._adapter}} if self._adapter else {}

    def _on_disconnected(self, client: BleakClient) -> None:
        if self._client is client or self._client is None:
            self._client = None
            self._chars = {}
            self._lost()

    def _of(self, char: str) -> tuple[BleakClient, Any]:
        if self._client is None:
            raise LinkError("there is no link")
        if char not in self._chars:
            raise LinkError(f"the device has no characteristic {char}", hint="It speaks another protocol.")
        return self._client, self._chars[char]


async def _guarded(action: Awaitable[Any], what: str) -> None:
    """Await something of bleak's; its errors become ours."""
    from bleak.exc import BleakBluetoothNotAvailableError, BleakError

    try:
        await action
    except BleakBluetoothNotAvailableError as error:
        raise NotSupportedError(f"there is no Bluetooth here: {error}", hint=_HINT) from None
    except (BleakError, TimeoutError, OSError, EOFError) as error:
        raise LinkError(f"{what}: {error or type(error).__name__}", hint=_HINT) from None
