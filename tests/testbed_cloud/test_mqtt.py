from __future__ import annotations

import asyncio
import json
import threading

import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from qiot.testbed.cloud import Kind
from tests.testbed_cloud.outside import (
    PRODUCT,
    SECRET,
    Mqtt,
    bind_message,
    call,
    connect_packet,
    device,
    exchange,
    packet,
    password,
    prop,
    register,
    service,
    soon,
    trust,
    user_name,
)

CLIENT_ID = PRODUCT + "dev1"
USER = user_name(CLIENT_ID)
PASSWORD = password(SECRET, USER)
OLD = user_name(CLIENT_ID, 1611299964)
OTHER = user_name(PRODUCT + "dev2")


@pytest.mark.parametrize("method", ["sha1", "sha256"])
@pytest.mark.parametrize("expiry", [92233720368547758, 9223372036854775807, None])
async def test_login(start, method, expiry):
    cloud = await start()
    user = user_name(CLIENT_ID, expiry or soon())
    client = await Mqtt.open(cloud.mqtt_url)
    client.send(connect_packet(CLIENT_ID, user, password(SECRET, user, method)))
    assert await client.read() == (0x20, b"\0\0")
    assert await client.alive()
    await client.close()
    gone = await cloud.wait_for(lambda record: record.kind is Kind.DISCONNECT)
    assert gone.device == f"{PRODUCT}/dev1"


@pytest.mark.parametrize(
    ("connect", "code"),
    [
        (connect_packet(CLIENT_ID, USER, PASSWORD, level=3), 1),
        # As an MQTT 5 client has it: with properties before the client id.
        (packet(0x10, b"\0\4MQTT\5\2\0\x3c\5\x11\0\0\0\x0a\0\3abc"), 1),
        (connect_packet(PRODUCT + "dev9", USER, PASSWORD), 2),
        (connect_packet("", USER, PASSWORD), 2),
        (connect_packet(CLIENT_ID), 4),
        (connect_packet(CLIENT_ID, USER), 4),
        (connect_packet(CLIENT_ID, "someone", PASSWORD), 4),
        (connect_packet(CLIENT_ID, USER, "secret"), 4),
        (connect_packet(CLIENT_ID, USER, b"\xff\xfe"), 4),
        (connect_packet(CLIENT_ID, USER, PASSWORD.replace("sha1", "md5")), 4),
        (connect_packet(CLIENT_ID, USER, password("AAAA", USER)), 5),
        (connect_packet(CLIENT_ID, USER, PASSWORD.replace("sha1", "sha256")), 5),
        (connect_packet(CLIENT_ID, OLD, password(SECRET, OLD)), 5),
        (connect_packet(CLIENT_ID, OTHER, password(SECRET, OTHER)), 5),
    ],
)
async def test_wrong_logins_are_refused_and_closed(start, connect, code):
    cloud = await start()
    assert await exchange(cloud.mqtt_url, connect) == bytes([0x20, 2, 0, code])
    record = await cloud.wait_for(lambda record: record.kind is Kind.CONNECT)
    assert record.code == code


@pytest.mark.parametrize(
    "junk",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        b"\x10\xff\xff\xff\xff\x01",
        b"\x10\xff\xff\xff\x7f",
        b"\x10\x00",
        b"\x10\x05\x00\x04MQT",
        b"\x00\x00",
        b"\xc0\x00",
        connect_packet(CLIENT_ID, USER, PASSWORD, name="MQIsdp"),
        connect_packet(b"\xff\xff", USER, PASSWORD),
        packet(0x11, connect_packet(CLIENT_ID, USER, PASSWORD)[2:]),
        b"\x16\x03\x01\x00\x01\x01",
    ],
)
async def test_junk_instead_of_connect_closes_without_harm(start, junk):
    cloud = await start()
    assert await exchange(cloud.mqtt_url, junk) == b""
    await (await Mqtt.login(cloud.mqtt_url)).close()


