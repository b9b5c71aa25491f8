"""The head of IEEE 802.11 frames: what they are, from whom to whom, how long.

Written for speed: one tuple for each frame, no object for a field. Lengths are those of the frame in the air
without its check sum, which is what the methods over the air hide their data in.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from qiot.errors import ProtocolError

__all__ = [
    "BEACON",
    "CONTROL",
    "DATA",
    "FIXED_FIELDS",
    "MANAGEMENT",
    "PROBE_REQUEST",
    "Header",
    "is_group_data",
    "parse_header",
]

# Frame control, IEEE 802.11, 9.2.4.1: types, subtypes, and the flags of the second octet.
MANAGEMENT: Final = 0
CONTROL: Final = 1
DATA: Final = 2

PROBE_REQUEST: Final = 4
PROBE_RESPONSE: Final = 5
BEACON: Final = 8

_TO_DS: Final = 0x01
_FROM_DS: Final = 0x02
_MORE_FRAGMENTS: Final = 0x04
_RETRY: Final = 0x08
_PROTECTED: Final = 0x40
_ORDER: Final = 0x80

_QOS: Final = 0x08
_NULL: Final = 0x04
_TID: Final = 0x0F
_A_MSDU: Final = 0x80
_GROUP: Final = 0x01

_HEADER: Final = 24
_ADDRESS: Final = 6
_QOS_CONTROL: Final = 2
_HT_CONTROL: Final = 4
_SHORTEST: Final = 10
_TWO_ADDRESSES: Final = 16
_ONE_ADDRESS: Final = frozenset({0x7, 0xC, 0xD})
"""Control wrapper, CTS, ACK: the transmitter does not name itself."""

FIXED_FIELDS: Final = {BEACON: 12, PROBE_RESPONSE: 12, PROBE_REQUEST: 0}
"""Octets of a management frame's body before its information elements (IEEE 802.11, 9.3.3)."""


class Header(NamedTuple):
    """The head of a frame.

    Attributes:
        type: `MANAGEMENT`, `CONTROL`, `DATA`, or 3.
        subtype: 0 to 15.
        flags: Second octet of the frame control field.
        receiver: Whom the radio addresses, six octets; None where the frame names nobody.
        transmitter: Whose radio it was; None where the frame does not tell.
        destination: Who it is for in the end; None in control frames, and where several are, in an A-MSDU.
        source: Who it is from in the beginning; None as above.
        bssid: The access point; None in control frames and between access points.
        sequence: Sequence number, 0 to 4095; None in control frames.
        fragment: Fragment number, 0 to 15.
        tid: Traffic identifier of QoS data, 0 to 15; None without QoS. Each has its own sequence numbers.
        length: Octets of the header, with QoS and HT control.
        total: Octets of the frame.
    """

    type: int
    subtype: int
    flags: int
    receiver: bytes | None
    transmitter: bytes | None
    destination: bytes | None
    source: bytes | None
    bssid: bytes | None
    sequence: int | None
    fragment: int
    tid: int | None
    length: int
    total: int

    @property
    def to_ds(self) -> bool:
        """From a station to its access point."""
        return bool(self.flags & _TO_DS)

    @property
    def from_ds(self) -> bool:
        """From an access point to its stations."""
        return bool(self.flags & _FROM_DS)

    @property
    def retry(self) -> bool:
        """Sent before with the same sequence number."""
        return bool(self.flags & _RETRY)

    @property
    def protected(self) -> bool:
        """Encrypted."""
        return bool(self.flags & _PROTECTED)

    @property
    def fragmented(self) -> bool:
        """One of several pieces."""
        return self.fragment > 0 or bool(self.flags & _MORE_FRAGMENTS)

    @property
    def body(self) -> int:
        """Octets behind the header, with what encryption adds."""
        return self.total - self.length

    @property
    def group_addressed(self) -> bool:
        """For everybody or a multicast group in the end; in the air it may go to the access point first."""
        address = self.destination or self.receiver
        return address is not None and bool(address[0] & _GROUP)

    @property
    def carries_data(self) -> bool:
        """Data, and not only a sign of life such as QoS null."""
        return self.type == DATA and not self.subtype & _NULL


