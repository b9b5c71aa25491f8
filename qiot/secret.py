"""A value that never shows itself."""

from __future__ import annotations

import hmac
from typing import NoReturn, final

__all__ = ["Secret"]


@final
class Secret:
    """A password, token or key that never shows itself in repr, logs, formatting, pickles or tracebacks.

    Args:
        value: The octets, or text that is taken as UTF-8.
    """

    __slots__ = ("_value",)

    def __init__(self, value: bytes | str) -> None:
        self._value = value.encode() if isinstance(value, str) else bytes(value)

    def reveal(self) -> bytes:
        """The octets. Call it only where they go onto the wire or into a key."""
        return self._value

    def text(self) -> str:
        """The octets as UTF-8 text.

        Raises:
            UnicodeDecodeError: The secret is not UTF-8; its message would show octets, so never log it.
        """
        return self._value.decode()

    def __repr__(self) -> str:
        return "Secret(***)"

    def __str__(self) -> str:
        return "***"

    def __format__(self, spec: str) -> str:
        return format("***", spec)

    def __len__(self) -> int:
        return len(self._value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and hmac.compare_digest(self._value, other._value)

    def __hash__(self) -> int:
        return hash(self._value)

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Secret is not pickled: pass it on in memory or store it through Storage")
