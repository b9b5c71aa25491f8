"""Faults on purpose: what the local cloud does wrong, where, and how often.

The mode file is one JSON object. Each key is a point, each value an action, or a list of actions that are
used up in turn. It is read again whenever it changes; its counts then start anew. Keys that are not known are
refused::

    {
      "dynreg": {"do": "code", "code": 1021, "times": 1},
      "connack": [{"do": "ok", "times": 1}, {"do": "code", "code": 5, "times": 2}],
      "bind_reply": "drop"
    }

An action is its name alone, or an object with `do` and, where wanted, `times` (after that many it is ok
again; without it for ever), `seconds` (wait so long first) and what the table names. Points:

=================  =====================================================================================
point              what it is                                                                      group
=================  =====================================================================================
http_tcp, mqtt_tcp an accepted TCP connection                                                     stream
http_tls, mqtt_tls a TLS handshake that a client has begun                                        stream
dynreg             the answer to /register/dev or /device/register                                  http
app                the answer to the phone's application                                            http
connack            CONNACK                                                                        packet
suback             SUBACK                                                                         packet
puback             PUBACK of a device's message                                                   packet
bind_reply         `app_bind_token_reply`; rlink's answer to `bind`                                reply
property_reply     an answer on `$thing/down/property`                                             reply
register_reply     rlink's answer to a registration                                               reply
report_reply       rlink's answer to a report other than `bind`                                   reply
=================  =====================================================================================

Actions:

============  ===================  ======================================================================
do            groups               effect
============  ===================  ======================================================================
ok            all                  nothing (with `times`: let so many pass before the next action)
delay         all                  as it should be, `seconds` later
refuse        all                  the connection is closed without the answer (TCP: reset)
hang          all                  the connection stays open and says nothing more
drop          all                  this answer is lost; for stream and http the same as hang
malformed     all                  `kind`: "garbage" (stream, http, packet); "truncated" (http, packet);
                                   "json" (http, reply); for dynreg also "base64", "padding",
                                   "encryption_type". The first of a group is its default
disconnect    packet, reply        the answer, then the connection is closed
duplicate     packet, reply        the answer twice
foreign       packet, reply        someone else's answer: packet: another packet id (suback, puback);
                                   reply: `kind` "client_token" (default; rlink's id), "method" (rlink's
                               code) or "device".
                                   With `"keep": true` the right one follows
code          dynreg, app,         `code` in place of the true one: 1 to 5 for connack, 128 for suback,
              packet (no puback),  any number for dynreg and the replies; app answers an Error object
              reply
empty         http, reply          no body, an empty message
status        http                 HTTP status `code` (default 500)
redirect      http                 HTTP 302 to `location` (default: to itself)
chunked       http                 the body in chunks, without Content-Length
lower_case    http                 header names in lower case
oversized     http                 a body of 1 MiB
============  ===================  ======================================================================
"""

from __future__ import annotations

import asyncio
import enum
import json
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

import attrs
import cattrs

from qiot.errors import ConfigurationError

__all__ = ["Do", "Fault", "Faults", "Mode", "Point", "parse_mode", "read_mode"]


class Point(enum.StrEnum):
    """Where something can go wrong."""

    HTTP_TCP = "http_tcp"
    HTTP_TLS = "http_tls"
    DYNREG = "dynreg"
    APP = "app"
    MQTT_TCP = "mqtt_tcp"
    MQTT_TLS = "mqtt_tls"
    CONNACK = "connack"
    SUBACK = "suback"
    PUBACK = "puback"
    BIND_REPLY = "bind_reply"
    PROPERTY_REPLY = "property_reply"
    REGISTER_REPLY = "register_reply"
    REPORT_REPLY = "report_reply"


class Do(enum.StrEnum):
    """What goes wrong."""

    OK = "ok"
    DELAY = "delay"
    REFUSE = "refuse"
    HANG = "hang"
    DROP = "drop"
    MALFORMED = "malformed"
    DISCONNECT = "disconnect"
    DUPLICATE = "duplicate"
    FOREIGN = "foreign"
    CODE = "code"
    EMPTY = "empty"
    STATUS = "status"
    REDIRECT = "redirect"
    CHUNKED = "chunked"
    LOWER_CASE = "lower_case"
    OVERSIZED = "oversized"


