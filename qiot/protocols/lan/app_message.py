"""Tencent's JSON messages over UDP (contract section 4), the device's side.

A phone sends one JSON object per datagram to port 8266, and to port 9876 after a failure (log service). There
is no authentication and no encryption, so nothing here trusts what a datagram says of its sender: answers go
to the address in its header.

Protocol 3.0 adds broadcasts (contract section 14). Their form is read, not run, from TencentCloud's
tencentcloud-iot-explorer-sdk-embedded-c, `sdk_src/wifi_config`: the state message is a formatted print like
the info reply, in three copies 1 s apart, to port 8266; state 1 begins with the MQTT connect, not after it.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence
from typing import Final, Literal

from qiot.errors import ProtocolError
from qiot.model import Event, Offer, Outcome, Peer, Step
from qiot.protocols.base import Answer, Ask, Input, News, Output, Refused, Seen, Send
from qiot.protocols.lan.app_json import (
    Command,
    command_of,
    credentials_of,
    error_record,
    formatted,
    grant_of,
    log_datagrams,
    parse_object,
)
from qiot.protocols.lan.repeats import Repeats, answerable_host

__all__ = ["AppMessageDevice", "error_record"]

COMMAND_PORT: Final = 8266
ADDRESS_PORT: Final = 18266

_LOG_COPIES: Final = (0.0, 0.5)
_BROADCAST_COPIES: Final = (0.0, 1.0, 2.0)
_PEERS_MAX: Final = 64

_STATES: Final[Mapping[tuple[Step, Outcome], int]] = {
    (Step.JOINING, Outcome.OK): 0,
    (Step.CONNECTING, Outcome.STARTED): 1,
    (Step.CONNECTING, Outcome.OK): 1,
    (Step.CONNECTING, Outcome.FAILED): 2,
    (Step.BINDING, Outcome.STARTED): 3,
    (Step.BINDING, Outcome.FAILED): 4,
    (Step.BOUND, Outcome.OK): 5,
}
"""`wifiConfigState` by session event (contract section 14)."""


class AppMessageDevice:
    """The device's side, as `qiot.protocols.base.Codec` describes it.

    `feed` raises nothing: bad input is `Refused`. `tell` turns the session's news into replies: listening ok
    with a peer is "this peer's offer is taken" (detail `again` true: taken before, the phone has resent it).

    Args:
        product_id: The cloud's product.
        device_name: The device's name in it.
        method: The method of the peers here, which broadcasts carry too; events of other methods' peers that
            never spoke here are not answered.
        proto_version: What the device says it speaks; "3.0" adds the broadcasts.
        repeats: When the copies of an info reply go out, in seconds after the offer was taken, ascending.
        broadcast: Where broadcasts go.
        port_name: The door's name in `Send`.
        log_only: True for the log service on port 9876: it answers log queries and nothing else.
    """

    def __init__(
        self,
        *,
        product_id: str,
        device_name: str,
        method: str = "soft_ap",
        proto_version: Literal["2.0", "3.0"] = "2.0",
        repeats: Sequence[float] = (0.0, 0.1, 0.3),
        broadcast: str = "255.255.255.255",
        port_name: str = "command",
        log_only: bool = False,
    ) -> None:
        self._names = {"productId": product_id, "deviceName": device_name, "protoVersion": proto_version}
        self._info = formatted({"cmdType": int(Command.REPLY), **self._names})
        self._method = method
        self._broadcasts = proto_version == "3.0" and not log_only
        self._repeats = tuple(repeats)
        self._broadcast = broadcast
        self._port = port_name
        self._log_only = log_only
        self._state: int | None = None
        self._plans = Repeats()
        self._lengths: dict[Peer, tuple[int, int] | None] = {}
        """Who offered something here, and the lengths of SSID and password where they were in it."""

    def feed(self, port: str, data: Input, peer: Peer, now: float) -> Sequence[Output]:  # noqa: ARG002 - Codec
        """Take one datagram; any octets give outputs."""
        if not isinstance(data, bytes):
            return ()
        if answerable_host(peer.address, self._broadcast) is None:
            return (Seen(0, None, "message from an address that cannot be answered"),)
        try:
            message = parse_object(data)
            command = command_of(message)
            if self._log_only:
                return (Ask("log", peer),) if command == Command.LOG else ()
            return self._handle(command, message, peer)
        except ProtocolError as error:
            if self._log_only:
                return ()
            return Refused(peer, error.failure(Step.LISTENING)), Ask("errors", peer)

    def _handle(self, command: int, message: Mapping[str, object], peer: Peer) -> Sequence[Output]:
        match command:
            case Command.JOIN:
                credentials = credentials_of(message)
                grant = grant_of(message)
                self._remember(peer, (len(credentials.ssid or b""), len(credentials.password)))
                return (Offer(peer, credentials, grant),)
            case Command.TOKEN:
                grant = grant_of(message)
                self._remember(peer, self._lengths.get(peer))
                return (Offer(peer, grant=grant),)
            case Command.LOG:
                return Ask("log", peer), Ask("errors", peer)
            case Command.AUTH_QUERY:
                return Seen(0, None, "auth info query"), Ask("errors", peer)
            case Command.REPLY | Command.AUTH_REPLY | Command.RESPONSE_TOKEN | Command.STATE:
                # What devices send: an error for it would make two of them answer each other for ever.
                return (Seen(0, None, "message of another device"),)
            case _:
                raise ProtocolError("cmdType is not known")

    def _remember(self, peer: Peer, lengths: tuple[int, int] | None) -> None:
        self._lengths.pop(peer, None)
        self._lengths[peer] = lengths
        if len(self._lengths) > _PEERS_MAX:
            del self._lengths[next(iter(self._lengths))]

    def tell(self, news: News, now: float) -> Sequence[Output]:
        """Say it as the contract's section 4 does; events that this wire has no word for give nothing."""
        if isinstance(news, Answer):
            return self._answer(news, now)
        if self._log_only:
            return ()
        outputs = self._accepted(news, now)
        return outputs + self._announce(news, now) if self._broadcasts else outputs

    def _answer(self, answer: Answer, now: float) -> list[Send]:
        if answerable_host(answer.peer.address, self._broadcast) is None:
            return []
        if answer.what == "log":
            return self._plan("Report log", answer.peer, log_datagrams(answer.lines), _LOG_COPIES, now)
        if answer.what == "errors" and not self._log_only:
            return [Send(self._port, line, answer.peer, label="Report error") for line in answer.lines]
        return []

    def _accepted(self, event: Event, now: float) -> list[Send]:
        peer = event.peer
        if event.step is not Step.LISTENING or event.outcome is not Outcome.OK or peer is None:
            return []
        ours = peer.method == self._method or peer in self._lengths
        if not ours or answerable_host(peer.address, self._broadcast) is None:
            return []
        if event.detail.get("again"):
            return [Send(self._port, self._info, peer, label="Report dev info")]
        return self._plan("Report dev info", peer, [self._info], self._repeats, now)

    def _announce(self, event: Event, now: float) -> list[Send]:
        state = _STATES.get((event.step, event.outcome))
        joined = event.step is Step.JOINING
        if state is None or (state == self._state and not joined):
            return []
        self._state = state
        message = formatted({"cmdType": int(Command.STATE), **self._names, "wifiConfigState": state})
        sends = self._plan("Report state", self._everybody(COMMAND_PORT), [message], _BROADCAST_COPIES, now)
        address = self._address(event) if joined else None
        if address is not None:
            to = self._everybody(ADDRESS_PORT)
            sends += self._plan("Report address", to, [address], _BROADCAST_COPIES, now)
        return sends

    def _address(self, event: Event) -> bytes | None:
        """The address in the form of an ESP-TOUCH result, or None where a part of it is not known."""
        known = self._lengths.get(event.peer) if event.peer is not None else None
        ssid, password = known or (event.detail.get("ssid_length"), event.detail.get("password_length"))
        if not isinstance(ssid, int) or not isinstance(password, int):
            return None
        try:
            ip = ipaddress.IPv4Address(str(event.detail.get("ip")))
        except ValueError:
            return None
        return bytes([(ssid + password + 9) % 256]) + b"012345" + ip.packed

    def _everybody(self, port: int) -> Peer:
        return Peer(self._method, f"{self._broadcast}:{port}")

    def _plan(
        self, label: str, peer: Peer, datagrams: Sequence[bytes], copies: Sequence[float], now: float
    ) -> list[Send]:
        """Send at each of `copies` seconds from now; a plan of the same kind and peer is replaced."""
        sends = [Send(self._port, data, peer, label=label) for data in datagrams]
        return self._plans.plan((label, peer), sends, copies, now)

    def deadline(self) -> float | None:
        """When the next copy is due, in monotonic seconds."""
        return self._plans.deadline()

    def tick(self, now: float) -> Sequence[Output]:
        """The copies that are due."""
        return self._plans.tick(now)
