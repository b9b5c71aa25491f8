"""Codecs as `qiot.protocols.base` has them: any input, events and time in any order give outputs.

The first octet of an input chooses a row of `CODECS`, the rest are steps: three octets that say what, to whom
and how long, and the octets that are fed.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import Final

from harness import fuzz, instrumented

with instrumented():
    from codecs_of_qiot import CODECS, Row

    from qiot.errors import ProtocolError
    from qiot.model import Event, Failure, Outcome, Peer, Reason, Step
    from qiot.protocols.base import Answer, Codec, Connected, Input, Lost, Mtu, Subscribed
    from qiot.protocols.lan.air_acks import (
        RealtekReport,
        RealtekRequest,
        parse_airkiss_ack,
        parse_esptouch_ack,
        parse_esptouch_v2_ack,
    )
    from qiot.protocols.lan.app_message_phone import AppMessagePhone, parse_reply

STEPS_MAX: Final = 64
OUTPUTS_MAX: Final = 10_000
"""Of one input: memory and time are bounded."""
PARSERS = (
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
STEPS: Final = tuple(Step)
OUTCOMES: Final = tuple(Outcome)

# Low halves of a step's first octet; the high half is time.
FEED, CONNECTED, MTU, SUBSCRIBED, LOST, TICK, LOG, NEWS = range(8)


def try_octets(data: bytes) -> None:
    """Play it."""
    if not data:
        return
    _play(CODECS[data[0] % len(CODECS)], data[1:])
    for parse in PARSERS:
        with contextlib.suppress(ProtocolError):
            parse(data)
    phone = AppMessagePhone(b"{}")
    phone.start(0.0)
    phone.feed(data, 0.1)


def _play(row: Row, data: bytes) -> None:
    codec, now, count = row.make(), 0.0, 0
    for _ in range(STEPS_MAX):
        if len(data) < 3:
            break
        what, detail, size = data[0] & 0x07, data[1], data[2]
        now += (data[0] >> 4) ** 2 * 0.05
        octets, data = (data[3 : 3 + size], data[3 + size :]) if what == FEED else (b"", data[3:])
        peer = PEERS[detail % len(PEERS)]
        door = row.doors[detail // 4 % len(row.doors)]
        with contextlib.suppress(ProtocolError):
            count += len(_step(codec, what, detail, octets, door=door, peer=peer, now=now))
        due = codec.deadline()
        assert due is None or due >= 0
        assert count < OUTPUTS_MAX


def _step(
    codec: Codec, what: int, detail: int, octets: bytes, *, door: str, peer: Peer, now: float
) -> Sequence[object]:
    given: dict[int, Input] = {
        FEED: octets,
        CONNECTED: Connected(),
        MTU: Mtu(23 + detail * 2),
        SUBSCRIBED: Subscribed(door, on=bool(detail & 1)),
        LOST: Lost(),
    }
    if what in given:
        return codec.feed(door, given[what], peer, now)
    if what == TICK:
        return codec.tick(now)
    if what == LOG:
        return codec.tell(Answer("log", peer, lines=[b"one\r\n", b"two\r\n" * detail]), now)
    step, outcome = STEPS[detail % len(STEPS)], OUTCOMES[detail // 16 % len(OUTCOMES)]
    ended = outcome in {Outcome.FAILED, Outcome.RETRY}
    failure = Failure(step, Reason.WRONG_PASSWORD, 1) if ended else None
    return codec.tell(Event(1, now, 1, step, outcome, peer, failure, {"ip": "192.168.4.9"}), now)


def seeds() -> list[bytes]:
    """Each codec: a connection, a join, what the other side says, and time."""
    joined = bytes((NEWS, STEPS.index(Step.JOINING) + 16 * OUTCOMES.index(Outcome.OK), 0))
    begin = bytes((CONNECTED, 2, 0, MTU, 80, 0, SUBSCRIBED, 5, 0))
    found = []
    for number, row in enumerate(CODECS):
        feeds = [bytes((FEED, 2, len(octets))) + octets for octets in row.inputs() if len(octets) < 256]
        played = joined + b"".join(feed + bytes((TICK | 0x20, 0, 0)) for feed in feeds)
        found.append(bytes((number,)) + begin + played + bytes((TICK | 0xF0, 0, 0)) * 3)
        found.append(bytes((number,)) + begin + b"".join(feeds) + joined + bytes((LOST, 2, 0)))
    return found


if __name__ == "__main__":
    fuzz(try_octets, seeds)
