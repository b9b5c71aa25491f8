"""BlueZ's names on D-Bus (its documents doc/*-api.txt)."""

from __future__ import annotations

from typing import Final

BLUEZ: Final = "org.bluez"
ADAPTER: Final = "org.bluez.Adapter1"
DEVICE: Final = "org.bluez.Device1"
GATT_MANAGER: Final = "org.bluez.GattManager1"
GATT_SERVICE: Final = "org.bluez.GattService1"
GATT_CHARACTERISTIC: Final = "org.bluez.GattCharacteristic1"
ADVERTISING_MANAGER: Final = "org.bluez.LEAdvertisingManager1"
ADVERTISEMENT: Final = "org.bluez.LEAdvertisement1"
OBJECT_MANAGER: Final = "org.freedesktop.DBus.ObjectManager"
PROPERTIES: Final = "org.freedesktop.DBus.Properties"
INTROSPECTABLE: Final = "org.freedesktop.DBus.Introspectable"
ROOT: Final = "/org/bluez"


def adapter_path(adapter: str) -> str:
    """The object of "hci0"."""
    return f"{ROOT}/{adapter}"


def device_address(path: str) -> str:
    """The address that a device's object is named after, "AA:BB:CC:DD:EE:FF"."""
    return path.rpartition("/dev_")[2].replace("_", ":")
