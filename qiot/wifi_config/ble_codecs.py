"""Which codec a Bluetooth method speaks, made from what a listener knows of its device."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from typing import Final, TypeAlias

from qiot.errors import ConfigurationError, NotSupportedError
from qiot.hal.contract import Gatt, GattProfile, ListenContext, Wifi
from qiot.protocols.base import Codec
from qiot.wifi_config.drivers.gatt import CodecFactory

__all__ = ["codec_factory"]

_Maker: TypeAlias = Callable[[ListenContext, bytes, bytes], tuple[GattProfile, Codec]]
"""From the context, the Bluetooth address and the station's address, six octets each."""

_MAKERS: Final[Mapping[str, str]] = {
    "blufi": "qiot.wifi_config.ble_makers:make_blufi",
    "bt_combo": "qiot.wifi_config.ble_makers:make_bt_combo",
    "llsync": "qiot.wifi_config.ble_makers:make_llsync",
    "thing": "qiot.wifi_config.ble_makers:make_thing",
}
"""Where each method's codec is; imported when it is used."""

_UNKNOWN_MAC: Final = bytes(6)


def codec_factory(method: str, gatt: Gatt, wifi: Wifi | None = None) -> CodecFactory:
    """A factory for `GattListener`.

    Args:
        method: Name of a Bluetooth method.
        gatt: Where it is served; its address goes into some advertisements.
        wifi: The station, whose address some protocols tell; None where there is none.
    """

    async def make(context: ListenContext) -> tuple[GattProfile, Codec]:
        maker = _maker(method)
        ble = _mac(await gatt.address())
        station = _mac(await wifi.address()) if wifi is not None else _UNKNOWN_MAC
        try:
            return maker(context, ble, station)
        except ValueError as error:
            raise ConfigurationError(f"{method}: {error}") from None

    return make


def _maker(method: str) -> _Maker:
    place = _MAKERS.get(method)
    if place is None:
        raise NotSupportedError(f"{method}: there is no codec for it in this version")
    module, _, name = place.partition(":")
    maker: _Maker = getattr(importlib.import_module(module), name)
    return maker


def _mac(text: str) -> bytes:
    """Six octets of "AA:BB:CC:DD:EE:FF"; zeros where it is not known."""
    return bytes.fromhex(text.replace(":", "")) if text else _UNKNOWN_MAC
