"""thing.network over Bluetooth, the whole way: the phone says which broker and who the owner is."""

from __future__ import annotations

import asyncio
import secrets
import time

from qiot.hal.contract import Wifi
from qiot.model import Credentials, Outcome, Reason, Secret, Step
from qiot.protocols.ble.thing_phone import ThingPhone
from qiot.testbed.ble_link import CodecRunner, Wanted
from tests.end_to_end.ble import ble_phone
from tests.end_to_end.support import HOME, PASSWORD, PATIENCE, end_of, mock
from tests.end_to_end.test_rlink import ENTRY, INFO, SECRET, UUID, owner

BID = "1740300523660267520"


def thing_phone(cloud, *passwords, **options):
    host, _, port = cloud.mqtt_url.removeprefix("mqtt://").partition(":")
    given = {
        "bid": Secret(BID),
        "user_id": "us1",
        "mq": host,
        "port": int(port),
        "tz": "Asia/Kolkata",
        "country": "IN",
        "uuid": UUID,
        "secret": Secret(SECRET),
    }
    return ThingPhone(
        random=secrets.token_bytes,
        wall=time.time,
        credentials=[Credentials(HOME.encode(), Secret(each)) for each in passwords],
        **given | options,
    )


async def provision(phone, codec, learned):
    runner = CodecRunner(phone.central, codec, method="thing", notify=["2b10"], on_learned=learned.append)
    await runner.connect(Wanted(service="a101"))
    return await runner.run()


async def test_a_phone_binds_the_device(cloud, device):
    here = await cloud([ENTRY])
    platform = mock()
    wifi = device(hal=platform, info=INFO)
    await wifi.start("thing")
    learned = []
    async with asyncio.timeout(PATIENCE), ble_phone(platform) as phone:
        last = await provision(phone, thing_phone(here, PASSWORD), learned)
        assert last.failure is None, learned
        assert last.what == "online", learned
    assert (await end_of(wifi)).step is Step.BOUND
    assert owner(here) is not None
    assert (await platform.port(Wifi).status()).saved == HOME.encode()


async def test_a_list_first_and_a_wrong_password(cloud, device):
    here = await cloud([ENTRY])
    platform = mock()
    wifi = device(hal=platform, info=INFO)
    await wifi.start("thing")
    learned = []
    async with asyncio.timeout(PATIENCE), ble_phone(platform) as phone:
        codec = thing_phone(here, "not-the-password", PASSWORD, scan=True)
        last = await provision(phone, codec, learned)
        assert (last.what, last.failure) == ("online", None), learned
    assert [[each.ssid for each in item.networks] for item in learned if item.networks] == [[b"Home", b"Old"]]
    failed = [event.failure.reason for event in wifi.history if event.outcome is Outcome.FAILED]
    assert failed == [Reason.WRONG_PASSWORD]
    assert (await end_of(wifi)).step is Step.BOUND
