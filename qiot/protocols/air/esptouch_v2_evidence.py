"""What is known of one ESP-TOUCH v2 round: bit planes of blocks, gathered over rounds and directions.

The head says how many blocks of which kind follow, and every block has a CRC. A plane counts where it was
heard for certain, or twice in a row.
"""

from __future__ import annotations

from typing import Final

import attrs

from qiot.model import SSID_MAX
from qiot.protocols.air.crc import crc8
from qiot.protocols.air.esptouch_v2 import (
    IV_SIZE,
    KEY_SIZE,
    NARROW,
    PASSWORD_MAX,
    PLANES,
    RESERVED_MAX,
    WIDE,
    block_of,
)

__all__ = ["HEAD", "Body", "Evidence", "Found", "Head"]

HEAD: Final = -1
CERTAIN: Final = 2
"""Weight from which a plane is believed: heard for certain, or twice."""
_EIGHT_BITS: Final = 0x80
_LENGTH: Final = 0x7F
_IPV4: Final = 0x01
_SECURITY_MAX: Final = 2
_RANDOM_IV: Final = 2
_CRC_BITS: Final = 0x3F


@attrs.frozen
class Found:
    """A data symbol whose block is known.

    Attributes:
        sequence: -1 for the head, else 0 and up.
        plane: 0 to 7.
        bits: Six bits.
        certain: Nothing but this symbol can have been sent there.
    """

    sequence: int
    plane: int
    bits: int
    certain: bool = False


@attrs.define
class _Plane:
    """Six bits, and how far they are believed."""

    bits: int
    weight: int


