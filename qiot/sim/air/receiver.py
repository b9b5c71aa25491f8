"""What is heard where: a receiver with its channel and its losses."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping
from random import Random
from typing import Final

import attrs

__all__ = ["DEAF", "Bursts", "Emission", "Heard", "Link", "Receiver"]

_SHARE: Final = (attrs.validators.ge(0.0), attrs.validators.le(1.0))
_DAMAGES_MAX: Final = 12


@attrs.frozen
class Emission:
    """One frame as it leaves an antenna.

    Attributes:
        frame: From frame control to the end of the body.
        sender: Address of the radio (TA), six octets.
        channel: IEEE channel number.
        rate: Mbit/s.
        signal: How strongly it is heard, dBm.
        origin: As in `Packet`: not in the air.
    """

    frame: bytes = attrs.field(repr=False)
    sender: bytes
    channel: int
    rate: float = 6.0
    signal: int = -50
    origin: object = None


@attrs.frozen
class Heard:
    """One frame as a receiver has it.

    Attributes:
        data: From frame control to the end of the body, without check sum.
        t: When it ended, in the air's seconds.
        channel: Where the receiver is tuned to.
        signal: dBm.
        rate: Mbit/s.
        intact: The check sum fits.
        origin: As in `Packet`: not in the air.
    """

    data: bytes = attrs.field(repr=False)
    t: float
    channel: int
    signal: int
    rate: float
    intact: bool = True
    origin: object = None

    @property
    def check_sum(self) -> bytes:
        """The four octets behind the frame (IEEE 802.11, 9.2.4.8); they do not fit a damaged one."""
        value = zlib.crc32(self.data) ^ (0 if self.intact else 0xFFFFFFFF)
        return value.to_bytes(4, "little")


@attrs.frozen
class Link:
    """How well a sender is heard.

    Attributes:
        loss: Share of frames that are not heard, 0 to 1.
        damage: Share of those not heard that come up with octets wrong and a check sum that says so.
        signal: dBm, or None for as strongly as everybody hears it.
    """

    loss: float = attrs.field(default=0.0, validator=_SHARE)
    damage: float = attrs.field(default=0.0, validator=_SHARE)
    signal: int | None = None


DEAF: Final = Link(loss=1.0)
"""A sender that is out of reach, or whose modulation this receiver cannot read."""


@attrs.frozen
class Bursts:
    """Times in which nearly nothing is heard: the model of Gilbert and Elliott, in continuous time.

    Attributes:
        loss: Share of frames lost during a burst, 0 to 1.
        seconds: Mean length of a burst.
        every: Mean time from the end of one to the beginning of the next, seconds.
    """

    loss: float = attrs.field(default=0.9, validator=_SHARE)
    seconds: float = attrs.field(default=0.05, validator=attrs.validators.gt(0.0))
    every: float = attrs.field(default=0.5, validator=attrs.validators.gt(0.0))


class Receiver:
    """Listens on one channel; made by `Air.receiver`.

    Args:
        listener: Called with each frame, in the order of time.
        random: Of its losses alone.
        channel: IEEE channel number, or a function that gives it.
        link: How well it hears.
        links: How well it hears single senders, by address (TA).
        bursts: What disturbs it, or None.
        overhears: It hears something of the neighbouring channels of 2.4 GHz, which overlap.
        ignores: True for senders (TA) that are the receiver's own radio.
    """

    def __init__(
        self,
        listener: Callable[[Heard], None],
        random: Random,
        *,
        channel: int | Callable[[], int],
        link: Link,
        links: Mapping[bytes, Link],
        bursts: Bursts | None,
        overhears: bool,
        ignores: Callable[[bytes], bool] | None,
    ) -> None:
        self._listener = listener
        self._random = random
        self._channel = channel
        self._link = link
        self._links = links
        self._interference = None if bursts is None else _Interference(bursts, random)
        self._overhears = overhears
        self._ignores = ignores

    @property
    def channel(self) -> int:
        """Where it is tuned to."""
        return self._channel if isinstance(self._channel, int) else self._channel()

    def hear(self, emission: Emission, t: float) -> None:
        """Something is in the air; perhaps it is heard."""
        channel = self.channel
        reach = self._reach(emission.channel, channel)
        if not reach or (self._ignores is not None and self._ignores(emission.sender)):
            return
        link = self._links.get(emission.sender, self._link)
        # Both are drawn each time, so that one sender's losses do not depend on another's.
        lost = self._random.random() < link.loss
        lost |= reach < 1 and self._random.random() >= reach
        if self._interference is not None:
            lost |= self._interference.takes(t)
        data = emission.frame
        if lost:
            if self._random.random() >= link.damage:
                return
            data = self._damaged(data)
        signal = emission.signal if link.signal is None else link.signal
        self._listener(
            Heard(data, t, channel, signal, emission.rate, intact=not lost, origin=emission.origin)
        )

    def _reach(self, there: int, here: int) -> float:
        """Share of the frames on a channel that can be heard on another one."""
        if there == here:
            return 1.0
        if not self._overhears or max(there, here) > len(_OVERLAP_CHANNELS):
            return 0.0
        return _OVERLAP.get(abs(there - here), 0.0)

    def _damaged(self, data: bytes) -> bytes:
        octets = bytearray(data)
        for _ in range(self._random.randint(1, _DAMAGES_MAX)):
            octets[self._random.randrange(len(octets))] ^= 1 << self._random.randrange(8)
        if bytes(octets) == data:
            octets[-1] ^= 1
        return bytes(octets)


_OVERLAP: Final[Mapping[int, float]] = {1: 0.5, 2: 0.1}
"""Channels of 2.4 GHz are 5 MHz apart and 20 MHz wide; what is heard of slow frames two off is little."""
_OVERLAP_CHANNELS: Final = range(1, 14)


class _Interference:
    """Good and bad times in turn, each as long as its exponential distribution says."""

    def __init__(self, bursts: Bursts, random: Random) -> None:
        self._bursts = bursts
        self._random = random
        self._bad = False
        self._until: float | None = None

    def takes(self, t: float) -> bool:
        """True where a frame at this time is lost; times do not go back."""
        until = self._until
        if until is None:
            until = t + self._random.expovariate(1 / self._bursts.every)
        while t >= until:
            self._bad = not self._bad
            mean = self._bursts.seconds if self._bad else self._bursts.every
            until += self._random.expovariate(1 / mean)
        self._until = until
        return self._bad and self._random.random() < self._bursts.loss
