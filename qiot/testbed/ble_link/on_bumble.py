"""The phone's Bluetooth on bumble: the simulated air, or a bare controller."""

from __future__ import annotations

import asyncio
import contextlib
import importlib
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from qiot.errors import NotSupportedError
from qiot.finishing import cancellable
from qiot.testbed.ble_link.advertisement import Advertisement, Wanted, long_uuid
from qiot.testbed.ble_link.central import Central, LinkError

if TYPE_CHECKING:
    from bumble.device import Connection, Device

__all__ = ["BumbleCentral", "on_transport"]

OpenDevice: TypeAlias = Callable[[], AbstractAsyncContextManager["Device"]]

_RESPONSE_WAIT: Final = 0.25
"""Seconds to wait for the scan response of a device whose advertisement fits already."""
# Properties of a characteristic (Bluetooth Core 5.4, volume 3, G 3.3.1.1).
_WRITE: Final = 0x08
_WRITE_COMMAND: Final = 0x04
_NO_ADDRESS: Final = "00:00:00:00:00:00"


class BumbleCentral(Central):
    """A phone with a controller of its own.

    Args:
        open_device: Opens the controller: a bumble host that is powered on, until the end of the block.
    """

    def __init__(self, open_device: OpenDevice) -> None:
        super().__init__()
        self._open_device = open_device
        self._stack = AsyncExitStack()
        self._device: Device | None = None
        self._connection: Connection | None = None
        self._chars: dict[str, Any] = {}
        self._services: list[str] = []

    @property
    def mtu(self) -> int:
        """ATT MTU of the link."""
        return 23 if self._connection is None else self._connection.att_mtu

    async def find(self, wanted: Wanted, timeout: float) -> Advertisement:
        """Scan actively until the device is seen."""
        device = await self._open()
        seen: dict[str, tuple[bytes, bytes, int]] = {}
        fitting: asyncio.Queue[str] = asyncio.Queue()

        def take(report: Any) -> None:
            from bumble.device import Advertisement as Report

            item = Report.from_advertising_report(report)
            if item is None:
                return
            address = str(item.address)
            advertising, response, _ = seen.get(address, (b"", b"", 0))
            if item.is_scan_response:
                response = item.data_bytes
            else:
                advertising = item.data_bytes
            seen[address] = advertising, response, item.rssi
            if wanted.fits(_seen(address, *seen[address])):
                fitting.put_nowait(address)

        device.host.on("advertising_report", take)
        try:
            await device.start_scanning(active=True, filter_duplicates=False)
            async with asyncio.timeout(timeout):
                address = await fitting.get()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_RESPONSE_WAIT):
                    while not seen[address][1]:
                        await fitting.get()
        except TimeoutError:
            names = ", ".join(sorted(seen)) or "none"
            raise LinkError(
                f"no device was seen with {wanted}", hint=f"Devices in reach: {names}. Is it on and near?"
            ) from None
        finally:
            device.host.remove_listener("advertising_report", take)
            with contextlib.suppress(Exception):
                await device.stop_scanning()
        return _seen(address, *seen[address])

    async def connect(self, seen: Advertisement, timeout: float, *, mtu: int = 517) -> None:
        """Connect with an MTU of at most `mtu`; 23 asks for none."""
        from bumble.core import BaseBumbleError
        from bumble.device import Peer

        device = await self._open()
        self._begin()
        try:
            async with asyncio.timeout(timeout):
                connecting = device.connect(
                    _address(seen), own_address_type=_own_type(device), timeout=timeout
                )
                connection = await cancellable(connecting)
                self._connection = connection
                connection.on("disconnection", lambda _reason: self._on_lost(connection))
                peer = Peer(connection)
                if mtu > connection.att_mtu:
                    await peer.request_mtu(mtu)
                await peer.discover_services()
                for service in peer.services:
                    await service.discover_characteristics()
        except (TimeoutError, BaseBumbleError) as error:
            await self.disconnect()
            raise LinkError(
                f"{seen.address} cannot be connected: {error or type(error).__name__}",
                hint="Is it connected to another phone?",
            ) from None
        self._services = [_uuid(service.uuid) for service in peer.services]
        self._chars = {
            _uuid(char.uuid)[4:8]: char for service in peer.services for char in service.characteristics
        }

    async def services(self) -> list[str]:
        """UUIDs of the services."""
        return self._services

    async def subscribe(self, char: str) -> None:
        """Ask for notifications."""
        await self._guarded(self._char(char).subscribe(lambda value: self._notified(char, bytes(value))))

    async def write(self, char: str, data: bytes, *, response: bool = True) -> None:
        """Write; longer than the MTU allows goes as a long write, where there is a response."""
        served = self._char(char)
        if not int(served.properties) & (_WRITE if response else _WRITE_COMMAND):
            response = not response  # the device takes it only the other way
        await self._guarded(served.write_value(data, with_response=response))

    async def disconnect(self) -> None:
        """End the link."""
        connection, self._connection = self._connection, None
        self._chars = {}
        if connection is not None:
            with contextlib.suppress(Exception):
                await connection.disconnect()

    async def close(self) -> None:
        """Disconnect and leave the air."""
        await self.disconnect()
        self._device = None
        await self._stack.aclose()

    async def _open(self) -> Device:
        if self._device is None:
            self._device = await self._stack.enter_async_context(self._open_device())
        return self._device

    def _char(self, char: str) -> Any:
        if self._connection is None:
            raise LinkError("there is no link")
        if char not in self._chars:
            raise LinkError(f"the device has no characteristic {char}", hint="It speaks another protocol.")
        return self._chars[char]

    async def _guarded(self, action: Any) -> None:
        """Do something on the link, unless that is lost meanwhile."""
        connection = self._connection
        gone: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

        def lost(_reason: Any) -> None:
            if not gone.done():
                gone.set_result(None)

        if connection is not None:
            connection.on("disconnection", lost)
        acting = asyncio.ensure_future(action)
        try:
            await asyncio.wait({acting, gone}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            acting.cancel()
            gone.cancel()
            if connection is not None:
                connection.remove_listener("disconnection", lost)
            await asyncio.gather(acting, gone, return_exceptions=True)
        if acting.cancelled():
            raise LinkError("the device disconnected")
        if (error := acting.exception()) is not None:
            raise LinkError(f"the device refuses: {error or type(error).__name__}") from error

    def _on_lost(self, connection: Connection) -> None:
        if self._connection is connection:
            self._connection = None
            self._chars = {}
        self._lost()


@contextlib.asynccontextmanager
async def on_transport(name: str) -> AsyncGenerator[Device, None]:
    """A controller on any transport of bumble, such as "usb:0".

    Raises:
        NotSupportedError: bumble is not installed.
        LinkError: The transport does not open.
    """
    try:
        await asyncio.to_thread(importlib.import_module, "bumble.device")
    except ImportError:
        raise NotSupportedError(
            "bumble is not installed", hint="Install it: pip install 'qiot[bumble]'."
        ) from None
    from bumble.device import Device
    from bumble.hci import Address
    from bumble.transport import open_transport

    try:
        transport = await open_transport(name)
    except Exception as error:  # noqa: BLE001 - each transport of bumble has errors of its own
        raise LinkError(
            f"bumble:{name} does not open: {error or type(error).__name__}",
            hint="Write bumble:usb:0 for the first USB dongle; nothing else may use it.",
        ) from None
    try:
        device = Device.with_hci("phone", Address.generate_static_address(), transport.source, transport.sink)
        await cancellable(device.power_on())
        yield device
        with contextlib.suppress(Exception):
            await device.power_off()
    finally:
        await transport.close()


def _seen(address: str, advertising: bytes, response: bytes, signal: int) -> Advertisement:
    plain, _, public = address.partition("/")  # "/P" marks a public address in bumble's text
    return Advertisement.of_octets(plain, advertising, response, signal, random=not public)


def _address(seen: Advertisement) -> Any:
    from bumble.hci import Address

    kind = Address.RANDOM_DEVICE_ADDRESS if seen.random else Address.PUBLIC_DEVICE_ADDRESS
    return Address(seen.address, kind)


def _own_type(device: Device) -> Any:
    from bumble.hci import OwnAddressType

    public = str(device.public_address).partition("/")[0]
    return OwnAddressType.RANDOM if public == _NO_ADDRESS else OwnAddressType.PUBLIC


def _uuid(given: Any) -> str:
    octets = bytes(given.uuid_bytes)[::-1]
    return long_uuid(octets.hex())
