"""Anything at all may be in the air: results, nothing, never an error, in bounded time."""

from __future__ import annotations

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from qiot.model import Secret
from qiot.protocols.air.observation import BROADCAST, Direction, Observation
from qiot.protocols.air.realtek import parse_profile
from qiot.protocols.air.tracker import Tracker, all_decoders

STATIONS = [bytes((2, 0, 0, 0, 0, number)) for number in range(3)]
DESTINATIONS = [BROADCAST, b"\1\0\x5e\1\1\1", b"\1\0\x5e\0\0\xfb", b"\x33\x33\0\0\0\1", STATIONS[0]]
SYMBOLS = [
    *range(36, 60),
    *range(560, 576),
    *range(1060, 1160),
    *(52 + length for length in (128, 129, 192, 320, 448, 576, 704, 832, 960)),
]

groups = st.binary(min_size=3, max_size=3).map(lambda end: b"\1\0\x5e" + end)
observations = st.builds(
    Observation,
    transmitter=st.sampled_from(STATIONS),
    bssid=st.sampled_from(STATIONS),
    direction=st.sampled_from(Direction),
    destination=st.sampled_from(DESTINATIONS)
    | st.binary(min_size=3, max_size=3).map(lambda end: b"\1\0\x5e" + end),
    length=st.integers(0, 2400) | st.sampled_from(SYMBOLS),
    sequence=st.integers(0, 4095) | st.integers(0, 40),
    fragment=st.sampled_from([0, 0, 0, 1]),
    retry=st.booleans(),
    tid=st.sampled_from([None, 0, 7]),
    channel=st.sampled_from([None, 1]),
    time=st.floats(0, 4),
)


def tracker() -> Tracker:
    keys = {"esptouch_key": Secret(bytes(16)), "airkiss_key": Secret(b"k"), "pin": Secret(b"1")}
    return Tracker(lambda: all_decoders(**keys))


@settings(deadline=None, max_examples=60)
@given(st.lists(observations, max_size=200))
def test_any_frames(frames: list[Observation]) -> None:
    heard = tracker()
    for seen in frames:
        heard.feed(seen)
        heard.skip(seen.bssid, seen.sequence, seen.tid)
    assert all(0 <= progress.weight <= 1 for progress in heard.progress())


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 2**32), st.sampled_from([-1, 1]), st.integers(36, 60), st.integers(0, 600))
def test_a_guide_code_and_then_anything(seed: int, step: int, overhead: int, most: int) -> None:
    """Deep inside the decoders: the overhead is known, and nothing that follows makes sense."""
    randomness = random.Random(seed)
    heard = tracker()
    base = 512 if step < 0 else 1
    lengths = [base + (index * step) % 4 for index in range(16)]
    lengths += [randomness.randrange(most + 1) for _ in range(250)]
    sequence = 0
    for index, length in enumerate(lengths):
        sequence = (sequence + randomness.choice((1, 1, 1, 2, 3, 7, 4090))) % 4096
        seen = Observation(
            STATIONS[0],
            STATIONS[1],
            Direction.TO_AP,
            BROADCAST,
            length + overhead,
            sequence,
            0,
            randomness.random() < 0.1,
            None,
            None,
            index * 0.008,
        )
        assert not heard.feed(seen)
    heard.progress()


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 2**32), st.integers(0, 63), st.integers(36, 60))
def test_a_sync_and_then_anything(seed: int, count: int, overhead: int) -> None:
    randomness = random.Random(seed)
    heard = tracker()
    lengths = [1048, 1072 + count] * 4
    lengths += [
        randomness.choice((randomness.randrange(1136), 128 + randomness.randrange(66))) for _ in range(250)
    ]
    sequence = 0
    for index, length in enumerate(lengths):
        sequence = (sequence + randomness.choice((1, 1, 1, 2, 3, 7, 4090))) % 4096
        seen = Observation(
            STATIONS[0],
            STATIONS[1],
            Direction.FROM_AP,
            BROADCAST,
            length + overhead,
            sequence,
            0,
            False,
            None,
            None,
            index * 0.015,
        )
        assert not heard.feed(seen)
    heard.progress()


@given(st.binary(max_size=120))
def test_any_profile(data: bytes) -> None:
    profile = parse_profile(data)
    if profile is not None:
        assert 0 < len(profile.ssid) <= 32
        assert len(profile.password) <= 64
        assert profile.ssid in data
        assert profile.password in data
