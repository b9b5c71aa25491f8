"""Vectors of other people's programs, and one way to run a decoder over a channel."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from qiot.protocols.air.casts import ANYBODY, Cast
from qiot.protocols.air.observation import Observation
from qiot.protocols.air.results import Decoded
from qiot.protocols.air.tracker import Tracker

VECTORS = Path(__file__).parent / "vectors"


def vector(name: str) -> Any:
    """One vector by its file's name."""
    return json.loads((VECTORS / f"{name}.json").read_text())


def vectors(prefix: str) -> list[str]:
    """The names of a protocol's vectors."""
    return sorted(path.stem for path in VECTORS.glob(f"{prefix}*.json"))


def sent(lengths: Iterable[int], interval: float, start: float = 0.0, to: str = ANYBODY) -> Iterator[Cast]:
    """Payload lengths as datagrams."""
    for count, length in enumerate(lengths):
        yield Cast(start + count * interval, to, 7001, length, "data")


def in_rounds(guide: Sequence[int], guides: int, data: Sequence[int], rounds: int) -> list[int]:
    """A guide code so many times, then the data so many times."""
    return [*itertools.chain.from_iterable([guide] * guides), *itertools.chain.from_iterable([data] * rounds)]


def results(heard: Iterable[Observation], tracker: Tracker | None = None) -> list[Decoded]:
    """Everything the tracker makes of it."""
    tracker = Tracker() if tracker is None else tracker
    return [result for seen in heard for result in tracker.feed(seen)]


def first(
    heard: Iterable[Observation],
    tracker: Tracker | None = None,
    wanted: Callable[[Decoded], bool] | None = None,
) -> tuple[Decoded, float]:
    """The first result (that is wanted), and when it came."""
    tracker = Tracker() if tracker is None else tracker
    for seen in heard:
        for result in tracker.feed(seen):
            if wanted is None or wanted(result):
                return result, seen.time
    raise AssertionError(f"no result; the decoders say: {[progress.text for progress in tracker.progress()]}")
