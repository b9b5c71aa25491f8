"""qiot on an ESP8266 with Tencent's AT firmware: `--hal esp-at:/dev/ttyUSB0`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from qiot_esp_at.platform import EspAtPlatform

__all__ = ["EspAtPlatform"]


def __getattr__(name: str) -> Any:
    """Load the platform when it is asked for."""
    if name != "EspAtPlatform":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from qiot_esp_at.platform import EspAtPlatform

    return EspAtPlatform
