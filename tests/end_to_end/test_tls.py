"""The whole way over TLS: registration and MQTT with the private CA of a local cloud.

Client certificates are in test_identities.py, TLS-PSK against mosquitto in tests/cloud.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import attrs
import pytest

from qiot.api import CloudOptions, Settings, WifiConfig
from qiot.device_info import DeviceInfo
from qiot.model import Reason, Secret, Step
from qiot.testbed.cloud import DEMO_DEVICE_NAME, DEMO_PRODUCT_ID, DEMO_PRODUCT_SECRET, LocalCloud
from qiot.testbed.cloud.journal import Kind
from qiot.testbed.phone import SoftApPhone
from tests.faults.phone import PASSWORD, SSID, RawPhone

IDENTITY = DeviceInfo(DEMO_PRODUCT_ID, DEMO_DEVICE_NAME, product_secret=Secret(DEMO_PRODUCT_SECRET))
SETTINGS = Settings(udp_host="127.0.0.1", udp_port=0, timeout=30, tries=1, retry_window=0.02, grace=0)


@pytest.fixture(scope="module")
def tls_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tls")


@pytest.fixture
async def cloud(tls_dir: Path) -> AsyncIterator[LocalCloud]:
    async with LocalCloud(tls_dir=tls_dir, connect_interval=0) as started:
        yield started


def over_tls(cloud: LocalCloud, **options: object) -> CloudOptions:
    return attrs.evolve(CloudOptions(cloud.https_url, cloud.mqtts_url, cloud.ca_file), **options)


async def _port(wifi: WifiConfig) -> int:
    await wifi.start("soft_ap")
    return next(int(each.detail["port"]) for each in wifi.history if "port" in each.detail)


@pytest.mark.parametrize("hmac", ["hmacsha1", "hmacsha256"])
@pytest.mark.parametrize("newer", [False, True], ids=["register/dev", "device/register"])
async def test_key_device_bound_and_in_a_family(cloud, hmac, newer):
    options = over_tls(cloud, hmac=hmac, newer_registration=newer)
    async with WifiConfig(IDENTITY, hal="mock,ap_sta=yes", cloud=options, settings=SETTINGS) as wifi:
        port = await _port(wifi)
        app_url = f"{cloud.http_url}/app"
        phone = SoftApPhone("127.0.0.1", port, SSID, PASSWORD, app_url=app_url, poll_interval=0.05)
        assert (await phone.run()).bound
        assert (await wifi.wait()).step is Step.BOUND
        thing = wifi.thing()
        async with thing:
            await thing.report({"brightness": 7})
            assert await thing.get_status() == {"brightness": 7}
    (connect,) = [record for record in cloud.records if record.kind is Kind.CONNECT]
    assert (connect.code, connect.text, connect.detail["tls"]) == (0, hmac, True)
    assert cloud.registry.device(DEMO_PRODUCT_ID, DEMO_DEVICE_NAME).family == "default"


async def test_a_secret_never_goes_over_a_connection_that_is_not_trusted(cloud, tls_dir):
    """Without the CA file the handshake fails, and neither a request nor a login has reached the cloud."""
    options = over_tls(cloud, ca_file=None)
    for identity in (IDENTITY, attrs.evolve(IDENTITY, device_secret=Secret("MLvMHde65nKPk0Lx+ZThaA=="))):
        async with WifiConfig(identity, hal="mock,ap_sta=yes", cloud=options, settings=SETTINGS) as wifi:
            async with RawPhone(await _port(wifi)) as phone:
                phone.send_join(cloud.registry.create_token().text())
                failure = (await wifi.wait()).failure
                await phone.until(lambda each: bool(each.errors))
            assert failure.reason is Reason.TLS
            assert phone.errors == [("Current_Error", 1, -703)]
    assert {record.kind for record in cloud.records} <= {Kind.TLS}
