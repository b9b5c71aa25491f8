"""A plain channel for decoders: what a phone sends, as a receiver hears it, some of it lost."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator
from ipaddress import IPv4Address

import attrs

from qiot.protocols.air.casts import Cast
from qiot.protocols.air.observation import BROADCAST, Direction, Observation

PHONE = bytes.fromhex("0a1b2c3d4e5f")
GATEWAY = bytes.fromhex("00e04c8712ac")
ACCESS_POINT = bytes.fromhex("00e04c8712ab")


def group_address(ip: str) -> bytes:
    """The group address of a broadcast or multicast IPv4 address (RFC 1112, 6.4)."""
    octets = IPv4Address(ip or "255.255.255.255").packed
    if octets[0] & 0xF0 == 0xE0:
        return b"\x01\x00\x5e" + bytes((octets[1] & 0x7F,)) + octets[2:]
    return BROADCAST


@attrs.define
class Channel:
    """One half of the way.

    Attributes:
        loss: Share of frames that are not heard, 0 to 1.
        overhead: Frame body beside the payload: 36 open, 52 CCMP.
        others: Frames that the transmitter sends to others, per second; they use up sequence numbers.
        others_heard: Those are heard as well, as far as they are not lost.
        retries: Share of frames sent a second time with the same number, the retry bit set.
        jitter: Most that a frame is late, in seconds; order is kept.
        numbered: False for a capture whose sequence numbers are all 0.
    """

    random: random.Random
    loss: float = 0.0
    overhead: int = 52
    direction: Direction = Direction.TO_AP
    phone: bytes = PHONE
    access_point: bytes = ACCESS_POINT
    others: float = 0.0
    others_heard: bool = True
    retries: float = 0.0
    jitter: float = 0.0
    numbered: bool = True
    tid: int | None = None
    start: float = 0.0
    sequence: int = 0
    on_pass: Callable[[Cast, float], None] | None = None

    def carry(self, casts: Iterable[Cast]) -> Iterator[Observation]:
        """What is heard of these datagrams."""
        last = 0.0
        for cast in casts:
            passed = cast.t - last
            last = cast.t
            if self.others:
                while (passed := passed - self.random.expovariate(self.others)) > 0:
                    self._next()
                    if self.others_heard and self.random.random() >= self.loss:
                        yield self._other(self.start + cast.t)
            self._next()
            time = self.start + cast.t + self.random.random() * self.jitter
            copies = 2 if self.random.random() < self.retries else 1
            for copy in range(copies):
                if self.random.random() < self.loss:
                    continue
                if self.on_pass is not None:
                    self.on_pass(cast, time)
                yield self._seen(cast, time, retry=copy > 0)

    def _other(self, time: float) -> Observation:
        return attrs.evolve(self._seen(Cast(0, "", 0, 100, ""), time, retry=False), destination=GATEWAY)

    def _next(self) -> None:
        self.sequence = (self.sequence + 1) % 4096

    def _seen(self, cast: Cast, time: float, *, retry: bool) -> Observation:
        return Observation(
            transmitter=self.phone,
            bssid=self.access_point,
            direction=self.direction,
            destination=group_address(cast.to),
            length=cast.length + self.overhead,
            sequence=self.sequence if self.numbered else 0,
            fragment=0,
            retry=retry,
            tid=self.tid,
            channel=6,
            time=time,
        )


def merged(*streams: Iterable[Observation]) -> list[Observation]:
    """Several halves and phones, in the order of time."""
    return sorted((seen for stream in streams for seen in stream), key=lambda seen: seen.time)
