"""AirKiss on the mock, played from the world's script."""

from __future__ import annotations

from qiot.hal.contract import AirKiss
from qiot.hal.mock.scripted import ScriptedListener

__all__ = ["MockAirKiss"]


class MockAirKiss(ScriptedListener, AirKiss):
    """A chip that listens to AirKiss by itself."""

    method = "airkiss"
