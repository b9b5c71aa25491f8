"""Codecs as `qiot.protocols.base` has them: any input, events and time in any order give outputs.

A row of `CODECS` makes a codec and names its doors; a BLE codec's doors are its characteristics. The first
octet of an input chooses the row, the rest are steps.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Sequence
from typing import Final

import attrs
from harness import fuzz, instrumented

with instrumented():
    from qiot.errors import ProtocolError
    from qiot.model import AckRecipe, Event, Failure, Outcome, Peer, Reason, Step
    from qiot.protocols.air.results import AIRKISS, ESPTOUCH_V2
    from qiot.protocols.base import Answer, Codec, Connected, Input, Lost, Mtu, Subscribed
    from qiot.protocols.lan.air_ack_device import AirAckDevice
    from qiot.protocols.lan.air_acks import (
        RealtekReport,
        RealtekRequest,
        parse_airkiss_ack,
        parse_esptouch_ack,
        parse_esptouch_v2_ack,
    )
    from qiot.protocols.lan.airkiss_lan import AirKissLanDevice
    from qiot.protocols.lan.app_message import AppMessageDevice
    from qiot.protocols.lan.app_message_phone import AppMessagePhone, log_request, parse_reply
    from qiot.protocols.lan.realtek_device import RealtekDevice

MAC: Final = b"\x02\0\0\0\0\1"
STEPS_MAX: Final = 64
OUTPUTS_MAX: Final = 10_000
"""Of one input: memory and time are bounded."""


@attrs.frozen
class Row:
    """One codec.

    Attributes:
        make: Makes it.
        doors: Names of its doors, as `feed` has them.
        inputs: What gets far by itself.
    """

    make: Callable[[], Codec]
    doors: Sequence[str]
    inputs: Sequence[bytes] = ()


def _json(**fields: object) -> bytes:
    return json.dumps(fields).encode()


CODECS: Final = (
    Row(
        lambda: AppMessageDevice(product_id="P1", device_name="D1", proto_version="3.0"),
        ("command",),
        [
            _json(cmdType=1, ssid="Home", password="12345678", token="t"),  # noqa: S106
            _json(cmdType=0, token="t"),  # noqa: S106
            log_request(),
        ],
    ),
    Row(
        lambda: AirAckDevice(AckRecipe(ESPTOUCH_V2, 18266, b"\0"), method="smart_config", mac=MAC),
        ("7001", "7002"),
        [b"\1"],
    ),
    Row(lambda: AirAckDevice(AckRecipe(AIRKISS, 10000, b"\7"), method="airkiss", mac=MAC), ("10001",)),
    Row(
        lambda: AirKissLanDevice(device_type="gh_1", device_id="D1"),
        ("12476",),
        [bytes.fromhex("fd01fefc001000010000001000000001")],
    ),
    Row(
        lambda: RealtekDevice(name="D1", mac=MAC),
        ("8864", "18864"),
        [
            RealtekRequest.make(ask, bytes(64), b"57289961", user_pin=b"1", name="N").build()
            for ask in (0, 2, 3, 4)
        ],
    ),
)

PARSERS: Final[Sequence[Callable[[bytes], object]]] = (
    parse_esptouch_ack,
    parse_esptouch_v2_ack,
    parse_airkiss_ack,
    RealtekReport.parse,
    RealtekRequest.parse,
    parse_reply,
)

PEERS: Final = (
    Peer("soft_ap", "192.168.4.2:8266"),
    Peer("soft_ap", "192.168.4.3:8266"),
    Peer("ble", "02:00:00:00:00:02", 1),
)
_STEPS: Final = tuple(Step)
_OUTCOMES: Final = tuple(Outcome)


def try_octets(data: bytes) -> None:
    """Play it."""
    if not data:
        return
    row = CODECS[data[0] % len(CODECS)]
    _play(row, data[1:])
    for parse in PARSERS:
        try:
            parse(data)
        except ProtocolError:
            continue
    phone = AppMessagePhone(b"{}")
    phone.start(0.0)
    phone.feed(data, 0.1)


def _play(row: Row, data: bytes) -> None:
    codec, now, count = row.make(), 0.0, 0
    for _ in range(STEPS_MAX):
        if len(data) < 3:
            break
        kind, detail, size = data[:3]
        data = data[3:]
        peer = PEERS[detail % len(PEERS)]
        door = row.doors[detail // 4 % len(row.doors)]
        now += (kind >> 4) * 0.05
        with contextlib.suppress(ProtocolError):
            count += len(_step(codec, kind & 0x0F, detail, data[:size], door=door, peer=peer, now=now))
        if kind & 0x0F < 8:
            data = data[size:]
        due = codec.deadline()
        assert due is None or due >= 0
        assert count < OUTPUTS_MAX


def _step(
    codec: Codec, kind: int, detail: int, octets: bytes, *, door: str, peer: Peer, now: float
) -> Sequence[object]:
    given: dict[int, Input] = {
        4: Connected(),
        5: Mtu(23 + detail * 2),
        6: Subscribed(door, on=bool(detail & 1)),
        7: Lost(),
    }
    if kind < 8:
        return codec.feed(door, given.get(kind, octets), peer, now)
    if kind < 10:
        return codec.tick(now)
    if kind == 10:
        return codec.tell(Answer("log", peer, lines=[octets]), now)
    step, outcome = _STEPS[detail % len(_STEPS)], _OUTCOMES[detail // 16 % len(_OUTCOMES)]
    failure = None
    if outcome in {Outcome.FAILED, Outcome.RETRY}:
        failure = Failure(step, Reason.WRONG_PASSWORD, 1)
    return codec.tell(Event(1, now, 1, step, outcome, peer, failure, {"ip": "192.168.4.9"}), now)


def seeds() -> list[bytes]:
    """Each codec: a join, its inputs, time."""
    joined = bytes((0x0F, _STEPS.index(Step.JOINING) + 16 * _OUTCOMES.index(Outcome.OK), 0))
    found = []
    for number, row in enumerate(CODECS):
        for octets in (b"\1", *row.inputs):
            feed = bytes((0x00, 0, len(octets))) + octets
            other = bytes((0x20, 4, len(octets))) + octets
            found.append(bytes((number,)) + joined + feed + b"\x88\0\0" + other + b"\xf8\0\0" * 3)
    return found


if __name__ == "__main__":
    fuzz(try_octets, seeds)
