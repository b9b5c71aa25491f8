"""rlink, the whole way: a listener that hears a phone, a join in the mock's air, and the local cloud."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from typing import Any

import attrs
import pytest

from qiot.blocking import BlockingWifiConfig
from qiot.cloud.binder import Clock
from qiot.cloud.rlink.binder import RlinkBinder
from qiot.cloud.transport import HostTransport
from qiot.device_info import Cloud, DeviceInfo, load_device_info
from qiot.hal.contract import (
    BtCombo,
    Capabilities,
    Combination,
    ListenContext,
    Listener,
    Platform,
    PortT,
    Role,
    Slot,
    Storage,
    Wifi,
)
from qiot.model import Credentials, Event, Grant, Offer, Outcome, Peer, Reason, Secret, Step
from qiot.protocols.base import Answer, Ask, Heard, News
from qiot.testbed.cloud import LocalCloud
from qiot.testbed.cloud.journal import Kind
from tests.end_to_end.support import HOME, PASSWORD, PATIENCE, end_of, mock, until

PID = "fFMes8kzaLRHMy"
UUID = "rn01b55A74fa0c16"
SECRET = "bd2625eb1fa0499ea60aadd09ae0a184"
ENTRY: dict[str, Any] = {
    "cloud": "rlink",
    "productId": PID,
    "deviceName": UUID,
    "productSecret": "the product's",
    "key_deviceinfo": {"deviceSecret": SECRET},
}
INFO = DeviceInfo(PID, UUID, device_secret=Secret(SECRET), cloud=Cloud.RLINK)
PHONE = Peer("bt_combo", "aa:bb:cc:dd:ee:ff", link=1)
OWNER = {"bid": "1740300523660267520", "userId": "us1", "tz": "Asia/Kolkata", "country": "IN"}


class Bluetooth(Listener):
    """Hears what a test says, keeps what it was told."""

    def __init__(self) -> None:
        self.heard: asyncio.Queue[Heard] = asyncio.Queue()
        self.told: list[News] = []
        self.context: ListenContext | None = None
        self.changed = asyncio.Event()

    async def start(self, context: ListenContext) -> None:
        self.context = context

    async def read(self) -> Sequence[Heard]:
        return [await self.heard.get()]

    async def tell(self, news: News) -> None:
        self.told.append(news)
        self.changed.set()

    async def stop(self) -> None:
        return

    async def answer(self, what: str) -> Answer:
        async with asyncio.timeout(PATIENCE):
            while True:
                for news in self.told:
                    if isinstance(news, Answer) and news.what == what:
                        return news
                self.changed.clear()
                await self.changed.wait()


class Device(Platform):
    """The mock's station and storage, with a Bluetooth method of the test's own."""

    def __init__(self, **options: str) -> None:
        self._mock = mock(**options)
        self.ble = Bluetooth()

    async def capabilities(self) -> Capabilities:
        return Capabilities((Combination(frozenset({Role.STATION, Role.BLE})),))

    def port(self, kind: type[PortT]) -> PortT:
        if kind is BtCombo:
            return self.ble  # type: ignore[return-value]
        return self._mock.port(kind)

    async def close(self) -> None:
        await self._mock.close()


def place(cloud: LocalCloud) -> str:
    return cloud.mqtt_url.removeprefix("mqtt://")


def says(endpoint: str, password: str = PASSWORD, peer: Peer = PHONE, **changes: str) -> Offer:
    grant = Grant("rlink", Secret(OWNER["bid"]), endpoint=endpoint, params=OWNER | changes)
    return Offer(peer, Credentials(HOME.encode(), Secret(password)), grant)


async def started(make, platform: Device, **more: Any):
    wifi = make(hal=platform, **({"info": INFO, "retry_window": 0.05} | more))
    await wifi.start("bt_combo")
    return wifi


def owner(cloud: LocalCloud, uuid: str = UUID):
    return cloud.registry.rlink.unit(uuid).owner


@pytest.fixture
def platform() -> Device:
    return Device()


async def test_credentials_join_connect_where_the_phone_says_bind(cloud, device, platform, written):
    clouds = await cloud([ENTRY])
    wifi = await started(device, platform)
    assert platform.ble.context.secret == Secret(SECRET)
    platform.ble.heard.put_nowait(says(place(clouds)))
    result = await end_of(wifi)
    assert result.step is Step.BOUND
    assert (result.params["tz"], result.params["country"]) == ("Asia/Kolkata", "IN")
    assert owner(clouds) == ("us1", OWNER["bid"])
    await clouds.wait_for(lambda record: record.text.endswith("/report") and "info" in str(record.detail))
    steps = [(each.step, each.outcome) for each in platform.ble.told if isinstance(each, Event)]
    way = (Step.JOINING, Step.CONNECTING, Step.BINDING, Step.BOUND)
    assert [step for step, outcome in steps if outcome is Outcome.OK and step in way] == list(way)
    binding = await until(wifi, Step.BINDING, Outcome.OK)
    (bind,) = [
        each.detail["payload"]
        for each in clouds.records
        if each.kind is Kind.PUBLISH and "assetId" in str(each)
    ]
    assert binding.detail["msg_id"] == bind["id"]
    assert bind["data"]["version"] == "1.0.0"
    assert result.link.connected
    for secret in (SECRET, PASSWORD):
        assert secret not in written.getvalue()


async def test_a_wrong_password_then_the_right_one_on_the_same_link(cloud, device, platform):
    clouds = await cloud([ENTRY])
    wifi = await started(device, platform)
    platform.ble.heard.put_nowait(says(place(clouds), "wrong-password"))
    failed = await until(wifi, Step.JOINING, Outcome.FAILED)
    assert (failed.peer, failed.failure.reason) == (PHONE, Reason.WRONG_PASSWORD)
    platform.ble.heard.put_nowait(says(place(clouds)))
    assert (await end_of(wifi)).step is Step.BOUND
    assert failed in platform.ble.told


async def test_no_broker(device, platform):
    wifi = await started(device, platform, tries=2)
    platform.ble.heard.put_nowait(says("127.0.0.1:1"))
    result = await end_of(wifi)
    assert (result.failure.step, result.failure.reason) == (Step.CONNECTING, Reason.TCP)
    assert (await platform.port(Wifi).status()).ssid is None, "the join is undone"


@pytest.mark.parametrize("endpoint", [None, "no place!"])
async def test_no_place_of_a_broker(device, platform, endpoint):
    wifi = await started(device, platform)
    platform.ble.heard.put_nowait(says(endpoint))
    result = await end_of(wifi)
    assert result.failure.step is Step.CONNECTING
    assert result.failure.reason is (Reason.BAD_FIELD if endpoint else Reason.CONFIGURATION)
    assert not [each for each in wifi.history if each.outcome is Outcome.RETRY]


async def test_a_secret_that_the_cloud_does_not_know(cloud, device, platform):
    clouds = await cloud([ENTRY])
    wifi = await started(device, platform, info=attrs.evolve(INFO, device_secret=Secret("0" * 32)))
    platform.ble.heard.put_nowait(says(place(clouds)))
    result = await end_of(wifi)
    assert (result.failure.step, result.failure.reason, result.failure.code) == (
        Step.CONNECTING,
        Reason.MQTT_REFUSED,
        5,
    )


async def test_a_refused_bind_and_another_phone(cloud, device, platform):
    clouds = await cloud([ENTRY | {"bindMode": 1}])
    clouds.registry.rlink.unit(UUID).owner = ("us1", OWNER["bid"])
    wifi = await started(device, platform, retry_window=5.0)
    platform.ble.heard.put_nowait(says(place(clouds), userId="us2"))
    failed = await until(wifi, Step.BINDING, Outcome.FAILED)
    assert (failed.failure.reason, failed.failure.code) == (Reason.TOKEN_REFUSED, 17032)
    assert "bound" in failed.failure.text
    assert "nbind" in failed.failure.hint
    assert await platform.port(Storage).load(Slot.BOUND) is None
    platform.ble.heard.put_nowait(says(place(clouds)))
    assert (await end_of(wifi)).step is Step.BOUND


async def test_bound_again_by_another_owner(cloud, device, platform):
    clouds = await cloud([ENTRY])
    for user in ("us1", "us2"):
        wifi = await started(device, platform)
        assert platform.ble.context.bound is (user == "us2")
        platform.ble.heard.put_nowait(says(place(clouds), userId=user))
        assert (await end_of(wifi)).step is Step.BOUND
        assert owner(clouds) == (user, OWNER["bid"])
        await wifi.aclose()


async def test_a_lost_reply_is_asked_for_again(cloud, device, platform):
    clouds = await cloud([ENTRY], mode={"bind_reply": {"do": "drop", "times": 2}})
    binder = RlinkBinder(INFO, HostTransport(), reply_timeout=0.05, clock=Clock())
    wifi = await started(device, platform, binder=binder)
    platform.ble.heard.put_nowait(says(place(clouds)))
    assert (await end_of(wifi)).step is Step.BOUND
    assert sum(record.kind is Kind.BIND for record in clouds.records) == 3


async def test_a_connection_lost_in_the_bind_is_opened_again_with_the_same_grant(cloud, device, platform):
    clouds = await cloud([ENTRY], mode={"bind_reply": {"do": "refuse", "times": 1}})
    wifi = await started(device, platform)
    platform.ble.heard.put_nowait(says(place(clouds)))
    assert (await end_of(wifi)).step is Step.BOUND
    assert sum(record.kind is Kind.CONNECT and record.code == 0 for record in clouds.records) == 2


async def test_dynamic_registration_at_the_phones_broker(cloud, device, platform, identity_file):
    new = {key: value for key, value in ENTRY.items() if key != "key_deviceinfo"} | {"deviceName": "unit-7"}
    path = identity_file(new)
    clouds = await cloud([new])
    wifi = await started(device, platform, info=path)
    platform.ble.heard.put_nowait(says(place(clouds)))
    assert (await end_of(wifi)).step is Step.BOUND
    saved = load_device_info(path)
    unit = clouds.registry.rlink.unit(saved.device_name)
    assert saved.device_secret == unit.secret
    assert unit.owner == ("us1", OWNER["bid"])
    assert json.loads(path.read_text())["cloud"] == "rlink"
    assert await wifi.provisioned()


async def test_after_a_reboot_it_is_back_where_the_phone_had_said(cloud, device, platform):
    clouds = await cloud([ENTRY])
    wifi = await started(device, platform)
    platform.ble.heard.put_nowait(says(place(clouds)))
    assert (await end_of(wifi)).step is Step.BOUND
    await wifi.aclose()
    again = device(hal=platform, info=INFO)
    assert await again.provisioned()
    await again.start("bt_combo", resume=True)
    result = await end_of(again)
    assert (result.step, result.method) == (Step.BOUND, "resume")
    assert result.params == OWNER
    assert clouds.registry.rlink.unit(UUID).info == {"bindStatus": 1, "version": "1.0.0"}


async def test_unbound_over_bluetooth_the_cloud_hears_of_it(cloud, device, platform):
    clouds = await cloud([ENTRY])
    wifi = await started(device, platform, grace=5.0)
    platform.ble.heard.put_nowait(says(place(clouds)))
    assert (await end_of(wifi)).step is Step.BOUND
    platform.ble.heard.put_nowait(Ask("reset", PHONE))
    assert (await platform.ble.answer("reset")).failure is None
    await clouds.wait_for(lambda record: record.kind is Kind.BIND and record.text == "unbound")
    assert owner(clouds) is None
    assert not await wifi.provisioned()
    assert (await platform.port(Wifi).status()).saved is None


async def test_a_token_of_another_cloud_is_refused_by_name(cloud, device, platform):
    clouds = await cloud([ENTRY])
    wifi = await started(device, platform)
    offer = says(place(clouds))
    platform.ble.heard.put_nowait(attrs.evolve(offer, grant=attrs.evolve(offer.grant, cloud="tencent")))
    result = await end_of(wifi)
    assert (result.failure.step, result.failure.reason) == (Step.BINDING, Reason.TOKEN_REFUSED)


def test_the_blocking_face_hands_on_what_methods_and_clouds_are_told(tmp_path):
    with BlockingWifiConfig(
        INFO, version="2.1", options={"style": "sentino"}, keys={"pin": Secret("1")}
    ) as made:
        assert (made._config._version, made._config._options) == ("2.1", {"style": "sentino"})
        assert made._config._keys == {"pin": Secret("1")}
