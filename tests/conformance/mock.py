"""The mock platform as the kit sees it: worlds with every kind of network, and time that runs fast."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

from qiot.hal.conformance.simulated import SimulatedEnvironment
from qiot.hal.mock import MockPlatform
from qiot.hal.registry import PlatformSpec
from qiot.model import Credentials, Secret, Security
from qiot.sim import Clock, Fault, Faults, HomeNetwork, World

PASSWORD = "a-long-password"
FASTER = 200.0


class FastClock:
    """The world's time runs faster than the loop's."""

    def now(self) -> float:
        return asyncio.get_running_loop().time() * FASTER

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds / FASTER)


def network(ssid: str, password: str = PASSWORD) -> Credentials:
    return Credentials(ssid=ssid.encode(), password=Secret(password))


def make_world(clock: Clock | None = None) -> World:
    secret = Secret(PASSWORD)
    return World(
        [
            HomeNetwork(b"Home", secret, channel=11, signal=-40),
            HomeNetwork(b"Other", secret, channel=1, signal=-70),
            HomeNetwork(b"Open", channel=1, signal=-71),
            HomeNetwork(b"Hidden", secret, channel=6, signal=-72, hidden=True),
            HomeNetwork(b"Modern", secret, channel=36, signal=-73, security=Security.WPA3),
            HomeNetwork(b"Silent", secret, signal=-74, faults=Faults(Fault.parse("dhcp"))),
        ],
        clock=clock or FastClock(),
    )


def make_environment(folder: Path) -> SimulatedEnvironment:
    return SimulatedEnvironment(
        home=network("Home"),
        second=network("Other"),
        open_network=network("Open", ""),
        hidden_network=network("Hidden"),
        wpa3_network=network("Modern"),
        silent_network=network("Silent"),
        cancel_after=(0.0, 0.004, 0.011, 0.018),
        join_seconds=3000.0,  # of the world; the machine that runs this may be slow
        storage_folder=folder,
    )


def mock_factory(
    folder: Path,
    *,
    ap_sta: bool,
    make: type[MockPlatform] = MockPlatform,
    clock: Clock | None = None,
) -> Callable[[], MockPlatform]:
    """Fresh platforms in one world, with one folder."""
    world = make_world(clock)
    both = "yes" if ap_sta else "no"
    options = {"state": str(folder), "join_delay": "4", "start_delay": "3", "ap_sta": both}
    return lambda: make(PlatformSpec("mock", options=options), world)
