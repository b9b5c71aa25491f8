"""Realtek Simple Config on the mock, played from the world's script."""

from __future__ import annotations

from qiot.hal.contract import SimpleConfig
from qiot.hal.mock.scripted import ScriptedListener

__all__ = ["MockSimpleConfig"]


class MockSimpleConfig(ScriptedListener, SimpleConfig):
    """A chip that listens to Realtek Simple Config by itself."""

    method = "simple_config"