@pytest.mark.parametrize(
    "junk",
    [
        connect_packet(CLIENT_ID, USER, PASSWORD),
        b"\xf0\x00",
        b"\x00\x00",
        b"\x82\x02\x00\x01",
        b"\x80\x06\x00\x01\x00\x01a\x00",
        b"\x82\x06\x00\x01\x00\x01a\x03",
        b"\x82\x05\x00\x01\x00\x05a",
        b"\x32\x03\x00\x01a",
        b"\x36\x05\x00\x01a\x00\x01",
        b"\x30\x03\x00\x01#",
        b"\x20\x02\x00\x00",
        b"\x40\x01\x00",
    ],
)
async def test_junk_after_connect_closes_without_harm(start, junk):
    cloud = await start()
    client = await Mqtt.login(cloud.mqtt_url)
    client.send(junk)
    assert await client.read() is None
    await client.abort()
    await (await Mqtt.login(cloud.mqtt_url)).close()


async def test_one_connection_in_five_seconds(start):
    cloud = await start(connect_interval=3600.0)
    # A refused login does not count.
    assert await exchange(cloud.mqtt_url, connect_packet(CLIENT_ID, USER, "00;hmacsha1")) == b"\x20\2\0\5"
    await (await Mqtt.login(cloud.mqtt_url)).close()
    assert await exchange(cloud.mqtt_url, connect_packet(CLIENT_ID, USER, PASSWORD)) == b"\x20\2\0\3"


async def test_the_interval_passes(start):
    cloud = await start(connect_interval=0.05)
    await (await Mqtt.login(cloud.mqtt_url)).close()
    answer = b""
    async with asyncio.timeout(10):
        while answer[:4] != b"\x20\2\0\0":
            answer = await exchange(cloud.mqtt_url, connect_packet(CLIENT_ID, USER, PASSWORD) + b"\xe0\0")
            assert answer[:4] in {b"\x20\2\0\0", b"\x20\2\0\3"}


async def test_a_new_connection_takes_the_place_of_the_old(start):
    cloud = await start()
    old = await Mqtt.login(cloud.mqtt_url)
    new = await Mqtt.login(cloud.mqtt_url)
    assert await old.read() is None
    assert await new.subscribe(service("down")) == [0]
    new.publish(service("up"), bind_message("no"))
    assert (await new.answer())["code"]
    await old.abort()
    await new.close()


async def test_silence_longer_than_keep_alive_ends_the_connection(start):
    cloud = await start()
    client = await Mqtt.open(cloud.mqtt_url)
    client.send(connect_packet(CLIENT_ID, USER, PASSWORD, keep_alive=1))
    assert await client.read() == (0x20, b"\0\0")
    assert await client.read() is None
    await client.abort()


OWN_DOWN = [
    f"$thing/down/{kind}/{PRODUCT}/dev1" for kind in ("service", "property", "event", "action", "raw")
]
OWN_DOWN += [f"$ota/update/{PRODUCT}/dev1"]
OWN_DOWN += [f"${name}/operation/result/{PRODUCT}/dev1" for name in ("gateway", "sys", "log")]
FOREIGN_DOWN = [
    service("up"),
    service("down", "dev2"),
    service("down", product="OTHER"),
    f"$thing/down/service/{PRODUCT}/+",
    "$thing/down/service/+/dev1",
    "$thing/#",
    "#",
    "a",
    f"/{PRODUCT}/dev1",
    f"$thing/down/service/x/{PRODUCT}/dev1",
    f"$thing/down/service/{PRODUCT}/dev1/",
]


async def test_subscriptions_are_the_devices_own(start):
    cloud = await start()
    client = await Mqtt.login(cloud.mqtt_url)
    codes = await client.subscribe(*OWN_DOWN, *FOREIGN_DOWN)
    assert codes == [0] * len(OWN_DOWN) + [0x80] * len(FOREIGN_DOWN)
    record = await cloud.wait_for(lambda record: record.kind is Kind.SUBSCRIBE and record.code == 0x80)
    assert record.detail["topic"] == FOREIGN_DOWN[0]
    await client.close()


