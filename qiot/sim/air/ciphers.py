"""What encryption adds to a data frame's body (IEEE 802.11, 12.3.2, 12.5.2 to 12.5.4)."""

from __future__ import annotations

import enum
import struct
from collections.abc import Mapping
from typing import Final

import attrs

from qiot.model import Security

__all__ = ["Cipher", "Protection", "protection_of"]

_EXTENDED_IV: Final = 0x20
_KEY_SHIFT: Final = 6


@attrs.frozen
class _Kind:
    """One cipher: its suite's number (IEEE 802.11, 9.4.2.23.2), octets before and behind the body."""

    suite: int
    head: int
    tail: int


class Cipher(enum.Enum):
    """A cipher suite, or none. Lengths are octets of the frame body beside what is encrypted."""

    OPEN = _Kind(0, 0, 0)
    WEP = _Kind(1, 4, 4)
    TKIP = _Kind(2, 8, 12)
    CCMP = _Kind(4, 8, 8)
    GCMP = _Kind(8, 8, 16)
    GCMP_256 = _Kind(9, 8, 16)
    CCMP_256 = _Kind(10, 8, 16)

    @property
    def suite(self) -> int:
        """Number of the cipher suite, behind 00-0F-AC."""
        return self.value.suite

    @property
    def head(self) -> int:
        """Octets in front: initialisation vector or packet number, with the key's number."""
        return self.value.head

    @property
    def tail(self) -> int:
        """Octets behind: integrity check values."""
        return self.value.tail

    def header(self, number: int, key: int) -> bytes:
        """The octets in front.

        Args:
            number: Packet number, 0 to 2^48 - 1 (WEP: 24 bits of it), growing from frame to frame.
            key: Key number, 0 to 3: 0 for pairwise keys.
        """
        octets = struct.pack("<Q", number)
        last = key << _KEY_SHIFT
        if self is Cipher.OPEN:
            return b""
        if self is Cipher.WEP:
            return octets[:3] + bytes((last,))
        if self is Cipher.TKIP:
            # The second octet repeats the first so that no weak WEP seed comes out (12.5.2.2).
            return bytes((octets[1], (octets[1] | 0x20) & 0x7F, octets[0], last | _EXTENDED_IV)) + octets[2:6]
        return octets[:2] + bytes((0, last | _EXTENDED_IV)) + octets[2:6]


@attrs.frozen
class Protection:
    """The ciphers of a network.

    Attributes:
        pairwise: Of frames from a station, and to one.
        group: Of frames from the access point to everybody; an older one where old stations have to read it.
    """

    pairwise: Cipher = Cipher.CCMP
    group: Cipher = Cipher.CCMP


_PROTECTION: Final[Mapping[Security, Protection]] = {
    Security.OPEN: Protection(Cipher.OPEN, Cipher.OPEN),
    Security.WEP: Protection(Cipher.WEP, Cipher.WEP),
    Security.WPA: Protection(Cipher.TKIP, Cipher.TKIP),
}


def protection_of(security: Security) -> Protection:
    """The usual ciphers of a network of this security."""
    return _PROTECTION.get(security, Protection())
