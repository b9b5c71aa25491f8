"""Properties, on the connection that bound the device."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest

from qiot.cloud.binder import Journal
from qiot.cloud.tencent.binder import TencentBinder
from qiot.cloud.tencent.thing import Thing
from qiot.cloud.transport import HostTransport
from qiot.device_info import DeviceInfo
from qiot.errors import CloudError
from qiot.model import Grant, Reason, Secret
from tests.cloud.wire import CONNECT, DEVICE, PRODUCT, PSK, TOKEN, Broker, bind_reply, nothing_left, until

INFO = DeviceInfo(PRODUCT, DEVICE, region="china", device_secret=Secret(PSK))
UP = f"$thing/up/property/{PRODUCT}/{DEVICE}"
DOWN = f"$thing/down/property/{PRODUCT}/{DEVICE}"


def cloud(asked: dict[str, Any]) -> dict[str, Any] | None:
    """The platform's answers."""
    token = {"clientToken": asked["clientToken"], "code": 0, "status": "success"}
    match asked["method"]:
        case "app_bind_token":
            return bind_reply()(asked)
        case "get_status":
            return {"method": "get_status_reply", **token, "data": {"reported": {"brightness": 7}}}
        case "report":
            return {"method": "report_reply", **token}
        case _:
            return None


def sent(broker: Broker) -> list[bytes]:
    return [payload for topic, _, payload in broker.published if topic == UP]


async def test_bind_status_report_and_control_on_one_connection(written):
    async with Broker(reply=cloud) as broker, nothing_left():
        binder = TencentBinder(INFO, HostTransport(), mqtt_url=broker.url)
        link = await binder.connect()
        await binder.bind(link, Grant("tencent", Secret(TOKEN)), Journal())
        asked = []

        async def on_control(params):
            asked.append(params)
            return 0

        async with Thing(link, INFO, on_control=on_control) as thing:
            assert await thing.get_status() == {"brightness": 7}
            await thing.report({"power_switch": 0, "color": 0, "brightness": 0, "name": DEVICE})
            await broker.send(
                DOWN, {"method": "control", "clientToken": "c-1", "params": {"power_switch": 1}}
            )
            await until(lambda: len(sent(broker)) == 3)
        assert link.connected
        await link.close()
        assert len(broker.of(CONNECT)) == 1
    assert asked == [{"power_switch": 1}]
    get_status, report, reply = sent(broker)
    assert get_status == b'{"method":"get_status", "clientToken":"L4WG9V9M2M-1"}'
    assert report == (
        b'{"method":"report", "clientToken":"L4WG9V9M2M-2", '
        b'"params":{"power_switch": 0, "color": 0, "brightness": 0, "name": "TEST2"}}'
    )
    assert json.loads(reply) == {"method": "control_reply", "code": 0, "clientToken": "c-1"}
    log = written.getvalue()
    assert log.index("get_status_reply") < log.index('"method":"report"')


async def connected(broker: Broker):
    return await TencentBinder(INFO, HostTransport(), mqtt_url=broker.url).connect()


async def test_a_new_device_has_no_status():
    def reply(asked):
        return {"method": "get_status_reply", "clientToken": asked["clientToken"], "code": 0, "data": {}}

    async with Broker(reply=reply) as broker, nothing_left():
        link = await connected(broker)
        async with Thing(link, INFO) as thing:
            assert await thing.get_status() == {}
        await link.close()


def status(**changes: Any) -> Callable[[dict[str, Any]], dict[str, Any]]:
    def reply(asked: dict[str, Any]) -> dict[str, Any]:
        return {"method": "get_status_reply", "clientToken": asked["clientToken"], **changes}

    return reply


@pytest.mark.parametrize(
    ("reply", "reason", "code"),
    [
        (lambda _: None, Reason.CLOUD_TIMEOUT, None),
        (lambda _: b"no json", Reason.CLOUD_TIMEOUT, None),
        (status(code=0, clientToken="other"), Reason.CLOUD_TIMEOUT, None),
        (status(code=0, method="report_reply"), Reason.CLOUD_TIMEOUT, None),
        (status(code=406), Reason.CLOUD_MALFORMED, 406),
        (status(), Reason.CLOUD_MALFORMED, None),
    ],
    ids=["silence", "no json", "another token", "another method", "refused", "no code"],
)
async def test_a_reply_is_checked(reply, reason, code):
    async with Broker(reply=reply) as broker, nothing_left():
        link = await connected(broker)
        patience = 0.2 if reason is Reason.CLOUD_TIMEOUT else 10.0
        async with Thing(link, INFO, reply_timeout=patience) as thing:
            with pytest.raises(CloudError) as raised:
                await thing.get_status()
        await link.close()
    assert (raised.value.reason, raised.value.code) == (reason, code)


async def test_the_connection_breaks_while_waiting():
    async with Broker() as broker, nothing_left():
        link = await connected(broker)
        async with Thing(link, INFO) as thing:
            task = asyncio.create_task(thing.get_status())
            await until(lambda: sent(broker))
            broker.writer.close()
            with pytest.raises(CloudError) as raised:
                await task
        assert raised.value.reason is Reason.MQTT_LOST


async def test_controls_are_carried_out_in_order_and_failures_are_told(written):
    done = []

    async def on_control(params):
        done.append(params["n"])
        if params["n"] == 1:
            raise ValueError("broken lamp")
        return 0 if params["n"] else 5

    async with Broker() as broker, nothing_left():
        link = await connected(broker)
        async with Thing(link, INFO, on_control=on_control):
            for number in range(4):
                await broker.send(
                    DOWN, {"method": "control", "clientToken": f"c-{number}", "params": {"n": number}}
                )
            for wrong in ({"clientToken": "x"}, {"params": {}}, {"params": [], "clientToken": "x"}):
                await broker.send(DOWN, {"method": "control", **wrong})
            await until(lambda: len(sent(broker)) == 4)
        await link.close()
    assert done == [0, 1, 2, 3]
    assert [json.loads(each)["code"] for each in sent(broker)] == [5, 1, 0, 0]
    assert "broken lamp" in written.getvalue()


async def test_without_a_handler_control_is_refused():
    async with Broker() as broker, nothing_left():
        link = await connected(broker)
        async with Thing(link, INFO):
            await broker.send(DOWN, {"method": "control", "clientToken": "c", "params": {"power_switch": 1}})
            await until(lambda: sent(broker))
        await link.close()
    assert json.loads(sent(broker)[0])["code"] != 0
