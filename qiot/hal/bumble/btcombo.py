"""Tencent BT-Combo on a bare controller."""

from __future__ import annotations

from qiot.hal.contract import BtCombo, Gatt
from qiot.wifi_config.ble_codecs import codec_factory
from qiot.wifi_config.drivers.gatt import GattListener

__all__ = ["BumbleBtCombo"]


class BumbleBtCombo(GattListener, BtCombo):
    """BT-Combo by software over this platform's GATT server."""

    def __init__(self, gatt: Gatt) -> None:
        super().__init__(gatt, codec_factory("bt_combo", gatt), method="bt_combo")
