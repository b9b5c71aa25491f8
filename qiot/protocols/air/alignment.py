"""Finds the places of frames between two whose places are known, where other frames were sent in between.

The sequence numbers count what the station sent to others as well. Between two anchors they leave room for a
number of such strangers; how many of them came before each frame is what has to be found. That never falls,
grows by no more than the numbers that are missing, and has to put each frame where it can be what it is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import attrs

__all__ = ["STRANGERS_MAX", "Aligned", "align"]

STRANGERS_MAX: Final = 12
"""Strangers between two anchors up to which it is worth the time."""


@attrs.frozen
class Aligned:
    """Where a frame stands between the anchors.

    Attributes:
        distance: From the first anchor, without strangers.
        exact: There is no stranger between it and either neighbour: nothing else can have been sent there.
    """

    distance: int
    exact: bool


def align(
    steps: Sequence[int], span: int, strangers: int, fits: Callable[[int, int], bool]
) -> list[Aligned | None] | None:
    """Find each frame's place; None for one whose place is not certain.

    Args:
        steps: Distances of the frames from the first anchor by their numbers, strangers included, growing.
        span: Distance of the second anchor, likewise.
        strangers: How many of them there were in all.
        fits: Whether the frame of an index can be at a distance.

    Returns:
        None where nothing fits at all.
    """
    if not 0 <= strangers <= STRANGERS_MAX:
        return None
    end = span - strangers
    before = {0}
    last = 0
    forward: list[set[int]] = []
    for index, step in enumerate(steps):
        room = step - last - 1
        before = {
            count
            for count in range(max(0, step - end + 1), strangers + 1)
            if any(0 <= count - earlier <= room for earlier in before) and fits(index, step - count)
        }
        if not before:
            return None
        forward.append(before)
        last = step
    after = {strangers}
    last = span
    counts: list[set[int]] = [after]
    for step, possible in zip(reversed(steps), reversed(forward), strict=True):
        room = last - step - 1
        after = {count for count in possible if any(0 <= later - count <= room for later in after)}
        if not after:
            return None
        counts.append(after)
        last = step
    counts.append({0})
    counts.reverse()
    return [
        Aligned(step - next(iter(here)), left == here == right) if len(here) == 1 else None
        for step, left, here, right in zip(steps, counts, counts[1:], counts[2:], strict=False)
    ]
