"""The platform passes qiot's conformance kit, on a module that is a script."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
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
    # The module speaks MQTT as itself, to a broker with TLS, and says one number for whatever fails.
    test_messages_go_both_ways = None
    test_a_refused_connection_has_the_brokers_number = None
    test_a_broker_that_is_not_there_is_told = None
    test_a_broker_that_is_none_is_told = None
    test_tls_is_checked = None
    test_a_cancelled_connection_leaves_nothing = None
    test_a_lost_connection_is_told = None
