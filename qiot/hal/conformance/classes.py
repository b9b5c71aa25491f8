"""The checks as pytest classes, one for each port.

The tests are plain functions that run each check on an event loop of its own, so that it does not matter
which plug-in for asyncio is installed, or in which mode.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

import pytest

from qiot.hal.conformance.check import Check, Outcome
from qiot.hal.conformance.checks import checks_of
from qiot.hal.conformance.environment import Environment
from qiot.hal.conformance.run import run_check_now
from qiot.hal.contract import (
    Camera,
    Gatt,
    Injector,
    Listener,
    Platform,
    Sniffer,
    SoftAp,
    Storage,
    Transport,
    Udp,
    Wifi,
)

__all__ = [
    "CameraConformance",
    "Conformance",
    "GattConformance",
    "InjectorConformance",
    "ListenerConformance",
    "PlatformConformance",
    "SnifferConformance",
    "SoftApConformance",
    "StorageConformance",
    "TransportConformance",
    "UdpConformance",
    "WifiConformance",
]


class Conformance:
    """Inherit one of the classes below and give the fixture `platform`, a factory of fresh platforms.

    Attributes:
        port: The port of the contract whose checks the class runs.
    """

    port: ClassVar[type]

    def __init_subclass__(cls) -> None:
        port = getattr(cls, "port", None)
        for each in () if port is None else checks_of(port):
            if not hasattr(cls, f"test_{each.name}"):
                setattr(cls, f"test_{each.name}", _test_of(each))

    @pytest.fixture
    def platform(self) -> Callable[[], Platform]:
        """Makes a fresh platform each time it is called, as a start of the process does."""
        pytest.fail("give the fixture `platform`: a function without arguments that makes your platform")

    @pytest.fixture
    def environment(self) -> Environment:
        """The world around it; this one offers nothing."""
        return Environment()


def _test_of(each: Check) -> Callable[..., None]:
    def test(self: Conformance, platform: Callable[[], Platform], environment: Environment) -> None:  # noqa: ARG001
        result = run_check_now(each, platform, environment)
        if result.outcome is Outcome.NOT_CLAIMED:
            pytest.skip(f"not claimed: {result.why}")
        if result.outcome is Outcome.FAIL:
            pytest.fail(f"{each.port}.{each.verb}: {result.why}", pytrace=False)

    test.__name__ = f"test_{each.name}"
    test.__doc__ = each.run.__doc__
    return test


class PlatformConformance(Conformance):
    """The platform as a whole. Every adapter has to pass this one."""

    port = Platform


class UdpConformance(Conformance):
    """UDP sockets."""

    port = Udp


class StorageConformance(Conformance):
    """What survives a reboot."""

    port = Storage


class WifiConformance(Conformance):
    """The station."""

    port = Wifi


class SoftApConformance(Conformance):
    """The access point."""

    port = SoftAp


class SnifferConformance(Conformance):
    """Monitor mode."""

    port = Sniffer


class InjectorConformance(Conformance):
    """Sending of raw frames."""

    port = Injector


class ListenerConformance(Conformance):
    """A method at work; the subclass says which: `port = SmartConfig`, or another of the contract's."""

    port: ClassVar[type[Listener]]


class GattConformance(Conformance):
    """The GATT server."""

    port = Gatt


class CameraConformance(Conformance):
    """Pictures for QR codes."""

    port = Camera


class TransportConformance(Conformance):
    """How the device reaches the internet."""

    port = Transport
