"""The kit's classes for the ports that the mock does not have, on a platform that has them all."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import pytest

from qiot.errors import NotSupportedError
from qiot.hal.conformance import (
    CameraConformance,
    Environment,
    GattConformance,
    InjectorConformance,
    ListenerConformance,
    PlatformConformance,
    SnifferConformance,
    TransportConformance,
)
from qiot.hal.conformance.check import Outcome
from qiot.hal.conformance.checks import checks_of
from qiot.hal.conformance.run import run_check_now
from qiot.hal.contract import (
    AirKiss,
    BtCombo,
    Capabilities,
    ChipSoftAp,
    Combination,
    Gatt,
    ListenContext,
    Platform,
    PortT,
    Role,
)
from qiot.hal.mock import MockPlatform
from qiot.hal.registry import PlatformSpec
from qiot.wifi_config.drivers.btcombo import GattBtCombo
from tests.conformance.fakes import FullEnvironment, full_environment, full_factory


class Full:
    @pytest.fixture
    def environment(self) -> Environment:
        return full_environment()

    @pytest.fixture
    def platform(self, environment: FullEnvironment) -> Callable[[], Platform]:
        return full_factory(environment)


class TestFull(Full, PlatformConformance):
    pass


class TestFullSniffer(Full, SnifferConformance):
    pass


class TestFullInjector(Full, InjectorConformance):
    pass


class TestFullAirKiss(Full, ListenerConformance):
    port = AirKiss


class TestFullChipSoftAp(Full, ListenerConformance):
    port = ChipSoftAp


class TestFullGatt(Full, GattConformance):
    pass


class TestFullCamera(Full, CameraConformance):
    pass


class TestFullTransport(Full, TransportConformance):
    pass


class Refusing(GattBtCombo):
    """Finds only at its start that there is no Bluetooth, as linux does."""

    async def start(self, context: ListenContext) -> None:
        raise NotSupportedError("there is no Bluetooth controller", hint="Plug one in.")


class WithoutController(MockPlatform):
    """It has the method's port, and does not claim the role."""

    async def capabilities(self) -> Capabilities:
        return Capabilities((Combination(frozenset({Role.STATION})),))

    def port(self, kind: type[PortT]) -> PortT:
        return cast(PortT, Refusing(super().port(Gatt))) if kind is BtCombo else super().port(kind)


def test_a_listener_needs_what_its_method_needs() -> None:
    for each in checks_of(BtCombo):
        result = run_check_now(each, lambda: WithoutController(PlatformSpec("mock")), Environment())
        assert (result.outcome, result.why) == (Outcome.NOT_CLAIMED, "the ble role is not claimed")
