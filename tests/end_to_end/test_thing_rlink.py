"""thing.network's codec, a session, the mock's air and the local rlink cloud: the order of the seed."""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import Sequence
from typing import Any

import pytest

from qiot.hal.contract import ListenContext, Slot, Storage
from qiot.model import Peer, Step
from qiot.protocols.base import Connected, Heard, Lost, News, Output, Send
from qiot.protocols.ble.thing import NOTIFY_PORT, WRITE_PORT, ThingDevice
from qiot.protocols.ble.thing_frames import Assembler, frames
from tests.end_to_end.support import HOME, PASSWORD, PATIENCE, end_of
from tests.end_to_end.test_rlink import ENTRY, INFO, UUID, Bluetooth, Device, started

SET: dict[str, Any] = {
    "sid": HOME,
    "pw": PASSWORD,
    "bid": "1740300523660267520",
    "userId": "us1689940117281427456",
    "country": "US",
    "tz": "Asia/Kolkata",
    "force_bind": False,
}


class Link(Bluetooth):
    """The codec on a link in memory; the phone's side is the test's."""

    def __init__(self, style: str) -> None:
        super().__init__()
        self._style = style
        self._codec: ThingDevice | None = None
        self.peer = Peer("bt_combo", "aa:bb:cc:dd:ee:ff", link=1)
        self.said: list[dict[str, Any]] = []
        self._parts = Assembler()

    async def start(self, context: ListenContext) -> None:
        await super().start(context)
        if self._codec is None:
            self._codec = ThingDevice(
                product_id=context.product_id,
                uuid=context.device_name,
                secret=context.secret,
                version=context.version,
                bound=context.bound,
                style=self._style,  # type: ignore[arg-type]
                random=os.urandom,
                wall=time.time,
            )
            self._codec.feed("", Connected(), self.peer, 0)

    @property
    def codec(self) -> ThingDevice:
        assert self._codec is not None
        return self._codec

    def say(self, message: dict[str, Any]) -> None:
        for packet in frames(json.dumps(message).encode()):
            self._carry(self.codec.feed(WRITE_PORT, packet, self.peer, self._now()))

    def set(self, **changes: Any) -> None:
        self.say({"type": "thing.network.set", "msgId": "45lkj3551234001", "data": SET | changes})

    def reconnect(self) -> None:
        self.codec.feed("", Lost(), self.peer, self._now())
        self.peer = Peer(self.peer.method, self.peer.address, self.peer.link + 1)
        self.codec.feed("", Connected(), self.peer, self._now())
        self._parts = Assembler()

    async def tell(self, news: News) -> None:
        await super().tell(news)
        self._carry(self.codec.tell(news, self._now()))

    def _carry(self, outputs: Sequence[Output]) -> None:
        for output in outputs:
            if isinstance(output, Send):
                if output.to == self.peer and output.port == NOTIFY_PORT:
                    message = self._parts.feed(output.data)
                    if message is not None:
                        self.said.append(json.loads(message))
            elif isinstance(output, Heard):
                self.heard.put_nowait(output)

    def _now(self) -> float:
        return asyncio.get_running_loop().time()

    async def until(self, code: int, count: int = 1) -> None:
        async with asyncio.timeout(PATIENCE):
            while [each.get("code") for each in self.said].count(code) < count:  # noqa: ASYNC110 - a list
                await asyncio.sleep(0.005)


def order(link: Link) -> list[Any]:
    return [each.get("code", each.get("type")) for each in link.said]


def make(style: str = "protco") -> Device:
    platform = Device()
    platform.ble = Link(style)
    return platform


def at(cloud) -> dict[str, Any]:
    host, _, port = cloud.mqtt_url.removeprefix("mqtt://").partition(":")
    return {"mq": host, "port": int(port)}


async def test_the_order_of_the_seed(cloud, device):
    clouds = await cloud([ENTRY])
    platform = make()
    wifi = await started(device, platform)
    link = platform.ble
    link.set(**at(clouds))
    result = await end_of(wifi)
    assert result.step is Step.BOUND
    await link.until(1703)
    assert order(link) == [1701, 1006, 1801, "sys.event.trigger.response", 1703]
    trigger = link.said[3]
    assert trigger["msgId"].isdecimal()
    assert len(trigger["msgId"]) == len("1813440145827258368")
    assert result.params["tz"] == "Asia/Kolkata"
    assert clouds.registry.rlink.unit(UUID).owner == (SET["userId"], SET["bid"])
    link.say({"type": "device.information.get"})
    assert link.said[-1]["data"]["bind"] is True


