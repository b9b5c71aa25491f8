"""The frame that BluFi and Tencent BT-Combo share: header, checksum, fragments.

`type | frame control | sequence | length | data[length] | [checksum, little endian]`, where `type` is
`subtype << 2 | kind` (ESP-IDF, "BluFi", The Frame Formats Defined in BluFi). A fragment carries bit 0x10 and
its data begin with the octets of the message that are left, this fragment included, as 16 bits, little
endian; the last fragment has neither.
"""

from __future__ import annotations

import binascii
import enum
from collections.abc import Iterator
from typing import Final, Protocol

import attrs

from qiot.errors import ProtocolError
from qiot.protocols.ble.att import ATT_HEADER

__all__ = [
    "CONTROL",
    "DATA",
    "MESSAGE_MAX",
    "Bit",
    "ErrorCode",
    "Frame",
    "Reassembler",
    "Sealer",
    "crc16",
    "cut",
    "device_room",
    "encode",
    "parse",
    "type_byte",
]

CONTROL: Final = 0
"""Kind of a control frame."""
DATA: Final = 1
"""Kind of a data frame."""
MESSAGE_MAX: Final = 16384
"""Octets of a message that a device puts together: room for a certificate, eight links in 128 KiB."""

_HEADER: Final = 4
_CHECKSUM: Final = 2
_TOTAL: Final = 2
_DATA_MAX: Final = 255
_LONGEST: Final = 0xFFFF
_ACK: Final = 0


class Bit(enum.IntFlag):
    """Bits of the frame control octet."""

    ENCRYPTED = 0x01
    CHECKSUM = 0x02
    FROM_DEVICE = 0x04
    ACK = 0x08
    MORE = 0x10


class ErrorCode(enum.IntEnum):
    """What a BluFi device reports in an error frame (esp_blufi_api.h, esp_blufi_error_state_t)."""

    SEQUENCE = 0x0
    CHECKSUM = 0x1
    DECRYPT = 0x2
    ENCRYPT = 0x3
    INIT_SECURITY = 0x4
    NO_MEMORY = 0x5
    DH_PARAMETERS = 0x6
    READ_PARAMETERS = 0x7
    MAKE_PUBLIC = 0x8
    DATA_FORMAT = 0x9
    MD5 = 0xA
    SCAN = 0xB
    MESSAGE_STATE = 0xC
    SHA256 = 0xD


class Sealer(Protocol):
    """A negotiated key at work; lengths do not change."""

    def encrypt(self, sequence: int, data: bytes) -> bytes:
        """What goes out in the frame with this sequence number."""
        ...

    def decrypt(self, sequence: int, data: bytes) -> bytes:
        """What came in by the frame with this sequence number."""
        ...


@attrs.frozen
class Frame:
    """One frame as it came in.

    Attributes:
        type: The type octet, 0 to 255.
        control: Bits of the frame control octet.
        sequence: 0 to 255.
        data: The data field, encrypted or not; with the length field of a fragment.
        checksum: What the frame carries, or None.
    """

    type: int
    control: int
    sequence: int
    data: bytes
    checksum: int | None = None

    @property
    def more(self) -> bool:
        """True for a fragment that others follow."""
        return bool(self.control & Bit.MORE)


def type_byte(kind: int, subtype: int) -> int:
    """The type octet of a kind (0 or 1) and a sub-type (0 to 63)."""
    return subtype << 2 | kind


def crc16(data: bytes) -> int:
    """CRC-16/GENIBUS: polynomial 0x1021, initial value 0xFFFF, inverted; "123456789" gives 0xD64E."""
    return binascii.crc_hqx(data, 0xFFFF) ^ 0xFFFF


def checksum_of(sequence: int, plain: bytes) -> int:
    """The checksum of a frame: over sequence number, length and the data before encryption."""
    return crc16(bytes((sequence, len(plain))) + plain)


