"""The codecs that `fuzz_codecs.py` plays with; a new codec is a row here."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Sequence
from typing import Final

import attrs

from qiot.model import AckRecipe, Credentials, Secret
from qiot.protocols.air.results import AIRKISS, ESPTOUCH_V2
from qiot.protocols.base import Codec
from qiot.protocols.ble.blufi import BluFiDevice
from qiot.protocols.ble.blufi_phone import BluFiPhone
from qiot.protocols.ble.btcombo import BtComboDevice
from qiot.protocols.ble.btcombo_phone import BtComboPhone
from qiot.protocols.ble.llsync import LLSyncDevice
from qiot.protocols.ble.llsync_phone import LLSyncPhone
from qiot.protocols.ble.thing import ThingDevice
from qiot.protocols.ble.thing_phone import ThingPhone
from qiot.protocols.lan.air_ack_device import AirAckDevice
from qiot.protocols.lan.air_acks import RealtekRequest
from qiot.protocols.lan.airkiss_lan import AirKissLanDevice
from qiot.protocols.lan.app_message import AppMessageDevice
from qiot.protocols.lan.app_message_phone import log_request
from qiot.protocols.lan.realtek_device import RealtekDevice
from tests.protocols.ble.pair import Pair, session

__all__ = ["CODECS", "Row"]

MAC: Final = b"\x02\0\0\0\0\1"
TOKEN: Final = Secret("0123456789abcdef")
HOME: Final = Credentials(b"Home", Secret("12345678"))
_CONVERSATION: Final = 30.0
"""Seconds that two sides talk for the seeds."""


@attrs.frozen
class Row:
    """One codec.

    Attributes:
        make: Makes it.
        doors: Names of its doors, as `feed` has them: a port's number, a characteristic.
        inputs: Gives what gets far by itself, in order.
    """

    make: Callable[[], Codec]
    doors: Sequence[str]
    inputs: Callable[[], Sequence[bytes]] = tuple


def _json(**fields: object) -> bytes:
    return json.dumps(fields).encode()


def _randomness() -> Callable[[int], bytes]:
    return random.Random(1).randbytes  # noqa: S311 - inputs have to break twice what they broke once


def _both(
    device: Callable[[], Codec], phone: Callable[[], Codec], write: str, notify: str
) -> tuple[Row, Row]:
    """The two sides of one BLE protocol; what one says to the other is what the other is begun with."""

    def said(side: str) -> Sequence[bytes]:
        pair = Pair(device(), phone(), notify=notify, mtu=185, answer=session())
        pair.connect()
        pair.wait(_CONVERSATION)
        return [data for speaker, _, data in pair.trace if speaker == side]

    return (
        Row(device, (write, notify), lambda: said("phone")),
        Row(phone, (notify, write), lambda: said("device")),
    )


def _btcombo(dialect: str) -> tuple[Row, Row]:
    return _both(
        lambda: BtComboDevice(product_id="P1", device_name="D1", dialect=dialect),  # type: ignore[arg-type]
        lambda: BtComboPhone(ssid=b"Home", password=Secret("12345678"), token=TOKEN),
        "ff01",
        "ff02",
    )


def _thing(style: str) -> tuple[Row, Row]:
    return _both(
        lambda: ThingDevice(
            product_id="P1",
            uuid="u1",
            secret=Secret("s"),
            style=style,  # type: ignore[arg-type]
            random=_randomness(),
            wall=lambda: 1.5,
        ),
        lambda: ThingPhone(
            credentials=[HOME],
            scan=True,
            uuid="u1",
            secret=Secret("s"),
            random=_randomness(),
            wall=lambda: 1.5,
        ),
        "2b11",
        "2b10",
    )


CODECS: Final[Sequence[Row]] = (
    Row(
        lambda: AppMessageDevice(product_id="P1", device_name="D1", proto_version="3.0"),
        ("command",),
        lambda: [
            _json(cmdType=1, ssid="Home", password="12345678", token="t"),  # noqa: S106
            _json(cmdType=0, token="t"),  # noqa: S106
            log_request(),
        ],
    ),
    Row(
        lambda: AirAckDevice(AckRecipe(ESPTOUCH_V2, 18266, b"\0"), method="smart_config", mac=MAC),
        ("7001", "7002"),
        lambda: [b"\1"],
    ),
    Row(lambda: AirAckDevice(AckRecipe(AIRKISS, 10000, b"\7"), method="airkiss", mac=MAC), ("10001",)),
    Row(
        lambda: AirKissLanDevice(device_type="gh_1", device_id="D1"),
        ("12476",),
        lambda: [bytes.fromhex("fd01fefc001000010000001000000001")],
    ),
    Row(
        lambda: RealtekDevice(name="D1", mac=MAC),
        ("8864", "18864"),
        lambda: [
            RealtekRequest.make(ask, bytes(64), b"57289961", user_pin=b"1", name="N").build()
            for ask in (0, 2, 3, 4)
        ],
    ),
    *_both(
        lambda: BluFiDevice(random=_randomness(), product_id="P1", device_name="D1"),
        lambda: BluFiPhone(random=_randomness(), ssid=b"Home", password=Secret("12345678"), token=TOKEN),
        "ff01",
        "ff02",
    ),
    *_both(
        lambda: BluFiDevice(random=_randomness(), product_id="P1", device_name="D1", version="1.4"),
        lambda: BluFiPhone(random=_randomness(), ssid=b"Home", security=False, token=TOKEN),
        "ff01",
        "ff02",
    ),
    *_btcombo("v1"),
    *_btcombo("v2"),
    *_btcombo("v3"),
    *_both(
        lambda: LLSyncDevice(device_name="D1"),
        lambda: LLSyncPhone(credentials=[HOME], token=TOKEN, log=True),
        "ffe1",
        "ffe3",
    ),
    *_thing("protco"),
    *_thing("sentino"),
)
