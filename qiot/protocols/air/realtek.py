"""Realtek Simple Config, the phone's side, and what both sides share.

Source: the encoder of 2014 (patterns 2, 3 and 4) as written down in the specification. No decoder of the
vendor is public and none could be run, so that this is experimental: it agrees with the vendor's phone.
"""

from __future__ import annotations

import hashlib
import hmac
import itertools
from collections.abc import Callable, Iterator
from ipaddress import IPv4Address
from typing import Final

import attrs
from cryptography.hazmat.primitives.keywrap import InvalidUnwrap, aes_key_unwrap, aes_key_wrap

from qiot.errors import ProtocolError
from qiot.model import SSID_MAX, Reason, Secret
from qiot.protocols.air.casts import ANYBODY, Cast, Symbol, paced

__all__ = [
    "ACK_PORT",
    "DEFAULT_PIN",
    "HEADER",
    "LENGTH_BASE",
    "MARKERS",
    "PASSWORD_MAX",
    "PORT",
    "ROUND",
    "ROUND_STEP",
    "SALT_OF_LENGTHS",
    "SALT_SIZE",
    "WRAPPED",
    "Profile",
    "RealtekSimpleConfig",
    "parse_profile",
    "unwrap",
]

PORT: Final = 18864
ACK_PORT: Final = 8864
DEFAULT_PIN: Final = b"57289961"
PASSWORD_MAX: Final = 64
HEADER: Final = 9
"""Packets before the data in patterns 2 and 3."""
SALT_SIZE: Final = 4
SALT_OF_LENGTHS: Final = bytes((50, 51, 52, 53))
"""Pattern 4 sends none, and uses this."""
MARKERS: Final = (3, 2, 11, 10)
"""Pattern 4: the shorter sync length of each round."""
LENGTH_BASE: Final = 1024
ROUND_STEP: Final = 24
ROUND: Final = 63
"""Pattern 4: nibbles in a round."""
WRAPPED: Final = range(24, 121, 8)
"""Octets of a wrapped profile (RFC 3394): 8 more than the profile, padded."""
_NONCE: Final = bytes.fromhex(
    "38436d542f204a28335f614520525f5546527d606d7477463d2951666a746e5e"
    "535f312f6666673c5f4337797727737d3f275f276e26327e426c6d265f6b3f36"
)
_CONTEXT: Final = b"sc_mcast_udp"
_KEY_SIZE: Final = 16
_BLOCK: Final = 8
_MAC_SIZE: Final = 6
_SSID, _PASSWORD, _IP = 1, 2, 3
_SALT_LOWEST: Final = 48
_SALT_VALUES: Final = 207
_PATTERN_USER_PIN: Final = 3
_PATTERN_LENGTHS: Final = 4
_SYNCS: Final = 16
_NIBBLE: Final = 4
_GROUP_PREFIX: Final = 0x01 + 0x00 + 0x5E
_ROUND_TIME: Final = 0.1
_LENGTHS_INTERVAL: Final = 0.005
_ADDRESSES_TIME: Final = 20.0
_SEND_TIME: Final = 120.0


def _key(mac: bytes, pin: bytes, salt: bytes) -> bytes:
    seed = mac + pin + _NONCE + salt
    inner = hashlib.md5(seed, usedforsecurity=False).digest()
    return hmac.new(inner, seed + _CONTEXT, hashlib.sha1).digest()[:_KEY_SIZE]


def unwrap(wrapped: bytes, mac: bytes, pin: bytes, salt: bytes) -> bytes | None:
    """The padded profile, or None where PIN, address or octets are not the right ones (64 bits say so)."""
    try:
        return aes_key_unwrap(_key(mac, pin, salt), wrapped)
    except (InvalidUnwrap, ValueError):
        return None


@attrs.frozen
class Profile:
    """What is sent.

    Attributes:
        ssid: 1 to 32 octets.
        password: 0 to 64 octets.
        ip: The phone's IPv4 address, or None where it is left out.
    """

    ssid: bytes
    password: bytes = attrs.field(repr=False)
    ip: str | None


def parse_profile(data: bytes) -> Profile | None:
    """Read a profile with nothing but zeros behind it; None where it is none."""
    fields: dict[int, bytes] = {}
    rest = data
    while rest and rest[0]:
        if len(rest) < 2 or rest[0] in fields or rest[0] not in {_SSID, _PASSWORD, _IP}:  # noqa: PLR2004
            return None
        tag, size = rest[0], rest[1]
        fields[tag] = rest[2 : 2 + size]
        if len(fields[tag]) < size:
            return None
        rest = rest[2 + size :]
    ssid, password, ip = fields.get(_SSID, b""), fields.get(_PASSWORD, b""), fields.get(_IP)
    if any(rest) or len(rest) >= _BLOCK or not 0 < len(ssid) <= SSID_MAX or len(password) > PASSWORD_MAX:
        return None
    if ip is not None and len(ip) != len(IPv4Address(0).packed):
        return None
    return Profile(ssid, password, None if ip is None else str(IPv4Address(ip)))


