"""The form of Tencent's JSON messages over UDP (contract sections 2, 4 and 16), for both sides."""

from __future__ import annotations

import enum
import json
from collections.abc import Mapping, Sequence
from typing import Final

from qiot.errors import ProtocolError
from qiot.model import SSID_MAX, Credentials, Grant, Reason, Secret

__all__ = [
    "Command",
    "command_of",
    "compact",
    "credentials_of",
    "error_record",
    "formatted",
    "grant_of",
    "is_text",
    "log_datagrams",
    "parse_object",
]

MESSAGE_MAX: Final = 1023
"""Octets of a message; the C SDK's receive buffer less its terminator (contract section 2)."""

_PASSWORD_MIN: Final = 8
_PASSWORD_MAX: Final = 64
_TOKEN_MAX: Final = 32
_LOG_TEXT_MAX: Final = 63
_RECORD_MAX: Final = 127
_LOG_DATAGRAM_MAX: Final = 1400


class Command(enum.IntEnum):
    """The values of `cmdType` (contract section 3)."""

    TOKEN = 0
    JOIN = 1
    REPLY = 2
    LOG = 3
    AUTH_QUERY = 4
    AUTH_REPLY = 5
    RESPONSE_TOKEN = 6
    STATE = 7


def _first_wins(pairs: list[tuple[str, object]]) -> dict[str, object]:
    fields: dict[str, object] = {}
    for key, value in pairs:
        # cJSON folds ASCII letters only; str.lower() would take a Kelvin sign for a k.
        fields.setdefault(key.lower() if key.isascii() else key, value)
    return fields


def _no_constant(name: str) -> object:
    raise ValueError(name)


# strict=False: cJSON takes control characters inside strings as they are.
_DECODER: Final = json.JSONDecoder(object_pairs_hook=_first_wins, parse_constant=_no_constant, strict=False)


def _decode(data: bytes) -> object:
    # No error is passed on: those of the decoders carry the text, and with it the password.
    try:
        return _DECODER.decode(data.partition(b"\0")[0].decode("utf-8-sig"))
    except (ValueError, RecursionError):
        return None


def parse_object(data: bytes) -> dict[str, object]:
    """Read one message: a JSON object in UTF-8, ended by the datagram or by a NUL, with or without a BOM.

    Args:
        data: The datagram, at most 1023 octets.

    Returns:
        The fields by lower-case name; of keys that differ only in case the first wins, as in cJSON.

    Raises:
        ProtocolError: BAD_MESSAGE; the text never shows the message, which may hold secrets.
    """
    if len(data) > MESSAGE_MAX:
        raise ProtocolError(f"the message has {len(data)} octets, more than {MESSAGE_MAX}")
    message = _decode(data)
    if not isinstance(message, dict):
        raise ProtocolError("the message is no JSON object in UTF-8")
    return message


def command_of(message: Mapping[str, object]) -> int:
    """`cmdType` of a parsed message.

    Raises:
        ProtocolError: BAD_MESSAGE: missing, or not a JSON integer (contract section 16).
    """
    if "cmdtype" not in message:
        raise ProtocolError("cmdType is missing")
    value = message["cmdtype"]
    if not isinstance(value, int) or isinstance(value, bool):
        raise ProtocolError("cmdType is no integer")
    return value


def is_text(value: str) -> bool:
    """True where UTF-8 can hold it. Asked before encoding: the error of `str.encode` would carry the text."""
    return not any("\ud800" <= char <= "\udfff" for char in value)


def _text(message: Mapping[str, object], name: str) -> str:
    if name not in message:
        raise ProtocolError(f"{name} is missing", reason=Reason.BAD_FIELD)
    value = message[name]
    if not isinstance(value, str):
        raise ProtocolError(f"{name} is no string", reason=Reason.BAD_FIELD)
    if not is_text(value):
        raise ProtocolError(f"{name} has half a surrogate pair", reason=Reason.BAD_FIELD)
    return value


def credentials_of(message: Mapping[str, object]) -> Credentials:
    """SSID and password of a join request, with the limits of contract section 16.

    Raises:
        ProtocolError: BAD_FIELD, with the field's name and never its value.
    """
    ssid = _text(message, "ssid").encode()
    if not 1 <= len(ssid) <= SSID_MAX:
        raise ProtocolError(f"ssid has {len(ssid)} octets, not 1 to {SSID_MAX}", reason=Reason.BAD_FIELD)
    password = Secret(_text(message, "password"))
    if len(password) and not _PASSWORD_MIN <= len(password) <= _PASSWORD_MAX:
        raise ProtocolError(
            f"password has {len(password)} octets, not 0 or {_PASSWORD_MIN} to {_PASSWORD_MAX}",
            reason=Reason.BAD_FIELD,
        )
    return Credentials(ssid=ssid, password=password)


def grant_of(message: Mapping[str, object]) -> Grant:
    """The token of a request, 1 to 32 characters.

    Raises:
        ProtocolError: BAD_FIELD, with the field's name and never its value.
    """
    # The C SDK takes an empty token and fails later in the cloud; here it counts as missing.
    token = _text(message, "token")
    if not token:
        raise ProtocolError("token is empty", reason=Reason.BAD_FIELD)
    if len(token) > _TOKEN_MAX:
        raise ProtocolError(
            f"token has {len(token)} characters, more than {_TOKEN_MAX}", reason=Reason.BAD_FIELD
        )
    return Grant("tencent", Secret(token))


def formatted(fields: Mapping[str, str | int]) -> bytes:
    """JSON as cJSON's formatted print has it: tabs, and UTF-8 unescaped."""
    return json.dumps(fields, ensure_ascii=False, indent="\t", separators=(",", ":\t")).encode()


def compact(fields: Mapping[str, str | int]) -> bytes:
    """JSON without blanks, UTF-8 unescaped."""
    return json.dumps(fields, ensure_ascii=False, separators=(",", ":")).encode()


def error_record(text: str, error_id: int, sub_id: int, *, previous: bool) -> bytes:
    r"""One error record as a whole datagram (contract section 4).

    Args:
        text: The error's text, such as "APP command error!"; cut where the record would be too long.
        error_id: 0 to 65535 (contract section 3).
        sub_id: A signed 32-bit number.
        previous: True for an error of an earlier run, which a phone only shows.

    Returns:
        Compact JSON and CR LF, at most 127 octets, its log at most 63.
    """
    reply = "Previous_Error" if previous else "Current_Error"
    while True:
        log = f"{text} ({error_id}, {sub_id})"
        record = compact({"cmdType": int(Command.REPLY), "deviceReply": reply, "log": log}) + b"\r\n"
        if not text or (len(log.encode()) <= _LOG_TEXT_MAX and len(record) <= _RECORD_MAX):
            return record
        text = text[:-1]


def log_datagrams(items: Sequence[bytes]) -> list[bytes]:
    """Join the items up to what fits an Ethernet frame; a cut falls between two items."""
    datagrams = [b""]
    for item in items:
        for start in range(0, len(item), _LOG_DATAGRAM_MAX):
            piece = item[start : start + _LOG_DATAGRAM_MAX]
            if len(datagrams[-1]) + len(piece) > _LOG_DATAGRAM_MAX:
                datagrams.append(b"")
            datagrams[-1] += piece
    return [datagram for datagram in datagrams if datagram]
