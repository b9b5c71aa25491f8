"""802.11 frames for the checks of sniffer and injector, told from all others by their sender."""

from __future__ import annotations

import secrets
from typing import Final

__all__ = ["GROUP", "STATION", "beacon", "data", "new_sender", "of_sender", "probe_request"]

GROUP: Final = b"\x01\x00\x5e\x00\x00\x05"
"""A multicast address (RFC 1112, 6.4)."""
STATION: Final = b"\x02\x00\x5e\x00\x53\x02"
_BROADCAST: Final = b"\xff" * 6
_ACCESS_POINT: Final = b"\x02\x00\x5e\x00\x53\x03"
_DURATION: Final = b"\x00\x00"

# Frame control (IEEE 802.11, 9.2.4.1): type and subtype, then flags.
_BEACON: Final = b"\x80\x00"
_PROBE_REQUEST: Final = b"\x40\x00"
_DATA_FROM_DS: Final = b"\x08\x02"
_SENDER: Final = slice(10, 16)
_ORIGIN: Final = slice(16, 22)


def new_sender() -> bytes:
    """A locally administered address that nobody else uses."""
    return b"\x02\x71" + secrets.token_bytes(4)


def data(sender: bytes, to: bytes, length: int) -> bytes:
    """A data frame that an access point passes on from `sender`, `length` octets of body."""
    return _DATA_FROM_DS + _DURATION + to + _ACCESS_POINT + sender + b"\x00\x00" + bytes(length)


def probe_request(sender: bytes) -> bytes:
    """A probe request for any network."""
    rates = b"\x01\x04\x02\x04\x0b\x16"
    return _PROBE_REQUEST + _DURATION + _BROADCAST + sender + _BROADCAST + b"\x00\x00" + b"\x00\x00" + rates


def beacon(sender: bytes) -> bytes:
    """A beacon without a name."""
    fixed = bytes(8) + b"\x64\x00" + b"\x01\x00"
    return _BEACON + _DURATION + _BROADCAST + sender + sender + b"\x00\x00" + fixed + b"\x00\x00"


def alike(one: bytes, other: bytes) -> bool:
    """True where they are the same frame: the radio itself sets flags, duration and sequence control."""

    def told(frame: bytes) -> bytes:
        return frame[:1] + frame[4:22] + frame[24:]

    return told(one) == told(other)


def of_sender(frame: bytes, sender: bytes) -> bool:
    """True where one of the functions above made it for this sender."""
    return sender in {frame[_SENDER], frame[_ORIGIN]}
