"""What a killed process leaves behind has to be undone by `recover`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import attrs
import pytest

from qiot.hal.conformance import Environment, Outcome, Result, run_check_now
from qiot.hal.conformance.checks import checks_of
from qiot.hal.conformance.simulated import SimulatedEnvironment
from qiot.hal.contract import Platform, Role, Slot, SoftAp, Storage, Wifi
from qiot.hal.mock import MockPlatform
from qiot.hal.registry import PlatformSpec
from tests.conformance.mock import make_world, network

ACCESS_POINT = "it_takes_down_the_access_point_of_a_killed_process"
JOIN = "it_undoes_the_join_of_a_killed_process"
CHECKS = {each.name: each for each in checks_of(Platform)}


class Forgetful(MockPlatform):
    """It keeps what it joins at once, and undoes nothing of a killed process."""


class Careful(Forgetful):
    """It writes down what was saved, and undoes both."""

    async def recover(self) -> None:
        for each in list(self.world.wifi.access_points):
            if each.ssid == b"qiot-conformance":
                self.world.wifi.remove(each)
        storage = self.port(Storage)
        before = await storage.load(Slot.BOUND)
        if before is not None:
            await storage.save(Slot.NETWORK, before)
            await storage.erase(Slot.BOUND)


@attrs.define(kw_only=True, slots=False, eq=False)
class Killing(SimulatedEnvironment):
    """A platform that is left as it is stands for a process that was killed."""

    factory: Callable[[], MockPlatform]

    async def killed(self, role: Role) -> None:
        platform = self.factory()
        if role is Role.ACCESS_POINT:
            await platform.port(SoftAp).start(self.access_point)
            return
        assert self.home is not None
        storage = platform.port(Storage)
        await storage.save(Slot.BOUND, await storage.load(Slot.NETWORK) or b"")
        await platform.port(Wifi).join(self.home, self.join_seconds)
        await platform.port(Wifi).settle(keep=True)


def run(make: type[MockPlatform], folder: Path, name: str) -> Result:
    world = make_world()
    options = {"state": str(folder), "join_delay": "4"}

    def factory() -> MockPlatform:
        return make(PlatformSpec("mock", options=options), world)

    environment = Killing(
        factory=factory, home=network("Home"), second=network("Other"), join_seconds=3000.0, shows_within=0.2
    )
    return run_check_now(CHECKS[name], factory, environment)


@pytest.mark.parametrize("name", [ACCESS_POINT, JOIN])
def test_a_platform_that_recovers_passes(name: str, tmp_path: Path) -> None:
    result = run(Careful, tmp_path, name)
    assert (result.outcome, result.why) == (Outcome.PASS, "")


@pytest.mark.parametrize(
    ("name", "why"),
    [
        (ACCESS_POINT, "of a killed process is still on the air after recover"),
        (JOIN, "the join of a killed process is not undone: Home is saved, it was Other"),
    ],
)
def test_a_recover_that_does_nothing_is_caught(name: str, why: str, tmp_path: Path) -> None:
    result = run(Forgetful, tmp_path, name)
    assert result.outcome is Outcome.FAIL
    assert why in result.why


def real(specs: Sequence[str], name: str, **options: str) -> Result:
    def factory() -> Platform:
        return MockPlatform(PlatformSpec("mock", options=options))

    environment = Environment(specs=specs, home=network("Home"), second=network("Other"), join_seconds=5.0)
    return run_check_now(CHECKS[name], factory, environment)


@pytest.mark.parametrize("name", [ACCESS_POINT, JOIN])
def test_a_real_process_is_killed(name: str, tmp_path: Path) -> None:
    result = real([f"mock,state={tmp_path}"], name, state=str(tmp_path))
    assert (result.outcome, result.why) == (Outcome.PASS, "")


def test_what_a_process_could_not_do_is_told() -> None:
    result = real(["mock,start_failure=soft_ap"], ACCESS_POINT)
    assert result.outcome is Outcome.FAIL
    assert "a process that was to be killed could not hold the access point role: HalError:" in result.why


def test_without_specs_it_is_not_claimed() -> None:
    result = real([], ACCESS_POINT)
    assert result.outcome is Outcome.NOT_CLAIMED
    assert "(specs)" in result.why
