"""A trivial GATT service, on BlueZ and on bumble: what is written to it comes back as a notification."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Annotated, Any

from bumble.core import UUID, AdvertisingData
from bumble.device import Device, Peer
from bumble.gatt import Characteristic, CharacteristicValue, Service
from dbus_fast import BusType, PropertyAccess, Variant
from dbus_fast.aio import MessageBus
from dbus_fast.annotations import DBusBool, DBusBytes, DBusObjectPath, DBusSignature, DBusStr
from dbus_fast.service import ServiceInterface, dbus_method, dbus_property

SERVICE = "0000fff0-0000-1000-8000-00805f9b34fb"
WRITE = "0000ffe1-0000-1000-8000-00805f9b34fb"
NOTIFY = "0000ffe3-0000-1000-8000-00805f9b34fb"
NAME = "LAB-ECHO"

Strings = Annotated[list[str], DBusSignature("as")]
Options = Annotated[dict[str, Variant], DBusSignature("a{sv}")]
_ROOT = "/lab"
_ADVERTISEMENT = "/advertisement"


class _ServiceObject(ServiceInterface):
    def __init__(self) -> None:
        super().__init__("org.bluez.GattService1")

    @dbus_property(access=PropertyAccess.READ)
    def UUID(self) -> DBusStr:  # noqa: N802
        return SERVICE

    @dbus_property(access=PropertyAccess.READ)
    def Primary(self) -> DBusBool:  # noqa: N802
        return True


class _CharacteristicObject(ServiceInterface):
    def __init__(self, uuid: str, flags: list[str], written: Callable[[bytes], None]) -> None:
        super().__init__("org.bluez.GattCharacteristic1")
        self._uuid = uuid
        self._flags = flags
        self._written = written
        self.value = b""

    @dbus_property(access=PropertyAccess.READ)
    def UUID(self) -> DBusStr:  # noqa: N802
        return self._uuid

    @dbus_property(access=PropertyAccess.READ)
    def Service(self) -> DBusObjectPath:  # noqa: N802
        return f"{_ROOT}/service"

    @dbus_property(access=PropertyAccess.READ)
    def Flags(self) -> Strings:  # noqa: N802
        return self._flags

    @dbus_property(access=PropertyAccess.READ)
    def Value(self) -> DBusBytes:  # noqa: N802
        return self.value

    @dbus_method()
    def WriteValue(self, value: DBusBytes, options: Options) -> None:  # noqa: N802
        self._written(bytes(value))

    @dbus_method()
    def StartNotify(self) -> None:  # noqa: N802
        pass

    @dbus_method()
    def StopNotify(self) -> None:  # noqa: N802
        pass


class _Advertisement(ServiceInterface):
    def __init__(self) -> None:
        super().__init__("org.bluez.LEAdvertisement1")

    @dbus_property(access=PropertyAccess.READ)
    def Type(self) -> DBusStr:  # noqa: N802
        return "peripheral"

    @dbus_property(access=PropertyAccess.READ)
    def ServiceUUIDs(self) -> Strings:  # noqa: N802
        return [SERVICE]

    @dbus_property(access=PropertyAccess.READ)
    def LocalName(self) -> DBusStr:  # noqa: N802
        return NAME

    @dbus_method()
    def Release(self) -> None:  # noqa: N802
        pass


@asynccontextmanager
async def on_bluez(adapter: str) -> AsyncIterator[None]:
    """The service on an adapter of BlueZ's, for example "hci0", advertised."""
    bus = await MessageBus(bus_type=BusType.SYSTEM).connect()
    try:

        def notify(value: bytes) -> None:
            notified.value = value
            notified.emit_properties_changed({"Value": value})

        notified = _CharacteristicObject(NOTIFY, ["notify"], notify)
        bus.export(f"{_ROOT}/service", _ServiceObject())
        bus.export(f"{_ROOT}/service/write", _CharacteristicObject(WRITE, ["write"], notify))
        bus.export(f"{_ROOT}/service/notify", notified)
        bus.export(_ADVERTISEMENT, _Advertisement())
        path = f"/org/bluez/{adapter}"
        proxy: Any = bus.get_proxy_object("org.bluez", path, await bus.introspect("org.bluez", path))
        await proxy.get_interface("org.bluez.GattManager1").call_register_application(_ROOT, {})
        advertising = proxy.get_interface("org.bluez.LEAdvertisingManager1")
        await advertising.call_register_advertisement(_ADVERTISEMENT, {})
        yield
    finally:
        bus.disconnect()
        await bus.wait_for_disconnect()


async def on_bumble(device: Device) -> None:
    """The service on a bumble device, advertised."""

    async def written(_connection: Any, value: bytes) -> None:
        await device.notify_subscribers(notified, value)

    properties = Characteristic.Properties
    notified = Characteristic(UUID(NOTIFY), properties.NOTIFY, Characteristic.Permissions(0))
    write = Characteristic(
        UUID(WRITE), properties.WRITE, Characteristic.WRITEABLE, CharacteristicValue(write=written)
    )
    device.add_service(Service(UUID(SERVICE), [write, notified]))
    fields = [
        (AdvertisingData.FLAGS, b"\x06"),
        (AdvertisingData.COMPLETE_LIST_OF_16_BIT_SERVICE_CLASS_UUIDS, b"\xf0\xff"),
        (AdvertisingData.COMPLETE_LOCAL_NAME, NAME.encode()),
    ]
    device.advertising_data = bytes(AdvertisingData(fields))
    await device.start_advertising(auto_restart=True)


async def asked_by_bumble(phone: Device, values: list[bytes]) -> list[bytes]:
    """Find the service with a bumble phone, write each value, and give what was notified after each."""
    found = asyncio.get_running_loop().create_future()

    def seen(advertisement: Any) -> None:
        names = (AdvertisingData.COMPLETE_LOCAL_NAME, AdvertisingData.SHORTENED_LOCAL_NAME)
        if NAME in [advertisement.data.get(name) for name in names] and not found.done():
            found.set_result(advertisement.address)

    phone.on("advertisement", seen)
    await phone.start_scanning(active=True)
    address = await asyncio.wait_for(found, 60)
    await phone.stop_scanning()
    connection = await phone.connect(address)
    peer = Peer(connection)
    await peer.discover_services([UUID(SERVICE)])
    await peer.discover_characteristics()
    notified: asyncio.Queue[bytes] = asyncio.Queue()
    await peer.subscribe(peer.get_characteristics_by_uuid(UUID(NOTIFY))[0], notified.put_nowait)
    write = peer.get_characteristics_by_uuid(UUID(WRITE))[0]
    answers = []
    for value in values:
        await write.write_value(value, with_response=True)
        answers.append(bytes(await asyncio.wait_for(notified.get(), 30)))
    await connection.disconnect()
    return answers


async def asked_by_bleak(adapter: str, values: list[bytes]) -> list[bytes]:
    """Find the service with bleak on an adapter of BlueZ's, as `asked_by_bumble`."""
    from bleak import BleakClient, BleakScanner

    device = await BleakScanner.find_device_by_name(NAME, timeout=60, bluez={"adapter": adapter})
    assert device is not None
    notified: asyncio.Queue[bytes] = asyncio.Queue()
    answers = []
    async with BleakClient(device, timeout=60, bluez={"adapter": adapter}) as client:
        await client.start_notify(NOTIFY, lambda _, value: notified.put_nowait(bytes(value)))
        for value in values:
            await client.write_gatt_char(WRITE, value, response=True)
            answers.append(await asyncio.wait_for(notified.get(), 30))
    return answers
