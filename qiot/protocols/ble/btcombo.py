"""Tencent's BT-Combo, the device's side, in the three dialects of `btcombo_wire`.

A device chooses its dialect by what it answers to the phone's probe, and keeps it. Nothing is encrypted or
authenticated: whoever listens reads the password.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import attrs

from qiot.errors import ProtocolError
from qiot.model import Event, Failure, Grant, Offer, Outcome, Peer, Reason, Secret, Step
from qiot.protocols.base import (
    Answer,
    Ask,
    Drop,
    Input,
    News,
    Output,
    Refused,
    Seen,
    Send,
)
from qiot.protocols.ble.blufi_wire import STATION, Control, Data, StaState, end_reason
from qiot.protocols.ble.btcombo_wire import (
    DIALECTS,
    NOTIFY,
    PROBE,
    WRITE,
    DialectName,
    WifiReport,
    btcombo_profile,
)
from qiot.protocols.ble.combo_json import TOKEN_MAX, BindResult, bind_status, parse_custom
from qiot.protocols.ble.frame_link import FrameLink
from qiot.protocols.ble.frames import Bit, device_room
from qiot.protocols.ble.links import Link, Links
from qiot.protocols.ble.network_choice import NetworkChoice
from qiot.protocols.ble.wifi_state import Wifi, WifiState

__all__ = ["BtComboDevice", "btcombo_profile"]

_MESSAGE_MAX: Final = 1024
_HEADER: Final = 4
_CHECKSUM: Final = 2
_LOG_MAX: Final = 4096
_COMBO_VERSION: Final = b"\x02\x00"
_PHONE_BITS: Final = Bit.CHECKSUM | Bit.ACK | Bit.MORE


@attrs.define
class _Link(Link):
    """One phone.

    Attributes:
        frames: Its frames; gaps are tolerated, as Tencent's vendors do.
        choice: What it has said of the network.
        op_mode: As it set it.
        asked: It has sent something before; the first "get log" of v1 is the probe.
        rest: The beginning of a frame that the stack has split, or empty.
        grant: Its newest token.
        waits: It waits for the report of a join.
        result_due: It waits for the result of a bind.
        late_status: Why its attempt ended before its token came.
    """

    frames: FrameLink = attrs.field(
        factory=lambda: FrameLink(strict=False, exact=False, message_max=_MESSAGE_MAX)
    )
    choice: NetworkChoice = attrs.field(factory=NetworkChoice)
    op_mode: int = STATION
    asked: bool = False
    rest: bytes = b""
    grant: Grant | None = None
    waits: bool = False
    result_due: bool = False
    late_status: int | None = None


class BtComboDevice:
    """The device's side, as `qiot.protocols.base.Codec` describes it; at most eight phones at a time.

    `feed` raises nothing: bad input is `Refused`, for the protocol has no frame that says so.

    Args:
        product_id: Tencent's product, for the bind result.
        device_name: The device in it.
        dialect: "v1", "v2" or "v3".
        version: BluFi's version in the answer to the probe, two numbers (v1: in the PDF's version answer).
        continuations: Take a value without header as the rest of the frame before it, as Jieli's devices do:
            some stacks split long values.
        reasons: Add BluFi's end reason to the report of a failed join (v2 and v3). The mini program does not
            read it; other phones can tell a wrong password by it.
    """

    def __init__(
        self,
        *,
        product_id: str,
        device_name: str,
        dialect: DialectName = "v2",
        version: tuple[int, int] = (1, 2),
        continuations: bool = True,
        reasons: bool = False,
    ) -> None:
        self._names = (product_id, device_name)
        self._dialect = DIALECTS[dialect]
        self._version = bytes(version) + (_COMBO_VERSION if dialect == "v3" else b"")
        self._continuations = continuations
        self._reasons = reasons and self._dialect.json
        self._wifi = WifiState()
        self._links = Links(_Link)

    # --- what comes in ----------------------------------------------------------------------------------

    def feed(self, port: str, data: Input, peer: Peer, now: float) -> Sequence[Output]:  # noqa: ARG002 - Codec
        """Take one written value, or news of the link; any octets give outputs."""
        if not isinstance(data, bytes):
            self._links.follow(data, peer)
        elif port == WRITE:
            return self._written(self._links.of(peer), peer, data)
        return ()

    def _written(self, link: _Link, peer: Peer, data: bytes) -> list[Output]:
        outputs: list[Output] = []
        rest, link.rest = link.rest, b""
        if rest and self._is_frame(data):
            outputs += self._refused(peer, ProtocolError("the rest of a frame did not come"))
        elif rest:
            data = rest + data
        if self._continuations and _is_cut(data):
            link.rest = data
            return outputs
        try:
            taken = link.frames.take(data)
            if taken.wants_ack and taken.type != Control.ACK:
                outputs += self._send(link, peer, Control.ACK, bytes((taken.sequence,)), "ack")
            if taken.lost is not None:
                outputs += self._refused(peer, taken.lost)
            if taken.message is not None and not taken.repeated:
                asked, link.asked = link.asked, True
                outputs += self._message(link, peer, taken.type, taken.message, asked=asked)
        except ProtocolError as error:
            outputs += self._refused(peer, error)
        return outputs

    def _is_frame(self, data: bytes) -> bool:
        """True for a value that can be nothing but a frame of its own, with or without the extra zero."""
        dialect = self._dialect
        known = (
            Control.ACK,
            Control.OP_MODE,
            Control.CONNECT,
            Data.BSSID,
            Data.SSID,
            Data.PASSWORD,
            PROBE,
            dialect.status,
            dialect.close,
            dialect.token,
        )
        if len(data) < _HEADER or data[0] not in known or data[1] & ~_PHONE_BITS:
            return False
        spare = len(data) - _whole(data)
        return spare == 0 or (spare == 1 and data[3] == 0)

    def _message(
        self, link: _Link, peer: Peer, type_: int, message: bytes, *, asked: bool
    ) -> Sequence[Output]:
        dialect = self._dialect
        match type_:
            case Control.OP_MODE if message:
                link.op_mode = message[0]
            case Data.BSSID:
                link.choice.set_bssid(message)
            case Data.SSID:
                link.choice.set_ssid(message)
            case Data.PASSWORD:
                link.choice.set_password(message)
            case Control.CONNECT:
                return self._connect(link, peer)
            case dialect.token:
                return self._token(link, peer, message)
            case _:
                return self._request(link, peer, type_, asked=asked)
        return ()

    def _request(self, link: _Link, peer: Peer, type_: int, *, asked: bool) -> Sequence[Output]:
        dialect = self._dialect
        if type_ == dialect.version:
            return self._send(link, peer, dialect.version_answer, self._version, "version")
        if type_ == dialect.log:
            probe = self._send(link, peer, dialect.log_line, b"\0", "answer to the probe")
            return (Ask("log", peer),) if asked else probe
        if type_ == dialect.status:
            return self._report(link, peer)
        if type_ == dialect.close:
            return (Drop(peer),)
        return () if type_ == Control.ACK else (Seen(0, None, f"BT-Combo frame of unknown type {type_:02x}"),)

    def _connect(self, link: _Link, peer: Peer) -> Sequence[Output]:
        credentials = link.choice.connect()
        if credentials is None:
            refused = Refused(
                peer, Failure(Step.LISTENING, Reason.BAD_FIELD, text="connect without a network's name")
            )
            return [*self._failed(link, peer, Reason.NO_SUCH_AP), refused]
        link.waits, link.late_status = True, None
        return (Offer(peer, credentials, link.grant),)

    def _token(self, link: _Link, peer: Peer, message: bytes) -> Sequence[Output]:
        grant = parse_custom(message) if self._dialect.json else _plain_token(message)
        if grant is None:
            return (Ask("log", peer),)
        link.grant, link.result_due = grant, True
        outputs: list[Output] = [Offer(peer, grant=grant)]
        if link.late_status is not None:
            outputs += self._result(link, peer, link.late_status)
        return outputs

    # --- what the session tells -------------------------------------------------------------------------

    def tell(self, news: News, now: float) -> Sequence[Output]:  # noqa: ARG002 - Codec
        """Report a join, a bind or the log to whom it concerns; a failed join always."""
        if isinstance(news, Answer):
            link = self._links.find(news.peer)
            return () if link is None else self._answer(link, news)
        concerned = self._links.concerned(news)
        told = self._links.find(news.peer) if news.peer is not None else None
        offered = told or (concerned[0][1] if concerned else None)
        ended = self._wifi.follow(news, offered.choice.offered if offered else None)
        outputs: list[Output] = []
        for peer, link in concerned:
            if (ended and (link.waits or news.step is not Step.FAILED)) or self._again(link, news):
                outputs += self._report(link, peer)
            if news.outcome is Outcome.FAILED and news.failure is not None:
                outputs += self._error_line(link, peer, news.failure)
            outputs += self._bound(link, peer, news)
        return outputs

    def _again(self, link: _Link, event: Event) -> bool:
        """True where the phone has repeated a connect that was answered long ago."""
        taken = (event.step, event.outcome) == (Step.LISTENING, Outcome.OK)
        return taken and bool(event.detail.get("again")) and link.waits and self._wifi.state is Wifi.CONNECTED

    def _error_line(self, link: _Link, peer: Peer, failure: Failure) -> list[Output]:
        """v1 has a frame for it; in the others a text would be taken for the bind result."""
        if self._dialect.json:
            return []
        code = "" if failure.code is None else f" ({failure.code})"
        line = f"{failure.step} failed: {failure.reason}{code}\r\n".encode()
        return self._send(link, peer, self._dialect.log_line, line, "error line")

    def _bound(self, link: _Link, peer: Peer, event: Event) -> list[Output]:
        status = bind_status(event)
        if status is None:
            return []
        if status and not link.result_due:
            link.late_status = status
            return []
        return self._result(link, peer, status)

    def _result(self, link: _Link, peer: Peer, status: int) -> list[Output]:
        link.result_due = False
        link.late_status = link.late_status if status else None
        result = BindResult(status, *self._names).encode()
        return self._send(link, peer, self._dialect.token, result, "bind result")

    def _answer(self, link: _Link, answer: Answer) -> Sequence[Output]:
        if answer.what == "log":
            return self._log(link, answer.peer, answer.lines)
        if answer.what == "errors" and link.waits and self._wifi.state is Wifi.FAILED:
            # The session took the connect for an echo of the try that has just failed.
            return self._report(link, answer.peer)
        return ()

    def _log(self, link: _Link, peer: Peer, lines: Sequence[bytes]) -> list[Output]:
        """v1: a frame for each line. v2 and v3: one message, for the mini program takes no second."""
        type_ = self._dialect.log_line
        if self._dialect.json:
            return self._send(link, peer, type_, b"".join(lines)[-_LOG_MAX:], "log")
        kept = [line[:_LOG_MAX] for line in lines] or [b"\0"]
        return [output for line in kept for output in self._send(link, peer, type_, line, "log")]

    # --- what goes out ----------------------------------------------------------------------------------

    def _report(self, link: _Link, peer: Peer) -> list[Output]:
        """The Wi-Fi state; v1 knows connected and not connected only."""
        wifi = self._wifi
        if wifi.state in (Wifi.CONNECTED, Wifi.FAILED):
            link.waits = False
        if wifi.state is Wifi.CONNECTED:
            offered = link.choice.offered
            ssid = offered.ssid if offered is not None else wifi.ssid
            return self._wifi_report(link, peer, WifiReport(link.op_mode, StaState.CONNECTED, ssid))
        if wifi.state is Wifi.CONNECTING and self._dialect.json:
            return self._wifi_report(link, peer, WifiReport(link.op_mode, StaState.CONNECTING))
        return self._failed(link, peer, wifi.failure.reason if wifi.failure is not None else None)

    def _failed(self, link: _Link, peer: Peer, reason: Reason | None) -> list[Output]:
        number = None
        if self._reasons and reason is not None:
            number = end_reason(Failure(Step.JOINING, reason))
        return self._wifi_report(link, peer, WifiReport(link.op_mode, StaState.FAILED, reason=number))

    def _wifi_report(self, link: _Link, peer: Peer, report: WifiReport) -> list[Output]:
        return self._send(link, peer, self._dialect.report, report.encode(), "Wi-Fi report")

    def _refused(self, peer: Peer, error: ProtocolError) -> list[Output]:
        return [Refused(peer, error.failure(Step.LISTENING))]

    def _send(self, link: _Link, peer: Peer, type_: int, message: bytes, label: str) -> list[Output]:
        frames = link.frames.put(type_, message, int(Bit.FROM_DEVICE), device_room(link.att))
        return [Send(NOTIFY, frame, peer, label=label) for frame in frames]

    def deadline(self) -> float | None:
        """None: a device waits for nothing."""
        return None

    def tick(self, now: float) -> Sequence[Output]:  # noqa: ARG002 - Codec
        """Nothing is ever due."""
        return ()


def _whole(data: bytes) -> int:
    return _HEADER + data[3] + (_CHECKSUM if data[1] & Bit.CHECKSUM else 0)


def _is_cut(data: bytes) -> bool:
    return len(data) >= _HEADER and len(data) < _whole(data)


def _plain_token(message: bytes) -> Grant:
    """The token of v1, as it is.

    Raises:
        ProtocolError: BAD_FIELD: empty, longer than 32 octets, or no printable ASCII.
    """
    token = message.rstrip(b"\0")
    if not 1 <= len(token) <= TOKEN_MAX or not token.isascii() or not token.decode("ascii").isprintable():
        text = f"a token of {len(token)} octets is not 1 to {TOKEN_MAX} printable ones"
        raise ProtocolError(text, reason=Reason.BAD_FIELD)
    return Grant("tencent", Secret(token))
