"""How long it takes from the phone's first packet until the device is bound, step by step, on loopback.

Every run has a fresh device with default settings, a fresh local cloud and a fresh phone, which is nothing
but a UDP socket: the info replies are timed where they arrive. The mock joins at once, so Wi-Fi's own time is
in no figure. The C SDK's figures were measured the same way: version 3.1.5, Linux, empty radio adapters.

    python benchmarks/first_packet_to_bound.py [--runs 20] [--json]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import platform
import statistics
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import attrs

from qiot.api import CloudOptions, Settings, WifiConfig
from qiot.device_info import DeviceInfo
from qiot.model import Outcome, Secret, Step
from qiot.testbed.cloud import LocalCloud
from qiot.testbed.cloud.journal import Kind, Record

PRODUCT_ID: Final = "BENCHMARK1"
DEVICE_NAME: Final = "device-1"
PRODUCT_SECRET: Final = "benchmark-product-secret"  # noqa: S105 - of a local cloud that lives for one run
DEVICE_SECRET: Final = "MLvMHde65nKPk0Lx+ZThaA=="  # noqa: S105 - the same

STEPS: Final = (
    "info reply 1",
    "info reply 2",
    "info reply 3",
    "station connect",
    "registered",
    "MQTT connected",
    "token published",
    "bind reply received",
    "bound",
)
MODES: Final = ("plain + dynreg", "plain + stored secret", "TLS + dynreg", "TLS + stored secret")

C_SDK: Final[Mapping[str, Sequence[float | None]]] = {
    "plain + dynreg": (0, 1, 2, 5.00, 7.10, 7.60, 8.60, 8.60, 15.60),
    "plain + stored secret": (0, 1, 2, 5.00, None, 5.10, 6.10, 6.10, 13.10),
    "TLS + dynreg": (0, 1, 2, 5.00, 7.20, 7.74, 8.75, 8.75, 15.75),
    "TLS + stored secret": (0, 1, 2, 5.00, None, 5.15, 6.16, 6.16, 13.17),
}
"""Its seconds, medians of 3; its TLS is TLS-PSK, ours is TLS with a CA."""


class Phone(asyncio.DatagramProtocol):
    """A socket that notes when the info replies arrive."""

    def __init__(self) -> None:
        self.replies: list[float] = []
        self.all_there = asyncio.Event()

    def datagram_received(self, data: bytes, addr: object) -> None:  # noqa: ARG002 - asyncio's signature
        """Note an info reply."""
        if b'"productId"' in data:
            self.replies.append(asyncio.get_running_loop().time())
            if len(self.replies) == 3:  # noqa: PLR2004 - the copies of contract section 4
                self.all_there.set()


@attrs.define
class Marks:
    """Loop times of one run's steps, the first of each name."""

    times: dict[str, float] = attrs.field(factory=dict)

    def mark(self, name: str) -> None:
        """It happened now."""
        self.times.setdefault(name, asyncio.get_running_loop().time())

    def record(self, record: Record) -> None:
        """What the cloud sees."""
        if record.kind is Kind.PUBLISH and record.text.startswith("$thing/up/service/"):
            self.mark("token published")


_EVENTS: Final = {
    (Step.JOINING, Outcome.OK): "station connect",
    (Step.REGISTERING, Outcome.OK): "registered",
    (Step.CONNECTING, Outcome.OK): "MQTT connected",
    (Step.BINDING, Outcome.OK): "bind reply received",
}


