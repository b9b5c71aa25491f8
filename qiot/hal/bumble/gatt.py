"""The GATT server on bumble, whatever its controller is: a dongle, a serial port, the simulated air."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import attrs

from qiot.errors import HalError, MediumError, NotSupportedError
from qiot.finishing import cancellable, finish
from qiot.hal.contract import Gatt, GattEvent, GattProfile, Written
from qiot.hal.gatt_events import GattEvents
from qiot.hal.gatt_profiles import check_profiles, short_name
from qiot.log import get_logger
from qiot.model import Peer
from qiot.protocols.base import Connected, Lost, Mtu, Subscribed
from qiot.protocols.ble.att import ATT_MAX

if TYPE_CHECKING:
    from bumble.device import Connection, Device

__all__ = ["BumbleGatt", "OpenDevice"]

log = get_logger()

OpenDevice: TypeAlias = Callable[[], AbstractAsyncContextManager["Device"]]
"""Opens the controller: a bumble host that is powered on, until the end of the block."""

_INTERVAL: Final = 30.0
"""Milliseconds between advertisements, so that phones find us at once (Core 5.4, volume 3, C, appendix A)."""
_NOTIFY: Final = 1
_INDICATE: Final = 2
_GOODBYE: Final = 2.0
"""Seconds that a central may take to be sent away."""
_NO_ADDRESS: Final = "00:00:00:00:00:00"


@attrs.define(eq=False)
class _Central:
    """One connection.

    Attributes:
        peer: As it is told to our reader.
        connection: bumble's.
        subscribed: Bits of the client configuration, by characteristic.
        values: What it was notified last, by characteristic.
        gone: Set when it is lost.
    """

    peer: Peer
    connection: Connection
    subscribed: dict[str, int] = attrs.field(factory=dict)
    values: dict[str, bytes] = attrs.field(factory=dict)
    gone: asyncio.Event = attrs.field(factory=asyncio.Event)


class BumbleGatt(Gatt):
    """Serves on a controller that it has alone while it is started.

    Args:
        open_device: Opens the controller.
    """

    def __init__(self, open_device: OpenDevice) -> None:
        self._open_device = open_device
        self._events = GattEvents()
        self._turn = asyncio.Lock()
        self._stack: AsyncExitStack | None = None
        self._device: Device | None = None
        self._advertised: GattProfile | None = None
        self._advertising: asyncio.Task[None] | None = None
        self._again = asyncio.Event()
        self._centrals: dict[int, _Central] = {}
        self._served: dict[str, Any] = {}
        self._links = 0
        self._address = ""

    async def address(self) -> str:
        """The controller's public address, or the random one that it is given where it has none."""
        async with self._turn:
            if not self._address:
                async with self._open_device() as device:
                    self._address = _address_of(device)
            return self._address

    async def start(self, profiles: Sequence[GattProfile]) -> None:
        """Open the controller, serve and advertise.

        Raises:
            NotSupportedError: More than one profile wants to be advertised: a bare controller has one
                advertisement.
            HalError: It cannot be served, or the controller cannot be used.
        """
        check_profiles(profiles)
        advertised = [each for each in profiles if each.advertising or each.scan_response]
        if len(advertised) > 1:
            raise NotSupportedError(
                "a bare Bluetooth controller has one advertisement", hint="Listen by one Bluetooth method."
            )
        async with self._turn:
            if self._stack is not None:
                raise HalError("the GATT server is started already", hint="Stop it before the next start.")
            self._stack = AsyncExitStack()
            try:
                await self._start(profiles, advertised[0] if advertised else None)
            except BaseException as error:
                await finish(self._stop())
                if isinstance(error, HalError | asyncio.CancelledError):
                    raise
                raise _as_hal_error("the controller cannot serve", error) from error

    async def read(self) -> Sequence[tuple[Peer, GattEvent]]:
        """What came, each with its central."""
        return await self._events.read()

    async def notify(self, char: str, data: bytes, to: Peer, *, confirm: bool = False) -> None:
        """Notify, or indicate where `confirm` asks for it or the central listens to nothing else.

        A central that does not listen to the characteristic gets nothing, as with any GATT server.
        """
        central = self._connected(to)
        served = self._served.get(char)
        if served is None or self._device is None:
            raise HalError(f"there is no characteristic {char}")
        room = central.connection.att_mtu - 3
        if len(data) > room:
            raise HalError(f"{len(data)} octets do not fit into a notification of {room}")
        central.values[char] = data
        bits = central.subscribed.get(char, 0)
        server = self._device.gatt_server
        try:
            if bits & _INDICATE and (confirm or not bits & _NOTIFY):
                await _until_gone(central, server.indicate_subscriber(central.connection, served, data))
            elif bits & _NOTIFY:
                await server.notify_subscriber(central.connection, served, data)
                await self._wait_room(self._device, central)
        except HalError:
            raise
        except Exception as error:
            raise _as_hal_error(f"<{to.address}> was not notified", error) from error

    async def disconnect(self, to: Peer) -> None:
        """End one central's connection."""
        await self._send_away(self._connected(to))

    async def stop(self) -> None:
        """Send every central away and close the controller."""
        await finish(self._stop_in_turn())

    # --- start and stop ---------------------------------------------------------------------------------

    async def _start(self, profiles: Sequence[GattProfile], advertised: GattProfile | None) -> None:
        if self._stack is None:
            raise AssertionError("start makes the stack")
        device = await self._stack.enter_async_context(self._open_device())
        self._address = _address_of(device)
        _refuse_pairing(device)
        device.gatt_server.max_mtu = ATT_MAX
        for profile in profiles:
            self._add_service(device, profile)
        device.on("connection", self._on_connection)
        device.gatt_server.on("characteristic_subscription", self._on_subscription)
        self._events.open()
        self._device, self._advertised = device, advertised
        if advertised is not None:
            await _advertise(device, advertised)
            self._advertising = asyncio.create_task(
                self._keep_advertising(device, advertised), name="qiot advertising"
            )

    async def _stop_in_turn(self) -> None:
        async with self._turn:
            await self._stop()

    async def _stop(self) -> None:
        stack, device, advertising = self._stack, self._device, self._advertising
        self._stack = self._device = self._advertising = None
        if advertising is not None:
            advertising.cancel()
            await asyncio.wait({advertising})
        try:
            if device is not None:
                with contextlib.suppress(Exception):
                    await device.stop_advertising()
                for central in list(self._centrals.values()):
                    try:
                        await self._send_away(central)
                    except HalError as error:
                        log.warning(f"<{central.peer.address}> was not sent away: {error}")
        finally:
            self._events.close()
            self._centrals.clear()
            self._served.clear()
            if stack is not None:
                await stack.aclose()

    async def _keep_advertising(self, device: Device, profile: GattProfile) -> None:
        """A controller stops advertising with each connection; the next phone has to find us, too."""
        while True:
            await self._again.wait()
            self._again.clear()
            try:
                await _advertise(device, profile)
            except Exception as error:  # noqa: BLE001 - some controllers cannot while they are connected
                log.debug(f"not advertised while a central is connected: {error}")

    def _add_service(self, device: Device, profile: GattProfile) -> None:
        from bumble.core import UUID
        from bumble.gatt import Characteristic, CharacteristicValue, Service

        served = []
        for char, properties in profile.characteristics.items():
            name = short_name(char)
            flags = Characteristic.Properties(0)
            for each in properties:
                flags |= Characteristic.Properties[each.replace("-", "_").upper()]
            value = CharacteristicValue(
                read=lambda connection, name=name: self._on_read(connection, name),
                write=lambda connection, data, name=name: self._on_write(connection, name, data),
            )
            allowed = Characteristic.Permissions(0)
            if "read" in properties:
                allowed |= Characteristic.Permissions.READABLE
            if properties & {"write", "write-without-response"}:
                allowed |= Characteristic.Permissions.WRITEABLE
            self._served[name] = Characteristic(UUID(char), flags, allowed, value)
            served.append(self._served[name])
        device.add_service(Service(UUID(profile.service), served))

    # --- what bumble tells ------------------------------------------------------------------------------

    def _on_connection(self, connection: Connection) -> None:
        self._links += 1
        address = str(connection.peer_address).partition("/")[0]
        central = _Central(Peer("gatt", address, self._links), connection)
        self._centrals[connection.handle] = central
        connection.on("disconnection", lambda _reason: self._on_disconnection(central))
        connection.on(
            "connection_att_mtu_update",
            lambda: self._events.put(central.peer, Mtu(min(connection.att_mtu, ATT_MAX))),
        )
        self._events.put(central.peer, Connected())
        self._again.set()

    def _on_disconnection(self, central: _Central) -> None:
        central.gone.set()
        if self._centrals.get(central.connection.handle) is central:
            del self._centrals[central.connection.handle]
        self._events.put(central.peer, Lost())
        self._again.set()

    def _on_subscription(self, bearer: Any, served: Any, notify: bool, indicate: bool) -> None:
        central = self._centrals.get(getattr(bearer, "handle", -1))
        name = next((name for name, each in self._served.items() if each is served), None)
        if central is not None and name is not None:
            central.subscribed[name] = _NOTIFY * notify | _INDICATE * indicate
            self._events.put(central.peer, Subscribed(name, on=notify or indicate))

    def _on_write(self, connection: Connection, name: str, data: bytes) -> None:
        central = self._centrals.get(connection.handle)
        if central is not None:
            self._events.put(central.peer, Written(name, bytes(data)))

    def _on_read(self, connection: Connection, name: str) -> bytes:
        central = self._centrals.get(connection.handle)
        values: Mapping[str, bytes] = central.values if central is not None else {}
        return values.get(name, b"")

    # --- one central ------------------------------------------------------------------------------------

    def _connected(self, peer: Peer) -> _Central:
        for central in self._centrals.values():
            if central.peer == peer and not central.gone.is_set():
                return central
        raise MediumError(f"<{peer.address}> is not connected")

    async def _send_away(self, central: _Central) -> None:
        try:
            async with asyncio.timeout(_GOODBYE):
                await central.connection.disconnect()
                await central.gone.wait()
        except TimeoutError:
            raise HalError(f"<{central.peer.address}> does not disconnect") from None
        except Exception as error:
            if not central.gone.is_set():
                raise _as_hal_error(f"<{central.peer.address}> does not disconnect", error) from error

    async def _wait_room(self, device: Device, central: _Central) -> None:
        """Return when the controller has sent what it was given, or the central is gone."""
        queue = device.host.le_acl_packet_queue or device.host.acl_packet_queue
        if queue is not None and not central.gone.is_set():
            with contextlib.suppress(ValueError):  # it is gone from the queue's books
                await _until_gone(central, queue.drain(central.connection.handle))


