"""AirKiss on the mock: played from the world's script, else heard in its air."""

from __future__ import annotations

from qiot.hal.contract import AirKiss
from qiot.hal.mock.by_air import FailingStart
from qiot.hal.mock.scripted import ScriptedListener
from qiot.wifi_config.drivers.air_listener import AirKissByAir

__all__ = ["MockAirKiss", "MockAirKissByAir"]


class MockAirKiss(ScriptedListener, AirKiss):
    """A chip that listens to AirKiss by itself."""

    method = "airkiss"


class MockAirKissByAir(FailingStart, AirKissByAir):
    """AirKiss, heard by the mock's sniffer."""
