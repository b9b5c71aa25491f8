"""How the devices of each protocol acknowledge, as the vendors' phones check it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from qiot.errors import ProtocolError
from qiot.protocols.lan.air_acks import (
    AIRKISS_ACK_PORT,
    ESPTOUCH_ACK_PORT,
    ESPTOUCH_ACK_PORT_STEP,
    ESPTOUCH_V2_CONFIRM_PORT,
    NONCE_SIZE,
    REALTEK_ACK_PORT,
    V2_CONFIRMATION,
    JoinedDevice,
    RealtekAsk,
    RealtekCode,
    RealtekReport,
    RealtekRequest,
    parse_airkiss_ack,
    parse_esptouch_ack,
    parse_esptouch_v2_ack,
)
from qiot.testbed.phone.air_phone import Acknowledged, AckRules

__all__ = ["airkiss_rules", "esptouch_rules", "esptouch_v2_rules", "simple_config_rules"]

_DIGITS: Final = ord("1")
"""What the vendors' phones fill their datagrams with, besides ESP-TOUCH v2."""
_PORT_MARKS: Final = range(4)
_CONFIRMATIONS: Final = 2


def _said(device: JoinedDevice) -> Acknowledged:
    return Acknowledged(device.mac or None, device.ip)


def _expect(device: JoinedDevice, token: int, what: str) -> Acknowledged:
    if device.token != token:
        raise ProtocolError(f"an answer to another phone: its {what} is {device.token}, ours {token}")
    return _said(device)


def esptouch_rules(token: int) -> AckRules:
    """ESP-TOUCH v1: eleven octets; listens for 15 s after its 45 s of sending.

    Args:
        token: The datum's total length.
    """

    def check(data: bytes) -> Acknowledged:
        return _expect(parse_esptouch_ack(data), token, "length")

    return AckRules((ESPTOUCH_ACK_PORT,), check, fill=_DIGITS)


def esptouch_v2_rules(port_mark: int | None) -> AckRules:
    """ESP-TOUCH v2: the phone takes the first free port and answers the answer.

    Args:
        port_mark: 0 to 3 for this port and no other, or None.
    """
    marks = _PORT_MARKS if port_mark is None else (port_mark,)
    ports = [ESPTOUCH_ACK_PORT + mark * ESPTOUCH_ACK_PORT_STEP for mark in marks]

    def check(data: bytes) -> Acknowledged:
        return _said(parse_esptouch_v2_ack(data))

    def answers(_: Acknowledged) -> Sequence[tuple[bytes, int]]:
        return [(V2_CONFIRMATION, ESPTOUCH_V2_CONFIRM_PORT)] * _CONFIRMATIONS

    return AckRules(ports, check, answers, patience=2.0)


def airkiss_rules(random_byte: int) -> AckRules:
    """AirKiss: the random byte comes back."""

    def check(data: bytes) -> Acknowledged:
        return _expect(parse_airkiss_ack(data), random_byte, "random byte")

    return AckRules((AIRKISS_ACK_PORT,), check, fill=_DIGITS)


def simple_config_rules(pin: bytes, mac: bytes, randomness: Callable[[int], bytes]) -> AckRules:
    """Realtek Simple Config: a report of success, which the device repeats until the phone confirms it."""

    def check(data: bytes) -> Acknowledged:
        report = RealtekReport.parse(data)
        if report.code != RealtekCode.SUCCESS:
            raise ProtocolError(f"a report about something else ({report.code})")
        return Acknowledged(report.mac, report.ip)

    def answers(_: Acknowledged) -> Sequence[tuple[bytes, int]]:
        request = RealtekRequest.make(RealtekAsk.CONFIRM, randomness(NONCE_SIZE), pin, mac=mac)
        return [(request.build(), REALTEK_ACK_PORT)]

    return AckRules((REALTEK_ACK_PORT,), check, answers, fill=_DIGITS)
