"""Which channel next, and for how long: a plan that what is seen changes.

A plan and no more: it tunes nothing and reads no clock. Numbers: vendors' receivers stay 80 to 105 ms on a
channel and go on through all of them; Espressif's phones send their guide for 2 s of every 6, WeChat's for
0.4 s. A phone that sends can be told from others in a tenth of a second, so that a short look is enough, and
everything longer has to be earned by what is seen there.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import Final

import attrs

__all__ = ["LOOK", "LOOK_LONGER", "Hopper", "Sight"]

LOOK: Final = 0.12
"""Seconds on a channel where nothing is known to be."""
LOOK_LONGER: Final = 0.25
"""Seconds where access points are: there a phone's frames go out twice."""
_BUSY: Final = 4.0
"""Seconds more, where somebody sends to everybody as often as a phone that provisions does.

A phone in the middle of its data is recognised in 1 to 2 s where 40 % is lost, seldom in 3.
"""
_BUSY_AGAIN: Final = 1.0
"""The same, where that was in vain: it may be a video stream."""
_VISITS: Final = 5
"""How often it is only that."""
_SILENCE: Final = 3.0
"""Seconds without a frame of the phone after which a lock is left; its pauses are shorter."""
_PATIENCE: Final = 6.0
"""Seconds without anything new, at weight 0; at weight 1 twice as many. The longest datum takes 3 s."""
_HELD: Final = 5.0
"""Seconds until a radio that others hold on a channel is asked again."""
_LAST_OF_2_4_GHZ: Final = 14
_RARE: Final = 3
"""Channels of 5 GHz without access points come once in so many sweeps."""


@attrs.frozen
class Sight:
    """What there is on the channel, as the decoders say.

    Attributes:
        weight: 0 (nothing recognised) to 1.
        silent: Seconds since the phone's last frame.
        stale: Seconds since anything new was learned.
        busy: Somebody sends to everybody, many frames in a short time, and nothing is recognised yet.
    """

    weight: float = 0.0
    silent: float = 0.0
    stale: float = 0.0
    busy: bool = False


class Hopper:
    """The order of channels.

    Args:
        channels: What the radio can tune to, those of 2.4 GHz first.

    Attributes:
        all_channels: As given.
        held: The channel where the radio is held by its station or access point, None where it is free.
    """

    def __init__(self, channels: Sequence[int]) -> None:
        self.all_channels = tuple(channels)
        self._channels = list(dict.fromkeys(channels))
        self._known: set[int] = set()
        self._first: int | None = None
        self._sweeps = 0
        self._plan: Iterator[int] = iter(())
        self._in_vain: dict[int, int] = {}
        self.held: int | None = None

    @property
    def channels(self) -> Sequence[int]:
        """What is left to tune to."""
        return tuple(self._channels)

    def prefer(self, channels: Collection[int]) -> None:
        """Access points were seen there."""
        self._known.update(channel for channel in channels if channel in self._channels)

    def remember(self, channel: int) -> None:
        """Something was recognised there: begin with it next time."""
        if channel in self._channels:
            self._first = channel
            self._plan = iter(())

    def refuse(self, channel: int) -> None:
        """The radio cannot go there after all."""
        if channel in self._channels:
            self._channels.remove(channel)
        self._known.discard(channel)
        if self._first == channel:
            self._first = None

    def found(self, wanted: int, read_back: int) -> None:
        """Where the radio is after a tune; where it is elsewhere, somebody holds it there."""
        self.held = None if read_back == wanted else read_back

    def next(self) -> int | None:
        """The channel to look at now; None where there is none."""
        if not self._channels:
            return None
        channel = next(self._plan, None)
        while channel is None or channel not in self._channels:
            self._plan = iter(self._sweep())
            channel = next(self._plan)
        return channel

    def look(self, channel: int) -> float:
        """Seconds of a first look at a channel."""
        return LOOK_LONGER if channel in self._known else LOOK

    def stay(self, channel: int, here: float, sight: Sight) -> bool:
        """Whether to stay.

        Args:
            channel: The channel.
            here: Seconds since it was tuned to.
            sight: What there is.
        """
        if self.held is not None:
            return here < _HELD
        if sight.weight > 0:
            self._in_vain.pop(channel, None)
            found = sight.silent < _SILENCE and sight.stale < _PATIENCE * (1 + sight.weight)
            return found or here < self.look(channel)
        if not sight.busy:
            return here < self.look(channel)
        if here < self.look(channel) + (_BUSY_AGAIN if channel in self._in_vain else _BUSY):
            return True
        self._in_vain[channel] = self._in_vain.get(channel, _VISITS + 1) - 1
        if not self._in_vain[channel]:
            del self._in_vain[channel]
        return False

    def _sweep(self) -> Sequence[int]:
        """One time through all: where access points are comes first in each band, and again in between."""
        self._sweeps += 1
        low = [channel for channel in self._channels if channel <= _LAST_OF_2_4_GHZ]
        high = [channel for channel in self._channels if channel > _LAST_OF_2_4_GHZ]
        known = [channel for channel in low if channel in self._known]
        others = [channel for channel in low if channel not in self._known]
        half = (len(others) + 1) // 2
        order = known + others[:half] + (known if others[half:] else []) + others[half:]
        order += [channel for channel in high if channel in self._known]
        if not low or self._sweeps % _RARE == 0:
            order += [channel for channel in high if channel not in self._known]
        first, self._first = self._first, None
        return ([first] if first is not None else []) + order
