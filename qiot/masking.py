"""What never shows: secrets in texts, in named values and in tracebacks become `***`; their names stay.

What cannot be told apart is masked rather than shown. Nothing here knows the log or any other part of qiot,
so that a program can put `mask_secrets` into its own structlog chain.
"""

from __future__ import annotations

import json
import math
import re
import sys
import traceback
from collections.abc import Collection, Mapping, MutableMapping
from typing import Any, Final

__all__ = ["mask", "mask_message", "mask_secrets"]

_STARS: Final = "***"

# --- which names are secret ---------------------------------------------------------------------------------

_ENDINGS: Final = (
    "password", "passwd", "passphrase", "passcode", "pwd", "psw", "psk", "pmk",
    "token", "secret", "signature", "key",
)  # fmt: skip
_LAST_WORDS: Final = frozenset({"sign", "pw", "pass"})
"""Too short to be an ending: "design" is no secret."""
_HARMLESS: Final = ("clienttoken", "publickey")


def _is_secret(name: str) -> bool:
    name = name.lower().replace("-", "_")
    plain = name.replace("_", "").replace(".", "")
    if plain.endswith(_HARMLESS):
        return False
    return plain.endswith(_ENDINGS) or re.split(r"[_.]", name)[-1] in _LAST_WORDS


def _is_payload(name: str) -> bool:
    """Dynamic registration answers with the encrypted device secret as `payload` (contract section 8).

    Only its base64 text is a secret: an MQTT payload is JSON and stays readable, but for the secrets in it.
    """
    return name.lower() == "payload"


# --- masking in text ----------------------------------------------------------------------------------------

_PAIR: Final = re.compile(
    r"""
    (?<![\w.-]) (?P<name> [\w.-]++ )
    (?: (?P<close> \\*+["'] ) (?:\s|\\+[nrt])* [:=] (?:\s|\\+[nrt])*
      | [:=](?!\s) )   # a bare name: no spaces, so that "wrong password: try again" stays
    (?: [bB]?[rR]? (?P<open> \\*+["'] ) )?
    """,
    re.VERBOSE,
)
_NEXT_PAIR: Final = re.compile(r"""[}\])]*,\s*\\*["']|[}\])]*\Z""")
"""What ends an unquoted value behind a quoted name: the next name, or nothing more."""
_NEXT_BARE: Final = re.compile(r"""(?:,?[ \t]|[|&])[\w.-]++[:=]|\n|\Z""")
"""What ends a value behind a bare name, as in the C SDK's `PSW:…|TOKEN:…` and in queries: the next name."""
_NOTHING: Final = frozenset({"null", "None", "true", "false", "True", "False"})


def mask(text: str) -> str:
    r"""Replace the values of secrets in a text by `***`; their names stay.

    Understands JSON, with spaces, nested as an escaped text (`\"psk\":\"…\"`) and cut off anywhere, the repr
    of a dict, and `KEY:value` or `key=value` without spaces. What cannot be told apart is masked rather than
    shown: an object or a list as the value of a secret is masked with everything after it, a bare value up to
    the next name.

    Args:
        text: Any text.
    """
    parts: list[str] = []
    done = 0
    found = _PAIR.search(text)
    while found is not None:
        start, end = found.end(), _value_end(text, found)
        if end > start:
            parts += [text[done:start], _STARS]
            done = end
        found = _PAIR.search(text, max(start, end))
    return "".join(parts) + text[done:] if parts else text


def _value_end(text: str, found: re.Match[str]) -> int:
    """Where the value ends that begins at the end of `found`; the same place where it is not masked."""
    start = found.end()
    name = found["name"]
    if found.start() and text[found.start() - 1] == "\\" and name[0] in "nrt":
        name = name[1:]  # an escaped line feed or tab stands before the name
    if not _is_secret(name) and not (_is_payload(name) and text[start : start + 1] not in ("{", "[", "\\")):
        return start
    if found["open"]:
        # Exactly as many backslashes as before the opening quote: a quote inside the value has more of them,
        # at every depth of nesting. (After a value that ends with a backslash the mask reaches too far.)
        slashes, quote = len(found["open"]) - 1, found["open"][-1]
        closing = re.compile(rf"(?<!\\)\\{{{slashes}}}{quote}").search(text, start)
        return closing.start() if closing else len(text)
    if text[start : start + 1] in ("{", "["):
        return len(text)
    following = (_NEXT_PAIR if found["close"] else _NEXT_BARE).search(text, start)
    end = following.start() if following else len(text)
    return start if text[start:end] in _NOTHING else end