async def _until_gone(central: _Central, waiting: Any) -> None:
    """Wait for something of a central, and no longer than it is there.

    Raises:
        MediumError: It was lost meanwhile.
    """
    working, gone = asyncio.ensure_future(waiting), asyncio.ensure_future(central.gone.wait())
    try:
        await asyncio.wait({working, gone}, return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise MediumError(f"<{central.peer.address}> was lost")
        working.result()
    finally:
        working.cancel()
        gone.cancel()
        await asyncio.gather(working, gone, return_exceptions=True)


async def _advertise(device: Device, profile: GattProfile) -> None:
    from bumble.hci import OwnAddressType

    if device.is_advertising:
        return
    starting = device.start_advertising(
        own_address_type=OwnAddressType.PUBLIC if _public(device) else OwnAddressType.RANDOM,
        advertising_data=profile.advertising,
        scan_response_data=profile.scan_response,
        advertising_interval_min=_INTERVAL,
        advertising_interval_max=_INTERVAL,
    )
    await cancellable(starting)


def _public(device: Device) -> str:
    address = str(device.public_address).partition("/")[0]
    return "" if address == _NO_ADDRESS else address


def _address_of(device: Device) -> str:
    return _public(device) or str(device.random_address).partition("/")[0]


def _refuse_pairing(device: Device) -> None:
    """Provisioning has its own protection; a phone that pairs would leave a bond behind on both sides."""
    from bumble.pairing import PairingConfig, PairingDelegate

    class Refusing(PairingDelegate):
        async def accept(self) -> bool:
            return False

    device.pairing_config_factory = lambda _connection: PairingConfig(delegate=Refusing())


def _as_hal_error(what: str, error: BaseException) -> HalError:
    if isinstance(error, OSError):
        return MediumError(f"{what}: {error.strerror or error}", code=error.errno)
    return MediumError(f"{what}: {error or type(error).__name__}")
