"""The module's own transport against the local cloud: registering, connecting, binding by serial line."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from module import Module
from qiot_esp_at import EspAtPlatform

from qiot.cloud.tencent.binder import TencentBinder
from qiot.cloud.tencent.device_bind import bind_device
from qiot.device_info import load_device_info
from qiot.errors import CloudError
from qiot.hal.contract import MqttParameters, Transport
from qiot.model import CloudLink, Message, Reason, Secret
from qiot.testbed.cloud import LocalCloud
from qiot.testbed.phone.app_api import TOKEN_USED, AppApi

MakePlatform = Callable[..., EspAtPlatform]


@pytest.fixture
async def cloud(module: Module) -> AsyncIterator[LocalCloud]:
    async with LocalCloud(connect_interval=0) as made:
        module.mqtt_url = made.mqtt_url
        yield made


@pytest.fixture
async def link(
    module: Module, cloud: LocalCloud, make_platform: MakePlatform, write_identity: Callable[..., Path]
) -> AsyncIterator[CloudLink]:
    """Registered over the module's sockets and connected by its MQTT client."""
    path = write_identity("YOUR_IOT_PSK")
    platform = make_platform()
    transport = platform.port(Transport)
    binder = TencentBinder(
        load_device_info(path), transport, dynreg_url=cloud.http_url, mqtt_url=cloud.mqtt_url
    )
    info = await binder.register()
    assert info.device_secret is not None
    module.identity = (info.product_id, info.device_name, info.device_secret.text())
    made = await binder.connect()
    yield made
    await made.close()


async def test_the_token_is_handed_in_over_the_modules_connection(
    cloud: LocalCloud, link: CloudLink, write_identity: Callable[..., Path]
) -> None:
    app = AppApi(f"{cloud.http_url}/app")
    token = await app.create_token()
    await bind_device(link, load_device_info(write_identity()), token, reply_timeout=5)
    assert await app.token_state(token) == TOKEN_USED
    with pytest.raises(CloudError) as caught:
        await bind_device(link, load_device_info(write_identity()), Secret("no-such-token"), reply_timeout=5)
    assert caught.value.reason is Reason.TOKEN_REFUSED


async def test_messages_arrive_octet_by_octet(module: Module, link: CloudLink) -> None:
    heard: asyncio.Queue[Message] = asyncio.Queue()
    await link.subscribe("$thing/down/property/QIOTDEMO01/module-1", heard.put_nowait, 1)
    payloads = [b'{"a":"b,\\"c"}', b"\r\nOK\r\n", b"\xff\x00>", b"x" * 2000]
    for payload in payloads:
        head = f'+TCMQTTRCVPUB:"$thing/down/property/QIOTDEMO01/module-1",{len(payload)},"'
        module.raw(head.encode() + payload + b'"\r\n')
    for payload in payloads:
        assert (await asyncio.wait_for(heard.get(), 5)).payload == payload


async def test_what_the_module_cannot_carry_is_refused_here(module: Module, link: CloudLink) -> None:
    heard = len(module.heard)
    for payload in (b"", b"x" * 2049):
        with pytest.raises(CloudError, match="2048"):
            await link.publish("t", payload)
    with pytest.raises(CloudError, match="128"):
        await link.subscribe("t" * 129, print)
    assert len(module.heard) == heard
    for number in range(10):
        module.answers[f'AT+TCMQTTSUB="$thing/down/property/{number}",0'] = ["OK|+TCMQTTSUB: OK"]
        await link.subscribe(f"$thing/down/property/{number}", print)
    with pytest.raises(CloudError, match="10 subscriptions"):
        await link.subscribe("$thing/down/property/10", print)


async def test_a_refused_subscription(link: CloudLink) -> None:
    with pytest.raises(CloudError) as caught:
        await link.subscribe("$thing/down/property/QIOTDEMO01/somebody-else", print)
    assert (caught.value.reason, caught.value.code) == (Reason.MQTT_SUBSCRIBE, -104)


async def test_a_lost_broker_is_told_to_all_who_use_it(cloud: LocalCloud, link: CloudLink) -> None:
    await cloud.aclose()
    lost = await asyncio.wait_for(link.wait_lost(), 10)
    assert lost is not None
    assert lost.reason is Reason.MQTT_LOST
    assert not link.connected
    with pytest.raises(CloudError) as caught:
        await link.publish("t", b"x")
    assert caught.value.reason is Reason.MQTT_LOST


async def test_a_refused_connection_has_the_modules_number(
    module: Module, cloud: LocalCloud, make_platform: MakePlatform
) -> None:
    module.identity = ("QIOTDEMO01", "module-1", "bm90LWl0cy1zZWNyZXQ=")
    parameters = MqttParameters(host="broker.example", port=8883, client_id="unused")
    with pytest.raises(CloudError) as caught:
        await make_platform().port(Transport).mqtt(parameters)
    assert (caught.value.reason, caught.value.code) == (Reason.MQTT_REFUSED, -103)
    assert module.heard[-2:] == ['AT+TCMQTTSRV="broker.example"', "AT+TCMQTTCONN=1,5000,240,1,0"]
