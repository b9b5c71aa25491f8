"""A thing.network device, and what goes into it and comes out."""

from __future__ import annotations

import json

from qiot.model import Event, Failure, Outcome, Reason, Secret, Step
from qiot.protocols.ble.thing import ThingDevice
from qiot.protocols.ble.thing_frames import Assembler, frames
from tests.protocols.ble.pair import PHONE, event, sent

NOW = 1721192794
SET = {
    "type": "thing.network.set",
    "data": {
        "force_bind": False,
        "country": "US",
        "mq": "testmqtt.protco.in",
        "port": 1883,
        "tz": "Asia/Kolkata",
        "pw": "123**4567",
        "bid": "1740300523660267520",
        "userId": "us1689940117281427456",
        "sid": "TplinkPT",
    },
}
"""The seed's own request."""


def device(**options) -> ThingDevice:
    options = {
        "product_id": "fFMes8kzaLRHMy",
        "uuid": "rn01b55A74fa0c16",
        "secret": Secret("bd2625eb1fa0499ea60aadd09ae0a184"),
        "wifi_mac": "44:4a:d6:0a:ba:a9",
        "ble_mac": "44:4a:d6:0a:ba:aa",
        "random": lambda count: bytes(range(count)),
        "wall": lambda: float(NOW),
        **options,
    }
    return ThingDevice(**options)


def said(outputs) -> list[dict]:
    """The messages among outputs."""
    parts = Assembler()
    messages = [parts.feed(frame) for frame in sent(outputs)]
    return [json.loads(message) for message in messages if message is not None]


def ask(codec, message, peer=PHONE, now=0.0) -> list:
    data = message if isinstance(message, bytes) else json.dumps(message).encode()
    outputs = []
    for frame in frames(data):
        outputs += codec.feed("2b11", frame, peer, now)
    return outputs


def code_of(outputs) -> list[int]:
    return [message["code"] for message in said(outputs) if "code" in message]


def setting(**changes) -> dict:
    """The seed's request with fields changed; None takes one out."""
    data = {name: value for name, value in (SET["data"] | changes).items() if value is not ...}
    return SET | {"data": data}


def failed(step: Step, reason: Reason) -> Event:
    return event(step, Outcome.FAILED, failure=Failure(step, reason))
