"""LLSync's assisted provisioning, the device's side.

Source: the LLSync SDK's protocol document (1.4.1, sections 4 to 6), and Tencent's device code in C. There is
no encryption and no proof of who the phone is.

| input | output | answer |
|---|---|---|
| E0 | - | 08 with the device's name and the MTU it wants |
| E1 mode | - | E0: 0 for a station, else 1 |
| E2 name, password | - (kept) | E1: 0, or 1 where a field is wrong or a slice is missing |
| E3 | Offer of what E2 brought | E2 once the join has ended, with the name that came |
| E4 token | Offer of the grant; before or after the join | E3 once the bind has ended |
| E5 | Ask "log" | E4 |
| 09 | - | 0C with the MTU in use, where it has changed |
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import attrs

from qiot.errors import ConfigurationError, ProtocolError
from qiot.model import (
    Credentials,
    Event,
    Failure,
    Grant,
    Offer,
    Outcome,
    Peer,
    Reason,
    Secret,
    Step,
    show_ssid,
)
from qiot.protocols.base import (
    Answer,
    Ask,
    Input,
    News,
    Output,
    Refused,
    Seen,
    Send,
)
from qiot.protocols.ble.att import ATT_DEFAULT, ATT_HEADER, ATT_MAX
from qiot.protocols.ble.links import Link, Links
from qiot.protocols.ble.llsync_frames import (
    DOWN_PORT,
    MESSAGE_MAX,
    MTU_DEFAULT,
    MTU_FAILED,
    MTU_MAX,
    NAME_MAX,
    STATION,
    UP_PORT,
    Down,
    Slices,
    Up,
    device_info,
    packets,
    parse_wifi_info,
    wifi_result,
)

__all__ = ["LLSyncDevice"]

JOIN_TIMEOUT: Final = 60.0
"""Seconds until a connect that nobody speaks of has failed; the device code's own limit."""
NO_REPLY: Final = 408
"""The code that the device code gives where the cloud does not answer."""

_FAILED: Final = 1
_IN_A_NETWORK: Final = (
    Step.REGISTERING,
    Step.CONNECTING,
    Step.AWAITING_GRANT,
    Step.BINDING,
    Step.JOINED,
    Step.BOUND,
)
_PAD: Final = b"  "
_PAD_MAX: Final = 32
"""Blanks that a log may get, in front and behind, with room to spare."""
_BYTE: Final = 0xFF
_LABELS: Final = {
    Up.INFO: "device information",
    Up.MTU: "MTU in use",
    Up.MODE_RESULT: "mode result",
    Up.WIFI_RESULT: "Wi-Fi information result",
    Up.CONNECT_RESULT: "connect result",
    Up.TOKEN_RESULT: "bind result",
    Up.LOG: "log",
}


@attrs.define
class _Link(Link):
    """One phone.

    Attributes:
        mtu: LLSync MTU in use upwards.
        slices: What comes in parts.
        credentials: The last that came.
        due: While a connect waits for its result: when it has failed.
        token: A token waits for its result.
        failure: Why the attempt ended, where a token comes after that.
    """

    mtu: int = MTU_DEFAULT
    slices: Slices = attrs.field(factory=Slices)
    credentials: Credentials | None = None
    due: float | None = None
    token: bool = False
    failure: Failure | None = None

    def set_att(self, att: int) -> None:
        """The LLSync MTU is never more than the link carries."""
        super().set_att(min(max(att, ATT_DEFAULT), ATT_MAX))
        self.mtu = min(self.mtu, self.att - ATT_HEADER)


