"""Tencent's BT-Combo, the phone's side, frame for frame as the mini program sends it (plug-in 3.0.118)."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from typing import Final, Literal

import attrs

from qiot.errors import ProtocolError
from qiot.model import Failure, Peer, Reason, Secret, Step, show_ssid
from qiot.protocols.base import Connected, Input, Learned, Lost, Mtu, News, Output, Send, Subscribed
from qiot.protocols.ble.blufi_wire import STATION, Control, Data, StaState, reason_of
from qiot.protocols.ble.btcombo_wire import (
    DIALECTS,
    NOTIFY,
    PROBE,
    WRITE,
    Dialect,
    DialectName,
    WifiReport,
)
from qiot.protocols.ble.combo_json import BindResult, encode_log_query, encode_token
from qiot.protocols.ble.frame_link import FrameLink
from qiot.protocols.ble.pacing import Pacing

__all__ = ["BtComboPhone", "BtComboPlan"]

_SINGLE: Final = 14
"""Octets of a message that v3 does not cut."""
_SLICE: Final = 12
_ROOM: Final = 255
_V3: Final = 0x0200
_V1_NUMBER: Final = 1
_VERSION_OCTETS: Final = 2
_NAMES: Final[Mapping[int, str]] = {
    Control.ACK: "ack",
    Control.OP_MODE: "Wi-Fi mode",
    Data.BSSID: "BSSID",
    Data.SSID: "SSID",
    Data.PASSWORD: "password",
    Control.CONNECT: "connect",
}
_MORE_LINES: Final = 0.5
"""Seconds after a line of v1's log in which another may come."""


@attrs.frozen
class BtComboPlan:
    """How long the phone waits, in seconds; the mini program's times, but for shorter pauses.

    Attributes:
        subscribed: From the connection until it begins without having heard of its own subscription.
        probe: For an answer to the probe; a device that says nothing speaks v1.
        gap: Between two messages (the mini program: 0.3).
        join: For the Wi-Fi report.
        bind: For the bind result.
        log: For the log.
        reconnect: After a lost link, for the next connection.
    """

    subscribed: float = 1.0
    probe: float = 3.0
    gap: float = 0.05
    join: float = 30.0
    bind: float = 30.0
    log: float = 5.0
    reconnect: float = 15.0