@pytest.mark.parametrize(
    "topic", [service("down"), service("up", "dev2"), "$sys/operation", "a", "$thing/up/x/P/d"]
)
async def test_forbidden_message_closes_the_connection(start, topic):
    cloud = await start()
    client = await Mqtt.login(cloud.mqtt_url)
    client.publish(topic, {"method": "report"}, packet_id=9)
    assert await client.read() is None
    record = await cloud.wait_for(lambda record: record.kind is Kind.PUBLISH)
    assert record.code != 0
    await client.abort()


async def test_a_gateway_speaks_for_its_devices(start):
    sub = {"subdev_num": 1, "subdev_list": [{"sub_productId": PRODUCT, "sub_devName": "dev2"}]}
    cloud = await start([device(subDev=sub), device("dev2"), device("dev3")])
    gateway = await Mqtt.login(cloud.mqtt_url)
    assert await gateway.subscribe(prop("down", "dev2"), prop("down", "dev3")) == [0, 0x80]
    gateway.publish(prop("up", "dev2"), {"method": "report", "clientToken": "c", "params": {"x": 1}})
    assert (await gateway.message())[0] == prop("down", "dev2")
    assert cloud.registry.device(PRODUCT, "dev2").reported == {"x": 1}
    await gateway.close()


async def test_bind(start):
    cloud = await start()
    token = (await call(cloud.http_url, "AppCreateDeviceBindToken"))["Token"]
    client = await Mqtt.login(cloud.mqtt_url)
    await client.subscribe(service("down"))
    client.publish(service("up"), bind_message(token, "dev1-55"), packet_id=3)
    assert await client.read() == (0x40, b"\0\3")
    topic, payload = await client.message()
    assert topic == service("down")
    assert payload == b'{"method":"app_bind_token_reply","clientToken":"dev1-55","code":0,"status":"success"}'
    # The C SDK says it again where the PUBACK got lost; that is still good.
    client.publish(service("up"), bind_message(token))
    assert (await client.answer())["code"] == 0
    bound = await cloud.wait_for(lambda record: record.kind is Kind.BIND)
    assert (bound.code, bound.device) == (0, f"{PRODUCT}/dev1")
    assert token not in "".join(map(str, cloud.records))
    await client.close()


async def test_bad_tokens_get_a_code(start):
    cloud = await start([device(), device("dev2")], token_life=0.0)
    expired = (await call(cloud.http_url, "AppCreateDeviceBindToken"))["Token"]
    client = await Mqtt.login(cloud.mqtt_url)
    await client.subscribe(service("down"))
    seen = set()
    for token in (expired, "0" * 32, "", None, 5):
        client.publish(service("up"), bind_message(token))
        reply = await client.answer()
        assert reply["code"] != 0
        assert reply["status"] != "success"
        seen.add(reply["code"])
    assert len(seen) == 2
    await client.close()


async def test_a_token_of_another_device_or_used_up_is_refused(start):
    cloud = await start([device(), device("dev2")])
    token = (await call(cloud.http_url, "AppCreateDeviceBindToken"))["Token"]
    first, second = await Mqtt.login(cloud.mqtt_url), await Mqtt.login(cloud.mqtt_url, "dev2")
    await first.subscribe(service("down"))
    await second.subscribe(service("down", "dev2"))
    first.publish(service("up"), bind_message(token))
    assert (await first.answer())["code"] == 0
    second.publish(service("up", "dev2"), bind_message(token))
    assert (await second.answer())["code"] != 0
    await call(
        cloud.http_url,
        "AppTokenBindDeviceFamily",
        FamilyId="f",
        ProductId=PRODUCT,
        DeviceName="dev1",
        Token=token,
    )
    first.publish(service("up"), bind_message(token))
    assert (await first.answer())["code"] != 0
    await first.close()
    await second.close()


async def test_a_message_right_behind_the_subscription_is_answered(start):
    cloud = await start()
    client = await Mqtt.login(cloud.mqtt_url)
    topic = service("down").encode()
    client.send(packet(0x82, b"\0\1" + len(topic).to_bytes(2, "big") + topic + b"\0"))
    client.publish(service("up"), bind_message("x"))
    assert await client.read() == (0x90, b"\0\1\0")
    assert (await client.answer())["method"] == "app_bind_token_reply"
    await client.close()


