"""Radiotap: what the radio says of a frame, in front of it (radiotap.org; linux/Documentation/networking).

Little endian. Present words tell which fields follow, each aligned to its own size from the header's start.
Which field stands where depends on the present words alone, so that it is worked out once for each kind of
header; only a vendor's fields have to be measured in the header itself.
"""

from __future__ import annotations

import functools
import struct
from typing import Final, NamedTuple

from qiot.errors import ProtocolError
from qiot.protocols.air.dot11 import parse_header

__all__ = ["Radiotap", "header_length", "make_transmit", "parse_radiotap", "unwrap"]

_HEADER_MIN: Final = 8
"""Version, pad, length, first present word."""
_FCS_SIZE: Final = 4

# Of the flags field.
_FCS: Final = 0x10
_PADDED: Final = 0x20
_BAD_FCS: Final = 0x40

_FLAGS, _CHANNEL, _SIGNAL, _RX_FLAGS, _TX_FLAGS = 1, 3, 5, 14, 15
_RADIOTAP_NAMESPACE: Final = 29
_VENDOR_NAMESPACE: Final = 30
_MORE_WORDS: Final = 0x8000_0000
_BAD_PLCP: Final = 0x0002

_FIELDS: Final = (
    # Alignment and size of the field of each bit.
    (8, 8),  # TSFT
    (1, 1),  # flags
    (1, 1),  # rate
    (2, 4),  # channel: MHz, flags
    (2, 2),  # FHSS
    (1, 1),  # antenna signal, dBm
    (1, 1),  # antenna noise, dBm
    (2, 2),  # lock quality
    (2, 2),  # TX attenuation
    (2, 2),  # TX attenuation, dB
    (1, 1),  # TX power, dBm
    (1, 1),  # antenna
    (1, 1),  # antenna signal, dB
    (1, 1),  # antenna noise, dB
    (2, 2),  # RX flags
    (2, 2),  # TX flags
    (1, 1),  # RTS retries
    (1, 1),  # data retries
    (4, 8),  # XChannel
    (1, 3),  # MCS
    (4, 8),  # A-MPDU status
    (2, 12),  # VHT
    (8, 12),  # timestamp
    (2, 12),  # HE
    (2, 12),  # HE-MU
    (2, 6),  # HE-MU of another user
    (1, 1),  # 0-length PSDU
    (2, 4),  # L-SIG
)
"""Bit 28 and what is not defined yet end the reading: nobody knows how long they are."""

_LENGTH: Final = struct.Struct("<H")
_WORD: Final = struct.Struct("<I")
_VENDOR: Final = struct.Struct("<3sBH")
_SIGNED: Final = struct.Struct("<b")
_VENDOR_ALIGN: Final = 2


class Radiotap(NamedTuple):
    """What is known of a frame.

    Attributes:
        length: Octets of the header; the frame begins behind it.
        check_sum: True where the frame ends with its check sum.
        padded: True where the 802.11 header is padded to a multiple of four octets.
        frequency: MHz of the channel, or None.
        signal: dBm at the receiver, or None.
        transmitted: True where it is a frame that this radio has sent.
        damaged: True where the radio says that it was not received well.
    """

    length: int
    check_sum: bool
    padded: bool
    frequency: int | None
    signal: int | None
    transmitted: bool
    damaged: bool


class _Layout(NamedTuple):
    """Offsets of the fields that are read; 0 where one is missing. `end` is the first octet behind them."""

    flags: int
    channel: int
    signal: int
    rx_flags: int
    transmitted: bool
    end: int


def header_length(packet: bytes) -> int:
    """Octets of the header.

    Raises:
        ProtocolError: There is no whole header.
    """
    if len(packet) < _HEADER_MIN or packet[0] != 0:
        raise ProtocolError("no radiotap header: too short, or of another version")
    (length,) = _LENGTH.unpack_from(packet, 2)
    if not _HEADER_MIN <= length <= len(packet):
        raise ProtocolError(f"a radiotap header of {length} octets does not fit in {len(packet)}")
    return int(length)


