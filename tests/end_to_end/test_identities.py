"""Every form of device_info.json, from the file to the bound device."""

from __future__ import annotations

import json
import shutil
import stat
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import attrs
import pytest

from qiot.api import CloudOptions, SessionResult, Settings, WifiConfig
from qiot.cloud.tencent.regions import REGIONS
from qiot.errors import CloudError, ConfigurationError
from qiot.hal.contract import Capabilities, HttpRequest, HttpResponse, MqttParameters, Platform, Transport
from qiot.hal.registry import open_platform
from qiot.model import CloudLink, Reason, Step
from qiot.testbed.cloud import LocalCloud
from qiot.testbed.cloud.journal import Kind
from tests.faults.phone import RawPhone

KEY: dict[str, Any] = {
    "auth_mode": "KEY",
    "productId": "L4WG9V9M2M",
    "productSecret": "XoezQjzzMedF4lAr2CqCkVYK",
    "deviceName": "TEST2",
    "region": "china",
    "key_deviceinfo": {"deviceSecret": "YOUR_IOT_PSK"},
}
SECRET = {"deviceSecret": "MLvMHde65nKPk0Lx+ZThaA=="}
SETTINGS = Settings(udp_host="127.0.0.1", udp_port=0, timeout=30, tries=1, retry_window=0.02, grace=0)
HAL = "mock,ap_sta=yes"


@attrs.frozen
class Bench:
    """A folder with an identity, and a cloud that knows the device."""

    folder: Path
    stack: AsyncExitStack

    @property
    def file(self) -> Path:
        return self.folder / "device_info.json"

    async def cloud(self, identity: dict[str, Any], *, tls: bool = False) -> LocalCloud:
        tls_dir = self.folder / "cloud" if tls else None
        return await self.stack.enter_async_context(
            LocalCloud([identity], tls_dir=tls_dir, connect_interval=0)
        )

    def write(self, identity: dict[str, Any]) -> Path:
        self.file.write_text(json.dumps(identity, indent=1))
        return self.file

    async def bind(
        self, cloud: LocalCloud, options: CloudOptions | None = None, **more: Any
    ) -> SessionResult:
        async with WifiConfig(self.file, hal=HAL, cloud=options, settings=SETTINGS, **more) as wifi:
            await wifi.start("soft_ap")
            port = next(int(each.detail["port"]) for each in wifi.history if "port" in each.detail)
            async with RawPhone(port) as phone:
                phone.send_join(cloud.registry.create_token().text())
                return await wifi.wait()

    def saved(self) -> dict[str, Any]:
        return json.loads(self.file.read_text())


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    async with AsyncExitStack() as stack:
        yield Bench(tmp_path, stack)


def plain(cloud: LocalCloud) -> CloudOptions:
    return CloudOptions(cloud.http_url, cloud.mqtt_url)


def logins(cloud: LocalCloud) -> list[str]:
    return [record.text for record in cloud.records if record.kind is Kind.CONNECT]


def registrations(cloud: LocalCloud) -> int:
    return sum(record.kind is Kind.DYNREG for record in cloud.records)


# --- KEY --------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["placeholder", "empty", "missing"])
async def test_a_key_device_without_secret_registers_once(bench, form):
    block = {"placeholder": {"deviceSecret": "YOUR_IOT_PSK"}, "empty": {"deviceSecret": ""}, "missing": {}}[
        form
    ]
    cloud = await bench.cloud(KEY)
    bench.write(KEY | {"key_deviceinfo": block})
    assert (await bench.bind(cloud, plain(cloud))).step is Step.BOUND
    assert (await bench.bind(cloud, plain(cloud))).step is Step.BOUND
    assert registrations(cloud) == 1
    assert stat.S_IMODE(bench.file.stat().st_mode) == 0o600
    assert list(bench.saved()) == list(KEY)


async def test_a_key_device_with_its_secret_leaves_its_file_alone(bench):
    identity = KEY | {"key_deviceinfo": SECRET}
    cloud = await bench.cloud(identity)
    before = bench.write(identity).read_bytes()
    assert (await bench.bind(cloud, plain(cloud))).step is Step.BOUND
    assert registrations(cloud) == 0
    assert bench.file.read_bytes() == before


async def test_a_file_without_auth_mode_is_a_key_device(bench):
    identity = {name: value for name, value in KEY.items() if name != "auth_mode"}
    cloud = await bench.cloud(KEY)
    bench.write(identity)
    assert (await bench.bind(cloud, plain(cloud))).step is Step.BOUND
    assert logins(cloud) == ["hmacsha1"]


# --- CERT, and who decides --------------------------------------------------------------


async def test_a_certificate_device_registers_once_and_finds_its_files_again(bench):
    identity = KEY | {"auth_mode": "CERT"}
    cloud = await bench.cloud(identity, tls=True)
    bench.write(identity)
    options = CloudOptions(cloud.https_url, cloud.mqtts_url, cloud.ca_file)
    assert (await bench.bind(cloud, options)).step is Step.BOUND
    names = bench.saved()["cert_deviceinfo"]
    assert names == {"devCertFile": "TEST2_cert.crt", "devPrivateKeyFile": "TEST2_private.key"}
    assert stat.S_IMODE((bench.folder / "certs" / "TEST2_private.key").stat().st_mode) == 0o600
    assert (await bench.bind(cloud, options)).step is Step.BOUND
    assert registrations(cloud) == 1
    assert logins(cloud) == ["certificate", "certificate"]