def encode(type_: int, control: int, sequence: int, plain: bytes, sealer: Sealer | None = None) -> bytes:
    """One frame.

    Args:
        type_: The type octet.
        control: Frame control bits; with CHECKSUM the checksum is appended, with ENCRYPTED `sealer` is used.
        sequence: 0 to 255.
        plain: The data field, at most 255 octets.
        sealer: The key, where ENCRYPTED is set and there are data.

    Raises:
        ProtocolError: ENCRYPT: there is no key. DATA_FORMAT: the data are too long for one frame.
    """
    if len(plain) > _DATA_MAX:
        raise ProtocolError(f"{len(plain)} octets do not fit one frame", code=ErrorCode.DATA_FORMAT)
    tail = b""
    if control & Bit.CHECKSUM:
        tail = checksum_of(sequence, plain).to_bytes(_CHECKSUM, "little")
    data = plain
    if control & Bit.ENCRYPTED:
        if sealer is None:
            raise ProtocolError("no key was negotiated to encrypt with", code=ErrorCode.ENCRYPT)
        data = sealer.encrypt(sequence, plain)
    return bytes((type_, control, sequence, len(plain))) + data + tail


def parse(data: bytes, *, exact: bool) -> Frame:
    """Take one value apart.

    Args:
        data: What was written or notified.
        exact: Refuse octets behind the frame, as ESP-IDF does from 5.5 on; otherwise they are ignored, as
            Tencent's mini program wants it (it appends a zero to frames without data).

    Raises:
        ProtocolError: DATA_FORMAT: too short, or too long where `exact`.
    """
    if len(data) < _HEADER:
        raise ProtocolError(f"a frame of {len(data)} octets has no header", code=ErrorCode.DATA_FORMAT)
    type_, control, sequence, length = data[:_HEADER]
    end = _HEADER + length
    whole = end + (_CHECKSUM if control & Bit.CHECKSUM else 0)
    if len(data) < whole or (exact and len(data) != whole):
        raise ProtocolError(f"the frame says {whole} octets and has {len(data)}", code=ErrorCode.DATA_FORMAT)
    checksum = int.from_bytes(data[end:whole], "little") if control & Bit.CHECKSUM else None
    return Frame(type_, control, sequence, data[_HEADER:end], checksum)


def unseal(frame: Frame, sealer: Sealer | None) -> bytes:
    """The data field in clear, its checksum verified where it has one.

    Raises:
        ProtocolError: DECRYPT: encrypted, and no key was negotiated. CHECKSUM: it does not match.
    """
    plain = frame.data
    if frame.control & Bit.ENCRYPTED:
        if sealer is None:
            raise ProtocolError("encrypted, and no key was negotiated", code=ErrorCode.DECRYPT)
        plain = sealer.decrypt(frame.sequence, frame.data)
    if frame.checksum is not None and frame.checksum != checksum_of(frame.sequence, plain):
        raise ProtocolError("the checksum does not match", code=ErrorCode.CHECKSUM)
    return plain


def device_room(mtu: int) -> int:
    """Octets of a message in one frame of a device (ESP-IDF: the MTU, at most 255, less 11; 12 at MTU 23)."""
    return max(1, min(mtu, _DATA_MAX) - ATT_HEADER - _HEADER - _TOTAL - _CHECKSUM)


def cut(message: bytes, room: int, *, stretch: int = 0) -> Iterator[tuple[bool, bytes]]:
    """The data fields that carry a message, each with True where others follow.

    Args:
        message: 0 to 65535 octets.
        room: Octets of the message in a fragment, at least 1.
        stretch: How many more the last frame may take, having no length field (Espressif's phone
            libraries: 2).

    Raises:
        ProtocolError: DATA_FORMAT: the message is too long.
    """
    if len(message) > _LONGEST:
        raise ProtocolError(f"a message has at most {_LONGEST} octets", code=ErrorCode.DATA_FORMAT)
    start = 0
    while len(message) - start > room + stretch:
        left = (len(message) - start).to_bytes(_TOTAL, "little")
        yield True, left + message[start : start + room]
        start += room
    yield False, message[start:]


@attrs.define
class _Partial:
    """A message that is not complete.

    Attributes:
        type: Its type octet.
        left: Octets that are missing.
        parts: What is there; None where it is lost and the rest is only skipped.
    """

    type: int
    left: int
    parts: bytearray | None


