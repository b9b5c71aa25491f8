"""Bluetooth without BlueZ: a bare controller on USB or a serial port, run by bumble; loaded when chosen."""

from qiot.hal.bumble.platform import BumblePlatform

__all__ = ["BumblePlatform"]
