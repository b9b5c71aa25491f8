"""The platforms of this package pass the kit; linux's radio does so in the lab."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from qiot.hal.conformance import (
    Environment,
    GattConformance,
    InjectorConformance,
    PlatformConformance,
    SnifferConformance,
    SoftApConformance,
    StorageConformance,
    UdpConformance,
    WifiConformance,
)
from qiot.hal.contract import Platform
from qiot.hal.linux import LinuxPlatform
from qiot.hal.mock import MockPlatform
from qiot.hal.registry import PlatformSpec, parse_spec
from qiot.sim import LoopClock
from tests.conformance.mock import make_environment, mock_factory


class Mock:
    """One radio, in a world with every kind of network."""

    ap_sta = False

    @pytest.fixture
    def platform(self, tmp_path: Path) -> Callable[[], Platform]:
        return mock_factory(tmp_path / "state", ap_sta=self.ap_sta)

    @pytest.fixture
    def environment(self, tmp_path: Path) -> Environment:
        return make_environment(tmp_path / "state")


class MockBoth(Mock):
    """Station and access point at once."""

    ap_sta = True


class TestMock(Mock, PlatformConformance):
    pass


class TestMockGatt(Mock, GattConformance):
    pass


class TestMockUdp(Mock, UdpConformance):
    pass


class TestMockStorage(Mock, StorageConformance):
    pass


class TestMockStorageInMemory(StorageConformance):
    test_it_survives_a_restart = None  # that is what it is for

    @pytest.fixture
    def platform(self) -> Callable[[], Platform]:
        return lambda: MockPlatform(parse_spec("mock"))


class TestMockWifi(Mock, WifiConformance):
    pass


class TestMockSoftAp(Mock, SoftApConformance):
    pass


class MockAir(Mock):
    """Frames have the loop's time."""

    @pytest.fixture
    def platform(self, tmp_path: Path) -> Callable[[], Platform]:
        return mock_factory(tmp_path / "state", ap_sta=True, clock=LoopClock())


class TestMockSniffer(MockAir, SnifferConformance):
    pass


class TestMockInjector(MockAir, InjectorConformance):
    pass


class TestMockBoth(MockBoth, PlatformConformance):
    pass


class TestMockBothWifi(MockBoth, WifiConformance):
    pass


class TestMockBothSoftAp(MockBoth, SoftApConformance):
    pass


class Linux:
    """Without a radio."""

    @pytest.fixture
    def platform(self, tmp_path: Path) -> Callable[[], Platform]:
        options = {"state": str(tmp_path / "state")}
        return lambda: LinuxPlatform(PlatformSpec("linux", options=options))

    @pytest.fixture
    def environment(self, tmp_path: Path) -> Environment:
        return Environment(storage_folder=tmp_path / "state")


class TestLinux(Linux, PlatformConformance):
    pass


class TestLinuxUdp(Linux, UdpConformance):
    pass


class TestLinuxStorage(Linux, StorageConformance):
    pass
