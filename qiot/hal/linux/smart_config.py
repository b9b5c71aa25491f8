"""ESP-TOUCH on Linux: the sniffer that the air's methods share, and decoders (`HAL_SmartConfig`)."""

from __future__ import annotations

from qiot.wifi_config.drivers.air_listener import SmartConfigByAir

__all__ = ["LinuxSmartConfig"]


class LinuxSmartConfig(SmartConfigByAir):
    """ESP-TOUCH (versions 1 and 2), by monitor mode."""
