"""The simulated phone of the Bluetooth methods: it is on the mock's own air."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Final

from qiot.model import Credentials, Secret

if TYPE_CHECKING:  # a device that has no use for them does not load them
    from qiot.protocols.base import Codec
    from qiot.sim.world import World
    from qiot.testbed.phone import PhoneResult

__all__ = ["BLE_METHODS", "provision_over_bluetooth"]

BLE_METHODS: Final[Mapping[str, tuple[str, str]]] = {
    "blufi": ("ffff", "ff02"),
    "bt_combo": ("ffff", "ff02"),
    "llsync": ("fff0", "ffe3"),
}
"""Methods that this phone speaks, as --method names them, each with service and characteristic."""


async def provision_over_bluetooth(
    world: World,
    method: str,
    *,
    ssid: str,
    password: str,
    app_url: str,
    tell: Callable[[Mapping[str, object]], None],
) -> PhoneResult:
    """Give the device network and token over Bluetooth, and ask the cloud until it is bound.

    Args:
        world: Where the device is.
        method: One of `BLE_METHODS`.
        ssid: The network that the phone sends.
        password: The password that the phone sends.
        app_url: URL of the application's API.
        tell: Is told every step.
    """
    from qiot.testbed.ble_link import Wanted
    from qiot.testbed.ble_link.on_bumble import BumbleCentral
    from qiot.testbed.phone import PhoneResult
    from qiot.testbed.phone.ble_phone import BlePhone

    service, notify = BLE_METHODS[method]
    credentials = Credentials(os.fsencode(ssid), Secret(os.fsencode(password)))
    phone = BlePhone(
        BumbleCentral(partial(world.bluetooth.device, world.bluetooth.address(), "phone")),
        method,
        Wanted(service=service),
        [notify],
        partial(_codec, method, credentials),
        app_url=app_url,
        on_event=tell,
        hidden=[credentials.password],
        poll_interval=0.5,
    )
    result = await phone.run()
    return PhoneResult(
        bound=result.bound, answered=bool(result.learned), device_name=result.device_name, error=result.error
    )


def _codec(method: str, credentials: Credentials, token: Secret | None) -> Codec:
    ssid, password = credentials.ssid or b"", credentials.password
    if method == "blufi":
        from qiot.protocols.ble.blufi_phone import BluFiPhone

        return BluFiPhone(random=secrets.token_bytes, ssid=ssid, password=password, token=token)
    if method == "bt_combo":
        from qiot.protocols.ble.btcombo_phone import BtComboPhone

        return BtComboPhone(ssid=ssid, password=password, token=token)
    from qiot.protocols.ble.llsync_phone import LLSyncPhone

    return LLSyncPhone(credentials=[credentials], token=token)
