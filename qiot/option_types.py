"""What may stand behind options of command lines: octets, keys, MAC addresses."""

from __future__ import annotations

import argparse
import binascii
import os
from collections.abc import Callable
from typing import Final, TypeVar

from qiot.secret import Secret

__all__ = ["mac_address", "named", "octets", "secret_octets"]

_MAC_SIZE: Final = 6
_HEX: Final = "hex:"

T = TypeVar("T")


def octets(text: str) -> bytes:
    """Text, as the octets that the shell gave, or `hex:` and digits.

    Raises:
        ValueError: What follows `hex:` is no hexadecimal number.
    """
    if text.lower().startswith(_HEX):
        return binascii.unhexlify(text[len(_HEX) :].replace(":", ""))
    return os.fsencode(text)


def secret_octets(text: str) -> Secret:
    """The same, kept secret.

    Raises:
        ValueError: As above.
    """
    return Secret(octets(text))


def mac_address(text: str) -> bytes:
    """Six octets: 0a:1b:2c:3d:4e:5f, with dashes, or without anything between.

    Raises:
        ValueError: It is none.
    """
    address = binascii.unhexlify(text.replace(":", "").replace("-", ""))
    if len(address) != _MAC_SIZE:
        raise ValueError
    return address


def named(convert: Callable[[str], T], name: str) -> Callable[[str], T]:
    """A type for argparse whose complaint names what was wanted, and never the value, which may be a secret.

    Args:
        convert: Raises ValueError for what it cannot read.
        name: What is wanted, such as "MAC address".
    """

    def read(text: str) -> T:
        try:
            return convert(text)
        except ValueError:  # binascii.Error and UnicodeError are some, too
            raise argparse.ArgumentTypeError(f"this is no {name}") from None

    return read