async def test_many_devices_at_once(start):
    names = [f"dev{number}" for number in range(40)]
    cloud = await start([device(name) for name in names])

    async def bind(name):
        token = (await call(cloud.http_url, "AppCreateDeviceBindToken"))["Token"]
        for _ in range(2):
            client = await Mqtt.login(cloud.mqtt_url, name)
            assert await client.subscribe(service("down", name)) == [0]
            client.publish(service("up", name), bind_message(token, name))
            reply = await client.answer()
            assert (reply["clientToken"], reply["code"]) == (name, 0)
            await client.close()
        return await call(cloud.http_url, "AppGetDeviceBindTokenState", Token=token)

    states = await asyncio.gather(*map(bind, names))
    assert [state["DeviceName"] for state in states] == names
    assert not [record for record in cloud.records if record.kind is Kind.ERROR]


async def test_without_subscription_there_is_no_reply(start):
    cloud = await start()
    client = await Mqtt.login(cloud.mqtt_url)
    client.publish(service("up"), bind_message("x"))
    await cloud.wait_for(lambda record: record.kind is Kind.SEND)
    assert await client.alive()
    await client.close()


async def test_unsubscribe(start):
    cloud = await start()
    client = await Mqtt.login(cloud.mqtt_url)
    await client.subscribe(service("down"))
    topic = service("down").encode()
    client.send(packet(0xA2, b"\0\5" + len(topic).to_bytes(2, "big") + topic))
    assert await client.read() == (0xB0, b"\0\5")
    client.publish(service("up"), bind_message("x"))
    await cloud.wait_for(lambda record: record.kind is Kind.SEND)
    assert await client.alive()
    await client.close()


async def test_data_template(start):
    cloud = await start()
    client = await Mqtt.login(cloud.mqtt_url)
    await client.subscribe(prop("down"), f"$thing/down/event/{PRODUCT}/dev1")

    async def ask(method, **more):
        client.publish(prop("up"), {"method": method, "clientToken": "t1", **more})
        reply = await client.answer()
        assert (reply["method"], reply["clientToken"]) == (f"{method}_reply", "t1")
        return reply

    params = {"power_switch": 0, "color": 0, "brightness": 3, "name": "dév"}
    assert (await ask("report", params=params))["status"] == "success"
    assert (await ask("get_status", type="report"))["data"] == {"reported": params}
    assert (await ask("report", params=[]))["code"] != 0
    assert (await ask("report_info", params={"wifi": "x"}))["code"] == 0

    await call(
        cloud.http_url, "AppControlDeviceData", ProductId=PRODUCT, DeviceName="dev1", Data='{"brightness":9}'
    )
    control = await client.answer()
    assert (control["method"], control["params"]) == ("control", {"brightness": 9})
    assert (await ask("get_status"))["data"]["control"] == {"brightness": 9}
    client.publish(prop("up"), {"method": "control_reply", "clientToken": control["clientToken"], "code": 0})
    assert "control" not in (await ask("get_status"))["data"]
    assert (await ask("clear_control"))["code"] == 0

    client.publish(
        f"$thing/up/event/{PRODUCT}/dev1", {"method": "event_post", "clientToken": "e", "params": {}}
    )
    assert (await client.answer())["method"] == "event_reply"
    await client.close()


@pytest.mark.parametrize(
    "payload", [b"", b"{", b"[]", b"\xff", b'{"method":5}', b'{"method":"x"}', b"[" * 50000]
)
async def test_unknown_messages_are_ignored(start, payload):
    cloud = await start()
    client = await Mqtt.login(cloud.mqtt_url)
    await client.subscribe(service("down"))
    client.publish(service("up"), payload, packet_id=2)
    assert await client.read() == (0x40, b"\0\2")
    assert await client.alive()
    await client.close()


async def test_a_will_goes_nowhere(start):
    cloud = await start([device(), device("dev2")])
    victim = await Mqtt.login(cloud.mqtt_url, "dev2")
    await victim.subscribe(service("down", "dev2"))
    client = await Mqtt.open(cloud.mqtt_url)
    client.send(connect_packet(CLIENT_ID, USER, PASSWORD, will=(service("down", "dev2"), b"{}")))
    assert await client.read() == (0x20, b"\0\0")
    await client.abort()
    await cloud.wait_for(lambda record: record.kind is Kind.DISCONNECT)
    assert await victim.alive()
    await victim.close()


