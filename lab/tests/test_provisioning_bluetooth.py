"""Provisioning over Bluetooth with BlueZ at either end, and bumble at the other; Wi-Fi is the mock's."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import attrs
import pytest
from qiot.api import CloudOptions, WifiConfig
from qiot.device_info import DeviceInfo
from qiot.hal.linux.bluez import BluezGatt
from qiot.hal.registry import open_platform
from qiot.model import Credentials, Secret, Step
from qiot.protocols.base import Codec, Learned
from qiot.testbed.ble_link import Advertisement, Central, CodecRunner, LinkError, Wanted
from qiot.testbed.ble_link.on_bleak import BleakCentral
from qiot.testbed.ble_link.on_bumble import BumbleCentral
from qiot.testbed.cloud import LocalCloud
from qiot.wifi_config.settings import Settings

from lab.support.bench import Bench
from lab.support.bluetooth import BluetoothAir
from lab.support.waiting import until

PRODUCT, NAME, SECRET = "L4WG9V9M2M", "TEST2", "MLvMHde65nKPk0Lx+ZThaA=="
SSID, PASSWORD = "Home", "home-password"
MOCK = f"mock,ssid={SSID},password={PASSWORD}"
ENTRY = {
    "auth_mode": "KEY",
    "productId": PRODUCT,
    "deviceName": NAME,
    "region": "china",
    "key_deviceinfo": {"deviceSecret": SECRET},
}
IDENTITY = DeviceInfo(PRODUCT, NAME, region="china", device_secret=Secret(SECRET))


@attrs.frozen
class Spoken:
    """A protocol as a phone knows it."""

    method: str
    service: str
    notify: str
    advertising: str
    scan_response: str


SPOKEN = {
    "blufi": Spoken("blufi", "ffff", "ff02", "0201060303ffff", "0d09" + b"BLUFI_DEVICE".hex()),
    "bt_combo": Spoken("bt_combo", "ffff", "ff02", "0201060303ffff", "0909" + b"BLECOMBO".hex()),
    "llsync": Spoken(
        "llsync",
        "fff0",
        "ffe3",
        "0201060303f0ff14ffe7fe02{mac}" + PRODUCT.encode().hex(),
        "0609" + NAME.encode().hex(),
    ),
}


def codec(method: str, token: str) -> Codec:
    password, grant = Secret(PASSWORD), Secret(token)
    if method == "blufi":
        from qiot.protocols.ble.blufi_phone import BluFiPhone

        return BluFiPhone(random=os.urandom, ssid=SSID.encode(), password=password, token=grant)
    if method == "bt_combo":
        from qiot.protocols.ble.btcombo_phone import BtComboPhone

        return BtComboPhone(ssid=SSID.encode(), password=password, token=grant)
    from qiot.protocols.ble.llsync_phone import LLSyncPhone

    return LLSyncPhone(credentials=[Credentials(SSID.encode(), password)], token=grant)


@contextlib.asynccontextmanager
async def device(method: str, *hal: str) -> AsyncIterator[tuple[WifiConfig, LocalCloud]]:
    """A device that listens, and the cloud that it will be bound to."""
    async with LocalCloud([ENTRY], connect_interval=0.0) as cloud:
        options = CloudOptions(dynreg_url=cloud.http_url, mqtt_url=cloud.mqtt_url)
        settings = Settings(timeout=120.0, grace=0.1, udp_host="127.0.0.1", udp_port=0)
        platform = open_platform(*hal, MOCK)
        try:
            async with WifiConfig(IDENTITY, hal=platform, cloud=options, settings=settings) as config:
                await config.start(method)
                yield config, cloud
        finally:
            await platform.close()


async def provision(central: Central, spoken: Spoken, token: str) -> tuple[Learned, Advertisement]:
    steps: list[Any] = []
    runner = CodecRunner(
        central,
        codec(spoken.method, token),
        method=spoken.method,
        notify=[spoken.notify],
        on_step=lambda step, facts: steps.append((step, facts)),
        find_timeout=60,
        connect_timeout=60,
        reconnects=1,
    )
    await runner.connect(Wanted(service=spoken.service))
    last = await runner.run()
    assert runner.seen is not None, steps
    return last, runner.seen


@pytest.mark.parametrize(
    "method",
    [
        pytest.param("blufi", marks=pytest.mark.smoke),
        "bt_combo",
        pytest.param("llsync", marks=pytest.mark.smoke),
    ],
)
@pytest.mark.duration(40)
async def test_a_device_on_bluez_and_a_phone_on_bumble(bench: Bench, method: str, tmp_path: Path) -> None:
    spoken, bluez = SPOKEN[method], bench.bluez()
    async with BluetoothAir() as air:
        adapter = await air.adapter(bluez, "00:AA:01:02:03:04")
        radio = await air.device()
        hal = f"linux,bt={adapter},state={tmp_path}"
        async with device(method, hal) as (config, cloud), asyncio.timeout(90):
            token = cloud.registry.create_token()
            async with BumbleCentral(lambda: contextlib.nullcontext(radio)) as phone:
                last, seen = await provision(phone, spoken, token.text())
            assert (last.what, last.failure) == ("bound", None)
            assert (await config.wait()).step is Step.BOUND
            known = cloud.registry.token(token.text())
            assert known is not None
            assert known.device is not None
            assert seen.advertising.hex() == spoken.advertising.format(mac="00aa01020304")
            assert seen.scan_response.hex() == spoken.scan_response
        async with BumbleCentral(lambda: contextlib.nullcontext(radio)) as phone:
            with pytest.raises(LinkError):  # it does not advertise any more
                await phone.find(Wanted(service=spoken.service), 3)


@pytest.mark.parametrize(
    "method",
    [
        pytest.param("blufi", marks=pytest.mark.smoke),
        pytest.param("bt_combo", marks=pytest.mark.smoke),
        "llsync",
    ],
)
@pytest.mark.duration(40)
async def test_a_device_on_bumble_and_a_phone_on_bluez(bench: Bench, method: str) -> None:
    spoken, bluez = SPOKEN[method], bench.bluez()
    async with BluetoothAir() as air:
        adapter = await air.adapter(bluez)
        hal = f"bumble:{await air.transport('00:AA:01:02:03:05')}"
        async with device(method, hal) as (config, cloud), asyncio.timeout(90):
            token = cloud.registry.create_token().text()
            async with BleakCentral(adapter) as phone:
                last, seen = await provision(phone, spoken, token)
            assert (last.what, last.failure) == ("bound", None)
            assert (await config.wait()).step is Step.BOUND
            assert bytes.fromhex(spoken.scan_response)[2:].decode() == seen.name


KILLED = """
import asyncio, sys
from pathlib import Path
from qiot.hal.contract import GattProfile
from qiot.hal.linux.bluez import BluezGatt

