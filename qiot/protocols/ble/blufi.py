"""Espressif's BluFi, the device's side (ESP-IDF, "BluFi"; versions 1.2 to 1.4).

A token and the bind result travel as custom data in Tencent's JSON, so that a BluFi phone can bind, too.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, Literal

import attrs

from qiot.errors import ProtocolError
from qiot.model import (
    Event,
    Failure,
    Grant,
    Offer,
    Outcome,
    Peer,
    Reason,
    Step,
)
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
from qiot.protocols.ble.blufi_security import KeyExchange, Recorded
from qiot.protocols.ble.blufi_wire import (
    ACCESS_POINT,
    ENTERPRISE,
    NOTIFY,
    STATION,
    WRITE,
    Control,
    Data,
    Report,
    StaState,
    blufi_profile,
    encode_networks,
    end_reason,
)
from qiot.protocols.ble.combo_json import BindResult, bind_status, parse_custom
from qiot.protocols.ble.frame_link import FrameLink
from qiot.protocols.ble.frames import (
    MESSAGE_MAX,
    Bit,
    ErrorCode,
    device_room,
)
from qiot.protocols.ble.links import Link, Links
from qiot.protocols.ble.network_choice import NetworkChoice
from qiot.protocols.ble.wifi_state import Wifi, WifiState

__all__ = ["BluFiDevice", "blufi_profile"]

Version = Literal["1.2", "1.3", "1.4"]

_OP_MODES: Final = range(4)
_MODE_BITS: Final = 0x33
_DATA_CHECKSUM: Final = 0x01
_DATA_ENCRYPTED: Final = 0x02
_CONTROL_CHECKSUM: Final = 0x10
_NEVER_EMPTY: Final = frozenset(
    {*Data, Control.OP_MODE, Control.SECURITY_MODE} - {Data.SSID, Data.PASSWORD, Data.CUSTOM}
)
_PRIVATE: Final = frozenset({Data.SSID, Data.PASSWORD, Data.CUSTOM, *ENTERPRISE})
"""What a device that insists on security takes only encrypted."""


@attrs.define
class _Link(Link):
    """One phone.

    Attributes:
        exchange: The key exchange.
        frames: Its frames.
        mode: Security mode octet.
        op_mode: 0 to 3.
        choice: What it has said of the network.
        enterprise: It has sent what only an enterprise network needs.
        grant: Its newest token.
        waits: It waits for the report of a join.
        result_due: It waits for the result of a bind.
        late_status: Why its attempt ended before its token came.
    """

    exchange: KeyExchange
    frames: FrameLink
    mode: int = 0
    op_mode: int = STATION
    choice: NetworkChoice = attrs.field(factory=NetworkChoice)
    enterprise: bool = False
    grant: Grant | None = None
    waits: bool = False
    result_due: bool = False
    late_status: int | None = None


class BluFiDevice:
    """The device's side, as `qiot.protocols.base.Codec` describes it; at most eight phones at a time.

    Args:
        random: Cryptographic random source, for the key exchange.
        version: What the device says it speaks. 1.3 adds retry, end reason and signal to reports, and the
            states "connecting" and "no address"; 1.4 has security version 2 and takes no other.
        product_id: Tencent's product, for the bind result; empty: no results are sent.
        device_name: The device in it.
        exact: Refuse a frame with octets behind it (error 9), as ESP-IDF does from 5.5 on.
        encrypted_only: Take SSID, password and custom data only encrypted (error 4); ESP-IDF does not insist.
        strip: Version 1.4: see `KeyExchange`.
        custom: Gives the answer to custom data (a token's, too, but no log query's), or None.
        message_max: Octets of the longest message, at most 65535.
        recorded: Replay a recorded key exchange. For tests only.
    """

    def __init__(
        self,
        *,
        random: Callable[[int], bytes],
        version: Version = "1.3",
        product_id: str = "",
        device_name: str = "",
        exact: bool = True,
        encrypted_only: bool = False,
        strip: bool = False,
        custom: Callable[[bytes], bytes | None] | None = None,
        message_max: int = MESSAGE_MAX,
        recorded: Recorded | None = None,
    ) -> None:
        self._version = tuple(int(part) for part in version.split("."))
        self._names = (product_id, device_name)
        self._encrypted_only = encrypted_only
        self._custom = custom
        self._wifi = WifiState()
        security: Literal[1, 2] = 2 if self._version >= (1, 4) else 1
        self._links = Links(
            lambda: _Link(
                KeyExchange(security, random, strip=strip, recorded=recorded),
                FrameLink(strict=True, exact=exact, message_max=message_max),
            )
        )

    def feed(self, port: str, data: Input, peer: Peer, now: float) -> Sequence[Output]:  # noqa: ARG002 - Codec
        """Take one written value, or news of the link; any octets give outputs."""
        if not isinstance(data, bytes):
            self._links.follow(data, peer)
        elif port == WRITE:
            return self._written(self._links.of(peer), peer, data)
        return ()

    def _written(self, link: _Link, peer: Peer, data: bytes) -> list[Output]:
        outputs: list[Output] = []
        try:
            taken = link.frames.take(data)
            if taken.wants_ack and taken.type != Control.ACK:
                outputs += self._send(link, peer, Control.ACK, bytes((taken.sequence,)), "ack")
            if taken.lost is not None:
                outputs += self._error(link, peer, taken.lost)
            if taken.message is not None:
                self._check(taken.type, taken.message, sealed=taken.sealed)
                handle = self._data if taken.type & 1 else self._control
                outputs += handle(link, peer, taken.type, taken.message)
        except ProtocolError as error:
            outputs += self._error(link, peer, error)
        return outputs

    def _check(self, type_: int, message: bytes, *, sealed: bool) -> None:
        if self._encrypted_only and type_ in _PRIVATE and message and not sealed:
            raise ProtocolError("this device takes it only encrypted", code=ErrorCode.INIT_SECURITY)
        if not message and type_ in _NEVER_EMPTY:
            raise ProtocolError(f"type {type_:02x} without data", code=ErrorCode.DATA_FORMAT)

    # --- control frames ---------------------------------------------------------------------------------

    def _control(self, link: _Link, peer: Peer, type_: int, message: bytes) -> Sequence[Output]:  # noqa: PLR0911 - a table
        match type_:
            case Control.ACK:
                return ()
            case Control.SECURITY_MODE:
                return self._security_mode(link, message[0])
            case Control.OP_MODE:
                if message[0] not in _OP_MODES:
                    raise ProtocolError(f"operation mode {message[0]}", code=ErrorCode.DATA_FORMAT)
                link.op_mode = message[0]
                return ()
            case Control.CONNECT:
                return self._connect(link, peer)
            case Control.STATUS:
                return self._report(link, peer)
            case Control.VERSION:
                return self._send(link, peer, Data.VERSION, bytes(self._version), "version")
            case Control.CLOSE:
                return (Drop(peer),)
            case Control.NETWORKS:
                return (Ask("scan", peer),)
            case Control.DISCONNECT | Control.DEAUTHENTICATE:
                return (Seen(0, None, f"BluFi {Control(type_).name.lower()}: nothing to do here"),)
            case _:
                return (Seen(0, None, f"BluFi frame of unknown type {type_:02x}"),)

    def _security_mode(self, link: _Link, mode: int) -> Sequence[Output]:
        if mode & ~_MODE_BITS:
            raise ProtocolError(f"security mode {mode:02x}", code=ErrorCode.DATA_FORMAT)
        if mode & _DATA_ENCRYPTED and link.frames.sealer is None:
            raise ProtocolError("encryption before a key was negotiated", code=ErrorCode.INIT_SECURITY)
        link.mode = mode
        return ()

    def _connect(self, link: _Link, peer: Peer) -> Sequence[Output]:
        """Offer what was said, or report at once why it cannot be joined."""
        enterprise, link.enterprise = link.enterprise, False
        credentials = link.choice.connect()
        if credentials is None or enterprise:
            text = "enterprise networks" if enterprise else "connect without a network's name"
            reason = Reason.UNSUPPORTED_SECURITY if enterprise else Reason.BAD_FIELD
            failure = Failure(Step.LISTENING, reason, text=text)
            shown = reason if enterprise else Reason.NO_SUCH_AP
            report = self._failed(link, end_reason(attrs.evolve(failure, reason=shown)))
            return [*self._send(link, peer, Data.REPORT, report.encode(), "report"), Refused(peer, failure)]
        link.waits, link.late_status = True, None
        return (Offer(peer, credentials, link.grant),)

    # --- data frames ------------------------------------------------------------------------------------

    def _data(self, link: _Link, peer: Peer, type_: int, message: bytes) -> Sequence[Output]:
        match type_:
            case Data.NEGOTIATION:
                return self._negotiate(link, peer, message)
            case Data.BSSID:
                link.choice.set_bssid(message)
            case Data.SSID:
                link.choice.set_ssid(message)
            case Data.PASSWORD:
                link.choice.set_password(message)
            case Data.CUSTOM:
                return self._custom_data(link, peer, message)
            case _ if type_ in ENTERPRISE:
                link.enterprise = True
            case _ if type_ in ACCESS_POINT:
                return (Seen(0, None, "BluFi settings of an access point: there is none to set"),)
            case _:
                return (Seen(0, None, f"BluFi frame of unknown type {type_:02x}"),)
        return ()

    def _negotiate(self, link: _Link, peer: Peer, message: bytes) -> Sequence[Output]:
        agreed = link.exchange.feed(message)
        if agreed is None:
            return ()
        public, link.frames.sealer = agreed
        return self._send(link, peer, Data.NEGOTIATION, public, "public value")

    def _custom_data(self, link: _Link, peer: Peer, message: bytes) -> Sequence[Output]:
        outputs: list[Output] = []
        try:
            grant = parse_custom(message)
        except ProtocolError:
            outputs.append(Seen(0, None, f"BluFi custom data of {len(message)} octets"))
        else:
            if grant is None:
                return (Ask("log", peer),)
            link.grant, link.result_due = grant, True
            outputs.append(Offer(peer, grant=grant))
            if link.late_status is not None:
                outputs += self._result(link, peer, link.late_status)
        answer = self._custom(message) if self._custom is not None else None
        if answer is not None:
            outputs += self._send(link, peer, Data.CUSTOM, answer, "custom data")
        return outputs

    # --- what the session tells -------------------------------------------------------------------------

    def tell(self, news: News, now: float) -> Sequence[Output]:  # noqa: ARG002 - Codec
        """Report a join, a bind, networks or the log to whom it concerns."""
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
            outputs += self._bound(link, peer, news)
        return outputs

    def _again(self, link: _Link, event: Event) -> bool:
        """True where the phone has repeated a connect that was answered long ago."""
        taken = (event.step, event.outcome) == (Step.LISTENING, Outcome.OK)
        return taken and bool(event.detail.get("again")) and link.waits and self._wifi.state is Wifi.CONNECTED

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
        if not self._names[0]:
            return []
        result = BindResult(status, *self._names).encode()
        return self._send(link, peer, Data.CUSTOM, result, "bind result")

    def _answer(self, link: _Link, answer: Answer) -> Sequence[Output]:
        match answer.what:
            case "scan" if answer.failure is not None:
                return self._send(link, answer.peer, Data.ERROR, bytes((ErrorCode.SCAN,)), "error")
            case "scan":
                self._wifi.scanned(answer.networks)
                found = encode_networks(answer.networks)
                return self._send(link, answer.peer, Data.NETWORKS, found, "networks")
            case "log":
                return self._send(link, answer.peer, Data.CUSTOM, b"".join(answer.lines), "log")
            case "errors" if link.waits and self._wifi.state is Wifi.FAILED:
                # The session took the connect for an echo of the try that has just failed.
                return self._report(link, answer.peer)
            case _:
                return ()

    # --- what goes out ----------------------------------------------------------------------------------

    def _failed(self, link: _Link, reason: int, state: StaState = StaState.FAILED) -> Report:
        if self._version < (1, 3):
            return Report(link.op_mode, StaState.FAILED)
        return Report(link.op_mode, state, reason=reason, rssi=self._wifi.signal)

    def _report(self, link: _Link, peer: Peer) -> list[Output]:
        """The station as it is: 1.2 knows connected and failed only."""
        wifi, old = self._wifi, self._version < (1, 3)
        match wifi.state:
            case Wifi.CONNECTED:
                report = Report(link.op_mode, StaState.CONNECTED, bssid=wifi.bssid, ssid=wifi.ssid)
            case Wifi.CONNECTING if not old:
                report = Report(link.op_mode, StaState.CONNECTING)
            case Wifi.FAILED:
                state = StaState.NO_ADDRESS if wifi.no_address else StaState.FAILED
                report = self._failed(link, end_reason(wifi.failure), state)
            case _:
                report = Report(link.op_mode, StaState.FAILED)
        if wifi.state in (Wifi.CONNECTED, Wifi.FAILED):
            link.waits = False
        return self._send(link, peer, Data.REPORT, report.encode(), "report")

    def _error(self, link: _Link, peer: Peer, error: ProtocolError) -> list[Output]:
        code = ErrorCode.DATA_FORMAT if error.code is None else error.code
        sends = self._send(link, peer, Data.ERROR, bytes((code,)), "error")
        return [*sends, Refused(peer, error.failure(Step.LISTENING))]

    def _send(self, link: _Link, peer: Peer, type_: int, message: bytes, label: str) -> list[Output]:
        """Cut, protect as the security mode says, and number; negotiation and errors always go in clear."""
        control = int(Bit.FROM_DEVICE)
        if not type_ & 1:
            control |= Bit.CHECKSUM if link.mode & _CONTROL_CHECKSUM else 0
        elif type_ not in (Data.NEGOTIATION, Data.ERROR):
            control |= Bit.CHECKSUM if link.mode & _DATA_CHECKSUM else 0
            control |= Bit.ENCRYPTED if link.mode & _DATA_ENCRYPTED else 0
        frames = link.frames.put(type_, message, control, device_room(link.att))
        return [Send(NOTIFY, frame, peer, label=label) for frame in frames]

    def deadline(self) -> float | None:
        """None: a device waits for nothing."""
        return None

    def tick(self, now: float) -> Sequence[Output]:  # noqa: ARG002 - Codec
        """Nothing is ever due."""
        return ()
