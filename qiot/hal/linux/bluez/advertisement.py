"""An advertisement as BlueZ's properties, where the kernel's management is not allowed to us."""

from __future__ import annotations

from typing import Final

import attrs
from dbus_fast import Variant

from qiot.errors import NotSupportedError
from qiot.hal.contract import GattProfile
from qiot.hal.gatt_profiles import full_uuid
from qiot.protocols.ble.profile import SERVICE_LISTS, advertising_parts, listed_services

__all__ = ["properties_of"]

# Assigned numbers, section 2.3.
_FLAGS: Final = 0x01
_NAMES: Final = (0x08, 0x09)
_POWER: Final = 0x0A
_SERVICE_DATA_16: Final = 0x16
_MANUFACTURER: Final = 0xFF
_SAYABLE: Final = frozenset({_FLAGS, *SERVICE_LISTS, _MANUFACTURER, _SERVICE_DATA_16, *_NAMES, _POWER})
_HINT: Final = "Run as root: then the kernel advertises these very octets. Or use --hal bumble:usb:0."


def properties_of(profile: GattProfile) -> dict[str, Variant]:
    """Properties of LEAdvertisement1 that make BlueZ 5.66 say the same.

    BlueZ puts the name into the scan response by itself, and everything else into the advertisement; flags
    are the kernel's.

    Raises:
        NotSupportedError: It cannot be said by properties.
    """
    said = _Said()
    for kind, value in advertising_parts(profile.advertising):
        if not said.take(kind, value):
            raise NotSupportedError(f"BlueZ cannot advertise a part of type {kind:#04x}", hint=_HINT)
    for kind, value in advertising_parts(profile.scan_response):
        if kind not in _NAMES:
            raise NotSupportedError(
                f"a scan response with a part of type {kind:#04x} cannot be had on this BlueZ", hint=_HINT
            )
        said.take(kind, value)
    properties = {"Type": Variant("s", "peripheral")}
    if said.name is not None:
        properties["LocalName"] = Variant("s", said.name)
    if said.power:
        properties["Includes"] = Variant("as", ["tx-power"])
    if said.services:
        properties["ServiceUUIDs"] = Variant("as", said.services)
    if said.manufacturer:
        properties["ManufacturerData"] = Variant("a{qv}", said.manufacturer)
    if said.data:
        properties["ServiceData"] = Variant("a{sv}", said.data)
    return properties


@attrs.define
class _Said:
    """What an advertisement says."""

    services: list[str] = attrs.field(factory=list)
    manufacturer: dict[int, Variant] = attrs.field(factory=dict)
    data: dict[str, Variant] = attrs.field(factory=dict)
    name: str | None = None
    power: bool = False

    def take(self, kind: int, value: bytes) -> bool:
        """Note a part; False where there is no property for it."""
        self.services += map(full_uuid, listed_services(kind, value))
        if kind == _MANUFACTURER:
            self.manufacturer[int.from_bytes(value[:2], "little")] = Variant("ay", value[2:])
        elif kind == _SERVICE_DATA_16:
            self.data[full_uuid(value[:2][::-1].hex())] = Variant("ay", value[2:])
        elif kind in _NAMES:
            self.name = value.decode(errors="replace")
        elif kind == _POWER:
            self.power = True
        return kind in _SAYABLE
