"""Realtek Simple Config on Linux: the sniffer that the air's methods share (`HAL_SimpleConfig`)."""

from __future__ import annotations

from qiot.wifi_config.drivers.air_listener import SimpleConfigByAir

__all__ = ["LinuxSimpleConfig"]


class LinuxSimpleConfig(SimpleConfigByAir):
    """Realtek Simple Config, by monitor mode."""
