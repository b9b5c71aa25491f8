"""Tencent BT-Combo on Linux: by software over BlueZ."""

from qiot.wifi_config.drivers.btcombo import GattBtCombo as LinuxBtCombo

__all__ = ["LinuxBtCombo"]
