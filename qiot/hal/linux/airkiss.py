"""AirKiss on Linux: the sniffer that the air's methods share, and decoders (`HAL_AirkissConfig`)."""

from __future__ import annotations

from qiot.wifi_config.drivers.air_listener import AirKissByAir

__all__ = ["LinuxAirKiss"]


class LinuxAirKiss(AirKissByAir):
    """AirKiss, by monitor mode."""