class LLSyncDevice:
    """Serves up to eight phones.

    Args:
        device_name: The device's name in the cloud, 1 to 48 octets.
        mtu: The ATT MTU that the phone is to slice for, 23 to 517; 20 where it shall set none.
        wants_mtu: Ask the phone to set it, too.
        pad_log: Send two blanks before the log: the mini program never shows the first two characters. Off:
            as the device code does it.
    """

    def __init__(
        self, *, device_name: str, mtu: int = 128, wants_mtu: bool = True, pad_log: bool = True
    ) -> None:
        name = device_name.encode()
        if not 1 <= len(name) <= NAME_MAX:
            raise ConfigurationError(f"the device name has {len(name)} octets, not 1 to {NAME_MAX}")
        low = ATT_DEFAULT if wants_mtu else MTU_DEFAULT
        if not low <= mtu <= ATT_MAX:
            raise ConfigurationError(f"the MTU is {mtu}, not {low} to {ATT_MAX}")
        self._info = device_info(name, mtu, wants_mtu=wants_mtu)
        self._pad_log = pad_log
        self._links: Links[_Link] = Links(_Link)
        self._joined = ""
        """The network that the device is in by what was told, as events show it."""

    def feed(self, port: str, data: Input, peer: Peer, now: float) -> Sequence[Output]:
        """Take what came from a phone; any octets give outputs."""
        if not isinstance(data, bytes):
            self._links.follow(data, peer)
        elif port == DOWN_PORT and data:
            return self._packet(data, peer, self._links.of(peer), now)
        return ()

    # --- what comes -------------------------------------------------------------------------------------

    def _packet(self, data: bytes, peer: Peer, link: _Link, now: float) -> Sequence[Output]:
        kind = data[0]
        try:
            message = link.slices.feed(data)
            return () if message is None else self._message(*message, peer, link, now)
        except ProtocolError as error:
            refused = Refused(peer, error.failure(Step.LISTENING))
            if kind == Down.SET_WIFI:
                link.credentials = None
                return refused, *self._send(Up.WIFI_RESULT, bytes([_FAILED]), peer, link)
            if kind == Down.SET_TOKEN:
                return refused, *self._send(Up.TOKEN_RESULT, bytes([_FAILED]), peer, link)
            return (refused,)

    def _message(self, kind: int, payload: bytes, peer: Peer, link: _Link, now: float) -> Sequence[Output]:
        outputs: Sequence[Output] = ()
        match kind:
            case Down.GET_INFO:
                outputs = self._send(Up.INFO, self._info, peer, link)
            case Down.SET_MODE:
                result = 0 if payload[:1] == bytes([STATION]) else _FAILED
                outputs = self._send(Up.MODE_RESULT, bytes([result]), peer, link)
            case Down.SET_WIFI:
                ssid, password = parse_wifi_info(payload[2:])
                link.credentials = Credentials(ssid, Secret(password))
                outputs = self._send(Up.WIFI_RESULT, b"\0", peer, link)
            case Down.CONNECT:
                outputs = self._connect(peer, link, now)
            case Down.SET_TOKEN:
                outputs = self._token(payload, peer, link)
            case Down.GET_LOG:
                outputs = (Ask("log", peer),)
            case Down.MTU_RESULT:
                outputs = self._mtu_result(payload, peer, link)
            case _:
                outputs = (Seen(0, None, f"LLSync message {kind:02x}, which provisioning does not have"),)
        return outputs

    def _connect(self, peer: Peer, link: _Link, now: float) -> Sequence[Output]:
        if link.credentials is None:
            text = "a connect came before name and password"
            refused = Refused(peer, Failure(Step.LISTENING, Reason.BAD_MESSAGE, text=text))
            return refused, *self._send(Up.CONNECT_RESULT, wifi_result(_FAILED, b""), peer, link)
        link.due, link.failure = now + JOIN_TIMEOUT, None
        return (Offer(peer, link.credentials),)

    def _token(self, payload: bytes, peer: Peer, link: _Link) -> Sequence[Output]:
        length = int.from_bytes(payload[:2], "big")
        token = payload[2:]
        if not token or length != len(token):
            raise ProtocolError(
                f"the token has {len(token)} octets and says {length}", reason=Reason.BAD_FIELD
            )
        link.token = True
        offer = Offer(peer, grant=Grant("tencent", Secret(token)))
        if link.failure is not None and link.due is None:
            return offer, *self._bound(link.failure, peer, link)
        return (offer,)

    def _mtu_result(self, payload: bytes, peer: Peer, link: _Link) -> Sequence[Output]:
        """The phone has set the MTU (0), or could not, or says the ATT MTU that it reached."""
        if len(payload) < 2:  # noqa: PLR2004 - a number of two octets
            raise ProtocolError("the MTU result is cut off", reason=Reason.BAD_FIELD)
        result = int.from_bytes(payload[:2], "big")
        before, room = link.mtu, link.att - ATT_HEADER
        if result not in (0, MTU_FAILED):
            link.mtu = min(max(result - ATT_HEADER, MTU_DEFAULT), room if link.exchanged else MTU_MAX)
            return ()
        link.mtu = MTU_DEFAULT if result else room
        if result == 0 and link.mtu == before:
            return ()
        return self._send(Up.MTU, link.mtu.to_bytes(2, "big"), peer, link)

    # --- what is told -----------------------------------------------------------------------------------

    def tell(self, news: News, now: float) -> Sequence[Output]:
        """Report the end of a join and of a bind to whoever waits for it, and send the log."""
        if isinstance(news, Answer):
            return self._answer(news)
        if news.step is Step.JOINING and news.outcome is not Outcome.PROGRESS:
            self._joined = str(news.detail.get("ssid", "")) if news.outcome is Outcome.OK else ""
        outputs: list[Output] = []
        for peer, link in self._links.concerned(news):
            outputs += self._event(news, peer, link, now)
        return outputs

    def _answer(self, answer: Answer) -> Sequence[Output]:
        link = self._links.find(answer.peer)
        if link is None or answer.what != "log":
            return ()
        return self._send(Up.LOG, _log(answer.lines, padded=self._pad_log), answer.peer, link)

    def _event(self, event: Event, peer: Peer, link: _Link, now: float) -> Sequence[Output]:
        if link.due is not None:
            link.due = now + JOIN_TIMEOUT
        if event.outcome is Outcome.FAILED and event.failure is not None:
            return self._failed(event.step, event.failure, peer, link)
        outputs: list[Output] = []
        good = event.outcome is Outcome.OK
        if event.step is Step.JOINING and good and link.credentials is not None:
            self._joined = self._joined or show_ssid(link.credentials.ssid)
        repeated = event.step is Step.LISTENING and bool(event.detail.get("again"))
        if repeated or (event.step is Step.JOINING and good) or event.step in _IN_A_NETWORK:
            outputs += self._late(peer, link)
        if event.step in (Step.BINDING, Step.BOUND) and good:
            outputs += self._bound(None, peer, link)
        elif event.step is Step.JOINED and good:
            text = "this device has no cloud to bind to"
            outputs += self._bound(Failure(Step.BINDING, Reason.CONFIGURATION, text=text), peer, link)
        return outputs

    def _failed(self, step: Step, failure: Failure, peer: Peer, link: _Link) -> Sequence[Output]:
        outputs = self._connected(_FAILED, peer, link)
        if step in (Step.LISTENING, Step.JOINING):
            return outputs  # a token that came early is good for the next network
        if step is not Step.BINDING:  # after that another token may still come
            link.failure = failure
        return [*outputs, *self._bound(failure, peer, link)]

    def _late(self, peer: Peer, link: _Link) -> Sequence[Output]:
        """The device is in a network: say so to a connect that waits for this one, on a later link, too."""
        if link.credentials is None or show_ssid(link.credentials.ssid) != self._joined:
            return ()
        return self._connected(0, peer, link)

    def _connected(self, state: int, peer: Peer, link: _Link) -> Sequence[Output]:
        """Answer a connect that waits for it."""
        if link.due is None or link.credentials is None:
            return ()
        link.due = None
        payload = wifi_result(state, link.credentials.ssid or b"")
        return self._send(Up.CONNECT_RESULT, payload, peer, link)

    def _bound(self, failure: Failure | None, peer: Peer, link: _Link) -> Sequence[Output]:
        if not link.token:
            return ()
        link.token = False
        return self._send(Up.TOKEN_RESULT, bytes([_result(failure)]), peer, link)

    def _send(self, kind: Up, payload: bytes, peer: Peer, link: _Link) -> Sequence[Output]:
        return [Send(UP_PORT, each, peer, label=_LABELS[kind]) for each in packets(kind, [payload], link.mtu)]

    # --- time -------------------------------------------------------------------------------------------

    def deadline(self) -> float | None:
        """When the first connect that waits has failed."""
        return min((link.due for _, link in self._links if link.due is not None), default=None)

    def tick(self, now: float) -> Sequence[Output]:
        """Answer the connects that nobody spoke of in time."""
        outputs: list[Output] = []
        for peer, link in self._links:
            if link.due is not None and link.due <= now:
                outputs += self._connected(_FAILED, peer, link)
        return outputs


def _result(failure: Failure | None) -> int:
    """The bind result: the low eight bits of the code, never 0 for a failure."""
    if failure is None:
        return 0
    silent = failure.reason in (Reason.TOKEN_NO_REPLY, Reason.CLOUD_TIMEOUT, Reason.TIMEOUT)
    code = NO_REPLY if failure.code is None and silent else failure.code
    return _FAILED if code is None else code & _BYTE or _BYTE


def _log(lines: Sequence[bytes], *, padded: bool) -> bytes:
    """The newest of the log that a message takes.

    The mini program takes the third octet of the message, which belongs to the log, for the low half of a
    length whose high half is the low octet of the true one (its adapter for LLSync 1.9.5). Two blanks in
    front take the loss, and blanks behind lift a low octet that would say too little.
    """
    room = MESSAGE_MAX - _PAD_MAX if padded else MESSAGE_MAX
    text = b""
    for line in reversed(lines):
        if len(line) + len(text) > room:
            text = text or line[-room:]
            break
        text = line + text
    if not padded or not text:
        return text
    text = _PAD + text
    while ((len(text) & _BYTE) << 8 | _PAD[0]) < len(text) - len(_PAD):
        text += b" "
    return text