@attrs.frozen
class RealtekSimpleConfig:
    """One set of credentials for Simple Config and how it is sent.

    Attributes:
        ssid: 1 to 32 octets.
        password: 0 to 64 octets.
        ip: The phone's IPv4 address.
        mac: The phone's MAC address as the air has it, six octets; the key depends on it.
        randomness: Gives so many random octets.
        pattern: 2 (default PIN) or 3 (the device's PIN): multicast addresses; 4: broadcast lengths.
        pin: The device's PIN; the default where there is none.
        plain: Patterns 2 and 3 without encryption.
        broadcast: Where pattern 4 broadcasts to.

    Raises:
        ProtocolError: BAD_FIELD: a field is too long, or the options do not fit together.
    """

    ssid: bytes
    password: Secret
    ip: str
    mac: bytes
    randomness: Callable[[int], bytes]
    pattern: int = 2
    pin: Secret | None = None
    plain: bool = False
    broadcast: str = ANYBODY
    salt: bytes = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        if not 0 < len(self.ssid) <= SSID_MAX:
            raise ProtocolError(f"an SSID has 1 to {SSID_MAX} octets", reason=Reason.BAD_FIELD)
        if len(self.password) > PASSWORD_MAX:
            raise ProtocolError(f"a password has at most {PASSWORD_MAX} octets", reason=Reason.BAD_FIELD)
        if len(self.mac) != _MAC_SIZE:
            raise ProtocolError("a MAC address has six octets", reason=Reason.BAD_FIELD)
        if self.pattern not in {2, 3, 4}:
            raise ProtocolError("Simple Config has the patterns 2, 3 and 4", reason=Reason.BAD_FIELD)
        if self.pattern == _PATTERN_USER_PIN and self.pin is None:
            raise ProtocolError("pattern 3 needs the device's PIN", reason=Reason.BAD_FIELD)
        if self.plain and self.pattern == _PATTERN_LENGTHS:
            raise ProtocolError("pattern 4 is always encrypted", reason=Reason.BAD_FIELD)
        try:
            IPv4Address(self.ip)
        except ValueError:
            raise ProtocolError(f"{self.ip!r} is no IPv4 address", reason=Reason.BAD_FIELD) from None
        salt = bytes(_SALT_LOWEST + octet % _SALT_VALUES for octet in self.randomness(SALT_SIZE))
        object.__setattr__(self, "salt", salt)

    def profile(self) -> bytes:
        """The profile, not padded."""
        password = self.password.reveal()
        fields = ((_SSID, self.ssid), (_PASSWORD, password), (_IP, IPv4Address(self.ip).packed))
        return b"".join(bytes((tag, len(field))) + field for tag, field in fields)

    def _wrapped(self, salt: bytes) -> bytes:
        profile = self.profile()
        if self.plain:
            return profile
        pin = DEFAULT_PIN if self.pin is None else self.pin.reveal()
        return aes_key_wrap(_key(self.mac, pin, salt), profile + bytes(-len(profile) % _BLOCK))

    def round(self) -> Iterator[Cast]:
        """Every different datagram once, in order; the sync of pattern 4 as often as it is sent."""
        symbols = self._lengths() if self.pattern == _PATTERN_LENGTHS else self._addresses()
        return self._paced(symbols)

    def casts(self) -> Iterator[Cast]:
        """Patterns 2 and 3 for 20 seconds, then pattern 4; 120 seconds in all."""
        start = 0.0
        if self.pattern != _PATTERN_LENGTHS:
            for cast in self._paced(itertools.cycle(self._addresses())):
                if cast.t >= _ADDRESSES_TIME:
                    break
                yield cast
            if self.plain:
                return
            start = _ADDRESSES_TIME
        for cast in paced(
            itertools.cycle(self._lengths()), interval=_LENGTHS_INTERVAL, port=PORT, fill=ord("a")
        ):
            if start + cast.t >= _SEND_TIME:
                return
            yield attrs.evolve(cast, t=start + cast.t)

    def _paced(self, symbols: Iterator[Symbol] | list[Symbol]) -> Iterator[Cast]:
        if self.pattern == _PATTERN_LENGTHS:
            return paced(symbols, interval=_LENGTHS_INTERVAL, port=PORT, fill=ord("a"))
        return paced(symbols, interval=_ROUND_TIME / len(self._addresses()), port=PORT, fill=ord("1"))

    def _addresses(self) -> list[Symbol]:
        """Patterns 2 and 3: octet by octet in 239.number.checksum.octet; the length is the number again."""
        data = self._wrapped(self.salt)
        total = HEADER + len(data)
        octets = [0, 0, self.pattern, total]
        octets.append((_checksum(1, 0) + self.pattern + total) & 0xFF)
        octets += self.salt + data
        return [
            Symbol(
                number,
                "sync" if number < HEADER else "data",
                f"239.{number}.{_checksum(number, octet)}.{octet}",
            )
            for number, octet in enumerate(octets)
        ]

    def _lengths(self) -> list[Symbol]:
        """Pattern 4: nibble by nibble."""
        nibbles = [
            nibble for octet in self._wrapped(SALT_OF_LENGTHS) for nibble in (octet >> 4, octet & 0x0F)
        ]
        symbols = []
        for number, start in enumerate(range(0, len(nibbles), ROUND)):
            left = (len(nibbles) - start) // _SYNCS - (number == 0)
            sync = (MARKERS[number], LENGTH_BASE + ROUND_STEP * number + left)
            symbols += [Symbol(length, "sync", self.broadcast) for length in sync * _SYNCS]
            symbols += [
                Symbol(place << _NIBBLE | nibble, "data", self.broadcast)
                for place, nibble in enumerate(nibbles[start : start + ROUND], 1)
            ]
        return symbols


def _checksum(number: int, octet: int) -> int:
    """The octet that makes the group address add up to 0."""
    return -(_GROUP_PREFIX + number + octet) & 0xFF
