"""Our objects on the bus, as BlueZ asks for them: a service, its characteristics, an advertisement."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import attrs
from dbus_fast import ErrorType, Message, Variant, unpack_variants

from qiot.hal.contract import GattProfile
from qiot.hal.gatt_profiles import full_uuid, short_name
from qiot.hal.linux.bluez.names import (
    ADVERTISEMENT,
    GATT_CHARACTERISTIC,
    GATT_SERVICE,
    OBJECT_MANAGER,
    PROPERTIES,
)

__all__ = ["ADVERTISEMENT_PATH", "APPLICATION_PATH", "Application", "Asked"]

APPLICATION_PATH: Final = "/io/qiot/gatt"
ADVERTISEMENT_PATH: Final = "/io/qiot/advertisement"
_NOT_PERMITTED: Final = "org.bluez.Error.NotPermitted"
_NOT_SUPPORTED: Final = "org.bluez.Error.NotSupported"
_INVALID_OFFSET: Final = "org.bluez.Error.InvalidOffset"


@attrs.frozen
class Asked:
    """What BlueZ asks of a characteristic for a central.

    Attributes:
        message: The call, to be answered.
        char: The characteristic.
        device: Object of the central.
        mtu: ATT MTU of its link, where BlueZ says it; else 0.
    """

    message: Message
    char: str
    device: str
    mtu: int


class Application:
    """Answers BlueZ's calls; what a central does goes to three functions.

    Args:
        profiles: What is served.
        advertisement: Properties of LEAdvertisement1; None where the kernel advertises.
        owner: BlueZ's own name on the bus: nobody else is answered.
        on_write: Gets a value; gives a reason to refuse it, or "".
        on_notify: Gets a central that wants to be notified; it answers with a descriptor.
        on_read: Gives a characteristic's value.
        on_released: BlueZ has dropped the advertisement.
    """

    def __init__(
        self,
        profiles: Sequence[GattProfile],
        advertisement: Mapping[str, Variant] | None,
        *,
        owner: str,
        on_write: Callable[[Asked, bytes], str],
        on_notify: Callable[[Asked], None],
        on_read: Callable[[Asked], bytes],
        on_released: Callable[[], None],
    ) -> None:
        self._owner = owner
        self._on_write = on_write
        self._on_notify = on_notify
        self._on_read = on_read
        self._on_released = on_released
        self._objects: dict[str, dict[str, dict[str, Variant]]] = {}
        self._chars: dict[str, str] = {}
        for number, profile in enumerate(profiles):
            self._add(f"{APPLICATION_PATH}/service{number}", profile)
        self._advertisement = advertisement

    def handle(self, message: Message) -> Message | bool:
        """The answer to a call, True where it comes later, False where the call is for somebody else."""
        path = message.path or ""
        if path not in (APPLICATION_PATH, ADVERTISEMENT_PATH) and path not in self._objects:
            return False
        if message.sender != self._owner:
            return Message.new_error(message, ErrorType.ACCESS_DENIED, "only BlueZ is served")
        match message.interface, message.member:
            case (interface, "GetManagedObjects") if interface == OBJECT_MANAGER:
                answer: Message | bool = Message.new_method_return(message, "a{oa{sa{sv}}}", [self._objects])
            case (interface, member) if interface == PROPERTIES:
                answer = self._property(message, path, member or "")
            case (interface, "Release") if interface == ADVERTISEMENT:
                self._on_released()
                answer = Message.new_method_return(message)
            case (interface, _) if interface == GATT_CHARACTERISTIC and path in self._chars:
                answer = self._of_characteristic(message, self._chars[path])
            case _:
                answer = Message.new_error(message, ErrorType.UNKNOWN_METHOD, "there is no such method here")
        return answer

    def _add(self, path: str, profile: GattProfile) -> None:
        self._objects[path] = {
            GATT_SERVICE: {
                "UUID": Variant("s", full_uuid(profile.service)),
                "Primary": Variant("b", True),
            }
        }
        for number, (uuid, flags) in enumerate(profile.characteristics.items()):
            place = f"{path}/char{number}"
            properties = {
                "UUID": Variant("s", full_uuid(uuid)),
                "Service": Variant("o", path),
                "Flags": Variant("as", sorted(flags)),
            }
            if flags & {"notify", "indicate"}:
                # It makes BlueZ call AcquireNotify, which says which central it is, and how much fits.
                properties["NotifyAcquired"] = Variant("b", False)
            self._objects[place] = {GATT_CHARACTERISTIC: properties}
            self._chars[place] = short_name(uuid)

    def _property(self, message: Message, path: str, member: str) -> Message:
        interface = message.body[0] if message.body else ""
        interfaces = self._objects.get(path, {})
        if path == ADVERTISEMENT_PATH and self._advertisement is not None:
            interfaces = {ADVERTISEMENT: dict(self._advertisement)}
        found = interfaces.get(interface, {})
        if member == "GetAll":
            return Message.new_method_return(message, "a{sv}", [found])
        if member == "Get" and message.body[1] in found:
            return Message.new_method_return(message, "v", [found[message.body[1]]])
        return Message.new_error(message, ErrorType.UNKNOWN_PROPERTY, f"{interface} has no such property")

    def _of_characteristic(self, message: Message, char: str) -> Message | bool:
        options: dict[str, Any] = dict(unpack_variants(message.body[-1])) if message.body else {}
        asked = Asked(message, char, str(options.get("device", "")), int(options.get("mtu", 0)))
        match message.member:
            case "WriteValue":
                return self._write(asked, options)
            case "ReadValue":
                value = self._on_read(asked)[int(options.get("offset", 0)) :]
                return Message.new_method_return(message, "ay", [value])
            case "AcquireNotify":
                self._on_notify(asked)
                return True
            case "StopNotify" | "Confirm":
                return Message.new_method_return(message)
            case _:
                return Message.new_error(message, _NOT_SUPPORTED, "this is not served")

    def _write(self, asked: Asked, options: Mapping[str, Any]) -> Message:
        message = asked.message
        if options.get("prepare-authorize"):  # a long write begins; the whole value comes at its end
            return Message.new_method_return(message)
        if options.get("offset", 0):
            return Message.new_error(message, _INVALID_OFFSET, "values are written as a whole")
        refused = self._on_write(asked, bytes(message.body[0]))
        if refused:
            return Message.new_error(message, _NOT_PERMITTED, refused)
        return Message.new_method_return(message)
