"""The conformance kit: proves that a platform does what the HAL contract promises.

As pytest classes, in the adapter's own tests; inherit what the platform claims and give the fixtures:

    from qiot.hal.conformance import Environment, PlatformConformance, WifiConformance

    class TestMyBoard(PlatformConformance):
        @pytest.fixture
        def platform(self):
            return lambda: MyBoard(parse_spec("my-board:wlan0"))

    class TestMyBoardWifi(WifiConformance):
        ...the same fixture `platform`, and
        @pytest.fixture
        def environment(self):
            return Environment(home=Credentials(ssid=b"Home", password=Secret("secret123")))

Or without pytest: `python -m qiot.hal.conformance SPEC`.

- `platform` is a factory: a function without arguments that makes a fresh platform, as a start of the process
  does. What the platform keeps (storage, saved networks) has to be the same for all of its platforms.
- `environment` says what is around, and reaches it: see `Environment`. Subclass it for a phone, a view from
  outside, a Bluetooth central. What it does not offer, or the platform does not claim, is skipped and said to
  be "not claimed", with the reason.
- Fixtures are plain functions. Each check runs on an event loop of its own, so an environment that needs the
  loop opens what it needs in `__aenter__` and closes it in `__aexit__`. Its methods may block.
- Every verb has a time limit, and what it leaves behind is counted: tasks, threads, descriptors, sockets,
  child processes, network interfaces, and what `Environment.traces` adds.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Final

from qiot.hal.conformance.check import Broken, Check, NotClaimed, Outcome, Result, expect, not_claimed
from qiot.hal.conformance.environment import Central, Ear, Environment, Phone
from qiot.hal.conformance.run import run_check, run_check_now

if TYPE_CHECKING:
    from qiot.hal.conformance.classes import (
        CameraConformance,
        Conformance,
        GattConformance,
        InjectorConformance,
        ListenerConformance,
        PlatformConformance,
        SnifferConformance,
        SoftApConformance,
        StorageConformance,
        TransportConformance,
        UdpConformance,
        WifiConformance,
    )

__all__ = [
    "Broken",
    "CameraConformance",
    "Central",
    "Check",
    "Conformance",
    "Ear",
    "Environment",
    "GattConformance",
    "InjectorConformance",
    "ListenerConformance",
    "NotClaimed",
    "Outcome",
    "Phone",
    "PlatformConformance",
    "Result",
    "SnifferConformance",
    "SoftApConformance",
    "StorageConformance",
    "TransportConformance",
    "UdpConformance",
    "WifiConformance",
    "expect",
    "not_claimed",
    "run_check",
    "run_check_now",
]

_CLASSES: Final = "qiot.hal.conformance.classes"


def __getattr__(name: str) -> object:
    """The pytest classes, loaded when they are asked for: the command line does without pytest."""
    if name.endswith("Conformance"):
        return getattr(importlib.import_module(_CLASSES), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
