"""Realtek Simple Config in the network, the device's side: the report after the join, discovery and control.

Source: Realtek's `wifi_simple_config.c` and the phone of 2014, as read; no device of the vendor was there to
compare with. The report goes out every 50 ms until something comes back; discovery is answered three times.
As with the other methods the phone's address comes from a header, never from the profile.
"""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from typing import Final

from qiot.errors import ProtocolError
from qiot.model import Event, Outcome, Peer, Secret, Step
from qiot.protocols.base import Ask, Input, News, Output, Seen, Send
from qiot.protocols.lan.air_ack_device import PHONES_MAX
from qiot.protocols.lan.air_acks import (
    REALTEK_ACK_PORT,
    REALTEK_CONTROL_PORT,
    RealtekAsk,
    RealtekCode,
    RealtekReport,
    RealtekRequest,
)
from qiot.protocols.lan.repeats import Repeats, answerable_host

__all__ = ["REPORT_COPIES", "RealtekDevice"]

REPORT_COPIES: Final = tuple(count / 20 for count in range(400))
"""Seconds after which the copies of the report go out: 20 s, longer than any phone waits after the join."""

_ANSWER_COPIES: Final = (0.0, 0.05, 0.1)
_DEFAULT_PIN: Final = b"57289961"
_NO_ADDRESS: Final = "0.0.0.0"  # noqa: S104 - what a report says before there is one
_ACK: Final = str(REALTEK_ACK_PORT)
_CONTROL: Final = str(REALTEK_CONTROL_PORT)


class RealtekDevice:
    """The device's side, as `qiot.protocols.base.Codec` describes it; its doors are "8864" and "18864".

    Args:
        name: The device's name.
        mac: The station's MAC address, six octets.
        pin: The device's own PIN, where it has one; it is needed to delete the network.
        broadcast: Where broadcasts go.
    """

    def __init__(
        self, *, name: str, mac: bytes, pin: Secret | None = None, broadcast: str = "255.255.255.255"
    ) -> None:
        self._name = name
        self._mac = mac
        self._pin = pin
        self._broadcast = broadcast
        self._ip: str | None = None
        self._hosts: list[str] = []
        self._repeats = Repeats()
        self._heard = False

    def feed(self, port: str, data: Input, peer: Peer, now: float) -> Sequence[Output]:
        """Take a datagram; what is no message of this protocol only shows where the phone is."""
        host = answerable_host(peer.address, self._broadcast)
        if not isinstance(data, bytes) or host is None or host == self._ip or _is_report(data):
            return ()  # our own broadcast comes back to us, and other devices report here, too
        if port == _ACK and self._ip is None:
            return ()
        if port == _ACK:
            return self._something_came_back(data, host, now)
        try:
            request = RealtekRequest.parse(data)
        except ProtocolError:
            return self.learn(host, now)
        return self._control(request, host, peer, now)

    def learn(self, host: str, now: float) -> Sequence[Send]:
        """Somebody at this address has spoken to the device, here or at another door."""
        if host in self._hosts or host == self._ip or len(self._hosts) >= PHONES_MAX:
            return ()
        self._hosts.append(host)
        return self._report(host, now)

    def tell(self, news: News, now: float) -> Sequence[Output]:
        """Report from the moment on at which the device is in the network."""
        if not isinstance(news, Event) or (news.step, news.outcome) != (Step.JOINING, Outcome.OK):
            return ()
        self._ip = str(news.detail.get("ip", ""))
        return [send for host in (self._broadcast, *self._hosts) for send in self._report(host, now)]

    def deadline(self) -> float | None:
        """When the next copy is due."""
        return self._repeats.deadline()

    def tick(self, now: float) -> Sequence[Output]:
        """The copies that are due."""
        return self._repeats.tick(now)

    def _report(self, host: str, now: float) -> Sequence[Send]:
        if self._ip is None or self._heard:
            return ()
        return self._send("report", RealtekCode.SUCCESS, host, REPORT_COPIES, now)

    def _something_came_back(self, data: bytes, host: str, now: float) -> Sequence[Output]:
        self._heard = True
        for known in (self._broadcast, *self._hosts):
            self._repeats.drop(("report", known))
        try:
            confirmed = RealtekRequest.parse(data).ask == RealtekAsk.CONFIRM
        except ProtocolError:
            confirmed = False
        if not confirmed:
            return ()
        return self._send("confirm", RealtekCode.SUCCESS_CONFIRMED, host, (0.0,), now)

    def _control(self, request: RealtekRequest, host: str, peer: Peer, now: float) -> Sequence[Output]:
        own = self._pin.reveal() if self._pin is not None else _DEFAULT_PIN
        if not (request.proves(_DEFAULT_PIN) or request.proves(own)):
            return (Seen(0, None, f"Simple Config request of <{host}> with another PIN"),)
        match request.ask:
            case RealtekAsk.DISCOVER:
                return self._send("discovery", RealtekCode.DISCOVERY, host, _ANSWER_COPIES, now)
            case RealtekAsk.RENAME if request.proves_user(own):
                self._name = request.name.decode(errors="replace") or self._name
                return self._send("rename", RealtekCode.RENAME, host, _ANSWER_COPIES, now)
            case RealtekAsk.DELETE if self._owns(request):
                answer = self._send("delete", RealtekCode.DELETE, host, _ANSWER_COPIES, now)
                return [*answer, Ask("reset", peer)]
            case _:
                return (Seen(0, None, f"Simple Config control message {request.ask} of <{host}> ignored"),)

    def _owns(self, request: RealtekRequest) -> bool:
        """The default PIN is public: everybody in the network could throw the device out."""
        public = self._pin is None or hmac.compare_digest(self._pin.reveal(), _DEFAULT_PIN)
        return not public and self._pin is not None and request.proves_user(self._pin.reveal())

    def _send(
        self, kind: str, code: RealtekCode, host: str, copies: Sequence[float], now: float
    ) -> Sequence[Send]:
        discovery = code is RealtekCode.DISCOVERY
        report = RealtekReport(
            code,
            self._mac,
            self._ip or _NO_ADDRESS,
            self._name,
            pin_enabled=self._pin is not None if discovery else None,
        )
        peer = Peer("simple_config", f"{host}:{REALTEK_ACK_PORT}")
        send = Send(_ACK, report.build(), peer, label=f"Report Simple Config {kind}")
        return self._repeats.plan((kind, host), [send], copies, now)


def _is_report(data: bytes) -> bool:
    try:
        RealtekReport.parse(data)
    except ProtocolError:
        return False
    return True
