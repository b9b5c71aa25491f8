"""How long provisioning over Bluetooth takes, step by step, in memory.

Every run has a fresh device (the mock), a fresh cloud and a fresh phone on bumble. The mock joins at once and
the simulated air loses nothing: this measures qiot, bumble and the protocols' own round trips and pauses.

    python benchmarks/ble_provisioning.py [--runs 10] [--json]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import platform
import secrets
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Final

import attrs

from qiot.api import CloudOptions, Settings, WifiConfig
from qiot.device_info import Cloud, DeviceInfo
from qiot.hal.mock import MockPlatform
from qiot.hal.registry import PlatformSpec
from qiot.model import Credentials, Outcome, Secret, Step
from qiot.protocols.base import Codec
from qiot.protocols.ble.blufi_phone import BluFiPhone
from qiot.protocols.ble.btcombo_phone import BtComboPhone
from qiot.protocols.ble.llsync_phone import LLSyncPhone
from qiot.protocols.ble.thing_phone import ThingPhone
from qiot.sim import HomeNetwork, World
from qiot.testbed.ble_link import CodecRunner, Wanted
from qiot.testbed.ble_link.on_bumble import BumbleCentral
from qiot.testbed.cloud import LocalCloud

SSID: Final = b"Home"
PASSWORD: Final = Secret("home-password")
DEVICE_SECRET: Final = "MLvMHde65nKPk0Lx+ZThaA=="  # noqa: S105 - of a local cloud that lives for one run
THING_SECRET: Final = "bd2625eb1fa0499ea60aadd09ae0a184"  # noqa: S105 - the same
STEPS: Final = ("connect", "exchange", "join", "bind", "told", "total")
"""Seconds: until the phone listens, until the device joins, the join, until the cloud has bound, until the
phone knows, all together."""
LIMIT: Final = 2.0


@attrs.frozen
class Protocol:
    """What differs: the phone's side, and who the device is."""

    service: str
    notify: str
    codec: Callable[[LocalCloud, Secret], Codec]
    rlink: bool = False


def _thing(cloud: LocalCloud, _token: Secret) -> Codec:
    host, _, port = cloud.mqtt_url.removeprefix("mqtt://").partition(":")
    return ThingPhone(
        random=secrets.token_bytes,
        wall=time.time,
        credentials=[Credentials(SSID, PASSWORD)],
        bid=Secret("1740300523660267520"),
        user_id="us1",
        mq=host,
        port=int(port),
    )


PROTOCOLS: Final[Mapping[str, Protocol]] = {
    "blufi": Protocol(
        "ffff",
        "ff02",
        lambda _, token: BluFiPhone(random=secrets.token_bytes, ssid=SSID, password=PASSWORD, token=token),
    ),
    "bt_combo": Protocol(
        "ffff", "ff02", lambda _, token: BtComboPhone(ssid=SSID, password=PASSWORD, token=token)
    ),
    "llsync": Protocol(
        "fff0", "ffe3", lambda _, token: LLSyncPhone(credentials=[Credentials(SSID, PASSWORD)], token=token)
    ),
    "thing": Protocol("a101", "2b10", _thing, rlink=True),
}


def _identity(*, rlink: bool) -> tuple[DeviceInfo, Mapping[str, Any]]:
    if rlink:
        pid, uuid = "fFMes8kzaLRHMy", "rn01b55A74fa0c16"
        entry = {
            "cloud": "rlink",
            "productId": pid,
            "deviceName": uuid,
            "productSecret": "the product's",
            "key_deviceinfo": {"deviceSecret": THING_SECRET},
        }
        return DeviceInfo(pid, uuid, device_secret=Secret(THING_SECRET), cloud=Cloud.RLINK), entry
    entry = {
        "productId": "BENCHMARK1",
        "deviceName": "device-1",
        "productSecret": "benchmark-product-secret",
        "key_deviceinfo": {"deviceSecret": DEVICE_SECRET},
    }
    return DeviceInfo("BENCHMARK1", "device-1", device_secret=Secret(DEVICE_SECRET)), entry


async def run_once(name: str) -> dict[str, float]:
    """One run; seconds of each step."""
    protocol, loop = PROTOCOLS[name], asyncio.get_running_loop()
    info, entry = _identity(rlink=protocol.rlink)
    world = World([HomeNetwork(SSID, PASSWORD)])
    hal = MockPlatform(PlatformSpec("mock"), world)
    marks: dict[tuple[Step, Outcome], float] = {}

    async def watch(wifi: WifiConfig) -> None:
        async for event in wifi.events():
            marks.setdefault((event.step, event.outcome), loop.time())

    settings = Settings(udp_host="127.0.0.1", udp_port=0, grace=0.0)
    try:
        async with LocalCloud([entry], connect_interval=0.0) as cloud:
            options = None if protocol.rlink else CloudOptions(cloud.http_url, cloud.mqtt_url)
            async with WifiConfig(info, hal=hal, cloud=options, settings=settings) as wifi:
                await wifi.start(name)
                watching = asyncio.create_task(watch(wifi))
                codec = protocol.codec(cloud, Secret(cloud.registry.create_token().text()))
                opener = partial(world.bluetooth.device, world.bluetooth.address())
                async with BumbleCentral(opener) as central:
                    runner = CodecRunner(central, codec, method=name, notify=[protocol.notify])
                    start = loop.time()
                    await runner.connect(Wanted(service=protocol.service))
                    connected = loop.time()
                    last = await runner.run()
                    end = loop.time()
                    assert last.failure is None, last
                assert (await wifi.wait()).successful
            await watching
    finally:
        await hal.close()
    joining, joined = marks[Step.JOINING, Outcome.STARTED], marks[Step.JOINING, Outcome.OK]
    bound = marks[Step.BINDING, Outcome.OK]
    seconds = (
        connected - start,
        joining - connected,
        joined - joining,
        bound - joined,
        end - bound,
        end - start,
    )
    return dict(zip(STEPS, seconds, strict=True))


async def measure(runs: int) -> dict[str, dict[str, float]]:
    """Medians of each protocol's steps; one run before them warms up and is not counted."""
    found: dict[str, dict[str, float]] = {}
    for name in PROTOCOLS:
        await run_once(name)
        all_runs = [await run_once(name) for _ in range(runs)]
        found[name] = {step: statistics.median(run[step] for run in all_runs) for step in STEPS}
    return found


def show(found: Mapping[str, Mapping[str, float]]) -> None:
    """The medians as a table."""
    print(f"{'seconds':<10}" + "".join(f"{step:>10}" for step in STEPS))
    for name, steps in found.items():
        print(f"{name:<10}" + "".join(f"{steps[step]:>10.3f}" for step in STEPS))


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print; 1 where a protocol takes longer than 2 s."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--runs", type=int, default=10, metavar="N", help="of each (default: %(default)s)")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args(arguments)
    if options.runs < 1:
        parser.error("--runs has to be at least 1")
    found = asyncio.run(measure(options.runs))
    if options.json:
        host = {"python": platform.python_version(), "machine": platform.machine()}
        print(json.dumps({"runs": options.runs, **host, "protocols": found}))
    else:
        show(found)
    return 1 if any(steps["total"] > LIMIT for steps in found.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
