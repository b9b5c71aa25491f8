"""Never a wrong result: phones, neighbours, restarts, look-alikes and damage at random; a fixed seed.

QIOT_AIR_RUNS makes more runs, QIOT_AIR_SEED others; `benchmarks/air_false_decodes.py` makes 10,000.
"""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest

from tests.protocols.air.random_runs import in_the_air, in_the_channel

RUNS = int(os.environ.get("QIOT_AIR_RUNS", "150"))
SEED = int(os.environ.get("QIOT_AIR_SEED", "0"))


@pytest.mark.parametrize("run", [in_the_channel, in_the_air])
@pytest.mark.parametrize("part", range(10))
def test_nothing_is_decoded_that_was_not_sent(part: int, run: Callable[[int], tuple[list[str], int]]) -> None:
    runs, found = -(-RUNS // (10 if run is in_the_channel else 20)), 0
    for number in range(runs):
        seed = SEED * 1_000_003 + part * runs + number
        wrong, count = run(seed)
        assert not wrong, f"seed {seed}: {wrong[0]}"
        found += count
    assert found > runs / 4  # the runs are not so hard that they show nothing