async def test_tls_and_plain_on_one_port(start, tmp_path):
    cloud = await start(tls_dir=tmp_path)
    context = trust(cloud.ca_file)
    for url in (cloud.mqtts_url, cloud.mqtts_url.replace("127.0.0.1", "localhost")):
        client = await Mqtt.login(url, context=context)
        assert await client.alive()
        await client.close()
    await (await Mqtt.login(cloud.mqtt_url)).close()
    # Over TLS the password is needed too.
    assert await exchange(cloud.mqtts_url, connect_packet(CLIENT_ID, USER), context) == b"\x20\2\0\4"


async def test_certificate_login(start, tmp_path):
    cloud = await start(
        [device(auth_mode="CERT"), device("dev2", auth_mode="CERT")], tls_dir=tmp_path / "tls"
    )
    identity = await register(cloud.http_url)
    files = tmp_path / "crt", tmp_path / "key"
    files[0].write_text(identity["clientCert"])
    files[1].write_text(identity["clientKey"])
    context = trust(cloud.ca_file, files)

    async def code(connect):
        answer = await exchange(cloud.mqtts_url, connect + b"\xe0\0", context)
        return answer[3]

    assert await code(connect_packet(CLIENT_ID)) == 0
    assert await code(connect_packet(CLIENT_ID, USER)) == 0
    assert await code(connect_packet(CLIENT_ID, USER, PASSWORD)) == 5
    assert await code(connect_packet(CLIENT_ID, "someone")) == 4
    assert await code(connect_packet(PRODUCT + "dev2", OTHER)) == 5
    assert await exchange(cloud.mqtt_url, connect_packet(CLIENT_ID, USER, PASSWORD)) == b"\x20\2\0\5"


async def test_certificate_of_another_authority_fails_the_handshake(start, tmp_path):
    cloud = await start(tls_dir=tmp_path / "ours")
    other = await start([device(auth_mode="CERT")], tls_dir=tmp_path / "theirs")
    identity = await register(other.http_url)
    (tmp_path / "crt").write_text(identity["clientCert"])
    (tmp_path / "key").write_text(identity["clientKey"])
    context = trust(cloud.ca_file, (tmp_path / "crt", tmp_path / "key"))
    with pytest.raises((OSError, IndexError)):
        # With TLS 1.3 the client learns of it only when it reads.
        (await exchange(cloud.mqtts_url, connect_packet(CLIENT_ID), context))[3]
    await cloud.wait_for(lambda record: record.kind is Kind.TLS)
    await (await Mqtt.login(cloud.mqtts_url, context=trust(cloud.ca_file))).close()


def paho_session(port, ca_file, token):
    """What a real client library does: TLS, CONNECT, SUBSCRIBE, PUBLISH with QoS 1, reply."""
    client = paho.Client(CallbackAPIVersion.VERSION2, client_id=CLIENT_ID)
    client.username_pw_set(USER, PASSWORD)
    client.tls_set(str(ca_file))
    got, replied = [], threading.Event()
    client.on_connect = lambda c, *_: c.subscribe(service("down"))
    client.on_subscribe = lambda c, *_: c.publish(service("up"), json.dumps(bind_message(token)), qos=1)
    client.on_message = lambda c, _, message: (got.append(message), replied.set())
    client.connect("127.0.0.1", port)
    client.loop_start()
    try:
        assert replied.wait(10)
    finally:
        client.disconnect()
        client.loop_stop()
    return json.loads(got[0].payload)


async def test_paho_binds_over_tls(start, tmp_path):
    cloud = await start(tls_dir=tmp_path)
    token = (await call(cloud.http_url, "AppCreateBindToken"))["Token"]
    port = int(cloud.mqtts_url.rpartition(":")[2])
    reply = await asyncio.to_thread(paho_session, port, cloud.ca_file, token)
    assert reply["code"] == 0
    assert (await call(cloud.http_url, "AppGetDeviceBindTokenState", Token=token))["State"] == 2