@pytest.mark.parametrize(("mode", "login"), [("KEY", "hmacsha1"), ("CERT", "certificate")])
async def test_auth_mode_decides_where_a_file_has_both(bench, mode, login):
    identity = KEY | {"auth_mode": mode}
    cloud = await bench.cloud(identity | {"key_deviceinfo": SECRET}, tls=True)
    certificate, key = cloud._authority.issue("L4WG9V9M2MTEST2")
    (bench.folder / "own.crt").write_text(certificate)
    (bench.folder / "own.key").write_text(key)
    files = {"devCertFile": "own.crt", "devPrivateKeyFile": "own.key"}
    bench.write(identity | {"key_deviceinfo": SECRET, "cert_deviceinfo": files})
    options = CloudOptions(cloud.https_url, cloud.mqtts_url, cloud.ca_file)
    assert (await bench.bind(cloud, options)).step is Step.BOUND
    assert logins(cloud) == [login]
    assert registrations(cloud) == 0


async def test_a_certificate_device_needs_tls(bench):
    bench.write(KEY | {"auth_mode": "CERT"})
    options = CloudOptions("http://127.0.0.1", "mqtt://127.0.0.1")
    async with WifiConfig(bench.file, hal=HAL, cloud=options, settings=SETTINGS) as wifi:
        with pytest.raises(ConfigurationError, match="CERT needs TLS") as caught:
            await wifi.start("soft_ap")
    assert "mqtts://" in caught.value.hint


# --- endpoints, region, gateway ---------------------------------------------------------


@pytest.mark.parametrize("relative", [True, False], ids=["relative", "absolute"])
async def test_the_file_says_where_the_cloud_is(bench, relative):
    cloud = await bench.cloud(KEY, tls=True)
    folder = bench.folder / "trust"
    folder.mkdir()
    shutil.copy(cloud.ca_file, folder / "ca.crt")
    ca_file = "trust/ca.crt" if relative else str(folder / "ca.crt")
    endpoints = {"dynreg": cloud.https_url, "mqtt": cloud.mqtts_url, "ca_file": ca_file}
    bench.write(KEY | {"endpoints": endpoints})
    assert (await bench.bind(cloud)).step is Step.BOUND
    assert bench.saved()["endpoints"] == endpoints


async def test_the_program_overrules_the_file(bench):
    cloud = await bench.cloud(KEY)
    bench.write(KEY | {"endpoints": {"dynreg": "http://127.0.0.1:1", "mqtt": "mqtt://127.0.0.1:1"}})
    assert (await bench.bind(cloud, plain(cloud))).step is Step.BOUND


class _Nowhere(Transport):
    """Notes where a device wants to go, and does not let it."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    async def request(self, request: HttpRequest) -> HttpResponse:
        self.asked.append(request.url)
        raise CloudError("no way", reason=Reason.TCP)

    async def mqtt(self, parameters: MqttParameters) -> CloudLink:
        self.asked.append(f"{parameters.host}:{parameters.port}")
        raise CloudError("no way", reason=Reason.TCP)


class _Elsewhere(Platform):
    """The mock, with a modem's own way to the internet."""

    def __init__(self, transport: Transport) -> None:
        self._mock = open_platform(HAL)
        self._transport = transport

    async def capabilities(self) -> Capabilities:
        return await self._mock.capabilities()

    def port(self, kind: type[Any]) -> Any:
        return self._transport if kind is Transport else self._mock.port(kind)

    async def close(self) -> None:
        await self._mock.close()


@pytest.mark.parametrize("region", [*REGIONS, "atlantis", None])
async def test_the_region_says_where_the_cloud_is(bench, region):
    """An unknown region is China, as with the C SDK (contract section 1)."""
    where = REGIONS.get(region or "", REGIONS["china"])
    for stored, expected in (
        ({}, f"https://{where.dynreg_host}/register/dev"),
        (SECRET, f"L4WG9V9M2M.{where.mqtt_domain}:8883"),
    ):
        identity = KEY | {"key_deviceinfo": stored, "region": region}
        bench.write({name: value for name, value in identity.items() if value is not None})
        transport = _Nowhere()
        platform = _Elsewhere(transport)
        async with WifiConfig(bench.file, hal=platform, settings=SETTINGS) as wifi:
            await wifi.start("soft_ap")
            port = next(int(each.detail["port"]) for each in wifi.history if "port" in each.detail)
            async with RawPhone(port) as phone:
                phone.send_join("0123456789abcdef0123456789abcdef")
                assert (await wifi.wait()).failure.reason is Reason.TCP
        await platform.close()
        assert [each.lower() for each in transport.asked] == [expected.lower()]  # as names are in DNS


async def test_a_gateway_keeps_its_sub_devices(bench):
    sub_devices = {
        "subdev_num": 2,
        "subdev_list": [
            {"sub_productId": "YZQ4E5A0PT", "sub_devName": "sub1", "place": "roof"},
            {"sub_productId": "YZQ4E5A0PT", "sub_devName": "sub2"},
        ],
    }
    identity = KEY | {"subDev": sub_devices}
    cloud = await bench.cloud(identity)
    bench.write(identity)
    assert (await bench.bind(cloud, plain(cloud))).step is Step.BOUND
    assert registrations(cloud) == 1
    assert bench.saved()["subDev"] == sub_devices