class BtComboPhone:
    """The phone's side, as `qiot.protocols.base.Codec` describes it; it begins once it has subscribed.

    Args:
        ssid: Network to join, 1 to 32 octets.
        password: Its password; empty for an open one.
        token: Token to bind with; None: only join.
        bssid: Access point, six octets; the mini program sends none.
        dialect: Speak this; None: what the device's answer to the probe says.
        log: When to fetch the device's log.
        retries: Passwords to try, on the same connection, where a join failed.
        plan: Times.
    """

    def __init__(
        self,
        *,
        ssid: bytes,
        password: Secret | None = None,
        token: Secret | None = None,
        bssid: bytes | None = None,
        dialect: DialectName | None = None,
        log: Literal["never", "failure", "always"] = "failure",
        retries: Sequence[Secret] = (),
        plan: BtComboPlan | None = None,
    ) -> None:
        self._ssid = ssid
        self._password = password or Secret(b"")
        self._token = token
        self._bssid = bssid
        self._forced: DialectName | None = dialect
        self._log = log
        self._retries = deque(retries)
        self._plan = plan or BtComboPlan()
        self._peer: Peer | None = None
        self._over = False
        self._reset()

    def _reset(self) -> None:
        """As on every new connection: numbers begin at 0 again."""
        self._link = FrameLink(strict=False, exact=False)
        self._pacing = Pacing(self._plan.gap)
        self._dialect: Dialect = DIALECTS[self._forced or "v1"]
        self._started = False
        self._step = ""
        self._until: float | None = None
        self._outcome: Learned | None = None

    # --- what comes in ----------------------------------------------------------------------------------

    def feed(self, port: str, data: Input, peer: Peer, now: float) -> Sequence[Output]:
        """Take one notified value, or news of the link; what a device should not send is passed over."""
        match data:
            case Connected():
                self._reset()
                self._peer, self._until = peer, now + self._plan.subscribed
            case Subscribed(char=char, on=True) if char == NOTIFY:
                return self._start(peer, now)
            case Lost():
                return self._lost(now)
            case bytes() if port == NOTIFY and self._started and not self._over:
                return self._notified(data, now)
            case Mtu() | _:
                pass
        return ()

    def _start(self, peer: Peer, now: float) -> list[Output]:
        if self._started or self._over:
            return []
        self._peer, self._started = peer, True
        self._step, self._until = "probe", now + self._plan.probe
        return self._put(PROBE, b"", now)

    def _lost(self, now: float) -> list[Output]:
        if self._over:
            return []
        if self._outcome is not None:
            return self._finish()
        self._reset()
        self._peer, self._until = None, now + self._plan.reconnect
        return [Learned("lost")]

    def _notified(self, data: bytes, now: float) -> list[Output]:
        outputs: list[Output] = []
        try:
            taken = self._link.take(data)
            if taken.wants_ack and taken.type != Control.ACK:
                outputs += self._put(Control.ACK, bytes((taken.sequence,)), now)
            if taken.message is not None and not taken.repeated:
                outputs += self._message(taken.type, taken.message, now)
        except ProtocolError as error:
            outputs.append(Learned("error", {"text": f"a notification was passed over: {error}"}))
        return outputs

    def _message(self, type_: int, message: bytes, now: float) -> list[Output]:
        if self._step == "probe":
            return self._probed(type_, message, now)
        dialect = self._dialect
        if type_ == dialect.report:
            return self._report(WifiReport.parse(message), now)
        if type_ == dialect.token and self._step == "bind":
            return self._bound(BindResult.parse(message), now)
        if type_ == dialect.log_line:
            learned = Learned("log", {"text": message.rstrip(b"\0").decode(errors="replace")})
            if self._step == "log" and dialect.json:
                return [learned, *self._finish()]
            if self._step == "log":
                self._until = now + _MORE_LINES
            return [learned]
        return []

    def _probed(self, type_: int, message: bytes, now: float) -> list[Output]:
        """Which dialect the device speaks, by the type and the length of its answer."""
        v1, v2 = DIALECTS["v1"], DIALECTS["v2"]
        if type_ in (v1.log_line, v1.version_answer):
            return self._speak("v1", now)
        if type_ != v2.version_answer:
            return []
        number = int.from_bytes(message[-2:], "big")
        if len(message) == _VERSION_OCTETS:
            return self._speak("v2", now)
        name: DialectName = "v3" if number >= _V3 else "v2" if number > _V1_NUMBER else "v1"
        return self._speak(name, now)

    def _speak(self, name: DialectName, now: float) -> list[Output]:
        spoken: DialectName = self._forced or name
        self._dialect = DIALECTS[spoken]
        return [Learned("version", {"dialect": spoken}), *self._join(now)]

    def _join(self, now: float) -> list[Output]:
        outputs = self._put(Control.OP_MODE, bytes((STATION,)), now)
        outputs += self._put(Data.SSID, self._ssid, now)
        if self._bssid is not None:
            outputs += self._put(Data.BSSID, self._bssid, now)
        outputs += self._put(Data.PASSWORD, self._password.reveal(), now)
        outputs += self._put(Control.CONNECT, b"", now)
        self._step, self._until = "join", self._pacing.free(now) + self._plan.join
        return outputs

    def _report(self, report: WifiReport, now: float) -> list[Output]:
        values: dict[str, str | int | bool] = {"state": report.state, "op_mode": report.op_mode}
        values |= {} if report.ssid is None else {"ssid": show_ssid(report.ssid)}
        if self._step != "join" or (report.state == StaState.CONNECTING and self._dialect.json):
            return [Learned("status", values)]
        if report.connected and report.ssid in (self._ssid, None):
            return self._joined(Learned("joined", values), now)
        if report.connected:
            text = f"the device says that it is in {values['ssid']}"
            return self._failed("joined", values, Failure(Step.JOINING, Reason.JOIN_OTHER, text=text), now)
        reason = Reason.DHCP if report.state == StaState.NO_ADDRESS else reason_of(report.reason)
        failure = Failure(Step.JOINING, reason, code=report.reason)
        if self._retries:
            self._password = self._retries.popleft()
            return [Learned("joined", values, failure=failure), *self._join(now)]
        return self._failed("joined", values, failure, now)

    def _joined(self, learned: Learned, now: float) -> list[Output]:
        if self._token is None:
            return self._ended(learned, now)
        token = encode_token(self._token) if self._dialect.json else self._token.reveal()
        outputs = self._put(self._dialect.token, token, now)
        self._step, self._until = "bind", self._pacing.free(now) + self._plan.bind
        return [learned, *outputs]

    def _bound(self, result: BindResult, now: float) -> list[Output]:
        values: dict[str, str | int | bool] = {
            "product_id": result.product_id,
            "device_name": result.device_name,
            "status": result.status,
        }
        if result.status:
            failure = Failure(Step.BINDING, Reason.TOKEN_REFUSED, code=result.status)
            return self._failed("bound", values, failure, now)
        return self._ended(Learned("bound", values), now)

    # --- the end ----------------------------------------------------------------------------------------

    def _failed(
        self, what: str, values: dict[str, str | int | bool], failure: Failure, now: float
    ) -> list[Output]:
        return self._ended(Learned(what, values, failure=failure), now)

    def _ended(self, learned: Learned, now: float) -> list[Output]:
        """The goal is reached, or not; the log may still be fetched before that is the last word."""
        self._outcome = learned
        wanted = self._log == "always" or (self._log == "failure" and learned.failure is not None)
        if not wanted or self._step in ("log", ""):
            return self._finish()
        self._step = "log"
        dialect = self._dialect
        if dialect.log is None:
            outputs = self._put(dialect.token, encode_log_query(), now)
        else:
            outputs = self._put(dialect.log, b"", now)
        self._until = self._pacing.free(now) + self._plan.log
        return outputs

    def _finish(self) -> list[Output]:
        self._over, self._until, self._step = True, None, ""
        self._pacing.clear()
        return [] if self._outcome is None else [attrs.evolve(self._outcome, last=True)]

    def _put(self, type_: int, message: bytes, now: float) -> list[Output]:
        """Send a message; one without data is followed by a zero, as the mini program has it."""
        sliced = self._dialect.name == "v3" and len(message) > _SINGLE
        frames = self._link.put(type_, message, 0, _SLICE if sliced else _ROOM)
        if not message:
            frames = [frame + b"\0" for frame in frames]
        return self._write(self._pacing.put(frames, now, keep=False))

    def _write(self, frames: Sequence[bytes]) -> list[Output]:
        peer = self._peer
        if peer is None:
            return []
        return [Send(WRITE, frame, peer, confirm=True, label=self._name_of(frame[0])) for frame in frames]

    def _name_of(self, type_: int) -> str:
        """What a frame is called, for those who watch."""
        if type_ == PROBE:
            return "probe" if self._step == "probe" else "log query"
        if type_ == self._dialect.token:
            return "token" if self._step in ("join", "bind") else "log query"
        return _NAMES.get(type_, f"type {type_:02x}")

    # --- time -------------------------------------------------------------------------------------------

    def tell(self, news: News, now: float) -> Sequence[Output]:  # noqa: ARG002 - Codec
        """Nothing: a phone has no session."""
        return ()

    def deadline(self) -> float | None:
        """The next pause or time-out."""
        times = (self._pacing.deadline(), self._until)
        return min((each for each in times if each is not None), default=None)

    def tick(self, now: float) -> Sequence[Output]:
        """Send what waited for its pause, or give up waiting."""
        outputs = self._write(self._pacing.due(now))
        if self._until is not None and self._until <= now:
            self._until = None
            outputs += self._timed_out(now)
        return outputs

    def _timed_out(self, now: float) -> list[Output]:
        match self._step:
            case "" if not self._started and self._peer is not None and not self._over:
                return self._start(self._peer, now)
            case "probe":
                return self._speak("v1", now)
            case "log":
                return self._finish()
            case "join":
                failure = Failure(Step.JOINING, Reason.JOIN_TIMEOUT, text="no Wi-Fi report came")
            case "bind":
                failure = Failure(Step.BINDING, Reason.TOKEN_NO_REPLY, text="no bind result came")
            case _:
                failure = Failure(Step.CONNECTING, Reason.TIMEOUT, text="the connection did not come back")
        return self._failed("error", {"step": self._step}, failure, now)
