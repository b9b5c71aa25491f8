"""Espressif's BluFi, the phone's side, frame for frame as Espressif's Java library 2.5.1 sends it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import Final, Literal

import attrs

from qiot.errors import ProtocolError
from qiot.model import Failure, Peer, Reason, Secret, Step, show_ssid
from qiot.protocols.base import Connected, Input, Learned, Lost, Mtu, News, Output, Send, Subscribed
from qiot.protocols.ble.att import ATT_DEFAULT
from qiot.protocols.ble.blufi_security import PhoneExchange, Recorded
from qiot.protocols.ble.blufi_wire import (
    NOTIFY,
    STATION,
    WRITE,
    Control,
    Data,
    Report,
    StaState,
    name_of,
    parse_networks,
    reason_of,
)
from qiot.protocols.ble.combo_json import BindResult, encode_token
from qiot.protocols.ble.frame_link import FrameLink
from qiot.protocols.ble.frames import Bit, ErrorCode
from qiot.protocols.ble.pacing import Pacing

__all__ = ["BluFiPhone", "BluFiPlan", "Wish"]

Wish = Literal["security", "networks", "join", "status", "custom", "token", "close"]
"""What the phone can do after it has asked for the version."""

_PACKET_MIN: Final = 20
_PACKET_MAX: Final = 255
_OVERHEAD: Final = 4 + 2
_CHECKSUM: Final = 2
_STRETCH: Final = 2
_DATA_SEALED: Final = 0x03
_RESENDS: Final = 3
_V2: Final[tuple[int, int]] = (1, 4)
_OLDEST: Final[tuple[int, int]] = (1, 2)


@attrs.frozen
class BluFiPlan:
    """How long the phone waits, in seconds.

    Attributes:
        subscribed: From the connection until it begins without having heard of its own subscription.
        version: For the version; a device that says nothing is taken for 1.2.
        security: For the device's public value.
        networks: For the Wi-Fi list.
        ack: For the ack of the operation mode; then it goes on without.
        join: For the report of a join.
        ask: Between questions how it goes, meanwhile: ESP-IDF's example reports no failure by itself. 1.2 is
            asked for its version instead, for it calls a join under way a failed one. Where "connect" was
            lost on the way, either question is out of order, and the device says so.
        status: For a report that it asked for.
        custom: For an answer to custom data; none is no failure.
        bind: For the result of a bind.
        gap: Between frames of different messages.
        quiet: After an error that lost a frame, until everything unanswered is sent again.
        reconnect: After a lost link, for the next connection.
    """

    subscribed: float = 1.0
    version: float = 5.0
    security: float = 20.0
    networks: float = 20.0
    ack: float = 3.0
    join: float = 60.0
    ask: float = 5.0
    status: float = 5.0
    custom: float = 5.0
    bind: float = 60.0
    gap: float = 0.0
    quiet: float = 0.3
    reconnect: float = 15.0


class BluFiPhone:
    """The phone's side, as `qiot.protocols.base.Codec` describes it; it begins once it has subscribed.

    Where a device reports that a frame was out of order, everything that has not been answered yet goes out
    again with the same numbers: a strict device takes what it missed and refuses the rest once more.

    Args:
        random: Cryptographic random source, for the key exchange.
        ssid: Network to join, 1 to 32 octets; None: none.
        password: Its password; empty for an open one.
        token: Token to bind with; None: none.
        bssid: Access point, six octets.
        security: Negotiate a key, version 2 where the device says 1.4 or later. Without one, everything can
            be read by whoever listens. A refused negotiation ends the attempt: it never goes on in clear.
        wanted: What to do, in this order; None: security, join and token, as far as they are given.
        custom: Custom data for "custom".
        retries: Passwords to try, on the same connection, where the one before was wrong.
        strip: Version 2: see `KeyExchange`; False as ESP-IDF, True as the Java library.
        plan: Times.
        recorded: Replay a recorded key exchange. For tests only.
    """

    def __init__(
        self,
        *,
        random: Callable[[int], bytes],
        ssid: bytes | None = None,
        password: Secret | None = None,
        token: Secret | None = None,
        bssid: bytes | None = None,
        security: bool = True,
        wanted: Sequence[Wish] | None = None,
        custom: bytes = b"",
        retries: Sequence[Secret] = (),
        strip: bool = False,
        plan: BluFiPlan | None = None,
        recorded: Recorded | None = None,
    ) -> None:
        self._random = random
        self._ssid = ssid
        self._password = password or Secret(b"")
        self._token = token
        self._bssid = bssid
        self._custom = custom
        self._retries = deque(retries)
        self._strip = strip
        self._plan = plan or BluFiPlan()
        self._recorded = recorded
        usual: list[tuple[Wish, bool]] = [
            ("security", security),
            ("join", ssid is not None),
            ("token", token is not None),
        ]
        self._wanted = [wish for wish, so in usual if so] if wanted is None else list(wanted)
        self._peer: Peer | None = None
        self._over = False
        self._reset()

    def _reset(self) -> None:
        """As on every new connection."""
        self._link = FrameLink(strict=False, exact=False)
        self._mtu = ATT_DEFAULT
        self._started = False
        self._secured = False
        self._version: tuple[int, int] = _OLDEST
        self._exchange: PhoneExchange | None = None
        self._todo: deque[str] = deque()
        self._step = ""
        self._state: int | None = None
        self._until: float | None = None
        self._pacing = Pacing(self._plan.gap)
        self._resends = 0
        self._ask_at: float | None = None

    # --- what comes in ----------------------------------------------------------------------------------

    def feed(self, port: str, data: Input, peer: Peer, now: float) -> Sequence[Output]:
        """Take one notified value, or news of the link; what a device should not send is passed over."""
        match data:
            case Connected():
                self._reset()
                self._peer, self._until = peer, now + self._plan.subscribed
            case Mtu(size=size):
                self._mtu = size
            case Subscribed(char=char, on=True) if char == NOTIFY:
                return self._start(peer, now)
            case Lost():
                return self._lost(now)
            case bytes() if port == NOTIFY and self._started and not self._over:
                return self._notified(data, now)
            case _:
                pass
        return ()

    def _start(self, peer: Peer, now: float) -> list[Output]:
        if self._started or self._over:
            return []
        self._peer, self._started = peer, True
        self._todo = deque(["version", *self._wanted])
        return self._next(now)

    def _lost(self, now: float) -> list[Output]:
        if self._over:
            return []
        self._reset()
        self._peer, self._until = None, now + self._plan.reconnect
        return [Learned("lost")]

    def _notified(self, data: bytes, now: float) -> list[Output]:
        try:
            taken = self._link.take(data)
        except ProtocolError as error:
            return [Learned("error", {"text": f"a notification was passed over: {error}"})]
        outputs: list[Output] = []
        if taken.wants_ack and taken.type != Control.ACK:
            outputs += self._put(Control.ACK, bytes((taken.sequence,)), now, keep=False)
        if taken.message is not None and not taken.repeated:
            try:
                outputs += self._message(taken.type, taken.message, now)
            except ProtocolError as error:
                outputs.append(Learned("error", {"text": f"a message was passed over: {error}"}))
        return outputs

    def _message(self, type_: int, message: bytes, now: float) -> list[Output]:  # noqa: PLR0911 - a table
        match type_, self._step:
            case Data.ERROR, _:
                return self._error(message[0] if message else 0xFF, now)
            case Data.VERSION, "version" if len(message) >= 2:  # noqa: PLR2004
                self._version = (message[0], message[1])
                return self._done(now, Learned("version", {"version": f"{message[0]}.{message[1]}"}))
            case Data.NEGOTIATION, "security":
                return self._agreed(message, now)
            case Data.NETWORKS, "networks":
                return self._done(now, Learned("networks", networks=parse_networks(message)))
            case Control.ACK, "join" if self._state is None:
                return self._credentials(now)
            case Data.REPORT, _:
                return self._report(Report.parse(message), now)
            case Data.CUSTOM, _:
                return self._custom_data(message, now)
            case _:
                return []

    def _error(self, code: int, now: float) -> list[Output]:
        name = ErrorCode(code).name.lower() if code in list(ErrorCode) else "unknown"
        learned = Learned("error", {"code": code, "text": f"the device reports error {code}: {name}"})
        match code:
            case ErrorCode.SEQUENCE | ErrorCode.DATA_FORMAT if self._pacing.repeats:
                self._pacing.repeat(now + self._plan.quiet)  # one loss makes an error of every later frame
                return [learned]
            case ErrorCode.SEQUENCE | ErrorCode.DATA_FORMAT if self._may_repeat:
                self._resends += 1
                self._pacing.repeat(now + self._plan.quiet)
                return [learned]
            case ErrorCode.CHECKSUM | ErrorCode.DECRYPT | ErrorCode.MESSAGE_STATE if self._resends < _RESENDS:
                # The device has counted the frame, but what it carried is lost: say it anew.
                self._resends += 1
                self._pacing.clear()
                return [learned, *self._begin(self._step, now)]
            case ErrorCode.SCAN if self._step == "networks":
                return [learned, *self._done(now, None)]
            case ErrorCode.SEQUENCE:
                return [learned]  # what was sent again is refused once more
            case _:
                pass
        reason = Reason.NOT_SUPPORTED if self._step == "security" else Reason.BAD_MESSAGE
        return self._fail(reason, f"the device reports error {code} ({name})", code)

    @property
    def _may_repeat(self) -> bool:
        return bool(self._pacing.unanswered) and self._resends < _RESENDS

    def _agreed(self, public: bytes, now: float) -> list[Output]:
        if self._exchange is None:
            return []
        try:
            self._link.sealer = self._exchange.finish(public)
        except ProtocolError as error:
            return self._fail(Reason.BAD_MESSAGE, f"the device's key is refused: {error}", error.code)
        outputs = self._put(Control.SECURITY_MODE, bytes((_DATA_SEALED,)), now, checksum=True)
        self._secured = True
        version = 2 if self._version >= _V2 else 1
        return [*outputs, *self._done(now, Learned("security", {"version": version}), keep=True)]

    def _report(self, report: Report, now: float) -> list[Output]:
        values: dict[str, str | int | bool] = {"state": report.state, "op_mode": report.op_mode}
        values |= {} if report.ssid is None else {"ssid": show_ssid(report.ssid)}
        values |= {} if report.bssid is None else {"bssid": report.bssid.hex(":")}
        values |= {} if report.reason is None else {"reason": report.reason}
        values |= {} if report.rssi is None else {"rssi": report.rssi}
        if self._step == "join" and self._state is not None:
            self._state = report.state
            return self._joined(report, values, now)
        if self._step == "status":
            return self._done(now, Learned("status", values))
        return [Learned("status", values)]

    def _joined(self, report: Report, values: dict[str, str | int | bool], now: float) -> list[Output]:
        if report.state == StaState.CONNECTED:
            if report.ssid is not None and report.ssid != self._ssid:
                text = f"the device says that it is in {show_ssid(report.ssid)}"
                return self._fail(Reason.JOIN_OTHER, text, report.state)
            return self._done(now, Learned("joined", values))
        interim = report.state == StaState.CONNECTING
        if interim or (report.state == StaState.NO_ADDRESS and report.reason is None):
            return [Learned("status", values)]
        reason = Reason.DHCP if report.state == StaState.NO_ADDRESS else reason_of(report.reason)
        failure = Failure(Step.JOINING, reason, code=report.reason)
        if self._retries and reason in (Reason.WRONG_PASSWORD, Reason.HANDSHAKE_TIMEOUT, Reason.JOIN_OTHER):
            self._password = self._retries.popleft()
            return [Learned("joined", values, failure=failure), *self._begin("join", now)]
        return self._give_up(Learned("joined", values, failure=failure, last=True))

    def _custom_data(self, message: bytes, now: float) -> list[Output]:
        if self._step == "token":
            try:
                result = BindResult.parse(message)
            except ProtocolError:
                return [self._shown(message)]
            values: dict[str, str | int | bool] = {
                "product_id": result.product_id,
                "device_name": result.device_name,
                "status": result.status,
            }
            if result.status == 0:
                return self._done(now, Learned("bound", values))
            failure = Failure(Step.BINDING, Reason.TOKEN_REFUSED, code=result.status)
            return self._give_up(Learned("bound", values, failure=failure, last=True))
        if self._step == "custom":
            return self._done(now, self._shown(message))
        return [self._shown(message)]

    def _shown(self, message: bytes) -> Learned:
        """Custom data, unless a secret of ours has come back in them."""
        secrets = [each.reveal() for each in (self._password, self._token) if each is not None and each]
        if any(secret in message for secret in secrets):
            return Learned("custom", {"octets": len(message), "text": "***"})
        text = message.decode(errors="replace")
        return Learned("custom", {"hex": message.hex(), "text": text if text.isprintable() else ""})

    # --- the steps --------------------------------------------------------------------------------------

    def _next(self, now: float) -> list[Output]:
        """Begin the next step; the last one was told as the last."""
        self._resends = 0
        return self._begin(self._todo.popleft(), now) if self._todo else []

    def _done(self, now: float, learned: Learned | None, *, keep: bool = False) -> list[Output]:
        """A step has ended well, and with it everything is answered that was sent before."""
        if not keep:
            self._pacing.answered()
        self._until, self._step = None, ""
        outputs: list[Output] = []
        if not self._todo:
            self._over = True
            learned = attrs.evolve(learned, last=True) if learned else Learned("finished", last=True)
        if learned is not None:
            outputs.append(learned)
        return outputs + self._next(now)

    @property
    def _joining(self) -> bool:
        """True once the device has to join: that takes its time, and must not begin anew."""
        return self._step == "join" and self._state is not None

    def _wait(self) -> float:
        """How long to wait for the answer to this step."""
        plan = self._plan
        return {
            "version": plan.version,
            "security": plan.security,
            "networks": plan.networks,
            "join": plan.ack,
            "status": plan.status,
            "custom": plan.custom,
            "token": plan.bind,
        }[self._step]

    def _begin(self, step: str, now: float) -> list[Output]:  # noqa: PLR0911 - a table
        """Say what the step says; each is ended by an answer or by its time."""
        self._step, self._state = step, None
        if step == "close":
            return [*self._put(Control.CLOSE, b"", now), *self._done(now, Learned("closed"))]
        self._until = now + self._wait()
        match step:
            case "version":
                return self._put(Control.VERSION, b"", now)
            case "security":
                return self._negotiate(now)
            case "networks":
                return self._put(Control.NETWORKS, b"", now, protect=True)
            case "join":
                return self._put(Control.OP_MODE, bytes((STATION,)), now, protect=True, ack=True)
            case "status":
                return self._put(Control.STATUS, b"", now, protect=True)
            case _:
                token = encode_token(self._token or Secret(b""))
                message = self._custom if step == "custom" else token
                return self._put(Data.CUSTOM, message, now, protect=True)

    def _negotiate(self, now: float) -> list[Output]:
        version: Literal[1, 2] = 2 if self._version >= _V2 else 1
        self._exchange = PhoneExchange(version, self._random, strip=self._strip, recorded=self._recorded)
        messages = self._exchange.messages
        return [output for each in messages for output in self._put(Data.NEGOTIATION, each, now)]

    def _credentials(self, now: float) -> list[Output]:
        """Network and password, then connect."""
        self._pacing.answered()
        self._state, self._until = -1, now + self._plan.join
        self._ask_at = now + self._plan.ask
        outputs: list[Output] = []
        if self._bssid is not None:
            outputs += self._put(Data.BSSID, self._bssid, now, protect=True)
        outputs += self._put(Data.SSID, self._ssid or b"", now, protect=True)
        outputs += self._put(Data.PASSWORD, self._password.reveal(), now, protect=True)
        return outputs + self._put(Control.CONNECT, b"", now)

    def _put(
        self,
        type_: int,
        message: bytes,
        now: float,
        *,
        protect: bool = False,
        checksum: bool = False,
        ack: bool = False,
        keep: bool = True,
    ) -> list[Output]:
        """Send a message, now or when the gap after the one before is over."""
        control = Bit.ACK if ack else 0
        if protect and self._secured:
            control |= Bit.CHECKSUM | Bit.ENCRYPTED
        if checksum:
            control |= Bit.CHECKSUM
        limit = max(_PACKET_MIN, min(self._mtu - 4, _PACKET_MAX))
        limit = min(limit, self._mtu - 3)
        room = limit - _OVERHEAD - (_CHECKSUM if control & Bit.CHECKSUM else 0)
        frames = self._link.put(type_, message, int(control), max(1, room), stretch=_STRETCH)
        return self._write(self._pacing.put(frames, now, keep=keep))

    def _write(self, frames: Sequence[bytes]) -> list[Output]:
        peer = self._peer
        if peer is None:
            return []
        return [Send(WRITE, frame, peer, confirm=True, label=name_of(frame[0])) for frame in frames]

    def _fail(self, reason: Reason, text: str, code: int | None = None) -> list[Output]:
        step = {"token": Step.BINDING, "join": Step.JOINING}.get(self._step, Step.CONNECTING)
        failure = Failure(step, reason, code=code, text=text)
        return self._give_up(Learned("error", {"step": self._step}, failure=failure, last=True))

    def _give_up(self, learned: Learned) -> list[Output]:
        self._over = True
        self._todo.clear()
        self._pacing.clear()
        self._until, self._step = None, ""
        return [learned]

    # --- time -------------------------------------------------------------------------------------------

    def tell(self, news: News, now: float) -> Sequence[Output]:  # noqa: ARG002 - Codec
        """Nothing: a phone has no session."""
        return ()

    def deadline(self) -> float | None:
        """The next gap, resend or time-out."""
        times = (self._pacing.deadline(), self._until, self._ask_at if self._joining else None)
        return min((each for each in times if each is not None), default=None)

    def tick(self, now: float) -> Sequence[Output]:
        """Send what waited for its gap, send again, or give up waiting."""
        outputs = self._write(self._pacing.due(now))
        if self._joining and self._ask_at is not None and self._ask_at <= now:
            self._ask_at = now + self._plan.ask
            question = Control.STATUS if self._version > _OLDEST else Control.VERSION
            outputs += self._put(question, b"", now, protect=True)
        if self._until is not None and self._until <= now:
            outputs += self._timed_out(now)
        return outputs

    def _timed_out(self, now: float) -> list[Output]:  # noqa: PLR0911 - a table
        self._until = None
        if self._pacing.unanswered and not self._resends and not self._joining:
            # A lost last frame leaves no trace; copies do not harm, for their numbers are not due.
            self._resends, self._until = 1, now + self._wait()
            return self._write(self._pacing.unanswered)
        match self._step:
            case "" if not self._started and self._peer is not None and not self._over:
                return self._start(self._peer, now)
            case "version":
                return self._done(now, Learned("version", {"version": "1.2", "text": "assumed"}))
            case "join" if self._state is None:
                return self._credentials(now)
            case "join" if self._state == StaState.NO_ADDRESS:
                return self._fail(Reason.DHCP, "the device got no address")
            case "join":
                return self._fail(Reason.JOIN_TIMEOUT, "the device did not report that it joined")
            case "networks" | "custom":
                return self._done(now, None)
            case "token":
                return self._fail(Reason.TOKEN_NO_REPLY, "the device did not report a bind")
            case step:
                return self._fail(Reason.TIMEOUT, f"no answer to {step or 'the connection'}")
