"""Each deliberate fault is caught by the check that is named for it, which a good platform passes."""

from __future__ import annotations

import os
import socket
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import attrs
import pytest

from qiot.hal.conformance import Outcome, Result, run_check_now
from qiot.hal.conformance.checks import all_checks
from qiot.hal.mock import MockPlatform
from tests.conformance import host_faults, port_faults, radio_faults, verb_faults
from tests.conformance.fakes import FullEnvironment, full_environment, full_factory
from tests.conformance.fault import FAULTS, KEPT, Fault
from tests.conformance.mock import make_environment, mock_factory

FILES = (verb_faults, radio_faults, host_faults, port_faults)  # each adds its own
CHECKS = {each.key: each for each in all_checks()}


@pytest.fixture(autouse=True)
def nothing_stays(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What the faults leak on purpose goes away after each."""
    monkeypatch.setattr(socket, "if_nameindex", socket.if_nameindex)
    yield
    for each in KEPT:
        if isinstance(each, subprocess.Popen):
            each.kill()
            each.wait()
        elif isinstance(each, socket.socket):
            each.close()
        elif isinstance(each, int):
            os.close(each)
    KEPT.clear()


def run(fault: Fault, folder: Path, *, broken: bool) -> Result:
    environment = full_environment() if fault.full else make_environment(folder)
    good: Callable[[], MockPlatform] = (
        full_factory(environment)
        if isinstance(environment, FullEnvironment)
        else mock_factory(folder, ap_sta=fault.ap_sta)
    )

    def factory() -> MockPlatform:
        platform = good()
        if broken:
            fault.inject(platform)
        return platform

    environment.patience = fault.patience if broken else 1.0
    environment.shows_within = 3.0 if broken else 60.0
    return run_check_now(CHECKS[fault.check], factory, environment)


@pytest.mark.parametrize("fault", FAULTS, ids=lambda each: each.name)
def test_the_fault_is_caught(fault: Fault, tmp_path: Path) -> None:
    result = run(fault, tmp_path / "broken", broken=True)
    assert result.outcome is Outcome.FAIL
    assert fault.why in result.why


@pytest.mark.parametrize(
    "fault", {(each.check, each.ap_sta): each for each in FAULTS}.values(), ids=lambda each: each.check
)
def test_a_good_platform_passes_the_same_check(fault: Fault, tmp_path: Path) -> None:
    good = attrs.evolve(
        fault, ap_sta=fault.ap_sta or fault.check == "Platform.station_and_access_point_hold_at_once"
    )
    result = run(good, tmp_path / "good", broken=False)
    assert (result.outcome, result.why) == (Outcome.PASS, "")
