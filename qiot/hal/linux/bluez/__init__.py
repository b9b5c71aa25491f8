"""Bluetooth by BlueZ: over D-Bus, and the kernel's management socket where D-Bus cannot say it."""

from qiot.hal.linux.bluez.gatt import BluezGatt

__all__ = ["BluezGatt"]
