"""The platform passes qiot's conformance kit, on a module that is a script."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from importlib.metadata import entry_points
from pathlib import Path

import pytest
from module import Module
from qiot_esp_at import EspAtPlatform

from qiot.hal.conformance import (
    Environment,
    ListenerConformance,
    PlatformConformance,
    StorageConformance,
    TransportConformance,
    WifiConformance,
)
from qiot.hal.contract import ChipSoftAp, SmartConfig
from qiot.hal.registry import parse_spec
from qiot.model import Credentials, Secret


@pytest.fixture
def module_path() -> Iterator[str]:
    """A module that runs on a loop of its own, as a real one does on its own processor."""
    path: list[str] = []
    ready = threading.Event()
    loop = asyncio.new_event_loop()
    done = asyncio.Event()

    async def run() -> None:
        async with Module() as module:
            path.append(module.path)
            ready.set()
            await done.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=[run()])
    thread.start()
    ready.wait()
    yield path[0]
    loop.call_soon_threadsafe(done.set)
    thread.join()
    loop.close()


class EspAt:
    @pytest.fixture
    def platform(self, module_path: str, tmp_path: Path) -> Callable[[], EspAtPlatform]:
        return lambda: EspAtPlatform(parse_spec(f"esp-at:{module_path},state={tmp_path / 'state'}"))

    @pytest.fixture
    def environment(self, tmp_path: Path) -> Environment:
        return Environment(
            home=Credentials(b"Home", Secret("home-password")),
            second=Credentials(b"Second", Secret("second-password")),
            open_network=Credentials('Caf\u00e9 "1,2"'.encode(), Secret("")),
            hidden_network=Credentials(b"Hidden", Secret("hidden-password")),
            silent_network=Credentials(b"Silent", Secret("silent-password")),
            join_seconds=10,
            cancel_after=(0.0, 0.01, 0.1),
            storage_folder=tmp_path / "state",
        )


class TestPlatform(EspAt, PlatformConformance):
    pass


class TestStorage(EspAt, StorageConformance):
    pass


class TestWifi(EspAt, WifiConformance):
    pass


class TestSmartConfig(EspAt, ListenerConformance):
    port = SmartConfig


class TestSoftAp(EspAt, ListenerConformance):
    port = ChipSoftAp


class TestTransport(EspAt, TransportConformance):
    pass


def test_the_kits_command_line_finds_it_and_passes_it(module_path: str, tmp_path: Path) -> None:
    """By the entry point, as its users run it."""
    if "esp-at" not in entry_points(group="qiot.hal").names:
        pytest.skip("pip install ./platforms/esp_at first")
    around = tmp_path / "around.json"
    around.write_text(
        json.dumps(
            {
                "home": {"ssid": "Home", "password": "home-password"},
                "second": {"ssid": "Second", "password": "second-password"},
                "join_seconds": 10,
            }
        )
    )
    spec = f"esp-at:{module_path},state={tmp_path / 'state'}"
    command = [sys.executable, "-m", "qiot.hal.conformance", spec, "--yes", "--env", str(around)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    rows = done.stdout.splitlines()
    assert any(row.startswith("Wifi") and row.endswith(" pass") for row in rows)
    assert any(row.startswith("Transport") and "its own cloud only" in row for row in rows)
