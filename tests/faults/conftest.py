"""One provisioning against a local cloud that does something wrong, and a look at what is left afterwards."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import attrs
import pytest

from qiot.api import SessionResult, Settings, WifiConfig
from qiot.cloud.tencent.binder import Clock, TencentBinder
from qiot.cloud.transport import HostTransport
from qiot.device_info import DeviceInfo
from qiot.model import Outcome, Secret
from qiot.testbed.cloud import DEMO_DEVICE_NAME, DEMO_PRODUCT_ID, DEMO_PRODUCT_SECRET, LocalCloud
from tests.faults.phone import RawPhone

IDENTITY = DeviceInfo(DEMO_PRODUCT_ID, DEMO_DEVICE_NAME, product_secret=Secret(DEMO_PRODUCT_SECRET))
DEVICE = {
    "productId": DEMO_PRODUCT_ID,
    "deviceName": DEMO_DEVICE_NAME,
    "productSecret": DEMO_PRODUCT_SECRET,
}


@attrs.define
class Bench:
    """A device and a phone; each test brings the cloud, or what stands in its place."""

    stack: AsyncExitStack
    tls_dir: Path
    wifi: WifiConfig | None = None

    async def cloud(self, mode: Mapping[str, Any] | None = None, *, tls: bool = False) -> LocalCloud:
        # The limit of one connection per 5 s is the cloud's own and is tested with the cloud.
        cloud = LocalCloud(
            [DEVICE], mode=mode or {}, tls_dir=self.tls_dir if tls else None, connect_interval=0
        )
        return await self.stack.enter_async_context(cloud)

    async def device(
        self,
        dynreg_url: str,
        mqtt_url: str,
        *,
        identity: DeviceInfo = IDENTITY,
        ca_file: Path | None = None,
        connect: float = 10.0,
        request: float = 10.0,
        reply: float = 10.0,
        **settings: Any,
    ) -> tuple[WifiConfig, int]:
        """A device that listens on the port that is given back; times in seconds."""

        async def at_once(_: float) -> None:
            await asyncio.sleep(0)

        binder = TencentBinder(
            identity,
            HostTransport(),
            dynreg_url=dynreg_url,
            mqtt_url=mqtt_url,
            ca_file=ca_file,
            connect_timeout=connect,
            request_timeout=request,
            reply_timeout=reply,
            clock=Clock(sleep=at_once),
        )
        options = {"timeout": 30.0, "tries": 2, "back_off": 0.01, "retry_window": 0.02, "grace": 0.0}
        wifi = WifiConfig(
            identity,
            hal="mock,ap_sta=yes",  # the access point stays, so that no join waits for repeated answers
            settings=Settings(udp_host="127.0.0.1", udp_port=0, **(options | settings)),
            binder=binder,
        )
        self.wifi = await self.stack.enter_async_context(wifi)
        await wifi.start("soft_ap")
        return wifi, next(int(each.detail["port"]) for each in wifi.history if "port" in each.detail)

    async def provision(
        self, dynreg_url: str, mqtt_url: str, token: str, **options: Any
    ) -> tuple[SessionResult, list[tuple[str, int, int]]]:
        """Send one phone's credentials; gives the result and every error that the phone was told."""
        wifi, port = await self.device(dynreg_url, mqtt_url, **options)
        async with RawPhone(port) as phone:
            phone.send_join(token)
            async with asyncio.timeout(25):
                result = await wifi.wait()
            if not result.successful:
                await phone.until(lambda each: bool(each.errors))
            else:
                await phone.until(lambda each: bool(each.infos))
            return result, phone.errors

    @property
    def retries(self) -> int:
        """How many tries were made again in the run."""
        assert self.wifi is not None
        return sum(event.outcome is Outcome.RETRY for event in self.wifi.history)


@pytest.fixture(scope="session")
def tls_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("certificates")


def _sockets() -> set[str]:
    found = set()
    for descriptor in Path("/proc/self/fd").iterdir():
        try:
            target = str(descriptor.readlink())
        except FileNotFoundError:  # the one that lists the folder
            continue
        if target.startswith("socket:"):
            found.add(target)
    return found


def _threads() -> set[threading.Thread]:
    """Every thread but asyncio's own pool, which waits for work until the loop ends."""
    return {each for each in threading.enumerate() if not each.name.startswith("asyncio_")}


@pytest.fixture
async def bench(tls_dir: Path, silent_log: None) -> AsyncIterator[Bench]:
    tasks, threads, sockets = asyncio.all_tasks(), _threads(), _sockets()
    async with AsyncExitStack() as stack:
        yield Bench(stack, tls_dir)
    assert asyncio.all_tasks() - tasks - {asyncio.current_task()} == set()
    assert _threads() - threads == set()
    assert _sockets() - sockets == set()


@pytest.fixture
def make_token() -> Callable[[LocalCloud], str]:
    """A token as the application's API hands it out, without the way there."""
    return lambda cloud: cloud.registry.create_token().text()
