"""Where the hopper goes and how long it stays."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from qiot.wifi_config.drivers.hopper import LOOK, LOOK_LONGER, Hopper, Sight

LOW = tuple(range(1, 14))
HIGH = (36, 40, 44, 48, 149)


def sweep(hopper: Hopper, count: int) -> list[int]:
    channels = [hopper.next() for _ in range(count)]
    assert None not in channels
    return [channel for channel in channels if channel is not None]


def test_2_4_ghz_comes_first_and_all_of_it() -> None:
    assert sweep(Hopper((*LOW, *HIGH)), 13) == list(LOW)


def test_channels_of_5_ghz_without_access_points_come_every_third_time() -> None:
    seen = sweep(Hopper((*LOW, *HIGH)), 13 * 3 + len(HIGH))
    assert seen[-len(HIGH) :] == list(HIGH)


def test_where_access_points_are_is_looked_at_first_twice_and_longer() -> None:
    hopper = Hopper((*LOW, *HIGH))
    hopper.prefer({6, 11, 44, 200})
    order = sweep(hopper, 16)
    assert order[:2] == [6, 11]
    assert order.count(6) == order.count(11) == 2
    assert order[-1] == 44
    assert hopper.look(6) == LOOK_LONGER > hopper.look(5) == LOOK


def test_where_a_phone_was_is_looked_at_first_after_a_join() -> None:
    hopper = Hopper(LOW)
    hopper.remember(9)
    assert sweep(hopper, 3) == [9, 1, 2]


def test_a_channel_that_the_radio_refuses_is_left_out() -> None:
    hopper = Hopper((1, 6))
    hopper.prefer({6})
    hopper.remember(6)
    hopper.refuse(6)
    assert sweep(hopper, 3) == [1, 1, 1]
    hopper.refuse(1)
    assert hopper.next() is None


def test_it_stays_the_longer_the_heavier() -> None:
    hopper = Hopper(LOW)
    assert hopper.stay(1, 0.1, Sight())
    assert not hopper.stay(1, LOOK + 0.01, Sight())
    assert hopper.stay(1, LOOK + 3.5, Sight(busy=True)), "somebody sends a lot: wait until it is known what"
    assert not hopper.stay(1, LOOK + 4.5, Sight(busy=True))
    for _ in range(5):
        assert hopper.stay(1, LOOK + 0.5, Sight(busy=True))
        assert not hopper.stay(1, LOOK + 1.5, Sight(busy=True)), "it was in vain: a video stream"
    assert hopper.stay(1, LOOK + 3.5, Sight(busy=True)), "but not for ever"
    assert hopper.stay(1, 60.0, Sight(weight=0.3, silent=0.1, stale=7.0))
    assert not hopper.stay(1, 60.0, Sight(weight=0.3, silent=0.1, stale=9.0))
    assert hopper.stay(1, 60.0, Sight(weight=0.9, silent=0.1, stale=9.0))


def test_a_lock_that_goes_silent_is_left() -> None:
    hopper = Hopper(LOW)
    assert hopper.stay(1, 60.0, Sight(weight=0.9, silent=2.5))
    assert not hopper.stay(1, 60.0, Sight(weight=0.9, silent=3.1))


def test_a_radio_that_is_held_is_not_asked_all_the_time() -> None:
    hopper = Hopper(LOW)
    hopper.found(1, 6)
    assert hopper.held == 6
    assert hopper.stay(6, 4.0, Sight())
    assert not hopper.stay(6, 5.1, Sight())
    hopper.found(2, 2)
    assert hopper.held is None


@given(
    st.lists(st.integers(1, 177), min_size=1, max_size=40, unique=True),
    st.sets(st.integers(1, 177), max_size=10),
)
def test_every_channel_comes_within_three_sweeps(channels: list[int], known: set[int]) -> None:
    hopper = Hopper(channels)
    hopper.prefer(known)
    seen = set(itertools.islice((hopper.next() for _ in itertools.count()), 6 * len(channels) + 60))
    assert seen == set(channels)
