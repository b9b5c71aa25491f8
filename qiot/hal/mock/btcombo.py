"""Tencent BT-Combo on the mock, played from the world's script."""

from __future__ import annotations

from qiot.hal.contract import BtCombo
from qiot.hal.mock.scripted import ScriptedListener

__all__ = ["MockBtCombo"]


class MockBtCombo(ScriptedListener, BtCombo):
    """A chip that listens to Tencent BT-Combo by itself."""

    method = "bt_combo"
