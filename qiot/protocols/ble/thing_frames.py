"""The frames of thing.network: JSON cut into packets with a number and a checksum.

Source: protco-tech/protco_docs, bluetooth/ble_data_transfer_protocol.md, and sentino-jp/iot-docs,
reference/ref-ble-en.md section 4. A packet is

| octets | field |
|---|---|
| 0 | FF |
| 1 | 1 command, 2 firmware |
| 2-3 | number of the packet from 0, big endian |
| 4-5 | count of packets |
| 6-7 | octets of the message |
| 8 | octets of it in this packet, at most 118 |
| 9... | those |
| last | sum of all before it without the first, modulo 256 |
"""

from __future__ import annotations

import enum
from typing import Final

from qiot.errors import ProtocolError
from qiot.protocols.ble.att import ATT_HEADER

__all__ = [
    "CHUNK_MAX",
    "COMMAND",
    "NOTIFY_PORT",
    "WRITE_PORT",
    "Assembler",
    "Code",
    "FrameError",
    "chunk_size",
    "frames",
]

WRITE_PORT: Final = "2b11"
"""The characteristic that the phone writes."""
NOTIFY_PORT: Final = "2b10"
"""The characteristic that the device notifies."""

COMMAND: Final = 1
FIRMWARE: Final = 2
CHUNK_MAX: Final = 118
"""Octets of a message in one packet: 128 without what is around them."""
MESSAGE_MAX: Final = 8192
"""Octets of a message that is taken; the field could say 65535."""

_HEAD: Final = 0xFF
_HEADER: Final = 9
_AROUND: Final = _HEADER + 1
_FIELD_MAX: Final = 0xFFFF


class Code(enum.IntEnum):
    """The status codes (protco_docs, bluetooth/ble_data_transfer_protocol.md)."""

    OK = 0
    GOT_IP = 1006
    WRONG_CREDENTIALS = 1007
    NO_AP = 1008
    HEAD = 1501
    NUMBER = 1502
    CHECKSUM = 1503
    BUFFER = 1504
    LENGTH = 1506
    JSON_BAD = 1700
    JSON_OK = 1701
    SERVER_FAILED = 1702
    SERVER_OK = 1703
    BOUND = 1801
    BIND_FAILED = 1802
    UNBOUND = 1803
    UNBIND_FAILED = 1804
    RESET = 1805
    RESET_FAILED = 1806


class FrameError(ProtocolError):
    """A packet that cannot be used; `status` is what the device says of it."""

    def __init__(self, message: str, status: Code) -> None:
        super().__init__(message, code=int(status))
        self.status = status


def chunk_size(att_mtu: int) -> int:
    """Octets of a message that a packet takes on a link with this ATT MTU, 14 or more."""
    return max(1, min(CHUNK_MAX, att_mtu - ATT_HEADER - _AROUND))


def frames(message: bytes, chunk: int = CHUNK_MAX, kind: int = COMMAND) -> list[bytes]:
    """A message as packets.

    Args:
        message: Up to 65535 octets; an empty one is one packet.
        chunk: Octets of it in each, 1 to 118.
        kind: 1 command, 2 firmware.

    Raises:
        ProtocolError: BAD_MESSAGE: the message is too long.
    """
    if len(message) > _FIELD_MAX:
        raise ProtocolError(f"the message has {len(message)} octets, more than {_FIELD_MAX}")
    parts = [message[start : start + chunk] for start in range(0, len(message), chunk)] or [b""]
    size = len(message).to_bytes(2, "big")
    made = []
    for number, part in enumerate(parts):
        body = bytes([kind]) + number.to_bytes(2, "big") + len(parts).to_bytes(2, "big") + size
        body += bytes([len(part)]) + part
        made.append(bytes([_HEAD]) + body + bytes([sum(body) & 0xFF]))
    return made


class Assembler:
    """Puts the packets of one direction together.

    A packet that does not follow on breaks its message once; what is left of that message is passed over in
    silence, and number 0 begins the next. A number 0 in the middle says that the message before it was cut
    short, and begins one all the same.

    Args:
        limit: Octets of a message that is taken.

    Attributes:
        kind: The type of the message under way.
        chunk: The longest part of a message that came in one packet of several; 0 before the first.
    """

    def __init__(self, limit: int = MESSAGE_MAX) -> None:
        self._limit = limit
        self._parts = bytearray()
        self._next = 0
        self._count = 0
        self._size = 0
        self._skipping = False
        self.kind = COMMAND
        self.chunk = 0

    def clear(self) -> None:
        """Forget what was under way."""
        self._next, self._skipping = 0, False
        self._parts.clear()

    def feed(self, packet: bytes) -> bytes | None:
        """Take a packet; give the message that is complete with it.

        Raises:
            FrameError: With the status code that the device answers.
        """
        kind, number, count, size, part = self._read(packet)
        if number:
            if self._skipping:
                return None
            if number != self._next or number >= self._count:
                raise self._broken(f"packet {number} came, not {self._next}", Code.NUMBER)
            if (kind, count, size) != (self.kind, self._count, self._size):
                raise self._broken("two packets of one message disagree about its length", Code.LENGTH)
            return self._take(part)
        cut = self._next
        self.clear()
        self._begin(kind, count, size)
        message = self._take(part)
        if cut and message is None:
            raise FrameError(f"a message ended after packet {cut - 1}", Code.NUMBER)
        return message

    def _read(self, packet: bytes) -> tuple[int, int, int, int, bytes]:
        if len(packet) < _AROUND or packet[0] != _HEAD or packet[1] not in (COMMAND, FIRMWARE):
            raise self._broken("the octets are no packet of this protocol", Code.HEAD)
        end = _HEADER + packet[8]
        if end >= len(packet):
            raise self._broken(f"the packet says {packet[8]} octets and is shorter", Code.LENGTH)
        if sum(packet[1:end]) & 0xFF != packet[end]:
            raise self._broken("the checksum is wrong", Code.CHECKSUM)
        number, count, size = (int.from_bytes(packet[at : at + 2], "big") for at in (2, 4, 6))
        return packet[1], number, count, size, packet[_HEADER:end]

    def _begin(self, kind: int, count: int, size: int) -> None:
        if not count:
            raise self._broken("the message has no packets", Code.NUMBER)
        if size > self._limit:
            raise self._broken(f"the message has {size} octets, more than {self._limit}", Code.BUFFER)
        self.kind, self._count, self._size = kind, count, size

    def _take(self, part: bytes) -> bytes | None:
        self._parts += part
        self._next += 1
        last = self._next == self._count
        if len(self._parts) > self._size or (last and len(self._parts) != self._size):
            raise self._broken(f"the message says {self._size} octets, not {len(self._parts)}", Code.LENGTH)
        if self._count > 1:
            self.chunk = max(self.chunk, len(part))
        if not last:
            return None
        message = bytes(self._parts)
        self.clear()
        return message

    def _broken(self, text: str, status: Code) -> FrameError:
        self.clear()
        self._skipping = True
        return FrameError(text, status)
