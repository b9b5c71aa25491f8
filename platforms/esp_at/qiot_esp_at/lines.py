"""What a module with AT firmware says, octets in and events out: no port, no clock.

Lines end with CR LF. Three things are no lines: the prompt ">" (ESP-AT, AT+CIPSEND), what a socket has
received (+IPD, taken by its length) and what the broker has sent (+TCMQTTRCVPUB, Tencent's AT commands for
ESP8266 2.2, taken by its length too: it may hold quotes and line ends). Any input gives events, in bounded
memory.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final, TypeAlias

import attrs

__all__ = [
    "LINE_MAX",
    "PAYLOAD_MAX",
    "Event",
    "Noise",
    "Parser",
    "Prompt",
    "Published",
    "SocketData",
    "Text",
    "quoted",
]

LINE_MAX: Final = 4096
"""Octets of the longest line; what is longer is noise."""
PAYLOAD_MAX: Final = 65536
"""Octets of the largest payload that a length is believed of."""

_PUBLISHED: Final = re.compile(rb'\+TCMQTTRCVPUB:\s*"((?:[^"\\\r\n]|\\.)*)"\s*,\s*(\d{1,6})\s*,\s*"')
_SOCKET: Final = re.compile(rb"\+IPD,(\d{1,6}):")
_STARTS: Final = ((b"+TCMQTTRCVPUB:", _PUBLISHED), (b"+IPD,", _SOCKET))
_HEAD_MAX: Final = 512
_BETWEEN: Final = b"\r\n\0 "
"""What may stand between two events, and is part of none."""
_ESCAPED: Final = re.compile(r"\\(.)")


@attrs.frozen
class Text:
    """A line, without its end and never empty."""

    line: str


@attrs.frozen
class Prompt:
    """The module waits for a payload."""


@attrs.frozen
class Published:
    """A message from the broker."""

    topic: str
    payload: bytes = attrs.field(repr=False)


@attrs.frozen
class SocketData:
    """What the open socket has received."""

    payload: bytes = attrs.field(repr=False)


@attrs.frozen
class Noise:
    """Octets that were thrown away."""

    octets: int


Event: TypeAlias = Text | Prompt | Published | SocketData | Noise


class Parser:
    """Takes the module's octets in pieces of any size."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._skipping = 0

    def feed(self, data: bytes) -> Sequence[Event]:
        """Take octets; gives what became complete with them."""
        self._buffer += data
        events: list[Event] = []
        while (event := self._next()) is not None:
            if event != Text(""):
                events.append(event)
        return events

    def reset(self) -> None:
        """Forget what is not complete, as after a reset of the module."""
        self._buffer.clear()
        self._skipping = 0

    def _next(self) -> Event | None:
        """The next event, Text("") for nothing worth telling, None where more octets are needed."""
        buffer = self._buffer
        if self._skipping:
            return self._skip()
        del buffer[: len(buffer) - len(buffer.lstrip(_BETWEEN))]
        if buffer[:1] == b">":
            del buffer[:1]
            return Prompt()
        for start, pattern in _STARTS:
            if buffer.startswith(start):
                return self._payload(pattern)
        return self._line()

    def _line(self) -> Event | None:
        buffer = self._buffer
        end = buffer.find(b"\n")
        if end < 0:
            if len(buffer) <= LINE_MAX:
                return None
            self._skipping = len(buffer)
            buffer.clear()
            return Text("")
        line = bytes(buffer[:end]).strip(_BETWEEN)
        del buffer[: end + 1]
        return Noise(end + 1) if len(line) > LINE_MAX else Text(line.decode(errors="replace"))

    def _skip(self) -> Event | None:
        """Throw away the rest of a line that had no end; tell how much it was."""
        end = self._buffer.find(b"\n")
        taken = len(self._buffer) if end < 0 else end + 1
        if not taken:
            return None
        del self._buffer[:taken]
        self._skipping += taken
        if end < 0:
            return None
        noise, self._skipping = Noise(self._skipping), 0
        return noise

    def _payload(self, pattern: re.Pattern[bytes]) -> Event | None:
        head = pattern.match(self._buffer)
        if head is None:
            end = self._buffer.find(b"\n", 0, _HEAD_MAX)
            if end < 0 and len(self._buffer) <= _HEAD_MAX:
                return None
            return self._broken(end + 1 or _HEAD_MAX)
        size = int(head[head.re.groups])
        closing = 1 if pattern is _PUBLISHED else 0
        total = head.end() + size + closing
        if size <= PAYLOAD_MAX and len(self._buffer) < total:
            return None
        topic = unescaped(head[1].decode(errors="replace"))
        payload = bytes(self._buffer[head.end() : head.end() + size])
        if size > PAYLOAD_MAX or (closing and self._buffer[total - 1 : total] != b'"'):
            return self._broken(head.end())  # the length is not the payload's: resynchronise on the next line
        del self._buffer[:total]
        if pattern is _SOCKET:
            return SocketData(payload)
        return Published(topic, payload)

    def _broken(self, octets: int) -> Event:
        del self._buffer[:octets]
        return Noise(octets)


def quoted(text: str) -> str:
    r"""A string argument: in double quotes, with `"`, `,` and `\` escaped by a backslash."""
    return '"' + re.sub(r'([",\\])', r"\\\1", text) + '"'


def unescaped(text: str) -> str:
    """The string that `quoted` was given, without its quotes."""
    return _ESCAPED.sub(r"\1", text)
