"""BluFi's key exchange, version 1 and version 2.

Both are Diffie-Hellman without any authentication: they keep a listener out, not somebody in the middle. The
phone names the group; a device checks it. Sources: ESP-IDF's BluFi example (`blufi_security.c`), RFC 7919
appendix A.2 for ffdhe3072.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import attrs

from qiot.errors import ProtocolError
from qiot.model import Secret
from qiot.protocols.ble.blufi_cipher import GROUP_V1, GROUP_V2, Group, SealerV1, Version, make_sealer
from qiot.protocols.ble.frames import ErrorCode, Sealer

__all__ = ["KeyExchange", "PhoneExchange", "Recorded"]

Random = Callable[[int], bytes]

_TOTAL: Final = 0x00
_PARAMETERS: Final = 0x01
_UNUSED: Final = (0x02, 0x03, 0x04)
_PARAMETERS_MAX: Final = 1024
"""Octets of the phone's parameters (ESP-IDF: larger ones are refused)."""
_BITS_MIN: Final = 1024
_BITS_MAX: Final = 3072
"""Sizes of a version 1 group: Espressif's own at least, and not so large that a frame stalls the device."""
_PRIVATE_V2: Final = 48
"""Octets of a private value in ffdhe3072: RFC 7919, appendix A.2, wants 275 bits at least."""


@attrs.frozen
class Recorded:
    """A negotiation that took place elsewhere, to replay what was recorded of it. For tests only.

    Attributes:
        public: This side's public value, as it went over the wire.
        key: The AES key of version 1.
        shared: The shared secret of version 2, as long as the prime.
    """

    public: bytes
    key: Secret | None = None
    shared: Secret | None = None

    def sealer(self, version: Version, *, is_device: bool, strip: bool) -> Sealer:
        """The recorded key at work.

        Raises:
            ProtocolError: INIT_SECURITY: it is of the other version.
        """
        if version == 1 and self.key is not None:
            return SealerV1(self.key.reveal())
        if self.shared is not None:
            shared = self.shared.reveal()
            return make_sealer(
                version, int.from_bytes(shared, "big"), len(shared), is_device=is_device, strip=strip
            )
        raise ProtocolError("the recorded key is of another version", code=ErrorCode.INIT_SECURITY)


def _private(version: Version, group: Group, random: Random) -> int:
    """A private value, 2 to p - 2: octets of the random source, as many as the prime has (version 2: 48)."""
    drawn = int.from_bytes(random(_PRIVATE_V2 if version == 2 else group.size), "big")  # noqa: PLR2004
    return 2 + drawn % (group.p - 3) if drawn < 2 or drawn > group.p - 2 else drawn  # noqa: PLR2004


def _agree(group: Group, public: int, private: int) -> int:
    """The shared secret.

    Raises:
        ProtocolError: READ_PARAMETERS: a public value, or a secret, that everybody knows.
    """
    if not 2 <= public <= group.p - 2:  # noqa: PLR2004 - 0, 1 and p - 1 give a secret that is known
        raise ProtocolError("the public value is degenerate", code=ErrorCode.READ_PARAMETERS)
    shared = pow(public, private, group.p)
    if shared in (0, 1, group.p - 1):
        raise ProtocolError("the public value is of a tiny subgroup", code=ErrorCode.READ_PARAMETERS)
    return shared


def _check(group: Group, version: Version) -> None:
    if version == 2:  # noqa: PLR2004
        if group != GROUP_V2:
            raise ProtocolError("the group is not ffdhe3072", code=ErrorCode.DH_PARAMETERS)
        return
    bits = group.p.bit_length()
    if not _BITS_MIN <= bits <= _BITS_MAX:
        text = f"a prime of {bits} bits is not {_BITS_MIN} to {_BITS_MAX}"
        raise ProtocolError(text, code=ErrorCode.DH_PARAMETERS)
    if group.p % 2 == 0 or not 2 <= group.g <= group.p - 2:  # noqa: PLR2004
        raise ProtocolError("the group is degenerate", code=ErrorCode.DH_PARAMETERS)


def _fields(data: bytes) -> tuple[int, int, int]:
    """p, g and the public value, which has no more octets than p (mbed TLS, mbedtls_dhm_read_public)."""
    numbers: list[int] = []
    sizes: list[int] = []
    start = 0
    for _ in range(3):
        end = start + 2 + int.from_bytes(data[start : start + 2], "big")
        if end > len(data) or end == start + 2:
            raise ProtocolError("p, g or public value is missing", code=ErrorCode.READ_PARAMETERS)
        numbers.append(int.from_bytes(data[start + 2 : end], "big"))
        sizes.append(end - start - 2)
        start = end
    if start != len(data):
        raise ProtocolError("octets follow the public value", code=ErrorCode.READ_PARAMETERS)
    if sizes[2] > sizes[0]:
        raise ProtocolError("the public value is longer than the prime", code=ErrorCode.READ_PARAMETERS)
    return numbers[0], numbers[1], numbers[2]


