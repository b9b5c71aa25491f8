"""Reading JSON objects strictly: every fault says where it is, and no key is passed over."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from qiot.errors import ConfigurationError
from qiot.model import Secret

__all__ = ["Fields", "object_of"]

_T = TypeVar("_T")


def object_of(value: object, where: str) -> Mapping[str, Any]:
    """A JSON object.

    Raises:
        ConfigurationError: It is something else.
    """
    if not isinstance(value, dict):
        raise ConfigurationError(f"{where}: must be a JSON object")
    return value


class Fields:
    """The fields of one object; whoever has read all it knows calls `end`.

    Args:
        value: The object.
        where: Its place, for messages.
    """

    def __init__(self, value: object, where: str) -> None:
        self._left = dict(object_of(value, where))
        self._where = where

    def __contains__(self, name: str) -> bool:
        return name in self._left

    def _take(self, name: str, read: Callable[[object, str], _T], default: _T) -> _T:
        if name not in self._left:
            return default
        return read(self._left.pop(name), f"{self._where}.{name}" if self._where else name)

    def text(self, name: str, default: str = "") -> str:
        """A string."""
        return self._take(name, _text, default)

    def octets(self, name: str, default: bytes = b"") -> bytes:
        """A string as UTF-8, or `{name}_hex` with any octets."""
        hexed = f"{name}_hex"
        if name in self._left and hexed in self._left:
            raise self.wrong(name, f"and {hexed} are both given")
        return self._take(hexed, _hex, self._take(name, _encoded, default))

    def hexed(self, name: str) -> bytes | None:
        """Octets as hexadecimal digits; None where they are not given."""
        return self._take(name, _hex_or_none, None)

    def secret(self, name: str) -> Secret | None:
        """A secret, as `octets`; None where it is not given."""
        given = name in self._left or f"{name}_hex" in self._left
        value = self.octets(name)
        return Secret(value) if given else None

    def number(self, name: str, default: float, low: float = 0.0, high: float = 1e12) -> float:
        """A number between the bounds."""
        value = self._take(name, _number, default)
        if not low <= value <= high:
            raise self.wrong(name, f"is not {low:g} to {high:g}")
        return value

    def integer(self, name: str, default: int, low: int, high: int) -> int:
        """An integer between the bounds."""
        value = self._take(name, _integer, default)
        if not low <= value <= high:
            raise self.wrong(name, f"is not {low} to {high}")
        return value

    def boolean(self, name: str, *, default: bool) -> bool:
        """True or false."""
        return self._take(name, _boolean, default)

    def choice(self, name: str, choices: Sequence[str], default: str) -> str:
        """One of some strings."""
        value = self.text(name, default)
        if value not in choices:
            raise self.wrong(name, f"is {value!r}, not one of {', '.join(choices)}")
        return value

    def items(self, name: str) -> Sequence[object] | None:
        """A list; None where it is not given."""
        return self._take(name, _list, None)

    def inner(self, name: str) -> Fields:
        """An object in this one; an empty one where it is not given."""
        where = f"{self._where}.{name}" if self._where else name
        return Fields(self._left.pop(name, {}), where)

    def raw(self, name: str, default: object = None) -> object:
        """Anything."""
        return self._left.pop(name, default)

    def wrong(self, name: str, text: str) -> ConfigurationError:
        """What to raise where a field cannot be used."""
        place = f"{self._where}.{name}" if self._where else name
        return ConfigurationError(f"{place} {text}")

    def end(self) -> None:
        """Refuse what nobody has read.

        Raises:
            ConfigurationError: There is a field that is not known here.
        """
        for name in self._left:
            raise self.wrong(name, "is not known here")


def _text(value: object, where: str) -> str:
    if not isinstance(value, str):
        raise ConfigurationError(f"{where} is no string")
    return value


def _encoded(value: object, where: str) -> bytes:
    text = _text(value, where)
    if any("\ud800" <= char <= "\udfff" for char in text):
        raise ConfigurationError(f"{where} is no text in UTF-8")
    return text.encode()


def _hex(value: object, where: str) -> bytes:
    try:
        return bytes.fromhex(_text(value, where))
    except ValueError:
        raise ConfigurationError(f"{where} is no string of hexadecimal digits, two for each octet") from None


def _hex_or_none(value: object, where: str) -> bytes | None:
    return _hex(value, where)


def _number(value: object, where: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or value != value:  # noqa: PLR0124 - NaN
        raise ConfigurationError(f"{where} is no number")
    return value


def _integer(value: object, where: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise ConfigurationError(f"{where} is no integer")
    return value


def _boolean(value: object, where: str) -> bool:
    if not isinstance(value, bool):
        raise ConfigurationError(f"{where} is neither true nor false")
    return value


def _list(value: object, where: str) -> Sequence[object] | None:
    if not isinstance(value, list):
        raise ConfigurationError(f"{where} is no list")
    return value
