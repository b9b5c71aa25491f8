"""Tencent's JSON messages over UDP (contract section 4), the phone's side as the mini program does it."""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from typing import Final, TypeAlias

import attrs

from qiot.errors import ProtocolError
from qiot.model import Reason, Secret
from qiot.protocols.lan.app_json import Command, command_of, compact, is_text, parse_object

__all__ = [
    "Aborted",
    "Answered",
    "AppMessagePhone",
    "AuthInfoReply",
    "DeviceInfoReply",
    "ErrorReply",
    "GaveUp",
    "Ignored",
    "Noted",
    "PhoneOutput",
    "Reply",
    "StateReport",
    "Transmit",
    "join_request",
    "log_request",
    "parse_reply",
    "token_request",
]

RESEND_INTERVAL: Final = 2.0
RESENDS: Final = 5
NO_RESPONSE: Final = "UDP_NOT_RESPONSE"


# --- requests ----------------------------------------------------------------------------------------------


def _request(command: Command, **fields: str) -> bytes:
    for name, value in fields.items():
        if not is_text(value):
            raise ProtocolError(f"{name} is no text in UTF-8", reason=Reason.BAD_FIELD)
    return compact({"cmdType": int(command), **fields})


def join_request(ssid: str, password: Secret, token: Secret) -> bytes:
    """`cmdType` 1: join this network, then bind with this token. An empty password means an open network.

    Raises:
        ProtocolError: BAD_FIELD: `ssid` is no text that UTF-8 can hold.
    """
    return _request(Command.JOIN, ssid=ssid, password=password.text(), token=token.text())


def token_request(token: Secret) -> bytes:
    """`cmdType` 0: bind with this token; the device is in the network already."""
    return _request(Command.TOKEN, token=token.text())


def log_request() -> bytes:
    """`cmdType` 3: send the log; no blank in it, for the C SDK's log service compares the first 12 octets."""
    return _request(Command.LOG)


# --- replies -----------------------------------------------------------------------------------------------


@attrs.frozen
class DeviceInfoReply:
    """The device has the request: any `cmdType` 2 that is no error record; missing names are empty."""

    product_id: str
    device_name: str
    proto_version: str = ""


@attrs.frozen
class ErrorReply:
    """An error record; `current` aborts the attempt, a previous one is only shown."""

    current: bool
    text: str


@attrs.frozen
class StateReport:
    """`cmdType` 7: how far the device is, 0 to 5 (contract section 14)."""

    product_id: str
    device_name: str
    state: int


@attrs.frozen
class AuthInfoReply:
    """`cmdType` 5; its fields are not public."""


Reply: TypeAlias = DeviceInfoReply | ErrorReply | StateReport | AuthInfoReply


def _name(message: Mapping[str, object], name: str) -> str:
    value = message.get(name.lower())
    return value if isinstance(value, str) else ""


def parse_reply(data: bytes) -> Reply:
    """Read what a device sent, formatted or compact, with or without CR LF.

    Raises:
        ProtocolError: No JSON object, or a `cmdType` other than 2, 5 and 7.
    """
    message = parse_object(data)
    match command_of(message):
        case Command.REPLY:
            kind = _name(message, "deviceReply")
            if kind in {"Current_Error", "Previous_Error"}:
                return ErrorReply(current=kind == "Current_Error", text=_name(message, "log"))
            return DeviceInfoReply(
                _name(message, "productId"), _name(message, "deviceName"), _name(message, "protoVersion")
            )
        case Command.AUTH_REPLY:
            return AuthInfoReply()
        case Command.STATE:
            state = message.get("wificonfigstate")
            if not isinstance(state, int) or isinstance(state, bool):
                raise ProtocolError("wifiConfigState is missing or no integer", reason=Reason.BAD_FIELD)
            return StateReport(_name(message, "productId"), _name(message, "deviceName"), state)
        case _:
            raise ProtocolError("a device does not send this cmdType")


# --- the exchange ------------------------------------------------------------------------------------------


@attrs.frozen
class Transmit:
    """Send this now; `number` counts from 1."""

    data: bytes = attrs.field(repr=False)
    number: int


@attrs.frozen
class Answered:
    """The device has the request."""

    reply: DeviceInfoReply


@attrs.frozen
class Noted:
    """Worth showing, changes nothing: a previous error, a state, a copy of the answer."""

    reply: Reply


@attrs.frozen
class Ignored:
    """No reply of this protocol; `text` says why without its content."""

    text: str


@attrs.frozen
class Aborted:
    """The device reported an error of this attempt."""

    reply: ErrorReply


@attrs.frozen
class GaveUp:
    """No answer to any of the copies; `text` is the mini program's name for it."""

    text: str = NO_RESPONSE


PhoneOutput: TypeAlias = Transmit | Answered | Noted | Ignored | Aborted | GaveUp


class _State(enum.Enum):
    IDLE = enum.auto()
    SENDING = enum.auto()
    ANSWERED = enum.auto()
    ENDED = enum.auto()


class AppMessagePhone:
    """One request without I/O: send, resend, take the answer, go on listening for errors.

    | state | on | goes to | output |
    |---|---|---|---|
    | idle | start | sending | Transmit |
    | sending | interval over | sending, after the last copy ended | Transmit, after the last copy GaveUp |
    | sending | device info | answered | Answered |
    | sending, answered | current error | ended | Aborted |
    | sending, answered | any other reply | same | Noted |
    | any | anything else | same | Ignored |

    Args:
        request: What to send.
        resend_interval: Seconds between copies, above 0.
        resends: Copies after the first.
    """

    def __init__(
        self, request: bytes, *, resend_interval: float = RESEND_INTERVAL, resends: int = RESENDS
    ) -> None:
        self._request = request
        self._interval = resend_interval
        self._copies = 1 + resends
        self._sent = 0
        self._due: float | None = None
        self._state = _State.IDLE

    @property
    def ended(self) -> bool:
        """True once the attempt was aborted or given up."""
        return self._state is _State.ENDED

    def start(self, now: float) -> Sequence[PhoneOutput]:
        """Send the first copy; a second start gives nothing."""
        if self._state is not _State.IDLE:
            return ()
        self._state = _State.SENDING
        return self._transmit(now)

    def feed(self, data: bytes, now: float) -> Sequence[PhoneOutput]:  # noqa: ARG002 - as every codec
        """Take one datagram; any octets give outputs."""
        if self._state in {_State.IDLE, _State.ENDED}:
            return (Ignored("nothing is asked now"),)
        try:
            reply = parse_reply(data)
        except ProtocolError as error:
            return (Ignored(str(error)),)
        if isinstance(reply, ErrorReply) and reply.current:
            self._state, self._due = _State.ENDED, None
            return (Aborted(reply),)
        if isinstance(reply, DeviceInfoReply) and self._state is _State.SENDING:
            self._state, self._due = _State.ANSWERED, None
            return (Answered(reply),)
        return (Noted(reply),)

    def deadline(self) -> float | None:
        """When `tick` is due, in monotonic seconds; None where nothing is waiting."""
        return self._due

    def tick(self, now: float) -> Sequence[PhoneOutput]:
        """Send again, or give up one interval after the last copy."""
        if self._due is None or now < self._due:
            return ()
        if self._sent < self._copies:
            return self._transmit(now)
        self._state, self._due = _State.ENDED, None
        return (GaveUp(),)

    def _transmit(self, now: float) -> Sequence[PhoneOutput]:
        self._sent += 1
        self._due = now + self._interval
        return (Transmit(self._request, self._sent),)
