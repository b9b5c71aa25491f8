"""The methods' own secrets, as a caller gives them: checked before anything starts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from qiot.errors import ConfigurationError
from qiot.model import Secret
from qiot.option_types import secret_octets

__all__ = ["LENGTHS", "check_keys", "parse_key"]

LENGTHS: Final[Mapping[str, range]] = {
    "esptouch_key": range(16, 17),
    "airkiss_key": range(1, 17),
    "pin": range(1, 65),
}
"""Octets of each, by its name."""


def check_keys(keys: Mapping[str, Secret]) -> None:
    """Look at their lengths; names that are not known here are others' business.

    Raises:
        ConfigurationError: One is too short or too long.
    """
    for name, allowed in LENGTHS.items():
        if name in keys and len(keys[name]) not in allowed:
            last = allowed[-1]
            wanted = f"{last}" if len(allowed) == 1 else f"{allowed[0]} to {last}"
            raise ConfigurationError(
                f"{name} has {len(keys[name])} octets, it must have {wanted}",
                hint="Give it as text, or as hex: and digits.",
            )


def parse_key(name: str, text: str) -> Secret:
    """A key of the command line: text, or `hex:` and digits.

    Raises:
        ConfigurationError: No hexadecimal digits, or a wrong length; the text is not shown.
    """
    try:
        key = secret_octets(text)
    except ValueError:
        raise ConfigurationError(f"{name}: what follows hex: are no hexadecimal digits") from None
    check_keys({name: key})
    return key