@attrs.frozen
class Fault:
    """One action of the mode.

    Attributes:
        do: What goes wrong.
        times: How often; None is for ever.
        seconds: How long to wait first, 0 to 86400.
        code: The number to answer, where the action has one.
        kind: Which variant, where the action has some.
        location: Where a redirect leads.
        keep: After a foreign answer send the right one too.
    """

    do: Do = Do.OK
    times: int | None = None
    seconds: float = 0.0
    code: int | None = None
    kind: str | None = None
    location: str | None = None
    keep: bool = False


Mode = Mapping[Point, Sequence[Fault]]

_ANY: Final = {Do.OK, Do.DELAY, Do.REFUSE, Do.HANG, Do.DROP, Do.MALFORMED}
_STREAM: Final = frozenset(_ANY)
_HTTP: Final = frozenset(
    {*_ANY, Do.CODE, Do.EMPTY, Do.STATUS, Do.REDIRECT, Do.CHUNKED, Do.LOWER_CASE, Do.OVERSIZED}
)
_PACKET: Final = frozenset({*_ANY, Do.DISCONNECT, Do.DUPLICATE})
_REPLY: Final = _PACKET | {Do.FOREIGN, Do.CODE, Do.EMPTY}
_ACTIONS: Final[Mapping[Point, frozenset[Do]]] = {
    Point.HTTP_TCP: _STREAM,
    Point.HTTP_TLS: _STREAM,
    Point.MQTT_TCP: _STREAM,
    Point.MQTT_TLS: _STREAM,
    Point.DYNREG: _HTTP,
    Point.APP: _HTTP,
    Point.CONNACK: _PACKET | {Do.CODE},
    Point.SUBACK: _PACKET | {Do.FOREIGN, Do.CODE},
    Point.PUBACK: _PACKET | {Do.FOREIGN},
    Point.BIND_REPLY: _REPLY,
    Point.PROPERTY_REPLY: _REPLY,
    Point.REGISTER_REPLY: _REPLY,
    Point.REPORT_REPLY: _REPLY,
}
_REPLIES: Final = (Point.BIND_REPLY, Point.PROPERTY_REPLY, Point.REGISTER_REPLY, Point.REPORT_REPLY)

_STREAM_KINDS: Final = ("garbage",)
_PACKET_KINDS: Final = ("garbage", "truncated")
_APP_KINDS: Final = ("garbage", "truncated", "json")
_DYNREG_KINDS: Final = (*_APP_KINDS, "base64", "padding", "encryption_type")
_MALFORMED_KINDS: Final[Mapping[Point, tuple[str, ...]]] = {
    **dict.fromkeys((Point.HTTP_TCP, Point.HTTP_TLS, Point.MQTT_TCP, Point.MQTT_TLS), _STREAM_KINDS),
    **dict.fromkeys((Point.CONNACK, Point.SUBACK, Point.PUBACK), _PACKET_KINDS),
    **dict.fromkeys(_REPLIES, ("json",)),
    Point.APP: _APP_KINDS,
    Point.DYNREG: _DYNREG_KINDS,
}
_FOREIGN_KINDS: Final[Mapping[Point, tuple[str, ...]]] = {
    **dict.fromkeys((Point.SUBACK, Point.PUBACK), ("packet_id",)),
    **dict.fromkeys(_REPLIES, ("client_token", "method", "device")),
}
_CODES: Final[Mapping[Point, range]] = {Point.CONNACK: range(1, 6), Point.SUBACK: range(256)}

_SECONDS_MAX: Final = 86400

_converter = cattrs.Converter(forbid_extra_keys=True)


def parse_mode(data: object, source: str = "mode") -> Mode:
    """Read a mode from JSON data (see this module's text).

    Args:
        data: The JSON data.
        source: Its name in errors.

    Raises:
        ConfigurationError: Something in it is not known or not possible; the message says what and where.
    """
    if not isinstance(data, Mapping):
        raise ConfigurationError(f"{source}: must be a JSON object with a point for each key")
    mode: dict[Point, Sequence[Fault]] = {}
    for name, value in data.items():
        try:
            point = Point(name)
        except ValueError:
            raise ConfigurationError(
                f"{source}: there is no point {name!r}; points are {', '.join(Point)}"
            ) from None
        actions = value if isinstance(value, list) else [value]
        mode[point] = tuple(
            _parse_fault(point, action, f"{source}.{point}[{index}]") for index, action in enumerate(actions)
        )
    return mode


