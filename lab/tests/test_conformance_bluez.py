"""Bluetooth of the Linux platform against the conformance kit: BlueZ, and a phone on bumble outside."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from types import TracebackType
from typing import Self

import attrs
import pytest
from qiot.hal.conformance import Central, Environment, GattConformance, LinkCentral
from qiot.hal.contract import Platform
from qiot.hal.linux import LinuxPlatform
from qiot.hal.registry import PlatformSpec
from qiot.testbed.ble_link import LinkError, Wanted
from qiot.testbed.ble_link.on_bumble import BumbleCentral

from lab.support.bench import Bench
from lab.support.bluetooth import BluetoothAir, BlueZ

_SEEN_WITHIN = 30.0
_SILENT_AFTER = 3.0


@attrs.define(kw_only=True, slots=False, eq=False)
class OnTheAir(Environment):
    """An adapter of the kernel's for each check, and a phone on the same air."""

    bluez: BlueZ
    adapter: str = ""
    phone_radio: BumbleCentral | None = None
    stack: contextlib.AsyncExitStack = attrs.field(factory=contextlib.AsyncExitStack)

    async def __aenter__(self) -> Self:
        air = await self.stack.enter_async_context(BluetoothAir())
        self.adapter = await air.adapter(self.bluez)
        radio = await air.device()
        self.phone_radio = BumbleCentral(lambda: contextlib.nullcontext(radio))
        await self.stack.enter_async_context(self.phone_radio)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stack.aclose()

    @property
    def radio(self) -> BumbleCentral:
        assert self.phone_radio is not None
        return self.phone_radio

    @contextlib.asynccontextmanager
    async def central(self) -> AsyncIterator[Central]:
        await self.radio.connect(await self.radio.find(Wanted(), _SEEN_WITHIN), _SEEN_WITHIN)
        try:
            yield LinkCentral(self.radio)
        finally:
            await self.radio.disconnect()

    async def advertised(self) -> bool:
        try:
            await self.radio.find(Wanted(), _SILENT_AFTER)
        except LinkError:
            return False
        return True


@pytest.fixture(scope="module")
def bluez(module_bench: Bench) -> BlueZ:
    return module_bench.bluez()


@pytest.mark.duration(15)
class TestBluezGatt(GattConformance):
    @pytest.fixture
    def environment(self, bluez: BlueZ) -> OnTheAir:
        return OnTheAir(bluez=bluez, patience=5.0, cancel_after=(0.0, 0.02, 0.1, 0.5))

    @pytest.fixture
    def platform(self, environment: OnTheAir, tmp_path: Path) -> Callable[[], Platform]:
        def make() -> Platform:
            options = {"bt": environment.adapter, "state": str(tmp_path / "state")}
            return LinuxPlatform(PlatformSpec("linux", options=options))

        return make
