"""LLSync's assisted provisioning, the phone's side, as the mini program does it.

| state | sends | goes on with | gives up after |
|---|---|---|---|
| info | E0 | 08; then 09 where the device wants an MTU | 10 s, twice |
| mode | E1 station | E0, 0 | 10 s, twice |
| wifi | E2 name and password | E1, 0 | 10 s, twice |
| connect | E3 | E2 with state 0 and the same name; else the next credentials | 70 s |
| token | E4 | E3, 0 | 60 s |
| log | E5, after a failure | E4 | 10 s |
| done | - | - | - |

Times are those of the newer plug-in; the older one waits 20 and 10 s for connect and token.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from typing import Final

from qiot.errors import ConfigurationError, ProtocolError
from qiot.model import SSID_MAX, Credentials, Failure, Peer, Reason, Secret, Step, show_ssid
from qiot.protocols.base import Learned, Output, Send
from qiot.protocols.ble.asking_phone import AskingPhone, Rest
from qiot.protocols.ble.att import ATT_DEFAULT, ATT_HEADER, ATT_MAX
from qiot.protocols.ble.llsync_frames import (
    DOWN_PORT,
    MTU_DEFAULT,
    MTU_FAILED,
    MTU_MAX,
    PASSWORD_MAX,
    STATION,
    UP_PORT,
    Down,
    Slices,
    Up,
    packets,
    parse_device_info,
    parse_result,
    parse_wifi_result,
    wifi_groups,
)

__all__ = ["LLSyncPhone"]

STEP_TIMEOUT: Final = 10.0
CONNECT_TIMEOUT: Final = 70.0
TOKEN_TIMEOUT: Final = 60.0
NO_REPLY: Final = 0x98
"""The low octet of 408, which a device says where the cloud did not answer it."""

_NUMBER: Final = 2


class _State(enum.Enum):
    INFO = enum.auto()
    MODE = enum.auto()
    WIFI = enum.auto()
    CONNECT = enum.auto()
    TOKEN = enum.auto()
    LOG = enum.auto()


_ANSWERS: Final[Mapping[enum.Enum, Up]] = {
    _State.INFO: Up.INFO,
    _State.MODE: Up.MODE_RESULT,
    _State.WIFI: Up.WIFI_RESULT,
    _State.CONNECT: Up.CONNECT_RESULT,
    _State.TOKEN: Up.TOKEN_RESULT,
    _State.LOG: Up.LOG,
}
_FOLLOWING: Final[Mapping[enum.Enum, _State]] = {
    _State.MODE: _State.WIFI,
    _State.WIFI: _State.CONNECT,
}
_REFUSED: Final[Mapping[enum.Enum, Reason]] = {
    _State.MODE: Reason.NOT_SUPPORTED,
    _State.WIFI: Reason.BAD_FIELD,
}
_STEPS: Final[Mapping[enum.Enum, Step]] = {
    _State.CONNECT: Step.JOINING,
    _State.TOKEN: Step.BINDING,
}


class LLSyncPhone(AskingPhone):
    """One phone with one device; starts when it listens to the device.

    Args:
        credentials: What to try, in this order, over one link: the next where the device could not join.
        token: The token to bind with; None only joins.
        log: Fetch the device's log where something fails.
        mtu: The LLSync MTU, 20 to 514; None takes what link and device allow.
        step_timeout: Seconds to wait for an answer that takes no time.
        connect_timeout: Seconds to wait for the join.
        token_timeout: Seconds to wait for the bind.
        resends: Copies of a message that is not answered in time; never of connect, token and log.
    """

    def __init__(
        self,
        *,
        credentials: Sequence[Credentials],
        token: Secret | None = None,
        log: bool = False,
        mtu: int | None = None,
        step_timeout: float = STEP_TIMEOUT,
        connect_timeout: float = CONNECT_TIMEOUT,
        token_timeout: float = TOKEN_TIMEOUT,
        resends: int = 1,
    ) -> None:
        super().__init__(UP_PORT, _State.INFO)
        for each in credentials:
            if each.ssid is None or not 1 <= len(each.ssid) <= SSID_MAX:
                raise ConfigurationError(f"LLSync wants a network's name of 1 to {SSID_MAX} octets")
            if len(each.password) > PASSWORD_MAX:
                raise ConfigurationError(f"LLSync takes no password of more than {PASSWORD_MAX} octets")
        if not credentials:
            raise ConfigurationError("the phone has no network to give away")
        if mtu is not None and not MTU_DEFAULT <= mtu <= MTU_MAX:
            raise ConfigurationError(f"the LLSync MTU is {mtu}, not {MTU_DEFAULT} to {MTU_MAX}")
        self._left = list(credentials)
        self._credentials = self._left.pop(0)
        self._token = token
        self._log = log
        self._fixed_mtu = mtu
        self._timeouts: Mapping[enum.Enum, float] = {
            _State.CONNECT: connect_timeout,
            _State.TOKEN: token_timeout,
        }
        self._step_timeout = step_timeout
        self._resends = resends
        self._slices = Slices()
        self._att = ATT_DEFAULT
        self._mtu = mtu or MTU_DEFAULT
        self._failure: Failure | None = None

    def _leave(self, peer: Peer | None) -> None:
        super()._leave(peer)
        self._att, self._mtu = ATT_DEFAULT, self._fixed_mtu or MTU_DEFAULT
        self._slices.clear()

    def _lost(self) -> Sequence[Output]:
        """Where it was about to fetch the log, nothing is left to do."""
        return () if self._failure is None else self._end(self._failure)

    def _set_att(self, size: int) -> None:
        self._att = min(max(size, ATT_DEFAULT), ATT_MAX)
        self._mtu = self._fixed_mtu or min(self._mtu, self._att - ATT_HEADER)

    # --- what comes -------------------------------------------------------------------------------------

    def _packet(self, data: bytes, now: float) -> Sequence[Output]:
        if not data:
            return ()
        try:
            message = self._slices.feed(data)
            if message is None:
                return ()
            kind, payload = message[0], message[1][_NUMBER:]
            if kind == Up.MTU and len(payload) >= _NUMBER:
                self._adopt(int.from_bytes(payload[:_NUMBER], "big"))
            return self._answer(payload, now) if kind == _ANSWERS.get(self._state) else ()
        except ProtocolError:
            return ()  # the answer is missing now; its time-out says so

    def _answer(self, payload: bytes, now: float) -> Sequence[Output]:
        match self._state:
            case _State.INFO:
                return self._informed(payload, now)
            case _State.CONNECT:
                return self._connected(payload, now)
            case _State.LOG:
                text = payload.decode(errors="replace").strip(" ")
                return Learned("log", {"text": text}), *self._end(self._failure)
            case _:
                return self._resulted(parse_result(payload), now)

    def _resulted(self, result: int, now: float) -> Sequence[Output]:
        if result == 0:
            following = _FOLLOWING.get(self._state)
            return self._end(None, "bound") if following is None else self._go(following, now)
        silent = result == NO_REPLY
        reason = _REFUSED.get(self._state, Reason.TOKEN_NO_REPLY if silent else Reason.TOKEN_REFUSED)
        return self._fail(reason, now, code=result)

    def _informed(self, payload: bytes, now: float) -> Sequence[Output]:
        info = parse_device_info(payload)
        outputs: list[Output] = [
            Learned("version", {"version": info.version, "mtu": info.mtu, "device_name": info.name})
        ]
        self._adopt(min(info.mtu, self._att) - ATT_HEADER)
        if info.wants_mtu:
            reached = 0 if self._fixed_mtu or self._att >= info.mtu else self._att
            said = MTU_FAILED if reached == ATT_DEFAULT else reached
            outputs += self._send(Down.MTU_RESULT, said.to_bytes(_NUMBER, "big"), "MTU result")
        return [*outputs, *self._go(_State.MODE, now)]

    def _adopt(self, mtu: int) -> None:
        self._mtu = self._fixed_mtu or max(MTU_DEFAULT, min(mtu, self._att - ATT_HEADER))

    def _connected(self, payload: bytes, now: float) -> Sequence[Output]:
        result = parse_wifi_result(payload)
        if not result.connected:
            return self._fail(Reason.JOIN_OTHER, now, code=result.state)
        if result.ssid != self._credentials.ssid:
            return self._fail(Reason.JOIN_OTHER, now, text=f"it is in {show_ssid(result.ssid)!r} instead")
        if self._token is None:
            return self._end(None, "joined", ssid=show_ssid(result.ssid))
        return Learned("joined", {"ssid": show_ssid(result.ssid)}), *self._go(_State.TOKEN, now)

    # --- what goes out ----------------------------------------------------------------------------------

    def _transmit(self, now: float) -> Sequence[Output]:
        self._due = now + self._timeouts.get(self._state, self._step_timeout)
        match self._state:
            case _State.MODE:
                return self._send(Down.SET_MODE, bytes([STATION]), "set mode")
            case _State.WIFI:
                ssid, password = self._credentials.ssid or b"", self._credentials.password.reveal()
                said = len(ssid) + len(password)
                groups = wifi_groups(ssid, password)
                return self._sends(packets(Down.SET_WIFI, groups, self._mtu, length=said), "set Wi-Fi")
            case _State.CONNECT:
                return self._send(Down.CONNECT, b"", "connect")
            case _State.TOKEN if self._token is not None:
                return self._sends(packets(Down.SET_TOKEN, [self._token.reveal()], self._mtu), "token")
            case _State.LOG:
                return self._send(Down.GET_LOG, b"", "get log")
            case _:
                return self._send(Down.GET_INFO, b"", "get device information")

    def _send(self, kind: Down, payload: bytes, label: str) -> Sequence[Output]:
        return self._sends([bytes([kind]) + payload], label)

    def _sends(self, frames: Sequence[bytes], label: str) -> Sequence[Output]:
        if self._to is None:
            return ()
        return [Send(DOWN_PORT, each, self._to, confirm=True, label=label) for each in frames]

    # --- how it ends ------------------------------------------------------------------------------------

    def _fail(
        self, reason: Reason, now: float, *, code: int | None = None, text: str = ""
    ) -> Sequence[Output]:
        failure = Failure(_STEPS.get(self._state, Step.LISTENING), reason, code, text)
        if self._state is _State.CONNECT and self._left:
            self._credentials = self._left.pop(0)
            return Learned("error", failure=failure), *self._go(_State.WIFI, now)
        if self._log and self._state is not _State.LOG:
            self._failure = failure
            return self._go(_State.LOG, now)
        return self._end(self._failure or failure)

    def _end(self, failure: Failure | None, what: str = "error", **values: str) -> Sequence[Output]:
        self._state, self._due = Rest.DONE, None
        return (Learned(what, values, failure=failure, last=True),)

    def _late(self, now: float) -> Sequence[Output]:
        again = self._state in (_State.INFO, _State.MODE, _State.WIFI) and self._copies < self._resends
        if again:
            self._copies += 1
            return self._transmit(now)
        return self._fail(Reason.TIMEOUT, now, text=f"no answer to {self._state.name.lower()}")
