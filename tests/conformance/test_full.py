"""The kit's classes for the ports that the mock does not have, on a platform that has them all."""

from __future__ import annotations

from collections.abc import Callable

import pytest

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
from qiot.hal.contract import AirKiss, ChipSoftAp, Platform
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
