"""What wpa_supplicant and hostapd tell by themselves (their wpa_ctrl.h): `<3>NAME text key=value ...`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

import attrs

__all__ = [
    "ASSOC_REJECT",
    "AUTH_REJECT",
    "CONNECTED",
    "DISCONNECTED",
    "NOT_FOUND",
    "SCAN_RESULTS",
    "TEMP_DISABLED",
    "TERMINATING",
    "Event",
    "read_event",
]

CONNECTED: Final = "CTRL-EVENT-CONNECTED"
DISCONNECTED: Final = "CTRL-EVENT-DISCONNECTED"
TEMP_DISABLED: Final = "CTRL-EVENT-SSID-TEMP-DISABLED"
ASSOC_REJECT: Final = "CTRL-EVENT-ASSOC-REJECT"
AUTH_REJECT: Final = "CTRL-EVENT-AUTH-REJECT"
SCAN_RESULTS: Final = "CTRL-EVENT-SCAN-RESULTS"
NOT_FOUND: Final = "CTRL-EVENT-NETWORK-NOT-FOUND"
TERMINATING: Final = "CTRL-EVENT-TERMINATING"

_LEVEL: Final = re.compile(r"<\d+>")
_FIELD: Final = re.compile(r"""(?:(?<=\s)|(?<=\[))([A-Za-z_]\w*)=("(?:[^"\\]|\\.)*"|[^\s\]]*)""")
"""A name, and a value in quotes with escapes or one word; CONNECTED has them in brackets."""


@attrs.frozen
class Event:
    """One event.

    Attributes:
        name: Its first word.
        text: All of it, without the level.
        fields: What it has of the form key=value; quotes are taken off, escapes stay.
    """

    name: str
    text: str
    fields: Mapping[str, str] = attrs.field(factory=dict, hash=False)

    def number(self, field: str) -> int | None:
        """A field that is a decimal number; None where it is none or is missing."""
        value = self.fields.get(field, "")
        digits = value.removeprefix("-")
        return int(value) if digits.isascii() and digits.isdigit() and len(digits) < 10 else None  # noqa: PLR2004


def read_event(data: bytes) -> Event:
    """Read one datagram; any octets give an event."""
    text = _LEVEL.sub("", data.decode(errors="replace").rstrip("\r\n\0"), count=1)
    words = text.split(maxsplit=1)
    fields = {}
    for name, value in _FIELD.findall(text):
        quoted = len(value) > 1 and value.startswith('"')
        fields[name] = value[1:-1] if quoted else value
    return Event(words[0] if words else "", text, fields)
