"""ESP-TOUCH on the mock, played from the world's script."""

from __future__ import annotations

from qiot.hal.contract import SmartConfig
from qiot.hal.mock.scripted import ScriptedListener

__all__ = ["MockSmartConfig"]


class MockSmartConfig(ScriptedListener, SmartConfig):
    """A chip that listens to ESP-TOUCH by itself."""

    method = "smart_config"
