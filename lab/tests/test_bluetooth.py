"""BlueZ and bumble on one air: what tests of Bluetooth rely on."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from lab.support.bench import Bench
from lab.support.bluetooth import BluetoothAir
from lab.support.programs import Daemon
from lab.support.traces import traces
from lab.support.waiting import until
from lab.tests import echo_service

ADAPTERS = Path("/sys/class/bluetooth")
VALUES = [b"x", bytes(range(20))]


@pytest.mark.duration(15)
async def test_both_directions(bench: Bench) -> None:
    bluez = bench.bluez()
    async with BluetoothAir() as air:
        adapter = await air.adapter(bluez)
        other = await air.device()
        async with echo_service.on_bluez(adapter):
            assert await echo_service.asked_by_bumble(other, VALUES) == VALUES
        await echo_service.on_bumble(other)
        assert await echo_service.asked_by_bleak(adapter, VALUES) == VALUES


@pytest.mark.duration(25)
async def test_a_phone_in_a_process_of_its_own_and_nothing_left() -> None:
    before = traces()
    with Bench() as bench:
        bluez = bench.bluez()
        async with BluetoothAir() as air:
            adapter = await air.adapter(bluez)
            command = [os.environ["LAB_PYTHON"], "-m", "lab.tests.echo_phone", await air.transport(), "hello"]
            phone = Daemon("phone", command)
            bench.stack.callback(phone.stop)
            async with echo_service.on_bluez(adapter):
                phone.start()
                assert await asyncio.to_thread(phone.wait) == 0, phone.text()
        assert phone.text().split() == ["hello"]
        await asyncio.to_thread(until, lambda: not list(ADAPTERS.iterdir()), "no adapter")
    assert traces() == before
