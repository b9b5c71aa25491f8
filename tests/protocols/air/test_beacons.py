"""Lost beacons are reckoned with, as far as it is certain that they were sent."""

from __future__ import annotations

import itertools
import random

import pytest

from qiot.protocols.air.beacons import Beacons
from qiot.protocols.air.observation import BROADCAST, Direction, Observation
from qiot.protocols.air.order import Order

INTERVAL = 0.1024


def clock(count: int = 5, start: float = 7.0, late: float = 0.0) -> Beacons:
    """One that has heard so many beacons in a row."""
    beacons = Beacons()
    for number in range(count):
        beacons.hear(start + number * INTERVAL + (late if number % 2 else 0.0))
    return beacons


def test_a_beacon_between_two_frames_was_sent_whether_it_was_heard_or_not() -> None:
    due = 7.0 + 5 * INTERVAL
    assert clock().lost(due - 0.01, due + 0.01) == 1
    assert clock().lost(due + 0.003, due + 0.02) == 0
    assert clock().lost(due - 0.01, due + 5 * INTERVAL + 0.01) == 6


def test_one_that_was_heard_is_not_lost() -> None:
    beacons = clock()
    beacons.hear(7.0 + 5 * INTERVAL)
    assert beacons.lost(7.0 + 4.5 * INTERVAL, 7.0 + 7.5 * INTERVAL) == 2


@pytest.mark.parametrize("edge", [-0.0005, 0.0, 0.0015])
def test_near_a_frame_nobody_knows_on_which_side_it_was_sent(edge: float) -> None:
    due = 7.0 + 5 * INTERVAL
    assert clock().lost(due - 0.03, due + edge) == 0
    assert clock().lost(due + edge, due + 0.03) == 0


def test_where_beacons_are_late_more_room_is_needed() -> None:
    due = 7.0 + 6 * INTERVAL
    assert clock(6).lost(due - 0.01, due + 0.004) == 1
    assert clock(6, late=0.004).lost(due - 0.01, due + 0.004) == 0
    assert clock(6, late=0.004).lost(due - 0.01, due + 0.008) == 1


def test_a_few_are_needed_and_those_off_the_clock_start_again() -> None:
    assert clock(3).lost(7.0 + 4.5 * INTERVAL, 7.0 + 5.5 * INTERVAL) == 0
    beacons = clock()
    beacons.hear(7.0 + 5.5 * INTERVAL)
    assert beacons.lost(7.0 + 5.6 * INTERVAL, 7.0 + 9.6 * INTERVAL) == 0


def test_after_a_contradiction_nothing_is_believed() -> None:
    beacons = clock()
    beacons.doubt()
    assert beacons.lost(7.0 + 4.5 * INTERVAL, 7.0 + 5.5 * INTERVAL) == 0


def seen(sequence: int, time: float) -> Observation:
    return Observation(
        transmitter=b"\x02" * 6,
        bssid=b"\x04" * 6,
        direction=Direction.FROM_AP,
        destination=BROADCAST,
        length=500 + sequence % 7,
        sequence=sequence % 4096,
        fragment=0,
        retry=False,
        tid=None,
        channel=6,
        time=time,
    )


@pytest.mark.parametrize("counted", [True, False])
def test_places_leave_lost_beacons_out(counted: bool) -> None:
    """Frames every 15 ms with beacons in between, half of those lost: their places have no gaps."""
    randomness = random.Random(1)
    order = Order()
    sequence, beacon_number, beacon_due = 4000, 0, 0.05
    places: list[int] = []
    for number in range(400):
        time = number * 0.015
        while beacon_due <= time:
            sequence += counted
            beacon_number += 1
            if randomness.random() < 0.5:
                order.beacon((sequence if counted else 2000 + beacon_number) % 4096, beacon_due)
            beacon_due += INTERVAL
        sequence += 1
        place = order.place(seen(sequence, time))
        assert place is not None
        places.append(place)
    steps = [later - before for before, later in itertools.pairwise(places[100:])]
    assert min(steps) == 1
    assert sum(step > 1 for step in steps) <= (14 if counted else 0)
    # Half of the 44 beacons of that time were lost; only those close to a frame are still a gap.
    assert not order.sure or sum(steps) <= len(steps) + 14
