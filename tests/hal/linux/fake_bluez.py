"""BlueZ's side of the bus: one adapter, and centrals that do what a test says."""

from __future__ import annotations

import asyncio
import os
import socket
from typing import Any

import attrs
from dbus_fast import Message, MessageType, Variant, unpack_variants
from dbus_fast.aio import MessageBus

ADAPTER = "/org/bluez/hci0"
PROPERTIES = "org.freedesktop.DBus.Properties"
OBJECTS = "org.freedesktop.DBus.ObjectManager"
CHARACTERISTIC = "org.bluez.GattCharacteristic1"


@attrs.define(eq=False)
class FakeCentral:
    """A device that is connected to the adapter."""

    bluez: FakeBluez
    path: str
    mtu: int = 185

    async def write(self, char: str, data: bytes, **options: Variant) -> Message:
        """Write; the answer, which may be an error."""
        given = {"device": Variant("o", self.path), "mtu": Variant("q", self.mtu), **options}
        return await self.bluez.ask(char, "WriteValue", "aya{sv}", [data, given])

    async def read(self, char: str) -> bytes:
        given = {"device": Variant("o", self.path)}
        return bytes((await self.bluez.ask(char, "ReadValue", "a{sv}", [given])).body[0])

    async def subscribe(self, char: str) -> socket.socket:
        """The socket on which notifications come."""
        given = {"device": Variant("o", self.path), "mtu": Variant("q", self.mtu)}
        reply = await self.bluez.ask(char, "AcquireNotify", "a{sv}", [given])
        assert reply.message_type is MessageType.METHOD_RETURN, reply.body
        assert reply.body[1] == self.mtu
        taken = socket.socket(fileno=os.dup(reply.unix_fds[reply.body[0]]))
        os.close(reply.unix_fds[reply.body[0]])
        taken.setblocking(False)
        return taken


class FakeBluez:
    """Attributes: what it was told, and what it is like."""

    def __init__(self, bus: MessageBus) -> None:
        self._bus = bus
        self.adapter = {
            "Address": Variant("s", "00:AA:01:02:03:04"),
            "Powered": Variant("b", False),
            "Pairable": Variant("b", True),
            "Roles": Variant("as", ["central", "peripheral"]),
        }
        self.history: list[tuple[str, bool]] = []
        self.devices: dict[str, dict[str, Variant]] = {}
        self.client = ""
        self.application: dict[str, Any] = {}
        self.advertisement: dict[str, Any] | None = None
        self.refuse = ""
        self.has_adapter = True
        bus.add_message_handler(self._handle)

    async def central(self, number: int) -> FakeCentral:
        """One connects."""
        path = f"{ADAPTER}/dev_00_00_5E_00_53_{number:02X}"
        self.devices[path] = {"Connected": Variant("b", True)}
        await self._signal(
            "/", OBJECTS, "InterfacesAdded", "oa{sa{sv}}", [path, {"org.bluez.Device1": self.devices[path]}]
        )
        return FakeCentral(self, path)

    async def gone(self, path: str) -> None:
        """It disconnects."""
        if self.devices.pop(path, None) is not None:
            body = ["org.bluez.Device1", {"Connected": Variant("b", False)}, []]
            await self._signal(path, PROPERTIES, "PropertiesChanged", "sa{sv}as", body)

    async def ask(self, char: str, member: str, signature: str, body: list[Any]) -> Message:
        """Call a characteristic of the client's."""
        path = next(
            path
            for path, each in self.application.items()
            if str(each.get(CHARACTERISTIC, {}).get("UUID", ""))[4:8] == char
        )
        return await self._call(path, CHARACTERISTIC, member, signature, body)

    async def register(self, message: Message) -> None:
        """Ask the client for its objects, as BlueZ does before it answers."""
        self.client = message.sender or ""
        reply = await self._call(message.body[0], OBJECTS, "GetManagedObjects", "", [])
        self.application = dict(unpack_variants(reply.body[0]))
        await self._bus.send(Message.new_method_return(message))

    async def advertise(self, message: Message) -> None:
        reply = await self._call(message.body[0], PROPERTIES, "GetAll", "s", ["org.bluez.LEAdvertisement1"])
        self.advertisement = dict(unpack_variants(reply.body[0]))
        await self._bus.send(Message.new_method_return(message))

    async def _call(self, path: str, interface: str, member: str, signature: str, body: list[Any]) -> Message:
        reply = await self._bus.call(
            Message(
                destination=self.client,
                path=path,
                interface=interface,
                member=member,
                signature=signature,
                body=body,
            )
        )
        assert reply is not None
        return reply

    async def _signal(self, path: str, interface: str, member: str, signature: str, body: list[Any]) -> None:
        await self._bus.send(Message.new_signal(path, interface, member, signature, body))

    def _handle(self, message: Message) -> Message | bool | None:
        if message.message_type is not MessageType.METHOD_CALL:
            return None
        answer: Message | bool = Message.new_method_return(message)
        match message.path, message.member:
            case _, member if self.refuse and member == self.refuse:
                answer = Message.new_error(message, "org.bluez.Error.Failed", "the test says so")
            case "/", "GetManagedObjects":
                answer = Message.new_method_return(message, "a{oa{sa{sv}}}", [self._objects()])
            case path, _ if path == ADAPTER and message.interface == PROPERTIES:
                answer = self._property(message)
            case _, "RegisterApplication":
                answer = self._later(self.register(message))
            case _, "RegisterAdvertisement":
                answer = self._later(self.advertise(message))
            case _, "UnregisterApplication":
                self.application = {}
            case _, "UnregisterAdvertisement":
                self.advertisement = None
            case path, "Disconnect":
                self._later(self.gone(path or ""))
            case _:
                return None
        return answer

    def _objects(self) -> dict[str, Any]:
        objects: dict[str, Any] = {path: {"org.bluez.Device1": each} for path, each in self.devices.items()}
        if self.has_adapter:
            objects[ADAPTER] = {"org.bluez.Adapter1": self.adapter, "org.bluez.GattManager1": {}}
        return objects

    def _property(self, message: Message) -> Message:
        if message.member == "GetAll":
            return Message.new_method_return(message, "a{sv}", [self.adapter])
        name = message.body[1]
        if message.member == "Get":
            return Message.new_method_return(message, "v", [self.adapter[name]])
        self.adapter[name] = message.body[2]
        self.history.append((name, message.body[2].value))
        return Message.new_method_return(message)

    def _later(self, work: Any) -> bool:
        self._working = asyncio.ensure_future(work)
        return True
