"""The simulated phone of thing.network, and a device for it: the vendor's app at the local cloud."""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from qiot.device_info import Cloud, DeviceInfo
from qiot.model import Credentials, Secret

if TYPE_CHECKING:  # a device that has no use for them does not load them
    from qiot.protocols.base import Codec
    from qiot.sim.world import World
    from qiot.testbed.phone import PhoneResult

__all__ = ["DEMO_ENTRY", "METHOD", "demo_identity", "provision_thing"]

METHOD: Final = "thing"
"""The method, as --method names it."""
DEMO_ENTRY: Final[Mapping[str, object]] = {
    "cloud": "rlink",
    "productId": "qiotdemothing",
    "deviceName": "rn01qiotdemo0001",
    "key_deviceinfo": {"deviceSecret": "qiot-demo-device-secret-of-thing"},
}
"""The built-in device, as the local cloud reads it; its secret is public and good for nothing else."""

_SERVICE: Final = "a101"
_NOTIFY: Final = "2b10"


def demo_identity() -> DeviceInfo:
    """The built-in device."""
    return DeviceInfo(
        product_id=str(DEMO_ENTRY["productId"]),
        device_name=str(DEMO_ENTRY["deviceName"]),
        device_secret=Secret("qiot-demo-device-secret-of-thing"),
        cloud=Cloud.RLINK,
    )


async def provision_thing(
    world: World,
    *,
    ssid: str,
    password: str,
    mqtt_url: str,
    tell: Callable[[Mapping[str, object]], None],
) -> PhoneResult:
    """Give the device network, owner and broker over Bluetooth, and wait until it says that it is bound.

    Args:
        world: Where the device is.
        ssid: The network that the phone sends.
        password: The password that the phone sends.
        mqtt_url: The broker that the device is told.
        tell: Is told every step.
    """
    from qiot.testbed.ble_link import Wanted
    from qiot.testbed.ble_link.on_bumble import BumbleCentral
    from qiot.testbed.phone import PhoneResult
    from qiot.testbed.phone.ble_phone import BlePhone

    credentials = Credentials(os.fsencode(ssid), Secret(os.fsencode(password)))
    phone = BlePhone(
        BumbleCentral(partial(world.bluetooth.device, world.bluetooth.address(), "phone")),
        METHOD,
        Wanted(service=_SERVICE),
        [_NOTIFY],
        partial(_codec, credentials, mqtt_url),
        on_event=tell,
        hidden=[credentials.password],
    )
    result = await phone.run()
    return PhoneResult(bound=not result.error, answered=bool(result.learned), error=result.error)


def _codec(credentials: Credentials, mqtt_url: str, token: Secret | None) -> Codec:
    from qiot.protocols.ble.thing_phone import ThingPhone

    del token  # the app makes the bind id itself
    broker = urlsplit(mqtt_url)
    return ThingPhone(
        random=secrets.token_bytes,
        wall=time.time,
        credentials=[credentials],
        bid=Secret(str(secrets.randbelow(10**19))),
        user_id="demo-user",
        mq=broker.hostname or "",
        port=broker.port or 1883,
        scan=True,
    )
