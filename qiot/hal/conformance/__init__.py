"""The conformance kit: proves that a platform does what the HAL contract promises.

As pytest classes, in the adapter's own tests. Inherit those of the ports that the platform has, and give two
fixtures:

    import pytest
    from qiot.hal.conformance import Environment, ListenerConformance, PlatformConformance, WifiConformance
    from qiot.hal.contract import AirKiss

    class MyBoardHere:
        @pytest.fixture
        def platform(self):
            return lambda: MyBoard(parse_spec("my-board:wlan0"))

        @pytest.fixture
        def environment(self):
            return Environment(home=Credentials(ssid=b"Home", password=Secret("secret123")))

    class TestPlatform(MyBoardHere, PlatformConformance): ...
    class TestWifi(MyBoardHere, WifiConformance): ...
    class TestAirKiss(MyBoardHere, ListenerConformance):
        port = AirKiss

Or without pytest: `python -m qiot.hal.conformance SPEC`; `--help` says more.

- `platform` is a factory: a function without arguments that makes a fresh platform, as a start of the process
  does. What a device keeps (storage, saved networks) has to be common to all of its platforms.
- `environment` says what is around the platform, and acts there: see `Environment`. Subclass it for a phone,
  a view from outside, frames in the air, a Bluetooth central. What it does not offer, or the platform does
  not claim, is skipped and said to be "not claimed", with the reason: nothing passes in silence.
- Fixtures are plain functions, best of module scope where they are slow. Each check runs on an event loop of
  its own, so that any plug-in for asyncio will do; an environment that needs the loop opens what it needs in
  `__aenter__` and closes it in `__aexit__`. What the environment opens in a check it closes in that check, or
  it is taken for a leak.
- Every verb has a time limit, times `Environment.patience`. Limits are there to end what hangs; how fast a
  verb has to be, the contract does not say.
- What a check leaves behind is counted when its platforms are closed: tasks, threads, descriptors, sockets,
  child processes, network interfaces, the programs and files that the environment names, and what
  `Environment.traces` adds.
- A verb that keeps the loop from running for two seconds has failed; in the main thread it is interrupted
  after ten, by the alarm signal where nobody else uses that.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Final

from qiot.hal.conformance.check import Broken, Check, NotClaimed, Outcome, Result, expect, not_claimed
from qiot.hal.conformance.environment import Central, Ear, Environment, Phone
from qiot.hal.conformance.link_central import LinkCentral
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
    "LinkCentral",
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