def _parse_fault(point: Point, data: object, where: str) -> Fault:
    if isinstance(data, str):
        data = {"do": data}
    if not isinstance(data, Mapping) or "do" not in data:
        raise ConfigurationError(f'{where}: must be the name of an action or an object with "do"')
    try:
        fault = _converter.structure(data, Fault)
    except cattrs.BaseValidationError as error:
        raise ConfigurationError("; ".join(cattrs.transform_error(error, path=where))) from None
    if fault.do not in _ACTIONS[point]:
        raise ConfigurationError(
            f"{where}: {point} has no {fault.do}; it has {', '.join(sorted(_ACTIONS[point]))}"
        )
    if fault.times is not None and fault.times < 0:
        raise ConfigurationError(f"{where}: times must not be negative")
    if not 0 <= fault.seconds <= _SECONDS_MAX:
        raise ConfigurationError(f"{where}: seconds must be 0 to {_SECONDS_MAX}")
    if fault.do is Do.CODE and (
        fault.code is None or fault.code not in _CODES.get(point, range(-(2**31), 2**31))
    ):
        raise ConfigurationError(
            f"{where}: code needs a number" + (" from 1 to 5" if point is Point.CONNACK else "")
        )
    if fault.do is Do.STATUS and fault.code is not None and fault.code not in range(200, 600):
        raise ConfigurationError(f"{where}: an HTTP status is a number from 200 to 599")
    kinds = {Do.MALFORMED: _MALFORMED_KINDS, Do.FOREIGN: _FOREIGN_KINDS}.get(fault.do, {}).get(point, ())
    if fault.kind is not None and fault.kind not in kinds:
        raise ConfigurationError(
            f"{where}: no kind {fault.kind!r} here"
            + (f"; there is {', '.join(kinds)}" if kinds else f", {fault.do} has none")
        )
    return fault if fault.kind or not kinds else attrs.evolve(fault, kind=kinds[0])


def read_mode(path: Path) -> Mode:
    """Read a mode file.

    Raises:
        ConfigurationError: It cannot be read or used.
    """
    try:
        data = json.loads(path.read_bytes())
    except OSError as error:
        raise ConfigurationError(f"{path}: cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise ConfigurationError(f"{path}: not JSON: {error}") from None
    return parse_mode(data, str(path))


class Faults:
    """Hands out the fault that is due at a point.

    Args:
        mode: The mode to begin with.
        path: A mode file that is read now and whenever it changes; it takes the place of `mode`.
        on_fault: Told of every fault that is not ok.
        on_mode: Told of a mode file that was read again ("" ) or could not be used (the reason).

    Raises:
        ConfigurationError: The mode file cannot be used.
    """

    def __init__(
        self,
        mode: Mode | None = None,
        path: Path | None = None,
        *,
        on_fault: Callable[[Point, Fault], None] = lambda _point, _fault: None,
        on_mode: Callable[[str], None] = lambda _problem: None,
    ) -> None:
        self._path = path
        self._on_fault = on_fault
        self._on_mode = on_mode
        self._stamp = self._look()
        self.set(read_mode(path) if path is not None else mode or {})

    def set(self, mode: Mode) -> None:
        """Use another mode from now on; all counts start anew."""
        self._mode = mode
        self._left = {point: [fault.times for fault in faults] for point, faults in mode.items()}

    async def take(self, point: Point) -> Fault:
        """The fault that is due at `point`; its `seconds` are over when this returns."""
        self._reread()
        fault = self._next(point)
        if fault.do is not Do.OK:
            self._on_fault(point, fault)
        if fault.seconds > 0:
            await asyncio.sleep(fault.seconds)
        return fault

    def _next(self, point: Point) -> Fault:
        left = self._left.get(point, [])
        for index, fault in enumerate(self._mode.get(point, ())):
            count = left[index]
            if count is None:
                return fault
            if count > 0:
                left[index] = count - 1
                return fault
        return Fault()

    def _look(self) -> tuple[int, int, int] | None:
        # One stat of a local file: quicker than the hop to a thread would be.
        if self._path is None:
            return None
        try:
            found = os.stat(self._path)  # noqa: PTH116 - Path.stat gives no more
        except OSError:
            return None
        return found.st_mtime_ns, found.st_size, found.st_ino

    def _reread(self) -> None:
        stamp = self._look()
        if self._path is None or stamp == self._stamp:
            return
        self._stamp = stamp
        try:
            self.set(read_mode(self._path))
        except ConfigurationError as error:
            self._on_mode(str(error))
        else:
            self._on_mode("")