# --- masking in messages ------------------------------------------------------------------------------------

_PLAIN_NAME: Final = re.compile(r"[A-Za-z_]{1,24}")
_SHOWN_NAMES: Final = frozenset({
    "bssid", "channel", "clientToken", "cmdType", "code", "country", "deviceName", "deviceReply", "log",
    "method", "params", "productId", "productRegion", "protoVersion", "region", "ssid", "status", "timestamp",
    "wifiConfigState",
})  # fmt: skip
"""Members whose values a log may show (contract sections 4, 8 and 10)."""


def mask_message(data: bytes) -> str:
    """What a log may show of a message from somebody who may get everything wrong.

    `mask` needs a shape to find secrets by. A stranger's message has none for certain: a misspelt name, a
    missing colon or another coding would show a password. So a JSON object is shown with the values of known,
    harmless members only, and of all else just the length.

    Args:
        data: The message as it came in.
    """
    try:
        message = json.loads(data.decode())
        if isinstance(message, dict):
            return json.dumps(_members(message), ensure_ascii=False, separators=(",", ":"))
    except (ValueError, RecursionError):
        pass
    return f"({len(data)} bytes that are no JSON object)"


def _members(message: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name if _PLAIN_NAME.fullmatch(name) else _STARS: _member(value) if name in _SHOWN_NAMES else _STARS
        for name, value in message.items()
    }


def _member(value: object) -> object:
    if isinstance(value, dict):
        return _members(value)
    if isinstance(value, str):
        return mask(value)
    return value if isinstance(value, int | None) else _STARS


# --- masking in records -------------------------------------------------------------------------------------

_DEPTH_MAX: Final = 8
"""Levels of nested values that stay structured; deeper ones are shown as text."""


def _shown(value: object, depth: int = 0) -> Any:  # noqa: PLR0911 - one line per kind of value
    """A value as a log may show it: JSON types only, nothing secret."""
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    try:
        if isinstance(value, bytes | bytearray):
            return mask(value.decode(errors="backslashreplace"))
        if isinstance(value, Mapping) and depth < _DEPTH_MAX:
            return {str(name): _field(str(name), each, depth + 1) for name, each in value.items()}
        if isinstance(value, Collection) and not isinstance(value, str) and depth < _DEPTH_MAX:
            return [_shown(each, depth + 1) for each in value]
        return mask(str(value))
    except Exception as error:  # noqa: BLE001 - a value's own methods may raise anything, logging must not
        return f"<{type(value).__name__}: {type(error).__name__}>"


def _field(name: str, value: object, depth: int = 0) -> Any:
    hidden = _is_secret(name) and not isinstance(value, bool | None)
    if _is_payload(name) and isinstance(value, str | bytes):
        hidden = value[:1] not in ("{", "[", b"{", b"[", "", b"")
    return _STARS if hidden else _shown(value, depth)


def mask_secrets(
    _logger: object, _method: str, event_dict: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    """A structlog processor that leaves no secret: not in the event, its values, nor in a traceback.

    `exc_info` is rendered here to the text `exception`, without local variables, so that nothing behind this
    processor sees the exception itself. Programs can put it in front of their own renderer.
    """
    shown = {name: _field(name, value) for name, value in event_dict.items() if name != "exc_info"}
    trace = _traceback(event_dict.get("exc_info"))
    if trace:
        shown["exception"] = mask(trace)
    return shown


def _traceback(exc_info: object) -> str:
    if isinstance(exc_info, tuple) and len(exc_info) == 3:  # noqa: PLR2004 - what sys.exc_info gives
        exc_info = exc_info[1]
    elif exc_info and not isinstance(exc_info, BaseException):
        exc_info = sys.exc_info()[1]
    if not isinstance(exc_info, BaseException):
        return ""
    return "".join(traceback.format_exception(exc_info)).rstrip("\n")
