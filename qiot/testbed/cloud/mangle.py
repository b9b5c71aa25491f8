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
            message = Publish.parse(packet)
            if message.topic.startswith("$thing/down/property/"):
                return Point.PROPERTY_REPLY if _method(message).endswith("_reply") else None
            if _method(message) == "app_bind_token_reply":
                return Point.BIND_REPLY
    return None


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
    changes: dict[str, Any] = {"code": fault.code, "status": "fault on purpose"}
    if fault.do is Do.FOREIGN:
        changes = {"method": "foreign_reply"} if fault.kind == "method" else {"clientToken": "foreign-1"}
    return publish(message.topic, dump_object(load_object(message.payload) | changes))


def _method(message: Publish) -> str:
    try:
        return str(load_object(message.payload).get("method"))
    except (ValueError, ProtocolError):
        return ""
