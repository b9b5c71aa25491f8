"""The device's answer after a join by ESP-TOUCH v1, v2 or AirKiss: when, how often, and to whom.

ESP-IDF (`smartconfig_ack.c`) sends every 100 ms, 30 times, to everybody and to the phone. Where the phone is
comes from the header of a datagram that it sends: those of the protocol go on until it has an answer, and
reach the joined device as what they are. What the datum says of the phone's address is not used at all: some
senders fill in 255.255.255.255, or anything.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from qiot.model import AckRecipe, Event, Outcome, Peer, Step
from qiot.protocols.air.results import AIRKISS, ESPTOUCH, ESPTOUCH_V2
from qiot.protocols.base import Input, News, Output, Send
from qiot.protocols.lan.air_acks import (
    AIRKISS_LISTEN_PORTS,
    ESPTOUCH_LISTEN_PORT,
    ESPTOUCH_V2_CONFIRM_PORT,
    V2_CONFIRMATION,
    airkiss_ack,
    esptouch_ack,
    esptouch_v2_ack,
)
from qiot.protocols.lan.repeats import Repeats, answerable_host

__all__ = ["ACK_COPIES", "LISTEN_PORTS", "PHONES_MAX", "AirAckDevice"]

LISTEN_PORTS: Final[Mapping[str, tuple[int, ...]]] = {
    ESPTOUCH: (ESPTOUCH_LISTEN_PORT,),
    ESPTOUCH_V2: (ESPTOUCH_V2_CONFIRM_PORT, ESPTOUCH_LISTEN_PORT),
    AIRKISS: AIRKISS_LISTEN_PORTS,
}
"""Where the joined device listens, by protocol."""

ACK_COPIES: Final = tuple(count / 10 for count in range(30))
"""Seconds after which the copies of an answer go out."""

_ANSWER_SIZE: Final = 7
PHONES_MAX: Final = 4
"""Addresses that are answered; anybody in the network can send a datagram."""


class AirAckDevice:
    """The device's side, as `qiot.protocols.base.Codec` describes it.

    Its doors are named by their port's number; answers go out of the first one. `feed` raises nothing.

    Args:
        recipe: Of the offer that was joined.
        method: The method of the peers here.
        mac: The station's MAC address, six octets.
        broadcast: Where broadcasts go.
    """

    def __init__(
        self, recipe: AckRecipe, *, method: str, mac: bytes, broadcast: str = "255.255.255.255"
    ) -> None:
        self._recipe = recipe
        self._method = method
        self._mac = mac
        self._broadcast = broadcast
        self._port = str(LISTEN_PORTS[recipe.protocol][0])
        self._ip: str | None = None
        self._hosts: list[str] = []
        self._repeats = Repeats()
        self._confirmed = False

    def feed(self, port: str, data: Input, peer: Peer, now: float) -> Sequence[Output]:
        """Take a datagram: where it comes from is where the phone is; one octet at port 7002 ends it all."""
        host = answerable_host(peer.address, self._broadcast)
        if not isinstance(data, bytes) or host is None:
            return ()
        if self._recipe.protocol == ESPTOUCH_V2 and port == str(ESPTOUCH_V2_CONFIRM_PORT):
            if data[:1] == V2_CONFIRMATION:
                self._confirmed = True
                self._repeats.clear()
            return ()
        if self._recipe.protocol == AIRKISS and _is_answer(data):
            return ()  # of another device, to everybody: two devices must not answer each other
        return self.learn(host, now)

    def learn(self, host: str, now: float) -> Sequence[Send]:
        """Somebody at this address has spoken to the device, here or at another door."""
        if host in self._hosts or host == self._ip or len(self._hosts) >= PHONES_MAX:
            return ()
        self._hosts.append(host)
        return self._answer(host, now)

    def tell(self, news: News, now: float) -> Sequence[Output]:
        """Answer from the moment on at which the device is in the network."""
        if not isinstance(news, Event) or (news.step, news.outcome) != (Step.JOINING, Outcome.OK):
            return ()
        self._ip = str(news.detail.get("ip", ""))
        return [send for host in (self._broadcast, *self._hosts) for send in self._answer(host, now)]

    def deadline(self) -> float | None:
        """When the next copy is due."""
        return self._repeats.deadline()

    def tick(self, now: float) -> Sequence[Output]:
        """The copies that are due."""
        return self._repeats.tick(now)

    def _answer(self, host: str, now: float) -> Sequence[Send]:
        # ESP-TOUCH v2 answers everybody, always: its phone takes the address from the header.
        wanted = self._recipe.protocol != ESPTOUCH_V2 or host == self._broadcast
        if self._ip is None or self._confirmed or not wanted:
            return ()
        peer = Peer(self._method, f"{host}:{self._recipe.port}")
        send = Send(self._port, self._datagram(self._ip), peer, label=f"Report {self._recipe.protocol}")
        return self._repeats.plan(host, [send], ACK_COPIES, now)

    def _datagram(self, ip: str) -> bytes:
        token = self._recipe.data[0] if self._recipe.data else 0
        match self._recipe.protocol:
            case "esptouch-v1":
                return esptouch_ack(token, self._mac, ip)
            case "esptouch-v2":
                return esptouch_v2_ack(token, self._mac)
            case _:
                return airkiss_ack(token, self._mac)


def _is_answer(data: bytes) -> bool:
    """What a phone sends is full of one octet; an answer has a MAC address in it."""
    return len(data) == _ANSWER_SIZE and len(set(data)) > 1
