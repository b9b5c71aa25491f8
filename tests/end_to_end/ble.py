"""A phone with Bluetooth in the world of a mock device."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import AsyncIterator, Sequence
from functools import partial
from typing import Any

import attrs

from qiot.hal.mock import MockPlatform
from qiot.model import Credentials, Secret
from qiot.protocols.base import Codec, Learned
from qiot.protocols.ble.blufi_phone import BluFiPhone
from qiot.protocols.ble.btcombo_phone import BtComboPhone
from qiot.protocols.ble.llsync_phone import LLSyncPhone
from qiot.testbed.ble_link import CodecRunner, Wanted
from qiot.testbed.ble_link.on_bumble import BumbleCentral
from tests.end_to_end.support import HOME, PASSWORD


@attrs.frozen
class Protocol:
    """What a phone has to know."""

    method: str
    service: str
    notify: str


PROTOCOLS = {
    "blufi": Protocol("blufi", "ffff", "ff02"),
    "bt_combo": Protocol("bt_combo", "ffff", "ff02"),
    "llsync": Protocol("llsync", "fff0", "ffe3"),
}


def codec_of(
    method: str,
    token: str | None,
    ssid: str = HOME,
    passwords: Sequence[str] = (PASSWORD,),
    **options: Any,
) -> Codec:
    """The phone's side, with a password for each try."""
    first, *retries = (Secret(each) for each in passwords)
    given = None if token is None else Secret(token)
    if method == "llsync":
        credentials = [Credentials(ssid.encode(), each) for each in (first, *retries)]
        return LLSyncPhone(credentials=credentials, token=given, **options)
    if method == "blufi":
        options.setdefault("random", secrets.token_bytes)
        return BluFiPhone(ssid=ssid.encode(), password=first, retries=retries, token=given, **options)
    return BtComboPhone(ssid=ssid.encode(), password=first, retries=retries, token=given, **options)


@attrs.define
class BlePhone:
    """One phone.

    Attributes:
        central: Its Bluetooth.
        learned: What it learned, in order.
    """

    central: BumbleCentral
    learned: list[Learned] = attrs.field(factory=list)

    def runner(self, method: str, codec: Codec, **options: Any) -> CodecRunner:
        protocol = PROTOCOLS[method]
        return CodecRunner(
            self.central,
            codec,
            method=method,
            notify=[protocol.notify],
            on_learned=self.learned.append,
            **options,
        )

    async def provision(self, method: str, codec: Codec, **options: Any) -> Learned:
        """From the scan to the phone's last word."""
        runner = self.runner(method, codec, **options)
        await runner.connect(Wanted(service=PROTOCOLS[method].service))
        return await runner.run()


@contextlib.asynccontextmanager
async def ble_phone(platform: MockPlatform) -> AsyncIterator[BlePhone]:
    """A phone near the device."""
    air = platform.world.bluetooth
    async with BumbleCentral(partial(air.device, air.address(), "phone")) as central:
        yield BlePhone(central)
