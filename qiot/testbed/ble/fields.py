"""Reading JSON objects strictly: every fault says where it is, and no key is passed over.

How a name is spelled does not matter: `device_name`, `deviceName` and `DeviceName` are one key, and
`wrong password` may be `WRONG_PASSWORD`. Whoever writes for the bench comes from another language.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from qiot.errors import ConfigurationError
from qiot.model import Secret

__all__ = ["Fields", "object_of"]

_T = TypeVar("_T")
_SPELLING = str.maketrans("", "", "_- ")


def _plain(name: str) -> str:
    """A name without what differs between spellings."""
    return name.translate(_SPELLING).lower()


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
        self._where = where
        self._left: dict[str, tuple[str, Any]] = {}
        self._known: dict[str, str] = {}
        for name, each in object_of(value, where).items():
            other, _ = self._left.setdefault(_plain(name), (name, each))
            if other != name:
                raise self.wrong(name, f"and {other} are the same: one of them will do")

    def __contains__(self, name: str) -> bool:
        self._known.setdefault(_plain(name), name)
        return _plain(name) in self._left

    def _take(self, name: str, read: Callable[[object, str], _T], default: _T) -> _T:
        if name not in self:
            return default
        return read(self._left.pop(_plain(name))[1], f"{self._where}.{name}" if self._where else name)

    def text(self, name: str, default: str = "") -> str:
        """A string."""
        return self._take(name, _text, default)

    def octets(self, name: str, default: bytes = b"") -> bytes:
        """A string as UTF-8, or `{name}_hex` with any octets."""
        hexed = f"{name}_hex"
        if name in self and hexed in self:
            raise self.wrong(name, f"and {hexed} are both given")
        return self._take(hexed, _hex, self._take(name, _encoded, default))

    def hexed(self, name: str) -> bytes | None:
        """Octets as hexadecimal digits; None where they are not given."""
        return self._take(name, _hex_or_none, None)

    def secret(self, name: str) -> Secret | None:
        """A secret, as `octets`; None where it is not given."""
        given = name in self or f"{name}_hex" in self
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
        """One of some strings; a number is read as its text."""
        value = self._take(name, _text_or_number, default)
        for each in choices:
            if _plain(each) == _plain(value):
                return each
        raise self.wrong(name, f"is {value!r}, not one of {', '.join(filter(None, choices))}")

    def items(self, name: str) -> Sequence[object] | None:
        """A list; None where it is not given."""
        return self._take(name, _list, None)

    def inner(self, name: str) -> Fields:
        """An object in this one; an empty one where it is not given."""
        where = f"{self._where}.{name}" if self._where else name
        return Fields(self.raw(name, {}), where)

    def raw(self, name: str, default: object = None) -> object:
        """Anything."""
        return self._left.pop(_plain(name))[1] if name in self else default

    def wrong(self, name: str, text: str) -> ConfigurationError:
        """What to raise where a field cannot be used."""
        place = f"{self._where}.{name}" if self._where else name
        return ConfigurationError(f"{place} {text}")

    def end(self) -> None:
        """Refuse what nobody has read.

        Raises:
            ConfigurationError: There is a field that is not known here.
        """
        for name, _ in self._left.values():
            known = ", ".join(sorted(self._known.values())) or "nothing"
            raise self.wrong(name, f"is not known here; what is: {known}")


def _text(value: object, where: str) -> str:
    if not isinstance(value, str):
        raise ConfigurationError(f"{where} is no string")
    return value


def _text_or_number(value: object, where: str) -> str:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return str(value) if number else _text(value, where)


def _encoded(value: object, where: str) -> bytes:
    text = _text(value, where)
    if any("\ud800" <= char <= "\udfff" for char in text):
        raise ConfigurationError(f"{where} is no text in UTF-8")
    return text.encode()


def _hex(value: object, where: str) -> bytes:
    try:
        return bytes.fromhex(_text(value, where).removeprefix("0x").replace(":", " "))
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
