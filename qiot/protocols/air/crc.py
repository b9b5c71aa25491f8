"""The checksum that ESP-TOUCH v1 and v2 and AirKiss share: CRC-8/MAXIM-DOW.

Polynomial 0x31 reflected (0x8C), initial value 0, no final xor.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

__all__ = ["crc8"]

_POLYNOMIAL: Final = 0x8C


def _entry(octet: int) -> int:
    for _ in range(8):
        octet = (octet >> 1) ^ _POLYNOMIAL if octet & 1 else octet >> 1
    return octet


_TABLE: Final = bytes(_entry(octet) for octet in range(256))


def crc8(data: Iterable[int]) -> int:
    """The CRC-8 of octets, 0 to 255."""
    crc = 0
    for octet in data:
        crc = _TABLE[crc ^ octet]
    return crc
