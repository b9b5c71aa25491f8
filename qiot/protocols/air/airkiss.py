"""AirKiss, the phone's side, and what both sides share.

Source: Tencent's "Air-Kiss technical scheme" and encoders made from captures of WeChat, as written down in
the specification. Every symbol is the length of a broadcast, 9 bits: a guide code, then a magic field (total
length, CRC of the SSID), then rounds of a prefix field (password length) and sequences of four octets each.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

import attrs
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.padding import PKCS7

from qiot.errors import ProtocolError
from qiot.model import SSID_MAX, Reason, Secret
from qiot.protocols.air.casts import ANYBODY, Cast, Symbol, paced
from qiot.protocols.air.crc import crc8

__all__ = [
    "ACK_PORT",
    "BLOCK",
    "DATA",
    "GUIDE",
    "HEADER",
    "PASSWORD_MAX",
    "PORT",
    "PREFIX",
    "SEQUENCE_OCTETS",
    "ZERO_TOTAL",
    "AirKiss",
    "Pacing",
    "decrypt",
    "encrypt",
    "sequence_checksum",
]

PORT: Final = 10001
ACK_PORT: Final = 10000
GUIDE: Final = (1, 2, 3, 4)
PREFIX: Final = 0x40
HEADER: Final = 0x80
DATA: Final = 0x100
ZERO_TOTAL: Final = 0x08
"""Stands for a first magic symbol of 0, for a datagram of no length cannot be sent."""
SEQUENCE_OCTETS: Final = 4
PASSWORD_MAX: Final = 64
BLOCK: Final = 16
"""Octets of an AES block and of the key."""
SEND_TIME: Final = 45.0


def sequence_checksum(index: int, octets: bytes) -> int:
    """The seven bits of checksum that a sequence's first symbol carries."""
    return crc8((index, *octets)) & 0x7F


def _cipher(key: bytes) -> Cipher[modes.CBC]:
    padded = key.ljust(BLOCK, b"\0")
    return Cipher(algorithms.AES(padded), modes.CBC(padded))


def encrypt(password: bytes, key: bytes) -> bytes:
    """The password field under a key of 1 to 16 octets: AES-128-CBC, the key is the IV, PKCS#7 padding."""
    padder = PKCS7(BLOCK * 8).padder()
    encryptor = _cipher(key).encryptor()
    return encryptor.update(padder.update(password) + padder.finalize()) + encryptor.finalize()


def decrypt(field: bytes, key: bytes) -> bytes | None:
    """The password of an encrypted field, or None where it was not encrypted with this key."""
    if not field:
        return b""
    if len(field) % BLOCK:
        return None
    decryptor = _cipher(key).decryptor()
    unpadder = PKCS7(BLOCK * 8).unpadder()
    try:
        return unpadder.update(decryptor.update(field) + decryptor.finalize()) + unpadder.finalize()
    except ValueError:
        return None


@attrs.frozen
class Pacing:
    """How often each part is sent. The default is WeChat's, as it was captured.

    Attributes:
        guides: Guide codes (of four) before each magic field.
        magics: Magic fields (of four).
        prefixes: Prefix fields (of four) before the data.
        rounds: Rounds of all sequences before the next guide code.
        prefix_in_round: The prefix is sent again before each round.
        interval: Seconds between two datagrams.
    """

    guides: int = 50
    magics: int = 20
    prefixes: int = 0
    rounds: int = 15
    prefix_in_round: bool = True
    interval: float = 0.004


@attrs.frozen
class AirKiss:
    """One set of credentials for AirKiss and how it is sent.

    Attributes:
        ssid: 1 to 32 octets.
        password: 0 to 64 octets; empty for an open network.
        random_byte: 0 to 255; the device answers with it.
        key: 1 to 16 octets where the device has one; encrypts the password.
        pacing: How often each part is sent.
        broadcast: Where to broadcast to.

    Raises:
        ProtocolError: BAD_FIELD: a field is too long or out of range.
    """

    ssid: bytes
    password: Secret
    random_byte: int
    key: Secret | None = None
    pacing: Pacing = attrs.field(factory=Pacing)
    broadcast: str = ANYBODY

    def __attrs_post_init__(self) -> None:
        if not 0 < len(self.ssid) <= SSID_MAX:
            raise ProtocolError(f"an SSID has 1 to {SSID_MAX} octets", reason=Reason.BAD_FIELD)
        if len(self.password) > PASSWORD_MAX:
            raise ProtocolError(f"a password has at most {PASSWORD_MAX} octets", reason=Reason.BAD_FIELD)
        if self.random_byte not in range(256):
            raise ProtocolError("the random byte is one octet", reason=Reason.BAD_FIELD)
        if self.key is not None and not 0 < len(self.key) <= BLOCK:
            raise ProtocolError(f"an AirKiss key has 1 to {BLOCK} octets", reason=Reason.BAD_FIELD)

    def _field(self) -> bytes:
        password = self.password.reveal()
        return password if self.key is None else encrypt(password, self.key.reveal())

    def magic(self) -> tuple[int, ...]:
        """The magic field: total length and the SSID's CRC, a nibble each."""
        total = len(self._field()) + 1 + len(self.ssid)
        crc = crc8(self.ssid)
        return (total >> 4 or ZERO_TOTAL, 0x10 | total & 0x0F, 0x20 | crc >> 4, 0x30 | crc & 0x0F)

    def prefix(self) -> tuple[int, ...]:
        """The prefix field: the password field's length and its CRC."""
        length = len(self._field())
        crc = crc8((length,))
        return tuple(
            PREFIX | place << 4 | nibble
            for place, nibble in enumerate((length >> 4, length & 0x0F, crc >> 4, crc & 0x0F))
        )

    def data(self) -> list[int]:
        """All sequences: checksum, index, and up to four octets each."""
        octets = self._field() + bytes((self.random_byte,)) + self.ssid
        lengths: list[int] = []
        for index, start in enumerate(range(0, len(octets), SEQUENCE_OCTETS)):
            part = octets[start : start + SEQUENCE_OCTETS]
            lengths += (HEADER | sequence_checksum(index, part), HEADER | index)
            lengths += (DATA | octet for octet in part)
        return lengths

    def round(self) -> Iterator[Cast]:
        """Every part once."""
        parts = (("guide", GUIDE), ("magic", self.magic()), ("prefix", self.prefix()), ("data", self.data()))
        return self._paced(symbol for part, lengths in parts for symbol in self._symbols(part, lengths))

    def casts(self) -> Iterator[Cast]:
        """All of it again and again, for 45 seconds."""
        pacing = self.pacing
        prefix, data = self._symbols("prefix", self.prefix()), self._symbols("data", self.data())
        once = [
            *self._symbols("guide", GUIDE) * pacing.guides,
            *self._symbols("magic", self.magic()) * pacing.magics,
            *prefix * pacing.prefixes,
            *((prefix if pacing.prefix_in_round else []) + data) * pacing.rounds,
        ]
        return self._paced(itertools.islice(itertools.cycle(once), round(SEND_TIME / pacing.interval)))

    def _paced(self, symbols: Iterable[Symbol]) -> Iterator[Cast]:
        return paced(symbols, interval=self.pacing.interval, port=PORT, fill=ord("1"))

    def _symbols(self, part: str, lengths: Sequence[int]) -> list[Symbol]:
        return [Symbol(length, part, self.broadcast) for length in lengths]