class Reassembler:
    """Puts fragments together, one message at a time, in bounded memory.

    A message that lost a part is given up once, with an error, and what is left of it is skipped, so that
    the tail of a password never passes for a password. A sender that begins again is understood: its count
    of octets left does not go on from the last one.

    Args:
        limit: Octets of the longest message.
    """

    def __init__(self, limit: int = MESSAGE_MAX) -> None:
        self._limit = limit
        self._partial: _Partial | None = None

    @property
    def held(self) -> int:
        """Octets that wait for the rest of their message."""
        return len(self._partial.parts) if self._partial is not None and self._partial.parts else 0

    def spoil(self, frame: Frame) -> None:
        """Give up the message that a damaged frame belongs to; `frame.data` are in clear as far as can be."""
        partial, data = self._partial, frame.data
        if partial is not None and partial.type == frame.type:
            payload = len(data) - _TOTAL if frame.more else partial.left
            self._skip(frame.type, partial.left - payload)
        elif frame.more and len(data) >= _TOTAL:
            self._skip(frame.type, int.from_bytes(data[:_TOTAL], "little") - (len(data) - _TOTAL))

    def feed(self, frame: Frame, plain: bytes) -> tuple[bytes | None, ProtocolError | None]:
        """Take the data field of one frame.

        Args:
            frame: The frame.
            plain: Its data in clear.

        Returns:
            The message that is complete now, or None; and what was lost, or None. Both can come at once: a
            new message ends one that was never finished.
        """
        if frame.type == _ACK:
            return plain, None
        return self._fragment(frame.type, plain) if frame.more else self._last(frame.type, plain)

    def _last(self, type_: int, plain: bytes) -> tuple[bytes | None, ProtocolError | None]:
        partial, self._partial = self._partial, None
        if partial is None:
            return plain, None
        if partial.type != type_:
            return plain, _unfinished(partial)
        if partial.parts is None:
            return (None if len(plain) == partial.left else plain), None
        if len(plain) != partial.left:
            text = f"the last fragment has {len(plain)} octets where {partial.left} were missing"
            return None, ProtocolError(text, code=ErrorCode.DATA_FORMAT)
        return bytes(partial.parts) + plain, None

    def _fragment(self, type_: int, plain: bytes) -> tuple[bytes | None, ProtocolError | None]:
        if len(plain) < _TOTAL:
            self._partial = None
            return None, ProtocolError("a fragment without its length", code=ErrorCode.DATA_FORMAT)
        left, payload = int.from_bytes(plain[:_TOTAL], "little"), plain[_TOTAL:]
        if len(payload) > left:
            self._partial = None
            text = f"a fragment of {len(payload)} octets where {left} are left"
            return None, ProtocolError(text, code=ErrorCode.DATA_FORMAT)
        partial = self._partial
        if partial is None:
            return None, self._begin(type_, left, payload)
        if partial.type == type_ and left == partial.left:
            partial.left -= len(payload)
            if partial.parts is not None:
                partial.parts += payload
            return None, None
        if partial.type == type_ and left < partial.left and partial.parts is not None:
            self._skip(type_, left - len(payload))
            return None, ProtocolError("a fragment is missing", code=ErrorCode.DATA_FORMAT)
        return None, self._begin(type_, left, payload) or _unfinished(partial)

    def _begin(self, type_: int, left: int, payload: bytes) -> ProtocolError | None:
        self._partial = None
        if left == 0:
            return ProtocolError("a fragment of an empty message", code=ErrorCode.DATA_FORMAT)
        if left > self._limit:
            self._skip(type_, left - len(payload))
            text = f"a message of {left} octets is longer than {self._limit}"
            return ProtocolError(text, code=ErrorCode.NO_MEMORY)
        self._partial = _Partial(type_, left - len(payload), bytearray(payload))
        return None

    def _skip(self, type_: int, left: int) -> None:
        self._partial = _Partial(type_, left, None) if left > 0 else None


def _unfinished(partial: _Partial) -> ProtocolError | None:
    if partial.parts is None:
        return None
    text = f"a message ended {partial.left} octets before its end"
    return ProtocolError(text, code=ErrorCode.MESSAGE_STATE)
