"""Binding: connect, token, reply, and everything that is no success."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import re

import attrs
import pytest

from qiot.cloud.binder import Journal
from qiot.cloud.tencent.binder import CONNECT_INTERVAL, Clock, TencentBinder
from qiot.cloud.tencent.device_bind import bind_message
from qiot.cloud.tencent.regions import region_named
from qiot.cloud.transport import HostTransport
from qiot.cloud.urls import parse_mqtt_url
from qiot.device_info import AuthMode, DeviceInfo, Endpoints
from qiot.errors import CloudError, ConfigurationError
from qiot.hal.contract import HttpRequest, HttpResponse, MqttParameters, Transport
from qiot.model import CloudLink, Grant, Reason, Secret
from tests.cloud.wire import (
    CONNECT,
    DEVICE,
    PRODUCT,
    PSK,
    SHORT,
    SUBSCRIBE,
    TOKEN,
    Broker,
    bind_reply,
    closed_port,
    nothing_left,
    until,
)

INFO = DeviceInfo(PRODUCT, DEVICE, region="china", device_secret=Secret(PSK))
GRANT = Grant("tencent", Secret(TOKEN))
UP = f"$thing/up/service/{PRODUCT}/{DEVICE}"
DOWN = f"$thing/down/service/{PRODUCT}/{DEVICE}"


def binder(url: str, info: DeviceInfo = INFO, **more) -> TencentBinder:
    return TencentBinder(info, HostTransport(), mqtt_url=url, **more)


async def bind(broker: Broker, grant: Grant = GRANT, journal: Journal | None = None, **more) -> None:
    async with nothing_left():
        device = binder(broker.url, **more)
        link = await device.connect()
        try:
            await device.bind(link, grant, journal or Journal())
        finally:
            await link.close()


async def refused(broker: Broker, **more) -> CloudError:
    with pytest.raises(CloudError) as raised:
        await bind(broker, **more)
    return raised.value


# --- the way that works ---------------------------------------------------------------------------------


async def test_the_bytes_of_the_c_sdk(written):
    async with Broker(reply=bind_reply()) as broker:
        await bind(broker, clock=Clock(utc=lambda: 687232.230))
    payload = (
        b'{"method":"app_bind_token","clientToken":"TEST2-687232230",'
        b'"params": {"token":"69f978dfbb48ec40cadb6d9af470d0f6"}}'
    )
    assert broker.published == [(UP, 1, payload)]
    assert broker.of(SUBSCRIBE)[0][2:] == b"\0" + bytes([len(DOWN)]) + DOWN.encode() + b"\0"
    log = written.getvalue()
    places = [
        log.index("mqtt connect with id: "),
        log.index("mqtt topic subscribe success"),
        log.index("publish success, packet-id="),
        log.index("token reply code = 0"),
    ]
    assert places == sorted(places)
    assert re.search(r"INF\|.*mqtt connect with id: \w{5} success\n", log)
    for secret in (TOKEN, PSK):
        assert secret not in log


async def test_what_connect_says_of_the_device():
    async with Broker() as broker:
        await (await binder(broker.url).connect()).close()
        await (await binder(broker.url, hmac="hmacsha256").connect()).close()
    first, second = broker.connects
    assert (first["level"], first["keep_alive"], first["flags"]) == (4, 240, 0xC2)
    assert first["client_id"] == PRODUCT + DEVICE
    key = base64.b64decode(PSK)
    for said, digest, name in ((first, hashlib.sha1, "hmacsha1"), (second, hashlib.sha256, "hmacsha256")):
        assert re.fullmatch(
            rf"{PRODUCT}{DEVICE};21010406;[a-zA-Z0-9]{{5}};9223372036854775807", said["username"]
        )
        assert said["password"] == f"{hmac.new(key, said['username'].encode(), digest).hexdigest()};{name}"


async def test_weakness_14_the_user_name_is_whole_and_any_secret_length_is_safe():
    async with Broker() as broker:
        await (await binder(broker.url, attrs.evolve(INFO, device_name="d" * 48)).connect()).close()
        said = broker.connects[0]
        assert said["username"].endswith(";9223372036854775807")
        assert said["client_id"] == PRODUCT + "d" * 48
    longest = base64.b64encode(bytes(64)).decode()
    binder(broker.url, attrs.evolve(INFO, device_secret=Secret(longest)))
    for secret in ("no base64", base64.b64encode(bytes(65)).decode(), "=", "AAAA\n"):
        with pytest.raises(ConfigurationError, match="base64") as raised:
            binder(broker.url, attrs.evolve(INFO, device_secret=Secret(secret)))
        assert secret not in str(raised.value)


async def test_weakness_05_a_token_is_escaped_and_never_cut():
    token = 'x"},"evil":{"\\\n' + "y" * 40
    async with Broker(reply=bind_reply()) as broker:
        await bind(broker, Grant("tencent", Secret(token)))
    sent = json.loads(broker.published[0][2])
    assert sent["params"] == {"token": token}
    assert set(sent) == {"method", "clientToken", "params"}


async def test_foreign_messages_are_ignored():
    def reply(asked):
        return {"method": "bind_device", "clientToken": asked["clientToken"], "code": 0}

    async with Broker(reply=reply) as broker:
        task = asyncio.create_task(bind(broker))
        await until(lambda: broker.published)
        for message in (
            {"method": "app_bind_token_reply", "clientToken": "TEST2-1", "code": 0},
            {"method": "app_bind_token_reply", "code": 7},
            {"method": "control", "code": 0},
            {"code": 0},
            [],
            b"{",
        ):
            await broker.send(DOWN, message if isinstance(message, dict | bytes) else b"[]")
        client_token = json.loads(broker.published[0][2])["clientToken"]
        assert not task.done()
        await broker.send(DOWN, {"method": "app_bind_token_reply", "clientToken": client_token, "code": 0})
        await task
    assert len(broker.published) == 1


async def test_pair_time_of_protocol_3():
    journal = Journal(method="soft_ap")
    for name in ("start", "getSSID", "wifiConnected", "getToken", "mqttStart", "mqttConnected", "other"):
        journal.mark(name)
    async with Broker(reply=bind_reply()) as broker:
        await bind(broker, journal=journal, pair_time=True)
    params = json.loads(broker.published[0][2])["params"]
    times = params["pairTime"]
    assert params["token"] == TOKEN
    assert times.pop("type") == "SoftAP"
    names = ["start", "getSSID", "wifiConnected", "getToken", "mqttStart", "mqttConnected", "tokenPublish"]
    assert list(times) == names
    assert all(type(time) is int for time in times.values())
    assert len(bind_message("d" * 48 + "-1700000000000", "t" * 32, journal)) <= 512


# --- weakness 2: what is no success ------------------------------------------------------------------------


async def test_weakness_02_a_code_is_a_refusal():
    async with Broker(reply=bind_reply(24)) as broker:
        error = await refused(broker)
    assert (error.reason, error.code, error.permanent) == (Reason.TOKEN_REFUSED, 24, True)
    assert len(broker.published) == 1


async def test_weakness_02_no_reply_is_no_success():
    async with Broker() as broker:
        error = await refused(broker, reply_timeout=0.05)
    assert error.reason is Reason.TOKEN_NO_REPLY
    assert [topic for topic, _, _ in broker.published] == [UP] * 3


@pytest.mark.parametrize(
    "changes",
    [{"method": "control_reply"}, {"clientToken": "TEST2-0"}, {"clientToken": None}, {"method": None}],
)
async def test_weakness_02_method_and_client_token_have_to_fit(changes):
    async with Broker(reply=bind_reply(0, **changes)) as broker:
        error = await refused(broker, reply_timeout=0.05)
    assert error.reason is Reason.TOKEN_NO_REPLY


@pytest.mark.parametrize("code", [None, "0", True, 0.0, [0]])
async def test_weakness_02_the_code_has_to_be_a_number(code):
    async with Broker(reply=bind_reply(code)) as broker:
        error = await refused(broker)
    assert error.reason is Reason.TOKEN_MALFORMED


@pytest.mark.parametrize("raw", [b"no json", b"[1]", b"\xff", b""])
async def test_weakness_02_a_reply_that_is_no_json(raw):
    async with Broker(reply=lambda _: raw) as broker:
        error = await refused(broker, reply_timeout=0.05)
    assert error.reason is Reason.TOKEN_MALFORMED


async def test_a_late_reply_to_an_earlier_round_counts():
    asked = []

    def reply(message):
        asked.append(message)
        return bind_reply()(asked[0]) if len(asked) == 2 else None

    async with Broker(reply=reply) as broker:
        times = iter((1.0, 2.0, 3.0))
        await bind(broker, reply_timeout=0.05, clock=Clock(utc=lambda: next(times)))
    assert [message["clientToken"] for message in asked][:2] == ["TEST2-1000", "TEST2-2000"]


async def test_without_puback_it_is_not_delivered():
    async with Broker(puback=False) as broker:
        error = await refused(broker, connect_timeout=SHORT)
    assert error.reason is Reason.TOKEN_SEND
    assert len(broker.published) == 3


async def test_a_reply_counts_without_puback():
    async with Broker(puback=False, reply=bind_reply()) as broker:
        await bind(broker, connect_timeout=SHORT)
    assert len(broker.published) == 1


async def test_without_suback():
    async with Broker(suback=None) as broker:
        assert (await refused(broker, connect_timeout=SHORT)).reason is Reason.CLOUD_TIMEOUT
    async with Broker(suback=0x80) as broker:
        assert (await refused(broker)).reason is Reason.MQTT_SUBSCRIBE
    assert not broker.published


@pytest.mark.parametrize("puback", [True, False])
async def test_the_connection_breaks_before_the_reply(puback):
    async with Broker(puback=puback) as broker:
        task = asyncio.create_task(refused(broker))
        await until(lambda: broker.published)
        broker.writer.close()
        assert (await task).reason is Reason.MQTT_LOST


async def test_cancelling_leaves_nothing():
    async with Broker() as broker:
        task = asyncio.create_task(bind(broker))
        await until(lambda: broker.published)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


async def test_a_second_token_on_the_same_connection():
    async with Broker(reply=bind_reply(24)) as broker, nothing_left():
        device = binder(broker.url)
        link = await device.connect()
        with pytest.raises(CloudError):
            await device.bind(link, GRANT, Journal())
        broker.reply = bind_reply()
        await device.bind(link, Grant("tencent", Secret("another")), Journal())
        await link.close()
    assert len(broker.of(CONNECT)) == 1


async def test_a_token_that_is_no_text():
    async with Broker() as broker:
        error = await refused(broker, grant=Grant("tencent", Secret(b"\xff\xfe")))
    assert error.reason is Reason.TOKEN_SEND


# --- one connection request per 5 s --------------------------------------------------------------------


class FakeClock:
    """Time that passes only in sleeps."""

    def __init__(self) -> None:
        self.now = 100.0
        self.slept: list[float] = []

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds

    @property
    def clock(self) -> Clock:
        return Clock(monotonic=lambda: self.now, sleep=self.sleep)


async def test_a_second_connect_waits_for_its_turn():
    time = FakeClock()
    async with Broker() as broker:
        device = binder(broker.url, clock=time.clock)
        await (await device.connect()).close()
        time.now += 1.5
        await (await device.connect()).close()
        assert time.slept == [CONNECT_INTERVAL - 1.5]
        time.now += 5
        await (await device.connect()).close()
        assert len(time.slept) == 1


async def test_a_refused_connect_counts_and_one_that_was_not_sent_does_not():
    time = FakeClock()
    async with Broker(connack=3) as broker:
        device = binder(broker.url, clock=time.clock)
        for _ in range(2):
            with pytest.raises(CloudError):
                await device.connect()
    assert time.slept == [5.0]
    time = FakeClock()
    device = binder(f"mqtt://127.0.0.1:{closed_port()}", clock=time.clock)
    for _ in range(2):
        with pytest.raises(CloudError):
            await device.connect()
    assert not time.slept


# --- where to, and how ----------------------------------------------------------------------------------


class AskedError(Exception):
    """Stops a connect where its parameters are known."""


class Recorder(Transport):
    """Shows what would be sent where."""

    parameters: MqttParameters
    asked: HttpRequest

    async def mqtt(self, parameters: MqttParameters) -> CloudLink:
        self.parameters = parameters
        raise AskedError

    async def request(self, request: HttpRequest) -> HttpResponse:
        self.asked = request
        raise AskedError


async def where(info: DeviceInfo, **more) -> tuple[MqttParameters, HttpRequest]:
    recorder = Recorder()
    with pytest.raises(AskedError):
        await TencentBinder(info, recorder, **more).connect()
    unregistered = attrs.evolve(info, device_secret=None, product_secret=Secret("s" * 16))
    with pytest.raises(AskedError):
        await TencentBinder(unregistered, recorder, **more).register()
    return recorder.parameters, recorder.asked


@pytest.mark.parametrize(
    ("region", "domain", "gateway"),
    [
        ("china", "iotcloud.tencentdevices.com", "gateway.tencentdevices.com"),
        ("us-east", "us-east.iotcloud.tencentdevices.com", "us-east.gateway.tencentdevices.com"),
        ("europe", "europe.iothub.tencentdevices.com", "europe.gateway.tencentdevices.com"),
        ("ap-bangkok", "ap-bangkok.iothub.tencentdevices.com", "ap-bangkok.gateway.tencentdevices.com"),
    ],
)
async def test_weakness_08_the_region_decides_where_to(region, domain, gateway):
    parameters, request = await where(attrs.evolve(INFO, region=region))
    assert (parameters.host, parameters.port) == (f"{PRODUCT.lower()}.{domain}", 8883)
    assert parameters.tls is not None
    assert request.url == f"https://{gateway}/register/dev"


@pytest.mark.parametrize(("region", "warned"), [(None, False), ("", False), ("mars", True)])
async def test_weakness_08_an_unknown_region_is_china_but_not_silently(region, warned, written):
    parameters, _ = await where(attrs.evolve(INFO, region=region))
    assert parameters.host.endswith(".iotcloud.tencentdevices.com")
    assert ("WRN" in written.getvalue()) is warned
    assert region_named(region) == region_named("china")


async def test_options_go_before_the_identity_and_that_before_the_region(written):
    own = Endpoints("http://own", "mqtt://own:1", None)
    parameters, request = await where(attrs.evolve(INFO, region=None, endpoints=own))
    assert (parameters.host, parameters.port, parameters.tls) == ("own", 1, None)
    assert request.url == "http://own/register/dev"
    assert "region" not in written.getvalue()
    parameters, request = await where(
        attrs.evolve(INFO, endpoints=own), mqtt_url="mqtts://other", dynreg_url="https://other", ca_file="/ca"
    )
    assert (parameters.host, parameters.port) == ("other", 8883)
    assert parameters.tls is not None
    assert request.tls is not None
    assert parameters.tls.ca_file == request.tls.ca_file == "/ca"
    assert request.url == "https://other/register/dev"


async def test_psk_has_identity_and_key_and_no_password():
    parameters, _ = await where(INFO, security="psk")
    assert parameters.password is None
    assert parameters.username is not None
    assert parameters.tls is not None
    assert parameters.tls.psk_identity == PRODUCT + DEVICE
    assert parameters.tls.psk == Secret(base64.b64decode(PSK))
    assert PSK not in repr(parameters)


async def test_an_unregistered_device_does_not_connect():
    with pytest.raises(ConfigurationError):
        await binder("mqtt://127.0.0.1:1", attrs.evolve(INFO, device_secret=None)).connect()


@pytest.mark.parametrize(
    ("changes", "options"),
    [
        ({}, {"hmac": "md5"}),
        ({}, {"security": "none"}),
        ({}, {"security": "psk", "mqtt_url": "mqtt://host"}),
        ({"auth_mode": AuthMode.CERT}, {"mqtt_url": "mqtt://host"}),
        ({"auth_mode": AuthMode.CERT}, {"security": "psk"}),
        ({"device_secret": None}, {"dynamic_registration": False}),
        ({"auth_mode": AuthMode.CERT}, {"dynamic_registration": False}),
        ({}, {"mqtt_url": "host"}),
    ],
)
def test_what_does_not_go_together_is_refused_at_once(changes, options):
    with pytest.raises(ConfigurationError):
        TencentBinder(attrs.evolve(INFO, **changes), HostTransport(), **options)


def test_mqtt_urls():
    assert attrs.astuple(parse_mqtt_url("mqtt://host")) == ("host", 1883, False)
    assert attrs.astuple(parse_mqtt_url("mqtts://host/")) == ("host", 8883, True)
    assert attrs.astuple(parse_mqtt_url("mqtt://[::1]:1")) == ("::1", 1, False)
    for url in (
        "",
        "host",
        "http://host",
        "mqtt://",
        "mqtt://h:0",
        "mqtt://h:99999",
        "mqtt://h/path",
        "mqtt://h?q",
    ):
        with pytest.raises(ConfigurationError):
            parse_mqtt_url(url)
    with pytest.raises(ConfigurationError) as raised:
        parse_mqtt_url("mqtt://user:secret@host")
    assert "secret" not in str(raised.value)