def is_group_data(frame: bytes) -> bool:
    """True for data to everybody or a multicast group, in either direction; any octets have an answer.

    It says of most frames in the air that nobody needs them, at a tenth of the cost of `parse_header`.
    """
    if len(frame) < _HEADER or frame[0] & 0x4F != 0x08:  # noqa: PLR2004 - version 0, data, not null
        return False
    return bool(frame[16 if frame[1] & _TO_DS else 4] & _GROUP)


def parse_header(frame: bytes) -> Header:
    """Read the head of a frame.

    Args:
        frame: From the frame control field on, without check sum.

    Raises:
        ProtocolError: It is cut off, or of an unknown version.
    """
    total = len(frame)
    if total < _SHORTEST:
        raise ProtocolError(f"no 802.11 frame has {total} octets")
    first, flags = frame[0], frame[1]
    if first & 0x03:
        raise ProtocolError(f"an 802.11 frame of version {first & 0x03}")
    kind, subtype = first >> 2 & 0x03, first >> 4
    if kind == DATA:
        return _data(frame, subtype, flags, total)
    if kind == MANAGEMENT:
        return _management(frame, subtype, flags, total)
    if kind == CONTROL:
        return _control(frame, subtype, flags, total)
    return Header(kind, subtype, flags, None, None, None, None, None, None, 0, None, 2, total)


def _data(frame: bytes, subtype: int, flags: int, total: int) -> Header:
    length = _HEADER
    directions = flags & (_TO_DS | _FROM_DS)
    if directions == _TO_DS | _FROM_DS:
        length += _ADDRESS
    tid: int | None = None
    several = False
    if subtype & _QOS:
        qos = length
        length += _QOS_CONTROL
        if flags & _ORDER:
            length += _HT_CONTROL
        if total >= length:
            tid = frame[qos] & _TID
            several = bool(frame[qos] & _A_MSDU)
    if total < length:
        raise ProtocolError(f"a data frame's header of {length} octets is cut off at {total}")
    one, two, three = frame[4:10], frame[10:16], frame[16:22]
    destination: bytes | None
    source: bytes | None
    bssid: bytes | None
    if directions == _TO_DS:
        destination, source, bssid = three, two, one
    elif directions == _FROM_DS:
        destination, source, bssid = one, three, two
    elif directions:
        destination, source, bssid = three, frame[24:30], None
    else:
        destination, source, bssid = one, two, three
    if several:
        # The third and fourth address are the access point's; those meant stand in each piece.
        if flags & _TO_DS:
            destination = None
        if flags & _FROM_DS:
            source = None
    order = frame[22] | frame[23] << 8
    return Header(
        DATA, subtype, flags, one, two, destination, source, bssid, order >> 4, order & 15, tid, length, total
    )


def _management(frame: bytes, subtype: int, flags: int, total: int) -> Header:
    length = _HEADER + (_HT_CONTROL if flags & _ORDER else 0)
    if total < length:
        raise ProtocolError(f"a management frame's header of {length} octets is cut off at {total}")
    one, two = frame[4:10], frame[10:16]
    order = frame[22] | frame[23] << 8
    return Header(
        MANAGEMENT,
        subtype,
        flags,
        one,
        two,
        one,
        two,
        frame[16:22],
        order >> 4,
        order & 15,
        None,
        length,
        total,
    )


def _control(frame: bytes, subtype: int, flags: int, total: int) -> Header:
    if subtype in _ONE_ADDRESS:
        return Header(
            CONTROL, subtype, flags, frame[4:10], None, None, None, None, None, 0, None, _SHORTEST, total
        )
    if total < _TWO_ADDRESSES:
        raise ProtocolError(f"a control frame's header of {_TWO_ADDRESSES} octets is cut off at {total}")
    return Header(
        CONTROL,
        subtype,
        flags,
        frame[4:10],
        frame[10:16],
        None,
        None,
        None,
        None,
        0,
        None,
        _TWO_ADDRESSES,
        total,
    )