async def run_once(mode: str, tls_dir: Path) -> dict[str, float]:
    """One run; seconds after the first packet by step."""
    stored, tls = "stored" in mode, "TLS" in mode
    marks, loop = Marks(), asyncio.get_running_loop()
    identity: dict[str, object] = {
        "productId": PRODUCT_ID,
        "deviceName": DEVICE_NAME,
        "productSecret": PRODUCT_SECRET,
    }
    if stored:
        identity |= {"key_deviceinfo": {"deviceSecret": DEVICE_SECRET}}
    info = DeviceInfo(
        PRODUCT_ID,
        DEVICE_NAME,
        product_secret=Secret(PRODUCT_SECRET),
        device_secret=Secret(DEVICE_SECRET) if stored else None,
    )
    settings = Settings(udp_host="127.0.0.1", udp_port=0)
    async with LocalCloud([identity], tls_dir=tls_dir if tls else None, on_record=marks.record) as cloud:
        options = CloudOptions(cloud.http_url, cloud.mqtt_url)
        if tls:
            options = CloudOptions(cloud.https_url, cloud.mqtts_url, cloud.ca_file)
        async with WifiConfig(info, hal="mock", cloud=options, settings=settings) as wifi:
            await wifi.start("soft_ap")
            port = next(int(each.detail["port"]) for each in wifi.history if "port" in each.detail)
            transport, phone = await loop.create_datagram_endpoint(Phone, remote_addr=("127.0.0.1", port))
            try:
                watching = asyncio.create_task(_watch(wifi, marks))
                token = cloud.registry.create_token().text()
                message = {"cmdType": 1, "ssid": "home", "password": "home-password", "token": token}
                first = loop.time()
                transport.sendto(json.dumps(message).encode())
                result = await wifi.wait()
                marks.mark("bound")
                assert result.successful, result.failure
                await phone.all_there.wait()
                await watching
            finally:
                transport.close()
    for number, when in enumerate(phone.replies[:3], 1):
        marks.times[f"info reply {number}"] = when
    if stored:
        del marks.times["registered"]  # there is nothing to register
    return {step: marks.times[step] - first for step in STEPS if step in marks.times}


async def _watch(wifi: WifiConfig, marks: Marks) -> None:
    async for event in wifi.events():
        if name := _EVENTS.get((event.step, event.outcome)):
            marks.mark(name)
        if event.step in (Step.BOUND, Step.FAILED):
            return


async def measure(runs: int) -> dict[str, dict[str, list[float]]]:
    """Seconds of every run by mode and step; one run before them warms up and is not counted."""
    found: dict[str, dict[str, list[float]]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for mode in MODES:
            columns = found[mode] = {step: [] for step in STEPS}
            await run_once(mode, Path(folder))
            for _ in range(runs):
                for step, seconds in (await run_once(mode, Path(folder))).items():
                    columns[step].append(seconds)
    return found


def percentile_95(values: Sequence[float]) -> float:
    """The value that 95 of 100 do not exceed (nearest rank)."""
    ordered = sorted(values)
    return ordered[max(0, -(-95 * len(ordered) // 100) - 1)]


def summary(found: Mapping[str, Mapping[str, Sequence[float]]]) -> dict[str, list[dict[str, object]]]:
    """Median, 95th percentile and the C SDK's figure of each mode and step."""
    return {
        mode: [
            {
                "step": step,
                "median": round(statistics.median(values), 4) if (values := columns[step]) else None,
                "p95": round(percentile_95(values), 4) if values else None,
                "c_sdk": C_SDK[mode][index],
            }
            for index, step in enumerate(STEPS)
        ]
        for mode, columns in found.items()
    }


def show(result: Mapping[str, Sequence[Mapping[str, object]]]) -> None:
    """The summary as tables."""
    for mode, rows in result.items():
        print(f"{mode}\n{'step':<20}  {'median s':>9}  {'95 % s':>9}  {'C SDK s':>9}")
        for row in rows:
            cells = [
                f"{value:>9.3f}" if isinstance(value, int | float) else f"{'-':>9}"
                for value in (row["median"], row["p95"], row["c_sdk"])
            ]
            print(f"{row['step']:<20}  {'  '.join(cells)}")
        print()


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--runs", type=int, default=20, metavar="N", help="per mode (default: %(default)s)")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    arguments = parser.parse_args()
    if arguments.runs < 1:
        parser.error("--runs has to be at least 1")
    result = summary(asyncio.run(measure(arguments.runs)))
    if arguments.json:
        host = {"python": platform.python_version(), "machine": platform.machine()}
        print(json.dumps({"runs": arguments.runs, **host, "modes": result}))
    else:
        show(result)
    return 0


if __name__ == "__main__":
    sys.exit(main())