@attrs.frozen
class Head:
    """The six octets of the head.

    Attributes:
        ssid: Octets; 0 where it is not sent.
        password: Octets.
        reserved: Octets.
        wide: Which of the three need eight bits.
        bssid_crc: CRC-8 of the BSSID.
        ipv4: The phone has an IPv4 address.
        security: 0 plain, 1 or 2 encrypted.
        port_mark: Which port the phone listens on.
    """

    ssid: int
    password: int
    reserved: int
    wide: tuple[bool, bool, bool]
    bssid_crc: int
    ipv4: bool
    security: int
    port_mark: int

    @property
    def cipher(self) -> int:
        """Octets of ciphertext."""
        return KEY_SIZE * ((self.password + self.reserved) // KEY_SIZE + 1)

    def fields(self) -> list[tuple[int, int]]:
        """Length and block size of the body's fields, in order."""
        ssid = (self.ssid, WIDE if self.wide[0] else NARROW)
        if self.security:
            return [(self.cipher, WIDE), *([(IV_SIZE, WIDE)] if self.security == _RANDOM_IV else []), ssid]
        if not (self.wide[1] or self.wide[2]):
            return [(self.password + self.reserved, NARROW), ssid]
        sizes = [WIDE if wide else NARROW for wide in self.wide[1:]]
        return [(self.password, sizes[0]), (self.reserved, sizes[1]), ssid]

    def block_sizes(self) -> list[int]:
        """The block size of every sequence."""
        return [size for length, size in self.fields() for _ in range(-(-length // size))]


@attrs.frozen
class Body:
    """The fields of a complete round, as they were sent.

    Attributes:
        head: Its head.
        fields: The octets of each field, without padding.
    """

    head: Head
    fields: tuple[bytes, ...] = attrs.field(repr=False)


def _head_of(block: bytes) -> Head | None:
    ssid, password, reserved, bssid_crc, flags, crc = block
    if crc8(block[:WIDE]) != crc:
        return None
    head = Head(
        ssid=ssid & _LENGTH,
        password=password & _LENGTH,
        reserved=reserved & _LENGTH,
        wide=(bool(ssid & _EIGHT_BITS), bool(password & _EIGHT_BITS), bool(reserved & _EIGHT_BITS)),
        bssid_crc=bssid_crc,
        ipv4=bool(flags & _IPV4),
        security=flags >> 1 & 3,
        port_mark=flags >> 3 & 3,
    )
    fits = head.ssid <= SSID_MAX and head.password <= PASSWORD_MAX and head.reserved <= RESERVED_MAX
    return head if fits and head.security <= _SECURITY_MAX and not flags >> 5 else None


class Evidence:
    """Everything heard of one phone's rounds."""

    def __init__(self) -> None:
        self._planes: dict[int, list[_Plane | None]] = {}
        self._head: Head | None = None
        self._blocks: dict[int, bytes | None] = {}
        self.count: int | None = None
        self.wrong_checksums = 0

    def contradicts(self, found: Found) -> bool:
        """Both this symbol and what is known are certain, and differ: it is another datum."""
        planes = self._planes.get(found.sequence)
        known = None if planes is None else planes[found.plane]
        return found.certain and known is not None and known.weight >= CERTAIN and known.bits != found.bits

    def plane(self, found: Found) -> bool:
        """Six bits of a block; True where they may make a difference."""
        planes = self._planes.setdefault(found.sequence, [None] * PLANES)
        known = planes[found.plane]
        if known is None:
            planes[found.plane] = _Plane(found.bits, CERTAIN if found.certain else 1)
        elif known.weight >= CERTAIN:
            return False  # what is certain is not changed: `contradicts` comes first
        elif known.bits != found.bits:
            planes[found.plane] = _Plane(found.bits, CERTAIN if found.certain else 1)
        else:
            known.weight += 1
        self._blocks.pop(found.sequence, None)
        if found.sequence == HEAD:
            self._head = None
            self._blocks.clear()
        return True

    def _bits(self, sequence: int, weight: int) -> list[int]:
        """The planes of a block that are believed enough."""
        planes = self._planes.get(sequence, ())
        return [plane.bits for plane in planes if plane is not None and plane.weight >= weight]

    def head(self) -> Head | None:
        """The head, where its CRC fits and it agrees with the number of sequences."""
        if self._head is None:
            whole = self._bits(HEAD, 1)
            if len(whole) == PLANES:
                head = _head_of(block_of(whole))
                if head is None or self.count not in (None, 1 + len(head.block_sizes())):
                    self.wrong_checksums += 1
                    return None
                self._head = head
        return self._head

    def block(self, sequence: int, size: int) -> bytes | None:
        """A block's content of 5 or 6 octets, where its CRC fits."""
        if sequence not in self._blocks:
            self._blocks[sequence] = self._find(sequence, size)
        return self._blocks[sequence]

    def _find(self, sequence: int, size: int) -> bytes | None:
        planes = self._bits(sequence, CERTAIN)
        if len(planes) < PLANES:
            return None
        if size == WIDE:
            block = block_of(planes)
            content, fits = block[:WIDE], crc8(block[:WIDE]) == block[WIDE]
        else:
            content = block_of([*planes[:-1], 0])
            fits = crc8(content) & _CRC_BITS == planes[-1]
        if not fits:
            self.wrong_checksums += 1
        return content if fits else None

    def body(self) -> Body | None:
        """The fields, where all blocks are there."""
        head = self.head()
        if head is None or self.count is None:
            return None
        fields = []
        sequence = 0
        for length, size in head.fields():
            octets = b""
            for _ in range(-(-length // size)):
                block = self.block(sequence, size)
                if block is None:
                    return None
                octets += block
                sequence += 1
            fields.append(octets[:length])
        return Body(head, tuple(fields))

    def known(self) -> int:
        """How many planes are known."""
        return sum(plane is not None for planes in self._planes.values() for plane in planes)

    def missing(self) -> list[str]:
        """The blocks that are not there, as far as their number is known."""
        if self.count is None:
            return ["number of sequences"]
        missing = [] if self.head() is not None else ["head"]
        sequences = range(self.count - 1)
        missing += [f"sequence {one}" for one in sequences if len(self._bits(one, CERTAIN)) < PLANES]
        return missing

    @property
    def need(self) -> int:
        """How many planes there are."""
        return 0 if self.count is None else self.count * PLANES
