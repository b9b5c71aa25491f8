"""JSON objects from and for the wire: strict UTF-8 in, no blanks out."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any, Final

__all__ = ["dump_object", "load_object"]

_DEPTH_MAX: Final = 64
"""Deepest nesting that is taken, so that whoever walks over it needs no care."""


def dump_object(data: Mapping[str, Any]) -> bytes:
    """The object as the platform sends it: without blanks, UTF-8 unescaped."""
    return json.dumps(data, separators=(",", ":"), ensure_ascii=False).encode()


def load_object(data: bytes) -> dict[str, Any]:
    """Read a JSON object.

    Raises:
        ValueError: It is none, is nested over 64 deep, or holds half a surrogate pair.
    """
    try:
        value = json.loads(data.decode())
        dump_object({"": value})
    except RecursionError:
        raise ValueError("nested too deep") from None
    if not isinstance(value, dict):
        raise ValueError("not a JSON object")  # noqa: TRY004 - the caller wants one error for bad text
    level: list[Any] = [value]
    for _ in range(_DEPTH_MAX):
        level = [child for item in level for child in _children(item)]
        if not level:
            return value
    raise ValueError("nested too deep")


def _children(value: Any) -> Iterable[Any]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()
