"""The MQTT 3.1.1 packets that the local cloud reads and writes itself, before and beside the broker.

Numbers in brackets are sections of MQTT 3.1.1 (OASIS, 29 October 2014).
"""

from __future__ import annotations

import asyncio
import enum
import struct
from typing import Final, final

import attrs

from qiot.errors import ProtocolError
from qiot.model import Secret

__all__ = [
    "LEVEL",
    "Connect",
    "Packet",
    "PacketType",
    "Publish",
    "Topics",
    "connack",
    "plain_connect",
    "puback",
    "publish",
    "read_packet",
]

LEVEL: Final = 4
"""Protocol level of MQTT 3.1.1 [3.1.2.2]."""
PACKET_MAX: Final = 64 * 1024
"""Longest packet in octets that is taken; the platform's own limit for a message is 16 KiB."""

_LENGTH_OCTETS: Final = 4
_USER_NAME: Final = 0x80
_PASSWORD: Final = 0x40
_WILL: Final = 0x04
_CLEAN: Final = 0x02
_RESERVED: Final = 0x01


class PacketType(enum.IntEnum):
    """Control packet types [2.2.1]."""

    CONNECT = 1
    CONNACK = 2
    PUBLISH = 3
    PUBACK = 4
    PUBREC = 5
    PUBREL = 6
    PUBCOMP = 7
    SUBSCRIBE = 8
    SUBACK = 9
    UNSUBSCRIBE = 10
    UNSUBACK = 11
    PINGREQ = 12
    PINGRESP = 13
    DISCONNECT = 14


_TYPES: Final = frozenset(PacketType)


@attrs.frozen
class Packet:
    """One packet.

    Attributes:
        type: Its control packet type.
        flags: The lower half of the first octet.
        body: What follows the fixed header.
    """

    type: PacketType
    flags: int
    body: bytes

    def __bytes__(self) -> bytes:
        length = len(self.body)
        octets = bytearray([self.type << 4 | self.flags])
        while True:
            length, low = divmod(length, 128)
            octets.append(low | (0x80 if length else 0))
            if not length:
                return bytes(octets) + self.body

    @classmethod
    def parse(cls, octets: bytes) -> Packet:
        """One whole packet that this program's own broker has made."""
        at = 1
        while octets[at] & 0x80:
            at += 1
        return cls(PacketType(octets[0] >> 4), octets[0] & 0x0F, octets[at + 1 :])


@final
class _Fields:
    """Reads a packet's body from front to back."""

    def __init__(self, body: bytes) -> None:
        self._body = body
        self._at = 0

    def take(self, count: int) -> bytes:
        end = self._at + count
        if end > len(self._body):
            raise ProtocolError("MQTT packet is too short")
        taken, self._at = self._body[self._at : end], end
        return taken

    def octet(self) -> int:
        return self.take(1)[0]

    def word(self) -> int:
        return int.from_bytes(self.take(2), "big")

    def data(self) -> bytes:
        return self.take(self.word())

    def text(self) -> str:
        try:
            text = self.data().decode()
        except UnicodeDecodeError:
            raise ProtocolError("MQTT text is not UTF-8") from None
        if "\0" in text:
            raise ProtocolError("MQTT text holds U+0000")
        return text

    def rest(self) -> bytes:
        return self.take(len(self._body) - self._at)

    @property
    def more(self) -> bool:
        return self._at < len(self._body)


@attrs.frozen
class Connect:
    """CONNECT [3.1], without its will.

    Attributes:
        level: Protocol level; of another than 4 (MQTT 3.1.1) the client id and what follows is not read.
        clean: Clean session.
        keep_alive: Seconds; 0 is none.
        client_id: Client identifier.
        user_name: None where there is none.
        password: None where there is none.
    """

    level: int
    clean: bool
    keep_alive: int
    client_id: str
    user_name: str | None
    password: Secret | None

    @classmethod
    def parse(cls, packet: Packet) -> Connect:
        """Read it.

        Raises:
            ProtocolError: It is not MQTT, or not built as it should be.
        """
        fields = _Fields(packet.body)
        if packet.flags:
            raise ProtocolError("CONNECT has flags that there are not")
        if fields.text() != "MQTT":
            raise ProtocolError("CONNECT is of another protocol")
        level, flags, keep_alive = fields.octet(), fields.octet(), fields.word()
        if level != LEVEL:
            # The rest may be built in another way; the answer is CONNACK 1 all the same.
            return cls(level, bool(flags & _CLEAN), keep_alive, "", None, None)
        if flags & _RESERVED or (flags & _PASSWORD and not flags & _USER_NAME):
            raise ProtocolError("CONNECT flags are not possible")
        client_id = fields.text()
        if flags & _WILL:
            fields.text()
            fields.data()
        user_name = fields.text() if flags & _USER_NAME else None
        password = Secret(fields.data()) if flags & _PASSWORD else None
        if fields.more:
            raise ProtocolError("CONNECT is too long")
        return cls(level, bool(flags & _CLEAN), keep_alive, client_id, user_name, password)