class KeyExchange:
    """The device's end of one link's negotiation.

    Args:
        version: Of the security: 1 or 2.
        random: Cryptographic random source: gives as many octets as asked for.
        strip: Version 2: drop leading zeros of the shared secret, as Espressif's Java library 2.5.1 does and
            ESP-IDF does not. One session in 256 has one, and fails where the two sides differ.
        recorded: Replay this instead of negotiating. For tests only.
    """

    def __init__(
        self, version: Version, random: Random, *, strip: bool = False, recorded: Recorded | None = None
    ) -> None:
        self._version: Version = version
        self._random = random
        self._strip = strip
        self._recorded = recorded
        self._total: int | None = None

    def feed(self, data: bytes) -> tuple[bytes, Sealer] | None:
        """Take one negotiation message.

        Returns:
            Once the parameters are there: the public value to send, and the key at work.

        Raises:
            ProtocolError: With the `ErrorCode` to report.
        """
        if not data:
            raise ProtocolError("an empty negotiation message", code=ErrorCode.DATA_FORMAT)
        if data[0] == _TOTAL:
            if len(data) != 3:  # noqa: PLR2004
                raise ProtocolError("the length has two octets", code=ErrorCode.DATA_FORMAT)
            self._total = None
            total = int.from_bytes(data[1:], "big")
            if not 0 < total <= _PARAMETERS_MAX:
                text = f"parameters of {total} octets are not 1 to {_PARAMETERS_MAX}"
                raise ProtocolError(text, code=ErrorCode.DH_PARAMETERS)
            self._total = total
            return None
        if data[0] == _PARAMETERS:
            return self._answer(data[1:])
        if data[0] in _UNUSED:
            return None
        raise ProtocolError("a negotiation message of unknown type", code=ErrorCode.DATA_FORMAT)

    def _answer(self, parameters: bytes) -> tuple[bytes, Sealer]:
        total, self._total = self._total, None
        if total is None:
            raise ProtocolError("parameters before their length", code=ErrorCode.DH_PARAMETERS)
        if len(parameters) != total:
            text = f"parameters of {len(parameters)} octets where {total} were announced"
            raise ProtocolError(text, code=ErrorCode.DATA_FORMAT)
        p, g, public = _fields(parameters)
        group = Group(p, g)
        _check(group, self._version)
        if self._recorded is not None:
            sealer = self._recorded.sealer(self._version, is_device=True, strip=self._strip)
            return self._recorded.public, sealer
        private = _private(self._version, group, self._random)
        shared = _agree(group, public, private)
        own = pow(group.g, private, group.p)
        if own in (0, 1, group.p - 1):
            raise ProtocolError("the group is degenerate", code=ErrorCode.MAKE_PUBLIC)
        sealer = make_sealer(self._version, shared, group.size, is_device=True, strip=self._strip)
        return own.to_bytes(group.size, "big"), sealer


class PhoneExchange:
    """The phone's end.

    Args:
        version: Of the security: 1 or 2.
        random: As for `KeyExchange`.
        strip: As for `KeyExchange`.
        recorded: As for `KeyExchange`.

    Attributes:
        messages: The negotiation messages to send, in order.
    """

    def __init__(
        self, version: Version, random: Random, *, strip: bool = False, recorded: Recorded | None = None
    ) -> None:
        self._version: Version = version
        self._group = group = GROUP_V2 if version == 2 else GROUP_V1  # noqa: PLR2004
        self._strip = strip
        self._recorded = recorded
        self._private = _private(version, group, random) if recorded is None else 0
        public = pow(group.g, self._private, group.p).to_bytes(group.size, "big")
        fields = [group.p.to_bytes(group.size, "big"), bytes((group.g,))]
        fields.append(public if recorded is None else recorded.public)
        parameters = b"".join(len(field).to_bytes(2, "big") + field for field in fields)
        self.messages = (
            bytes((_TOTAL,)) + len(parameters).to_bytes(2, "big"),
            bytes((_PARAMETERS,)) + parameters,
        )

    def finish(self, public: bytes) -> Sealer:
        """The key at work, from the device's public value.

        Raises:
            ProtocolError: The value is degenerate or too long.
        """
        if len(public) > self._group.size:
            raise ProtocolError("the public value is too long", code=ErrorCode.READ_PARAMETERS)
        if self._recorded is not None:
            return self._recorded.sealer(self._version, is_device=False, strip=self._strip)
        shared = _agree(self._group, int.from_bytes(public, "big"), self._private)
        return make_sealer(self._version, shared, self._group.size, is_device=False, strip=self._strip)
