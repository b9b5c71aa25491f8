"""ESP-TOUCH v2, the phone's side, and what both sides share.

Source: Espressif's public Android encoder as written down in the specification. Every symbol is the length
of a broadcast. A round is a head and sequences; each carries a block of six octets in eight lengths, one for
each bit plane, 15 ms apart.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Final

import attrs
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.padding import PKCS7

from qiot.errors import ProtocolError
from qiot.model import SSID_MAX, Reason, Secret
from qiot.protocols.air.casts import ANYBODY, Cast
from qiot.protocols.air.crc import crc8

__all__ = [
    "ACK_PORT",
    "ACK_PORT_STEP",
    "BLOCK",
    "COUNT",
    "DATA",
    "IV_SIZE",
    "KEY_SIZE",
    "NARROW",
    "PASSWORD_MAX",
    "PLANES",
    "PORT",
    "RESERVED_MAX",
    "SEQUENCE",
    "SEQUENCES_MAX",
    "SYNC",
    "WIDE",
    "EspTouchV2",
    "block_of",
    "decrypt",
    "planes_of",
]

PORT: Final = 7001
ACK_PORT: Final = 18266
ACK_PORT_STEP: Final = 10000
"""The phone listens on the first free one of four ports; the port mark says which."""
SYNC: Final = 1048
COUNT: Final = 1072
"""Less 1, plus the number of sequences, the head among them."""
SEQUENCE: Final = 128
DATA: Final = 0x40
PLANES: Final = 8
BLOCK: Final = 6
WIDE: Final = 5
"""Octets of content in a block that carries eight bits of each, and its CRC."""
NARROW: Final = 6
"""Octets of content in a block that carries seven bits of each."""
SEQUENCES_MAX: Final = 64
PASSWORD_MAX: Final = 64
RESERVED_MAX: Final = 64
KEY_SIZE: Final = 16
IV_SIZE: Final = 20
"""Octets of the random block that security version 2 sends; the first 16 are the IV."""
_HEADERS: Final = 3
_INTERVAL: Final = 0.015
_SLOW_INTERVAL: Final = 0.1
_SLOW_AFTER: Final = 45.0
_SEND_TIME: Final = 90.0
_SYNC_INTERVAL: Final = 0.1
_PADDING: Final = 127
_SEVEN_BITS: Final = 0x80
_MARKS: Final = 4
_SECURITIES: Final = 3


def planes_of(block: bytes) -> list[int]:
    """The eight lengths of a block of six octets, bit 0 first."""
    return [
        plane << 7
        | DATA
        | sum((octet >> plane & 1) << (BLOCK - 1 - place) for place, octet in enumerate(block))
        for plane in range(PLANES)
    ]


def block_of(planes: list[int]) -> bytes:
    """Six octets from the six bits of each plane, bit 0 first."""
    return bytes(
        sum((bits >> (BLOCK - 1 - place) & 1) << plane for plane, bits in enumerate(planes))
        for place in range(BLOCK)
    )


def _wide(content: bytes) -> list[int]:
    return planes_of(content + bytes((crc8(content),)))


def _narrow(content: bytes) -> list[int]:
    return [*planes_of(content)[:-1], (PLANES - 1) << 7 | DATA | crc8(content)]


def _cipher(key: bytes, iv: bytes) -> Cipher[modes.CBC]:
    return Cipher(algorithms.AES(key), modes.CBC(iv))


def decrypt(field: bytes, key: bytes, iv: bytes) -> bytes | None:
    """Password and reserved data of an encrypted field, or None where this is not its key."""
    decryptor = _cipher(key, iv).decryptor()
    unpadder = PKCS7(KEY_SIZE * 8).unpadder()
    try:
        return unpadder.update(decryptor.update(field) + decryptor.finalize()) + unpadder.finalize()
    except ValueError:
        return None


def _flagged(field: bytes) -> int:
    """A length, with the top bit where an octet of the field needs eight bits."""
    return len(field) | (_SEVEN_BITS if _needs_eight_bits(field) else 0)


def _needs_eight_bits(field: bytes) -> bool:
    return any(octet >= _SEVEN_BITS for octet in field)


@attrs.frozen
class EspTouchV2:
    """One set of credentials for ESP-TOUCH v2 and how it is sent.

    Attributes:
        ssid: 0 to 32 octets; empty where the device is to find the network by its BSSID, as the vendor's
            application does unless the network is hidden.
        password: 0 to 64 octets.
        bssid: Six octets; only its CRC is sent.
        randomness: Gives so many random octets, for padding and the IV.
        reserved: The application's own data, 0 to 64 octets.
        key: 16 octets; encrypts password and reserved data.
        security: 1 or 2 with a key (2 has a random IV).
        port_mark: 0 to 3; which port the phone listens on.
        ipv6: The phone has no IPv4 address.
        broadcast: Where to; the phone uses its subnet's broadcast address where it knows it.
        presync: Seconds of sync symbols alone before the first round.

    Raises:
        ProtocolError: BAD_FIELD: a field is too long or out of range.
    """

    ssid: bytes
    password: Secret
    bssid: bytes
    randomness: Callable[[int], bytes]
    reserved: bytes = b""
    key: Secret | None = None
    security: int = 1
    port_mark: int = 0
    ipv6: bool = False
    broadcast: str = ANYBODY
    presync: float = 0.0

    def __attrs_post_init__(self) -> None:
        for name, size, most in (
            ("an SSID", len(self.ssid), SSID_MAX),
            ("a password", len(self.password), PASSWORD_MAX),
            ("reserved data", len(self.reserved), RESERVED_MAX),
        ):
            if size > most:
                raise ProtocolError(f"{name} has at most {most} octets", reason=Reason.BAD_FIELD)
        if len(self.bssid) != BLOCK:
            raise ProtocolError("a BSSID has six octets", reason=Reason.BAD_FIELD)
        if self.key is not None and len(self.key) != KEY_SIZE:
            raise ProtocolError(f"an ESP-TOUCH key has {KEY_SIZE} octets", reason=Reason.BAD_FIELD)
        if self.port_mark not in range(_MARKS):
            raise ProtocolError("the port mark is 0 to 3", reason=Reason.BAD_FIELD)
        if self.key is not None and self.security not in range(1, _SECURITIES):
            raise ProtocolError("the security version is 1 or 2", reason=Reason.BAD_FIELD)

    def lengths(self) -> list[int]:
        """The payload lengths of one round, with fresh padding and IV."""
        head, *blocks = self._blocks()
        count = COUNT + len(blocks)
        return [
            *(SYNC, count, SYNC, count),
            *head,
            *itertools.chain.from_iterable(
                [SEQUENCE + index] * _HEADERS + block for index, block in enumerate(blocks)
            ),
        ]

    def round(self) -> Iterator[Cast]:
        """One round."""
        for count, (length, part) in enumerate(self._parts()):
            yield Cast(count * _INTERVAL, self.broadcast, PORT, length, part)

    def casts(self) -> Iterator[Cast]:
        """Rounds for 90 seconds, slowly after 45; all rounds are alike, padding and IV included."""
        syncs = round(self.presync / _SYNC_INTERVAL)
        for count in range(syncs):
            yield Cast(count * _SYNC_INTERVAL, self.broadcast, PORT, SYNC, "sync")
        parts = self._parts()
        now = start = syncs * _SYNC_INTERVAL
        while now < start + _SEND_TIME:
            for length, part in parts:
                yield Cast(now, self.broadcast, PORT, length, part)
                now += _INTERVAL if now < start + _SLOW_AFTER else _SLOW_INTERVAL
            now += _INTERVAL

    def _parts(self) -> list[tuple[int, str]]:
        def part(place: int, length: int) -> str:
            if place < BLOCK - 2:
                return "sync" if length == SYNC else "count"
            return "data" if length & DATA else "sequence"

        return [(length, part(place, length)) for place, length in enumerate(self.lengths())]

    def _blocks(self) -> Iterator[list[int]]:
        password, reserved = self.password.reveal(), self.reserved
        encrypts = self.key is not None and bool(password or reserved)
        flags = (not self.ipv6) | (self.security << 1 if encrypts else 0) | self.port_mark << 3
        yield _wide(
            bytes((_flagged(self.ssid), _flagged(password), _flagged(reserved), crc8(self.bssid), flags))
        )
        if self.key is not None and encrypts:
            yield from self._encrypted(password + reserved, self.key.reveal())
        elif _needs_eight_bits(password + reserved):
            yield from self._plain(password)
            yield from self._plain(reserved)
        else:
            yield from self._plain(password + reserved)
        yield from self._plain(self.ssid)

    def _encrypted(self, content: bytes, key: bytes) -> Iterator[list[int]]:
        iv = bytes(KEY_SIZE) if self.security == 1 else self.randomness(IV_SIZE)
        padder = PKCS7(KEY_SIZE * 8).padder()
        encryptor = _cipher(key, iv[:KEY_SIZE]).encryptor()
        field = encryptor.update(padder.update(content) + padder.finalize()) + encryptor.finalize()
        yield from self._cut(field, WIDE)
        if self.security > 1:
            yield from self._cut(iv, WIDE)

    def _plain(self, field: bytes) -> Iterator[list[int]]:
        return self._cut(field, WIDE if _needs_eight_bits(field) else NARROW)

    def _cut(self, field: bytes, size: int) -> Iterator[list[int]]:
        padding = bytes(octet % _PADDING for octet in self.randomness(-len(field) % size))
        padded = field + padding
        encode = _wide if size == WIDE else _narrow
        for start in range(0, len(padded), size):
            yield encode(padded[start : start + size])
