"""The codecs of the Bluetooth methods, made with a listener's options; imported when one is made.

| method | option | values |
|---|---|---|
| all | `ble_name` | name in the scan response, 1 to 29 octets |
| blufi | `blufi_version` | 1.2, 1.3 (default) or 1.4, which takes security version 2 alone |
| blufi | `encrypted_only` | `yes` takes credentials only encrypted |
| bt_combo | `dialect` | v1, v2 (default) or v3 |
| llsync | `llsync_mtu` | the ATT MTU that the phone is asked to set, 23 to 517 (default 128) |
| thing | `style` | protco (default) or sentino |
| thing | `sign_method` | hmacSha1 (default) or hmacSha256 |
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Sequence
from typing import Final, Literal, cast

from qiot.errors import ConfigurationError
from qiot.hal.contract import GattProfile, ListenContext
from qiot.protocols.base import Codec

__all__ = ["make_blufi", "make_bt_combo", "make_llsync", "make_thing"]

_NAME_MAX: Final = 29


def make_blufi(context: ListenContext, ble: bytes, station: bytes) -> tuple[GattProfile, Codec]:
    """Espressif's BluFi."""
    from qiot.protocols.ble.blufi import BluFiDevice, blufi_profile

    del ble, station
    version = _choice(context, "blufi_version", ("1.3", "1.2", "1.4"))
    codec = BluFiDevice(
        random=secrets.token_bytes,
        version=cast("Literal['1.2', '1.3', '1.4']", version),
        product_id=context.product_id,
        device_name=context.device_name,
        encrypted_only=_choice(context, "encrypted_only", ("no", "yes")) == "yes",
    )
    return blufi_profile(context.options.get("ble_name", "BLUFI_DEVICE")), codec


def make_bt_combo(context: ListenContext, ble: bytes, station: bytes) -> tuple[GattProfile, Codec]:
    """Tencent's BT-Combo."""
    from qiot.protocols.ble.btcombo import BtComboDevice
    from qiot.protocols.ble.btcombo_wire import btcombo_profile

    del ble, station
    dialect = _choice(context, "dialect", ("v2", "v1", "v3"))
    codec = BtComboDevice(
        product_id=context.product_id,
        device_name=context.device_name,
        dialect=cast("Literal['v1', 'v2', 'v3']", dialect),
    )
    return btcombo_profile(context.options.get("ble_name", "BLECOMBO")), codec


def make_llsync(context: ListenContext, ble: bytes, station: bytes) -> tuple[GattProfile, Codec]:
    """Tencent's LLSync, assisted provisioning."""
    from qiot.protocols.ble.llsync import LLSyncDevice
    from qiot.protocols.ble.llsync_frames import llsync_profile

    del station
    name = context.options.get("ble_name") or _cut(context.device_name)
    profile = llsync_profile(product_id=context.product_id, mac=ble, name=name)
    return profile, LLSyncDevice(device_name=context.device_name, mtu=_number(context, "llsync_mtu", 128))


def make_thing(context: ListenContext, ble: bytes, station: bytes) -> tuple[GattProfile, Codec]:
    """thing.network's provisioning."""
    from qiot.protocols.ble.thing import ThingDevice
    from qiot.protocols.ble.thing_advertising import advertising, scan_response, state_flags, thing_profile

    style = _choice(context, "style", ("protco", "sentino"))
    ident = context.device_name.encode()
    flags = state_flags(provisioning=True, bound=context.bound, wifi_connected=False)
    codec = ThingDevice(
        product_id=context.product_id,
        uuid=context.device_name,
        random=secrets.token_bytes,
        wall=time.time,
        secret=context.secret,
        wifi_mac=_colons(station),
        ble_mac=_colons(ble),
        version=context.version or "1.0.0",
        bound=context.bound,
        style=cast("Literal['protco', 'sentino']", style),
        sign_method=_choice(context, "sign_method", ("hmacSha1", "hmacSha256")),
    )
    if len(ident) > _THING_ID_MAX:  # it does not fit beside the name
        response = scan_response(ble, flags=flags, by_mac=True)
    else:
        response = scan_response(ident, flags=flags)
    return thing_profile(advertising(context.product_id), response), codec


_THING_ID_MAX: Final = 17


def _choice(context: ListenContext, option: str, known: Sequence[str]) -> str:
    """The option's value; the first of the known ones where it is not given.

    Raises:
        ConfigurationError: It is another one.
    """
    given = context.options.get(option, known[0])
    if given not in known:
        raise ConfigurationError(f"option {option}={given!r}", hint=f"Known are {', '.join(sorted(known))}.")
    return given


def _number(context: ListenContext, option: str, usual: int) -> int:
    given = context.options.get(option, str(usual))
    try:
        return int(given)
    except ValueError:
        raise ConfigurationError(f"option {option}={given!r} is no number") from None


def _cut(name: str) -> str:
    """As much of a name as fits into a scan response, in whole characters."""
    return name.encode()[:_NAME_MAX].decode(errors="ignore")


def _colons(mac: bytes) -> str:
    """The address as phones show it; empty where it is not known."""
    return mac.hex(":") if any(mac) else ""
