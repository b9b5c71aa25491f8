"""Tencent BT-Combo by software, for platforms that have a GATT server."""

from __future__ import annotations

from qiot.hal.contract import BtCombo, Gatt, Wifi
from qiot.wifi_config.ble_codecs import codec_factory
from qiot.wifi_config.drivers.gatt import GattListener

__all__ = ["GattBtCombo"]


class GattBtCombo(GattListener, BtCombo):
    """BT-Combo over a platform's GATT server.

    Args:
        gatt: The GATT server.
        wifi: The station, where there is one.
    """

    def __init__(self, gatt: Gatt, wifi: Wifi | None = None) -> None:
        super().__init__(gatt, codec_factory("bt_combo", gatt, wifi), method="bt_combo")