@attrs.frozen
class Publish:
    """PUBLISH [3.3].

    Attributes:
        topic: Topic name.
        qos: 0 to 2.
        packet_id: None with QoS 0.
        payload: The message.
    """

    topic: str
    qos: int
    packet_id: int | None
    payload: bytes

    @classmethod
    def parse(cls, packet: Packet) -> Publish:
        """Read it.

        Raises:
            ProtocolError: It is not built as it should be.
        """
        fields = _Fields(packet.body)
        qos = packet.flags >> 1 & 3
        topic = fields.text()
        packet_id = fields.word() if qos else None
        if qos == 3 or packet_id == 0 or not topic or "+" in topic or "#" in topic:  # noqa: PLR2004 - QoS 3 is reserved
            raise ProtocolError("PUBLISH is not possible")
        return cls(topic, qos, packet_id, fields.rest())


@attrs.frozen
class Topics:
    """SUBSCRIBE [3.8] or UNSUBSCRIBE [3.10].

    Attributes:
        packet_id: Its packet identifier.
        filters: Topic filters.
    """

    packet_id: int
    filters: tuple[str, ...]

    @classmethod
    def parse(cls, packet: Packet) -> Topics:
        """Read it.

        Raises:
            ProtocolError: It is not built as it should be.
        """
        fields = _Fields(packet.body)
        packet_id = fields.word()
        filters = []
        while fields.more:
            filters.append(fields.text())
            if packet.type is PacketType.SUBSCRIBE and fields.octet() > 2:  # noqa: PLR2004 - QoS is 0 to 2
                raise ProtocolError("SUBSCRIBE asks for a QoS that there is not")
        if packet.flags != 2 or not packet_id or not all(filters) or not filters:  # noqa: PLR2004 - reserved flags
            raise ProtocolError("SUBSCRIBE or UNSUBSCRIBE is not possible")
        return cls(packet_id, tuple(filters))


async def read_packet(reader: asyncio.StreamReader, only: PacketType | None = None) -> Packet | None:
    """The next packet; None where the connection has ended.

    Args:
        reader: Where from.
        only: The type that it must be of; what begins as another is refused before the rest has come.

    Raises:
        ProtocolError: It is none, of another type, or over 64 KiB.
    """
    try:
        first = (await reader.readexactly(1))[0]
        if first >> 4 not in _TYPES or only not in {None, first >> 4}:
            raise ProtocolError("not the MQTT packet that has to come here")
        length = 0
        for place in range(_LENGTH_OCTETS):
            octet = (await reader.readexactly(1))[0]
            length |= (octet & 0x7F) << 7 * place
            if not octet & 0x80:
                break
        else:
            raise ProtocolError("MQTT length is over four octets")
        if length > PACKET_MAX:
            raise ProtocolError(f"MQTT packet is over {PACKET_MAX} octets")
        body = await reader.readexactly(length)
    except asyncio.IncompleteReadError:
        return None
    return Packet(PacketType(first >> 4), first & 0x0F, body)


def connack(code: int) -> Packet:
    """CONNACK [3.2] without a session present."""
    return Packet(PacketType.CONNACK, 0, bytes((0, code)))


def puback(packet_id: int) -> Packet:
    """PUBACK [3.4]."""
    return Packet(PacketType.PUBACK, 0, packet_id.to_bytes(2, "big"))


def publish(topic: str, payload: bytes) -> Packet:
    """PUBLISH with QoS 0."""
    return Packet(PacketType.PUBLISH, 0, _string(topic) + payload)


def plain_connect(connect: Connect) -> Packet:
    """The same CONNECT without will, keep-alive and credentials, which are no business of the broker."""
    flags = _CLEAN if connect.clean else 0
    body = _string("MQTT") + struct.pack(">BBH", connect.level, flags, 0) + _string(connect.client_id)
    return Packet(PacketType.CONNECT, 0, body)


def _string(text: str) -> bytes:
    data = text.encode()
    return len(data).to_bytes(2, "big") + data
