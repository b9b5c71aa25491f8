"""How a thing.network device is found: its advertisement in both generations of the vendor's documents.

Sources: protco-tech/protco_docs, bluetooth/ble.md (the older one, whose examples these functions give octet
for octet), and sentino-jp/iot-docs, reference/ref-ble-en.md section 2 (the newer one).
"""

from __future__ import annotations

import enum
from typing import Final, Literal

from qiot.errors import ConfigurationError
from qiot.protocols.ble.profile import ADVERTISING_MAX, GattProfile

__all__ = [
    "BLE_ONLY",
    "DUAL",
    "PLAIN",
    "Capability",
    "Flag",
    "advertising",
    "scan_response",
    "state_flags",
    "thing_profile",
]

DUAL: Final = 0x03
"""Protocol version: Wi-Fi and Bluetooth."""
BLE_ONLY: Final = 0x04
"""Protocol version: Bluetooth alone."""
PLAIN: Final = 0x02
"""Encryption: none."""

_OLD_SIZES: Final = (8, 16)
_ID_MAX: Final = 19


class Flag(enum.IntFlag):
    """The first octet of the manufacturer data."""

    CONNECTION_WANTED = 0x01
    AGGREGATION = 0x02
    GENERIC_FIRMWARE = 0x10
    WIFI_CONNECTED = 0x20
    BOUND = 0x40
    NOT_PROVISIONING = 0x80


class Capability(enum.IntFlag):
    """What the device can do; two octets of the manufacturer data."""

    REGISTERS_BY_BLE = 0x0001
    MESH = 0x0002
    WIFI_2_4_GHZ = 0x0004
    WIFI_5_GHZ = 0x0008
    ZIGBEE = 0x0010
    NB_IOT = 0x0020


def state_flags(*, provisioning: bool, bound: bool, wifi_connected: bool, wanted: bool = False) -> Flag:
    """The flag octet by the device's state.

    Args:
        provisioning: It waits for a phone.
        bound: It has an owner.
        wifi_connected: It is in a network.
        wanted: It asks phones to connect.
    """
    flags = Flag(0)
    if not provisioning:
        flags |= Flag.NOT_PROVISIONING
    if bound:
        flags |= Flag.BOUND
    if wifi_connected:
        flags |= Flag.WIFI_CONNECTED
    return flags | Flag.CONNECTION_WANTED if wanted else flags


def advertising(
    product: str, *, generation: Literal["old", "new"] = "new", by_product_key: bool = False
) -> bytes:
    """The advertisement: flags, service A101, and the product as data of it.

    Args:
        product: Product id or product key, ASCII; at most 16 characters in the old generation, which pads it
            with zeros to 8 or 16, and at most 19 in the new one.
        generation: Of the vendor's documents.
        by_product_key: `product` is the product key.

    Raises:
        ConfigurationError: `product` does not fit into 31 octets, or is no ASCII.
    """
    if not product or not product.isascii():
        raise ConfigurationError("thing.network advertises a product id in ASCII")
    data = product.encode()
    if generation == "old":
        size = next((each for each in _OLD_SIZES if each >= len(data)), None)
        if size is None:
            raise ConfigurationError(f"the product id has {len(data)} characters, more than {_OLD_SIZES[-1]}")
        data = data.ljust(size, b"\0")
    service = b"\x16\x01\xa1" + bytes([by_product_key]) + data
    return _fitting(b"\x02\x01\x06\x03\x02\x01\xa1" + bytes([len(service)]) + service, "the product id")


def scan_response(
    ident: bytes,
    *,
    flags: int = 0,
    protocol: int = DUAL,
    encrypt: int = PLAIN,
    capability: int = Capability.REGISTERS_BY_BLE | Capability.WIFI_2_4_GHZ,
    by_mac: bool = False,
    name: str = "RY",
) -> bytes:
    """The scan response: a name, and manufacturer data of company 0000.

    Args:
        ident: The device's UUID as ASCII octets or its MAC address, at most 19 octets; 17 beside the name.
        flags: As `state_flags` gives them.
        protocol: 03 dual, 04 Bluetooth alone; 10 and 11 the same with a dynamic MTU, 15 for version 1.5.
        encrypt: 02 none; the other values are not described well enough to be spoken.
        capability: What the device can do.
        by_mac: `ident` is the MAC address.
        name: Phones look for "RY".

    Raises:
        ConfigurationError: It is more than 31 octets.
    """
    if not 1 <= len(ident) <= _ID_MAX:
        raise ConfigurationError(f"the advertised id has {len(ident)} octets, not 1 to {_ID_MAX}")
    local = name.encode()
    named = bytes([1 + len(local), 0x09]) + local if local else b""
    maker = b"\xff\0\0" + bytes([flags, protocol, encrypt]) + int(capability).to_bytes(2, "big")
    maker += bytes([by_mac]) + ident
    return _fitting(named + bytes([len(maker)]) + maker, "name and id")


def _fitting(data: bytes, what: str) -> bytes:
    if len(data) > ADVERTISING_MAX:
        raise ConfigurationError(
            f"{what} make {len(data)} octets of advertisement, more than {ADVERTISING_MAX}",
            hint="Choose a shorter one.",
        )
    return data


def thing_profile(advertisement: bytes, response: bytes) -> GattProfile:
    """The service 1910 with what `advertising` and `scan_response` gave."""
    return GattProfile(
        service="1910",
        characteristics={
            "2b10": frozenset({"notify"}),
            "2b11": frozenset({"write", "write-without-response"}),
        },
        advertising=advertisement,
        scan_response=response,
    )
