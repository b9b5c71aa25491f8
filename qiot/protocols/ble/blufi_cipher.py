"""BluFi's groups and ciphers: version 1 AES-128-CFB, version 2 AES-256-CTR (ESP-IDF, `blufi_security.c`)."""

from __future__ import annotations

import hashlib
from typing import Final, Literal, TypeAlias

import attrs

from qiot.protocols.ble.frames import Sealer

__all__ = ["GROUP_V1", "GROUP_V2", "Group", "SealerV1", "SealerV2", "Version", "make_sealer"]

Version: TypeAlias = Literal[1, 2]
"""Of BluFi's security: 2 since BluFi 1.4."""

_BLOCK: Final = 16


@attrs.frozen
class Group:
    """A Diffie-Hellman group.

    Attributes:
        p: The prime.
        g: The generator.
    """

    p: int
    g: int

    @property
    def size(self) -> int:
        """Octets of the prime."""
        return (self.p.bit_length() + 7) // 8


GROUP_V1: Final = Group(
    int(
        "cf5cf5c38419a724957ff5dd323b9c45c3cdd261eb740f69aa94b8bb1a5c9640"
        "9153bd76b24222d03274e4725a5406092e9e82e9135c643cae98132b0d95f7d6"
        "5347c68afc1e677da90e51bbab5f5cf429c291b4ba39c6b2dc5e8c7231e46aa7"
        "728e87664532cdf547be20c9a3fa8342be6e34371a27c06f7dc0edddd2f86373",
        16,
    ),
    2,
)
"""The group that Espressif's phone libraries offer for version 1."""

GROUP_V2: Final = Group(
    int(
        "ffffffffffffffffadf85458a2bb4a9aafdc5620273d3cf1d8b9c583ce2d3695"
        "a9e13641146433fbcc939dce249b3ef97d2fe363630c75d8f681b202aec4617a"
        "d3df1ed5d5fd65612433f51f5f066ed0856365553ded1af3b557135e7f57c935"
        "984f0c70e0e68b77e2a689daf3efe8721df158a136ade73530acca4f483a797a"
        "bc0ab182b324fb61d108a94bb2c8e3fbb96adab760d7f4681d4f42a3de394df4"
        "ae56ede76372bb190b07a7c8ee0a6d709e02fce1cdf7e2ecc03404cd28342f61"
        "9172fe9ce98583ff8e4f1232eef28183c3fe3b1b4c6fad733bb5fcbc2ec22005"
        "c58ef1837d1683b2c6f34a26c1b2effa886b4238611fcfdcde355b3b6519035b"
        "bc34f4def99c023861b46fc9d6e6c9077ad91d2691f7f7ee598cb0fac186d91c"
        "aefe130985139270b4130c93bc437944f4fd4452e2d74dd364f2e21e71f54bff"
        "5cae82ab9c9df69ee86d2bc522363a0dabc521979b0deada1dbf9a42d5c4484e"
        "0abcd06bfa53ddef3c1b20ee3fd59d7c25e41d2b66c62e37ffffffffffffffff",
        16,
    ),
    2,
)
"""ffdhe3072 (RFC 7919, appendix A.2), the only group of version 2."""


class SealerV1:
    """AES-128-CFB128; each frame on its own, its sequence number the first octet of the IV.

    Args:
        key: 16 octets.
    """

    def __init__(self, key: bytes) -> None:
        from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

        # CFB on top of ECB: the library has moved its own CFB away and warns of it.
        self._block = Cipher(algorithms.AES(key), modes.ECB()).encryptor()  # noqa: S305

    def encrypt(self, sequence: int, data: bytes) -> bytes:
        """CFB128, the last block cut."""
        out, feedback = bytearray(), _iv_v1(sequence)
        for start in range(0, len(data), _BLOCK):
            feedback = _xor(data[start : start + _BLOCK], self._block.update(feedback))
            out += feedback
        return bytes(out)

    def decrypt(self, sequence: int, data: bytes) -> bytes:
        """The other way round."""
        out, feedback = bytearray(), _iv_v1(sequence)
        for start in range(0, len(data), _BLOCK):
            block = data[start : start + _BLOCK]
            out += _xor(block, self._block.update(feedback))
            feedback = block
        return bytes(out)


class SealerV2:
    """AES-256-CTR; one stream each way, running across frames, so that no frame may be left out.

    Args:
        shared: The shared secret.
        is_device: Which end this is.
    """

    def __init__(self, shared: bytes, *, is_device: bool) -> None:
        from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

        key = algorithms.AES(hashlib.sha256(shared).digest())

        def stream(label: bytes) -> Cipher[modes.CTR]:
            return Cipher(key, modes.CTR(hashlib.sha256(label + shared).digest()[:_BLOCK]))

        to_phone, to_device = stream(b"blufi_enc").encryptor(), stream(b"blufi_dec").encryptor()
        self._out, self._in = (to_phone, to_device) if is_device else (to_device, to_phone)

    def encrypt(self, sequence: int, data: bytes) -> bytes:
        """The next octets of the outgoing stream."""
        del sequence
        return self._out.update(data)

    def decrypt(self, sequence: int, data: bytes) -> bytes:
        """The next octets of the incoming stream."""
        del sequence
        return self._in.update(data)


def _iv_v1(sequence: int) -> bytes:
    return bytes((sequence,)) + bytes(_BLOCK - 1)


def _xor(data: bytes, stream: bytes) -> bytes:
    return bytes(a ^ b for a, b in zip(data, stream, strict=False))


def make_sealer(version: Version, shared: int, size: int, *, is_device: bool, strip: bool) -> Sealer:
    """A shared secret at work.

    Args:
        version: Of the security.
        shared: The secret as a number.
        size: Octets of the prime.
        is_device: Which end this is.
        strip: Version 2: drop leading zeros. Version 1 always does.
    """
    if version == 1:
        # Both sides take the number without leading zeros (mbedtls_dhm_calc_secret, Java's BigInteger).
        secret = shared.to_bytes((shared.bit_length() + 7) // 8, "big")
        return SealerV1(hashlib.md5(secret, usedforsecurity=False).digest())
    secret = shared.to_bytes(size, "big")
    return SealerV2(secret.lstrip(b"\0") if strip else secret, is_device=is_device)
