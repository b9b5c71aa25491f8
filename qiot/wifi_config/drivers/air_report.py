"""What is said of what is in the air, while it comes in: enough to act on, not more than can be read."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Final

import attrs

from qiot.protocols.air.observation import Direction
from qiot.protocols.air.results import Progress
from qiot.protocols.base import Seen
from qiot.wifi_config.drivers.hopper import Sight

__all__ = ["AirReport", "explain", "nothing_seen"]

_PAUSE: Final = 1.0
"""Seconds between two reports of one phone and protocol."""
_LONG_PAUSE: Final = 5.0
"""Seconds after which it is said that there is nothing new."""
_STEP: Final = 0.1
"""Weight that is worth a report."""
_SHOWN: Final = 8
_FRAMES: Final = 200
"""Frames after which it means something that one half of the way was not heard."""
_NOTHING_AFTER: Final = (15.0, 45.0, 120.0, 240.0)
_DONE: Final = 1.0


@attrs.define
class _Trail:
    """One phone and protocol: how far it was, when something came last, when something new."""

    frames: int = -1
    have: int = -1
    weight: float = -1.0
    heard: float = 0.0
    new: float = 0.0
    said: float = float("-inf")
    said_weight: float = -1.0
    said_text: str = ""


class AirReport:
    """Follows the decoders' progress.

    Args:
        now: Monotonic seconds.
    """

    def __init__(self, now: float) -> None:
        self._trails: dict[tuple[bytes, str], _Trail] = {}
        self._nothing_due = [now + after for after in _NOTHING_AFTER]

    def follow(self, progress: Sequence[Progress], now: float) -> Sequence[tuple[str, Seen]]:
        """Take in how far the decoders are.

        Returns:
            What is worth saying now, each with its protocol.
        """
        known = {(each.transmitter, each.protocol) for each in progress}
        for key in [key for key in self._trails if key not in known]:
            del self._trails[key]
        said = []
        for each in progress:
            trail = self._trails.setdefault((each.transmitter, each.protocol), _Trail())
            if each.frames != trail.frames:
                trail.frames, trail.heard = each.frames, now
            if each.have != trail.have or each.weight > trail.weight:
                trail.have, trail.weight, trail.new = each.have, each.weight, now
            if self._worth(trail, each, now):
                trail.said, trail.said_weight, trail.said_text = now, each.weight, explain(each)
                said.append((each.protocol, Seen(each.weight, each.channel, trail.said_text)))
        if progress:
            self._nothing_due.clear()
        return said

    def sight(self, progress: Sequence[Progress], channel: int, wanted: Collection[str], now: float) -> Sight:
        """The best that there is on a channel and not complete yet, of the protocols that are wanted."""
        best = Sight()
        for each in progress:
            trail = self._trails.get((each.transmitter, each.protocol))
            if trail is None or each.channel != channel or each.protocol not in wanted:
                continue
            if each.weight >= _DONE or each.weight <= best.weight:
                continue
            best = Sight(each.weight, silent=now - trail.heard, stale=now - trail.new)
        return best

    def nothing_is_due(self, now: float) -> bool:
        """Whether it is time to say that nothing was recognised; true once for each time."""
        due = bool(self._nothing_due) and self._nothing_due[0] <= now
        if due:
            self._nothing_due.pop(0)
        return due

    @staticmethod
    def _worth(trail: _Trail, progress: Progress, now: float) -> bool:
        if trail.said_weight < 0 or (progress.weight >= _DONE > trail.said_weight):
            return True
        if now - trail.said < _PAUSE:
            return False
        if progress.weight >= trail.said_weight + _STEP:
            return True
        return (
            now - trail.said >= _LONG_PAUSE
            and trail.heard > trail.said
            and explain(progress) != trail.said_text
        )


def explain(progress: Progress) -> str:
    """One phone's state and what keeps it from being complete, in a sentence."""
    parts = [progress.text]
    if progress.channel is not None:
        parts.append(f"channel {progress.channel}")
    parts.append(f"phone {progress.transmitter.hex(':')}")
    if progress.weight < _DONE:
        halves = progress.directions if progress.frames >= _FRAMES else frozenset()
        if halves == {Direction.TO_AP}:
            parts.append("only from the phone, the router does not send it on")
        elif halves == {Direction.FROM_AP}:
            parts.append("only from the router, the phone itself is not heard")
        if progress.missing:
            shown = ", ".join(progress.missing[:_SHOWN])
            parts.append(f"missing: {shown}{' …' if len(progress.missing) > _SHOWN else ''}")
        if progress.wrong_checksums:
            parts.append(f"{progress.wrong_checksums} wrong checksums")
    return "; ".join(parts)


def nothing_seen(*, frames: int, networks: int, channels: Sequence[int]) -> str:
    """What to look at where no phone was recognised.

    Args:
        frames: Data frames to everybody that were heard.
        networks: Access points whose beacons were heard.
        channels: Where was listened.
    """
    where = f"{len(channels)} channels" if len(channels) > 1 else f"channel {', '.join(map(str, channels))}"
    heard = f"heard on {where}: {networks} access points, {frames} data frames to everybody"
    if not networks and not frames:
        return f"nothing {heard}: does the radio receive in monitor mode, is an antenna on it?"
    if not frames:
        return (
            f"no phone recognised; {heard}. The phone may be in a network of a band or channel that this "
            "radio does not have (5 GHz), or use 40 MHz or a modulation that it cannot receive: set the "
            "router to 2.4 GHz, 20 MHz, and move closer."
        )
    return (
        f"no phone recognised; {heard}. Is the app sending, and is the phone in the network that it shows? "
        "Some routers do not pass on what phones send to everybody (client isolation, multicast filter): "
        "then only what the phone itself sends counts, and the device has to be close to it."
    )
