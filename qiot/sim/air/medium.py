"""The air: who sends when, and who is there to hear it. Time comes in; nothing here waits or sleeps."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable, Mapping
from random import Random
from typing import Final

from qiot.sim.air.receiver import Bursts, Emission, Heard, Link, Receiver

__all__ = ["Air", "Repeating", "airtime"]

_FCS: Final = 4
_BACKOFF: Final = 15
"""Most slots that a sender waits at random, before it has collided with anybody (IEEE 802.11, 10.3.3)."""
_SLOT: Final = 9e-6
_SPACE: Final = 34e-6
"""DIFS of an OFDM radio, seconds."""
_DSSS_RATES: Final = frozenset({1.0, 2.0, 5.5, 11.0})
_DSSS_PREAMBLE: Final = 192e-6
_OFDM_PREAMBLE: Final = 20e-6
_HEAR_EVERYTHING: Final = Link()


def airtime(octets: int, rate: float) -> float:
    """Seconds that a frame occupies the channel.

    Args:
        octets: Of the frame without check sum.
        rate: Mbit/s.
    """
    preamble = _DSSS_PREAMBLE if rate in _DSSS_RATES else _OFDM_PREAMBLE
    return preamble + (octets + _FCS) * 8 / (rate * 1e6)


class Air:
    """Channels, senders and receivers.

    Senders on a channel wait for each other, so that frames do not overlap. The same seed and the same calls
    give the same frames, octet by octet: every part draws from a random source of its own name.

    Args:
        seed: Of all random sources.
        start: The time now, in any seconds.
    """

    def __init__(self, seed: int | str = 0, *, start: float = 0.0) -> None:
        self.now = start
        self._seed = seed
        self._names: dict[str, int] = {}
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = itertools.count()
        self._free: dict[int, float] = {}
        self._receivers: list[Receiver] = []
        self._until = start
        self._random = self.source("backoff")

    # --- time -----------------------------------------------------------------------------------------------

    @property
    def next_time(self) -> float | None:
        """When the next thing happens, or None for never."""
        return self._events[0][0] if self._events else None

    def at(self, t: float, action: Callable[[], None]) -> None:
        """Let `action` happen at a time; at once in the next `advance`, where that is past."""
        heapq.heappush(self._events, (max(t, self.now), next(self._numbers), action))

    def advance(self, until: float) -> None:
        """Let everything happen that happens before or at a time; a time that is past is none."""
        self._until = max(until, self.now)
        while self._events and self._events[0][0] <= self._until:
            self.now, _, action = heapq.heappop(self._events)
            action()
        self.now = self._until

    @property
    def unheard_until(self) -> float:
        """What repeats itself need not before this time: nobody is there to hear it."""
        return self.now if self._receivers else self._until

    def source(self, name: str) -> Random:
        """A random source of that name; a name that comes again gets another one."""
        count = self._names[name] = self._names.get(name, 0) + 1
        return Random(f"{self._seed}/{name}/{count}")  # noqa: S311 - runs have to be repeatable

    # --- senders and receivers -----------------------------------------------------------------------------

    def send(self, emission: Emission, sent: Callable[[], None] | None = None) -> None:
        """Send a frame when the channel is free; `sent` is called when it is out."""
        free = max(self.now, self._free.get(emission.channel, self.now))
        backoff = self._random.randint(0, _BACKOFF) * _SLOT
        end = free + _SPACE + backoff + airtime(len(emission.frame), emission.rate)
        self._free[emission.channel] = end

        def out() -> None:
            self.emit(emission)
            if sent is not None:
                sent()

        self.at(end, out)

    def emit(self, emission: Emission) -> None:
        """A frame is in the air now, whoever else sends."""
        for receiver in tuple(self._receivers):
            receiver.hear(emission, self.now)

    def receiver(
        self,
        listener: Callable[[Heard], None],
        *,
        channel: int | Callable[[], int],
        link: Link = _HEAR_EVERYTHING,
        links: Mapping[bytes, Link] | None = None,
        bursts: Bursts | None = None,
        overhears: bool = False,
        ignores: Callable[[bytes], bool] | None = None,
    ) -> Receiver:
        """Somebody begins to listen; the arguments are those of `Receiver`."""
        receiver = Receiver(
            listener,
            self.source("receiver"),
            channel=channel,
            link=link,
            links={} if links is None else links,
            bursts=bursts,
            overhears=overhears,
            ignores=ignores,
        )
        self._receivers.append(receiver)
        return receiver

    def remove(self, receiver: Receiver) -> None:
        """It listens no longer. Idempotent."""
        if receiver in self._receivers:
            self._receivers.remove(receiver)


class Repeating:
    """Something that happens again and again until it is stopped.

    Args:
        air: Where.
        action: What.
        pause: Seconds to the next time.
        first: Seconds to the first time.
    """

    def __init__(
        self, air: Air, action: Callable[[], None], pause: Callable[[], float], first: float | None = None
    ) -> None:
        self._air = air
        self._action = action
        self._pause = pause
        self._stopped = False
        air.at(air.now + (pause() if first is None else first), self._happen)

    def stop(self) -> None:
        """It happens no more. Idempotent."""
        self._stopped = True

    def _happen(self) -> None:
        if self._stopped:
            return
        self._action()
        self._air.at(max(self._air.now, self._air.unheard_until) + self._pause(), self._happen)
