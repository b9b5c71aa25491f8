"""What a phone's encoder gives: datagrams of a certain length, to a certain address, at a certain time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final, Protocol

import attrs

__all__ = ["ANYBODY", "Cast", "Encoder", "Symbol", "paced"]

ANYBODY: Final = "255.255.255.255"


@attrs.frozen
class Cast:
    """One datagram of a phone that speaks through the air.

    Attributes:
        t: When it goes out, in seconds after the first one.
        to: IPv4 destination, dotted.
        port: UDP destination port.
        length: Octets of payload.
        part: What it is in its protocol, such as "guide" or "data".
        fill: The octet the payload is full of; receivers cannot see it.
    """

    t: float
    to: str
    port: int
    length: int
    part: str
    fill: int = 0

    @property
    def payload(self) -> bytes:
        """The payload."""
        return bytes((self.fill,)) * self.length


@attrs.frozen
class Symbol:
    """A datagram that has no time yet."""

    length: int
    part: str
    to: str = ANYBODY


class Encoder(Protocol):
    """A phone's side of one protocol, for one set of credentials."""

    def round(self) -> Iterator[Cast]:
        """Every different datagram once, in order: what a dry run shows."""
        ...

    def casts(self) -> Iterator[Cast]:
        """Everything that is sent until the phone gives up, one datagram after the other as asked for."""
        ...


def paced(symbols: Iterable[Symbol], *, interval: float, port: int, fill: int) -> Iterator[Cast]:
    """Give each symbol its time, `interval` seconds apart."""
    for count, symbol in enumerate(symbols):
        yield Cast(count * interval, symbol.to, port, symbol.length, symbol.part, fill)
