"""ESP-TOUCH on the mock: played from the world's script, else heard in its air."""

from __future__ import annotations

from qiot.hal.contract import SmartConfig
from qiot.hal.mock.by_air import FailingStart
from qiot.hal.mock.scripted import ScriptedListener
from qiot.wifi_config.drivers.air_listener import SmartConfigByAir

__all__ = ["MockSmartConfig", "MockSmartConfigByAir"]


class MockSmartConfig(ScriptedListener, SmartConfig):
    """A chip that listens to ESP-TOUCH by itself."""

    method = "smart_config"


class MockSmartConfigByAir(FailingStart, SmartConfigByAir):
    """ESP-TOUCH (versions 1 and 2), heard by the mock's sniffer."""