def parse_radiotap(packet: bytes) -> Radiotap:
    """Read the header of a packet of monitor mode.

    Raises:
        ProtocolError: There is no whole header, or it is shorter than its fields.
    """
    length = header_length(packet)
    words_end = 8
    while packet[words_end - 1] & 0x80:
        words_end += 4
        if words_end > length:
            raise ProtocolError("the radiotap header ends within its present words")
    words = packet[4:words_end]
    layout = _layout(words) or _measure(packet, words)
    if layout.end > length:
        raise ProtocolError(f"a radiotap header of {length} octets is shorter than its fields")
    flags = packet[layout.flags] if layout.flags else 0
    frequency = _LENGTH.unpack_from(packet, layout.channel)[0] if layout.channel else None
    signal = _SIGNED.unpack_from(packet, layout.signal)[0] if layout.signal else None
    damaged = bool(flags & _BAD_FCS) or bool(
        layout.rx_flags and _LENGTH.unpack_from(packet, layout.rx_flags)[0] & _BAD_PLCP
    )
    return Radiotap(
        length,
        bool(flags & _FCS),
        bool(flags & _PADDED),
        frequency or None,
        signal,
        layout.transmitted,
        damaged,
    )


def unwrap(packet: bytes) -> tuple[Radiotap, bytes]:
    """The header, and the frame as it was in the air, without check sum and padding.

    Raises:
        ProtocolError: The header is none, or nothing is left behind it.
    """
    known = parse_radiotap(packet)
    frame = packet[known.length : -_FCS_SIZE if known.check_sum else None]
    if known.padded:
        size = parse_header(frame).length
        frame = frame[:size] + frame[size + -size % 4 :]
    if not frame:
        raise ProtocolError("no frame follows the radiotap header")
    return known, frame


def make_transmit(*, acknowledged: bool = False) -> bytes:
    """A header for a frame to be sent as it is: our sequence number, no repeats unless acknowledged.

    Args:
        acknowledged: The receiver acknowledges it, so that it is repeated until it does.
    """
    keep_sequence, no_ack = 0x0010, 0x0008
    flags = keep_sequence | (0 if acknowledged else no_ack)
    return struct.pack("<BBHIH", 0, 0, 10, 1 << _TX_FLAGS, flags)


@functools.lru_cache(maxsize=256)
def _layout(words: bytes) -> _Layout | None:
    """The layout by the present words alone; None where a vendor's fields have to be measured."""
    numbers = [word for (word,) in _WORD.iter_unpack(words)]
    if any(word >> _VENDOR_NAMESPACE & 1 for word in numbers):
        return None
    return _measure(b"", words)


def _measure(packet: bytes, words: bytes) -> _Layout:
    """Walk over the fields; the first of each kind counts, later ones are those of single antennas."""
    found: dict[int, int] = {}
    offset = end = 4 + len(words)
    known = True
    for (word,) in _WORD.iter_unpack(words):
        for bit in range(29):
            if not known or not word >> bit & 1:
                continue
            if bit >= len(_FIELDS):
                return _make_layout(found, end)
            align, size = _FIELDS[bit]
            offset = -(-offset // align) * align
            found.setdefault(bit, offset)
            offset = end = offset + size
        if word >> _VENDOR_NAMESPACE & 1:
            offset = -(-offset // _VENDOR_ALIGN) * _VENDOR_ALIGN
            if offset + _VENDOR.size > len(packet):
                raise ProtocolError("the radiotap header ends within a vendor's fields")
            offset = end = offset + _VENDOR.size + _VENDOR.unpack_from(packet, offset)[2]
            known = False  # the next word's bits are the vendor's, and have just been skipped
        elif word >> _RADIOTAP_NAMESPACE & 1:
            known = True
        elif word & _MORE_WORDS and known:
            return _make_layout(found, end)  # bits from 32 on are not defined
    return _make_layout(found, end)


def _make_layout(found: dict[int, int], end: int) -> _Layout:
    return _Layout(
        flags=found.get(_FLAGS, 0),
        channel=found.get(_CHANNEL, 0),
        signal=found.get(_SIGNAL, 0),
        rx_flags=found.get(_RX_FLAGS, 0),
        transmitted=_TX_FLAGS in found,
        end=end,
    )