async def main():
    gatt = BluezGatt(Path(sys.argv[1]), sys.argv[2])
    profile = GattProfile("ffff", {"ff01": frozenset({"write"})}, bytes.fromhex("0201060303ffff"))
    await gatt.start([profile])
    print("started", flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


@pytest.mark.duration(30)
async def test_what_a_killed_process_left_is_undone(bench: Bench, tmp_path: Path) -> None:
    bluez = bench.bluez()
    async with BluetoothAir() as air:
        adapter = await air.adapter(bluez)
        radio = await air.device()
        python = os.environ.get("LAB_PYTHON", sys.executable)
        process = await asyncio.create_subprocess_exec(
            python, "-c", KILLED, str(tmp_path), adapter, stdout=asyncio.subprocess.PIPE
        )
        assert process.stdout is not None
        async with asyncio.timeout(60):
            assert await process.stdout.readline() == b"started\n"
        async with BumbleCentral(lambda: contextlib.nullcontext(radio)) as phone:
            await phone.find(Wanted(service="ffff"), 30)
            process.send_signal(signal.SIGKILL)
            await process.wait()
            await phone.find(Wanted(service="ffff"), 30)  # the kernel goes on
            gatt = BluezGatt(tmp_path, adapter)
            await gatt.recover()
            await gatt.close()
            with pytest.raises(LinkError):
                await phone.find(Wanted(service="ffff"), 3)
        await asyncio.to_thread(until, lambda: bluez.powered(adapter), "the adapter is powered as before")
