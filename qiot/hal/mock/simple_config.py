"""Realtek Simple Config on the mock: played from the world's script, else heard in its air."""

from __future__ import annotations

from qiot.hal.contract import SimpleConfig
from qiot.hal.mock.by_air import FailingStart
from qiot.hal.mock.scripted import ScriptedListener
from qiot.wifi_config.drivers.air_listener import SimpleConfigByAir

__all__ = ["MockSimpleConfig", "MockSimpleConfigByAir"]


class MockSimpleConfig(ScriptedListener, SimpleConfig):
    """A chip that listens to Realtek Simple Config by itself."""

    method = "simple_config"


class MockSimpleConfigByAir(FailingStart, SimpleConfigByAir):
    """Realtek Simple Config, heard by the mock's sniffer."""
