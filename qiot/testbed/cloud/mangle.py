"""The faults of an MQTT answer: one packet in, the packets that go out instead."""

from __future__ import annotations

from typing import Any, Final

import attrs

from qiot.errors import ProtocolError
from qiot.testbed.cloud.faults import Do, Fault, Point
from qiot.testbed.cloud.jsontext import dump_object, load_object
from qiot.testbed.cloud.packets import Packet, PacketType, Publish, publish

__all__ = ["mangled", "point_of"]

_GARBAGE: Final = b"\x00\xff\xff\xff\xff\x7f"
"""A reserved packet type, with a length that is none."""


def point_of(packet: Packet) -> Point | None:
    """Where the faults of a packet to the device are found; None where it has no such point."""
    match packet.type:
        case PacketType.CONNACK:
            return Point.CONNACK
        case PacketType.SUBACK:
            return Point.SUBACK
        case PacketType.PUBACK:
            return Point.PUBACK
        case PacketType.PUBLISH:
            return _point_of_message(Publish.parse(packet))
    return None


def _point_of_message(message: Publish) -> Point | None:
    if message.topic.endswith("/register_response"):
        return Point.REGISTER_REPLY
    if message.topic.endswith("/report_response"):
        return Point.BIND_REPLY if _field(message, "code") == "bind" else Point.REPORT_REPLY
    method = _field(message, "method")
    if message.topic.startswith("$thing/down/property/"):
        return Point.PROPERTY_REPLY if method.endswith("_reply") else None
    return Point.BIND_REPLY if method == "app_bind_token_reply" else None


def mangled(packet: Packet, fault: Fault) -> list[bytes]:
    """What goes onto the wire in place of `packet`."""
    match fault.do:
        case Do.REFUSE | Do.HANG | Do.DROP:
            return []
        case Do.DUPLICATE:
            return [bytes(packet)] * 2
        case Do.MALFORMED if fault.kind == "garbage":
            return [_GARBAGE]
        case Do.MALFORMED if fault.kind == "truncated":
            return [bytes(packet)[:-1]]
        case Do.FOREIGN | Do.CODE | Do.EMPTY | Do.MALFORMED:
            other = _altered(packet, fault)
            return [bytes(other), bytes(packet)] if fault.keep and fault.do is Do.FOREIGN else [bytes(other)]
    return [bytes(packet)]


def _altered(packet: Packet, fault: Fault) -> Packet:
    code = fault.code or 0
    match packet.type:
        case PacketType.CONNACK:
            return attrs.evolve(packet, body=bytes((0, code)))
        case PacketType.SUBACK if fault.do is Do.CODE:
            return attrs.evolve(packet, body=packet.body[:2] + bytes([code]) * (len(packet.body) - 2))
        case PacketType.PUBLISH:
            return _altered_reply(Publish.parse(packet), fault)
    other_id = int.from_bytes(packet.body[:2], "big") ^ 0x0101 or 1
    return attrs.evolve(packet, body=other_id.to_bytes(2, "big") + packet.body[2:])


def _altered_reply(message: Publish, fault: Fault) -> Packet:
    if fault.do is Do.EMPTY:
        return publish(message.topic, b"")
    if fault.do is Do.MALFORMED:
        return publish(message.topic, message.payload[: len(message.payload) // 2])
    if fault.kind == "device":
        return publish(message.topic + "-other", message.payload)
    changes: dict[str, Any]
    if message.topic.startswith("$"):
        changes = {"code": fault.code, "status": "fault on purpose"}
        method, token = "method", "clientToken"
    else:
        changes = {"res": fault.code, "msg": "fault on purpose"}
        method, token = "code", "id"
    if fault.do is Do.FOREIGN:
        changes = {method: "foreign_reply"} if fault.kind == "method" else {token: "foreign-1"}
    return publish(message.topic, dump_object(load_object(message.payload) | changes))


def _field(message: Publish, name: str) -> str:
    try:
        return str(load_object(message.payload).get(name))
    except (ValueError, ProtocolError):
        return ""
