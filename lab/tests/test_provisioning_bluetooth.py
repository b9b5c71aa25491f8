"""Provisioning over Bluetooth with BlueZ at either end, and bumble at the other; Wi-Fi is the mock's."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import attrs
import pytest
from qiot.api import CloudOptions, WifiConfig
from qiot.device_info import Cloud, DeviceInfo
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
THING_PRODUCT, THING_UUID, THING_SECRET = (
    "fFMes8kzaLRHMy",
    "rn01b55A74fa0c16",
    "bd2625eb1fa0499ea60aadd09ae0a184",
)
THING_ENTRY = {
    "cloud": "rlink",
    "productId": THING_PRODUCT,
    "deviceName": THING_UUID,
    "productSecret": "the product's",
    "key_deviceinfo": {"deviceSecret": THING_SECRET},
}
THING = DeviceInfo(THING_PRODUCT, THING_UUID, device_secret=Secret(THING_SECRET), cloud=Cloud.RLINK)
OWNER, HOUSE = "us1689940117281427456", "1740300523660267520"


@attrs.frozen
class Spoken:
    """A protocol as a phone knows it, with the phone's last word where all went well."""

    method: str
    service: str
    notify: str
    advertising: str
    scan_response: str
    name: str
    last: str = "bound"
    identity: DeviceInfo = IDENTITY


SPOKEN = {
    "blufi": Spoken(
        "blufi", "ffff", "ff02", "0201060303ffff", "0d09" + b"BLUFI_DEVICE".hex(), name="BLUFI_DEVICE"
    ),
    "bt_combo": Spoken(
        "bt_combo", "ffff", "ff02", "0201060303ffff", "0909" + b"BLECOMBO".hex(), name="BLECOMBO"
    ),
    "llsync": Spoken(
        "llsync",
        "fff0",
        "ffe3",
        "0201060303f0ff14ffe7fe02{mac}" + PRODUCT.encode().hex(),
        "0609" + NAME.encode().hex(),
        name=NAME,
    ),
    "thing": Spoken(
        "thing",
        "a101",
        "2b10",
        "020106030201a1121601a100" + THING_PRODUCT.encode().hex(),
        "0309525919ff0000000302000500" + THING_UUID.encode().hex(),
        name="RY",
        last="online",
        identity=THING,
    ),
}


def codec(method: str, cloud: LocalCloud, token: str) -> Codec:
    ssid, password, grant = SSID.encode(), Secret(PASSWORD), Secret(token)
    if method == "blufi":
        from qiot.protocols.ble.blufi_phone import BluFiPhone

        return BluFiPhone(random=os.urandom, ssid=ssid, password=password, token=grant)
    if method == "bt_combo":
        from qiot.protocols.ble.btcombo_phone import BtComboPhone

        return BtComboPhone(ssid=ssid, password=password, token=grant)
    if method == "llsync":
        from qiot.protocols.ble.llsync_phone import LLSyncPhone

        return LLSyncPhone(credentials=[Credentials(ssid, password)], token=grant)
    from qiot.protocols.ble.thing_phone import ThingPhone

    host, _, port = cloud.mqtt_url.removeprefix("mqtt://").partition(":")
    return ThingPhone(
        random=os.urandom,
        wall=time.time,
        credentials=[Credentials(ssid, password)],
        bid=Secret(HOUSE),
        user_id=OWNER,
        mq=host,
        port=int(port),
        tz="Asia/Kolkata",
        country="IN",
        uuid=THING_UUID,
        secret=Secret(THING_SECRET),
    )


def is_bound(spoken: Spoken, cloud: LocalCloud, token: str) -> bool:
    """Whether the cloud knows the device's owner."""
    if spoken.method == "thing":
        return cloud.registry.rlink.unit(THING_UUID).owner == (OWNER, HOUSE)
    known = cloud.registry.token(token)
    return known is not None and known.device is not None


@contextlib.asynccontextmanager
async def device(spoken: Spoken, *hal: str) -> AsyncIterator[tuple[WifiConfig, LocalCloud]]:
    """A device that listens, and the cloud that it will be bound to."""
    async with LocalCloud([ENTRY, THING_ENTRY], connect_interval=0.0) as cloud:
        dynreg_url = cloud.http_url if spoken.identity is IDENTITY else None  # rlink has none
        options = CloudOptions(dynreg_url=dynreg_url, mqtt_url=cloud.mqtt_url)
        settings = Settings(timeout=120.0, grace=0.1, udp_host="127.0.0.1", udp_port=0)
        platform = open_platform(*hal, MOCK)
        try:
            async with WifiConfig(spoken.identity, hal=platform, cloud=options, settings=settings) as config:
                await config.start(spoken.method)
                yield config, cloud
        finally:
            await platform.close()


async def provision(
    central: Central, spoken: Spoken, cloud: LocalCloud, token: str
) -> tuple[Learned, Advertisement]:
    steps: list[Any] = []
    runner = CodecRunner(
        central,
        codec(spoken.method, cloud, token),
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
        "thing",
    ],
)
@pytest.mark.duration(40)
async def test_a_device_on_bluez_and_a_phone_on_bumble(bench: Bench, method: str, tmp_path: Path) -> None:
    spoken, bluez = SPOKEN[method], bench.bluez()
    async with BluetoothAir() as air:
        adapter = await air.adapter(bluez, "00:AA:01:02:03:04")
        radio = await air.device()
        hal = f"linux,bt={adapter},state={tmp_path}"
        async with device(spoken, hal) as (config, cloud), asyncio.timeout(90):
            token = cloud.registry.create_token().text()
            async with BumbleCentral(lambda: contextlib.nullcontext(radio)) as phone:
                last, seen = await provision(phone, spoken, cloud, token)
            assert (last.what, last.failure) == (spoken.last, None)
            assert (await config.wait()).step is Step.BOUND
            assert is_bound(spoken, cloud, token)
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
        "thing",
    ],
)
@pytest.mark.duration(40)
async def test_a_device_on_bumble_and_a_phone_on_bluez(bench: Bench, method: str) -> None:
    spoken, bluez = SPOKEN[method], bench.bluez()
    async with BluetoothAir() as air:
        adapter = await air.adapter(bluez)
        hal = f"bumble:{await air.transport('00:AA:01:02:03:05')}"
        async with device(spoken, hal) as (config, cloud), asyncio.timeout(90):
            token = cloud.registry.create_token().text()
            async with BleakCentral(adapter) as phone:
                last, seen = await provision(phone, spoken, cloud, token)
            assert (last.what, last.failure) == (spoken.last, None)
            assert (await config.wait()).step is Step.BOUND
            assert is_bound(spoken, cloud, token)
            assert seen.name == spoken.name


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