async def test_the_other_dialect(cloud, device):
    clouds = await cloud([ENTRY])
    platform = make("sentino")
    wifi = await started(device, platform)
    platform.ble.set(**at(clouds))
    assert (await end_of(wifi)).step is Step.BOUND
    await platform.ble.until(1703)
    assert [code for code in order(platform.ble) if code in (0, 1006, 1801, 1703)] == [0, 1006, 1801, 1703]


async def test_a_wrong_password_told_again_to_an_echo_and_then_the_right_one(cloud, device):
    clouds = await cloud([ENTRY])
    platform = make()
    wifi = await started(device, platform)
    link = platform.ble
    link.set(**at(clouds), pw="wrong-password")
    await link.until(1007)
    link.set(**at(clouds), pw="wrong-password")
    await link.until(1007, 2)
    link.set(**at(clouds))
    assert (await end_of(wifi)).step is Step.BOUND
    await link.until(1703)
    assert order(link)[:4] == [1701, 1007, 1701, 1007]


@pytest.mark.parametrize(("fault", "code"), [({"connack": {"do": "code", "code": 5}}, 1702), ({}, 1802)])
async def test_the_cloud_says_no(cloud, device, fault, code):
    clouds = await cloud([ENTRY | {"bindMode": 1}], mode=fault)
    clouds.registry.rlink.unit(UUID).owner = ("somebody", "else")
    platform = make()
    wifi = await started(device, platform)
    platform.ble.set(**at(clouds))
    assert not (await end_of(wifi)).successful
    await platform.ble.until(code)


async def test_a_link_that_breaks_in_the_middle_is_told_on_the_new_one(cloud, device):
    clouds = await cloud([ENTRY], mode={"connack": {"do": "delay", "seconds": 0.05}})
    platform = make()
    wifi = await started(device, platform)
    link = platform.ble
    link.set(**at(clouds))
    await link.until(1006)
    link.reconnect()
    link.set(**at(clouds))
    assert (await end_of(wifi)).step is Step.BOUND
    await link.until(1703)
    assert sum(record.kind == "bind" for record in clouds.records) == 1


async def test_a_product_without_wifi(device):
    platform = make()
    wifi = await started(device, platform, grace=5.0)
    link = platform.ble
    link.say({"type": "thing.network.set", "data": {"ble": "bind", "force_bind": False}})
    assert (await end_of(wifi)).step is Step.BOUND
    await link.until(1801)
    assert await platform.port(Storage).load(Slot.BOUND) is not None
    link.say({"type": "thing.network.set", "data": {"ble": "unbind"}})
    await link.until(1803)
    assert await platform.port(Storage).load(Slot.BOUND) is None
    link.say({"type": "thing.network.set", "data": {"ble": "init"}})
    await link.until(1805)


async def test_an_owner_keeps_the_device(cloud, device):
    clouds = await cloud([ENTRY])
    platform = make()
    wifi = await started(device, platform)
    platform.ble.set(**at(clouds))
    assert (await end_of(wifi)).step is Step.BOUND
    await wifi.aclose()
    await asyncio.sleep(0)
    again = make()
    again._mock = platform._mock
    wifi = await started(device, again)
    again.ble.set(**at(clouds), userId="us2")
    await again.ble.until(1802)
    assert clouds.registry.rlink.unit(UUID).owner == (SET["userId"], SET["bid"])
    again.ble.set(**at(clouds), userId="us2", force_bind=True)
    assert (await end_of(wifi)).step is Step.BOUND
    assert clouds.registry.rlink.unit(UUID).owner == ("us2", SET["bid"])


async def test_networks_for_the_phone(device):
    platform = make()
    await started(device, platform, info=INFO)
    platform.ble.say({"type": "thing.network.getwifis", "scan": True})
    await platform.ble.until(0)
    (answer,) = platform.ble.said
    assert {each["ssid"] for each in answer["data"]["wifis"]} == {"Home", "Old"}
