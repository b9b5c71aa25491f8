from __future__ import annotations

import asyncio
import base64
import json
import os

import pytest

from qiot.errors import ConfigurationError
from qiot.testbed.cloud import Kind
from qiot.testbed.cloud.faults import Do, Fault, Faults, Point, parse_mode, read_mode
from tests.testbed_cloud.outside import (
    PRODUCT,
    SECRET,
    Mqtt,
    bind_message,
    call,
    connect_packet,
    decrypt,
    device,
    dynreg_body,
    exchange,
    open_url,
    packet,
    password,
    post,
    prop,
    register,
    request,
    service,
    trust,
    user_name,
)

UNREGISTERED = device(secret="YOUR_IOT_PSK")
USER = user_name(PRODUCT + "dev1")
CONNECT = connect_packet(PRODUCT + "dev1", USER, password(SECRET, USER))
REGISTER = request("/register/dev", dynreg_body())


async def until_end(url, octets):
    """Send and end our side; what comes until the other side ends too. b"" for a reset."""
    reader, writer = await open_url(url)
    try:
        return await rest(reader, writer, octets)
    finally:
        writer.transport.abort()


async def rest(reader, writer, octets):
    try:
        writer.write(octets)
        writer.write_eof()
        async with asyncio.timeout(10):
            return await reader.read()
    except OSError:
        return b""


async def answered(client, octets, expected):
    """Send; what comes must begin as expected, and then nothing more than answers to pings."""
    client.send(octets)
    async with asyncio.timeout(10):
        assert await client.reader.readexactly(len(expected)) == expected
    assert await rest(client.reader, client.writer, b"") == b""
    await client.abort()


def is_fault(text):
    return lambda record: record.kind is Kind.FAULT and record.text == text


# --- streams ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("do", ["refuse", "hang", "drop"])
@pytest.mark.parametrize("scheme", ["http", "mqtt"])
async def test_tcp_that_says_nothing(start, scheme, do):
    cloud = await start(mode={f"{scheme}_tcp": {"do": do, "times": 1}})
    url, octets = {"http": (cloud.http_url, REGISTER), "mqtt": (cloud.mqtt_url, CONNECT)}[scheme]
    assert await until_end(url, octets) == b""
    await cloud.wait_for(is_fault(f"{scheme}_tcp: {do}"))
    assert await until_end(url, octets) != b""


@pytest.mark.parametrize("point", ["http_tcp", "http_tls", "mqtt_tcp", "mqtt_tls"])
async def test_garbage_instead_of_an_answer(start, tmp_path, point):
    cloud = await start(tls_dir=tmp_path, mode={point: "malformed"})
    url = cloud.http_url if point.startswith("http") else cloud.mqtt_url
    answer = await exchange(url, b"\x16\x03\x01\x00\x02hi" if point.endswith("tls") else CONNECT)
    assert answer
    assert answer[:1] not in {b"\x16", b"\x15", b"\x20", b"H"}


@pytest.mark.parametrize("do", ["refuse", "hang", "malformed"])
@pytest.mark.parametrize("scheme", ["https", "mqtts"])
async def test_tls_handshake_fails_and_plain_goes_on(start, tmp_path, scheme, do):
    cloud = await start(tls_dir=tmp_path, mode={f"{scheme[:-1]}_tls": {"do": do, "times": 1}})
    url = cloud.https_url if scheme == "https" else cloud.mqtts_url
    if do == "hang":
        assert await until_end(url, b"\x16\x03\x01\x00\x02hi") == b""
    else:
        with pytest.raises(OSError):  # noqa: PT011 - SSLError or a reset
            await open_url(url, trust(cloud.ca_file))
    await (await Mqtt.login(cloud.mqtt_url)).close()
    _, writer = await open_url(url, trust(cloud.ca_file))
    writer.transport.abort()


# --- HTTP ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("point", ["dynreg", "app"])
@pytest.mark.parametrize("do", ["refuse", "hang", "drop"])
async def test_http_without_answer(start, point, do):
    cloud = await start([UNREGISTERED], mode={point: {"do": do, "times": 2}})
    octets = REGISTER if point == "dynreg" else request("/app", {"Action": "AppCreateDeviceBindToken"})
    assert await until_end(cloud.http_url, octets) == b""
    assert await until_end(cloud.http_url, octets) == b""
    assert (await until_end(cloud.http_url, octets)).startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize(
    ("action", "expected"),
    [
        ("status", (500, lambda body: b"payload" not in body)),
        ({"do": "status", "code": 503}, (503, lambda body: b"payload" not in body)),
        ({"do": "status", "code": 204}, (204, lambda body: body == b"")),
        ("empty", (200, lambda body: body == b"")),
        ("oversized", (200, lambda body: len(body) == 1024 * 1024 and json.loads(body)["code"] == 0)),
        (
            {"do": "malformed", "kind": "json"},
            (200, lambda body: body.startswith(b'{"code":0') and body[-1:] != b"}"),
        ),
        ({"do": "code", "code": 1021}, (200, lambda body: json.loads(body)["code"] == 1021)),
        ({"do": "code", "code": -3}, (200, lambda body: json.loads(body)["code"] == -3)),
    ],
)
async def test_http_answers(start, action, expected):
    cloud = await start([UNREGISTERED], mode={"dynreg": action})
    status, _, body = await post(cloud.http_url, "/register/dev", dynreg_body())
    assert status == expected[0]
    assert expected[1](body)


async def test_http_code_of_the_newer_registration_and_the_app(start):
    mode = {"dynreg": {"do": "code", "code": 7}, "app": {"do": "code", "code": 7, "times": 1}}
    cloud = await start([UNREGISTERED], mode=mode)
    assert await call(cloud.http_url, "AppCreateDeviceBindToken") == "InternalError"
    assert isinstance(await call(cloud.http_url, "AppCreateDeviceBindToken"), dict)


async def test_http_forms(start):
    mode = {"dynreg": [{"do": do, "times": 1} for do in ("chunked", "lower_case", "redirect", "malformed")]}
    mode["dynreg"].append({"do": "malformed", "kind": "truncated", "times": 1})
    mode["dynreg"].append({"do": "redirect", "location": "http://127.0.0.1:1/x"})
    cloud = await start([UNREGISTERED], mode=mode)
    _, lines, body = await post(cloud.http_url, "/register/dev", dynreg_body())
    assert "Transfer-Encoding: chunked" in lines
    assert not any(line.lower().startswith("content-length") for line in lines)
    assert body.endswith(b"\r\n0\r\n\r\n")
    status, lines, body = await post(cloud.http_url, "/register/dev", dynreg_body())
    assert (status, f"content-length: {len(body)}" in lines) == (200, True)
    status, lines, _ = await post(cloud.http_url, "/register/dev", dynreg_body())
    assert (status, "Location: /register/dev" in lines) == (302, True)
    assert not (await until_end(cloud.http_url, REGISTER)).startswith(b"HTTP")
    _, lines, body = await post(cloud.http_url, "/register/dev", dynreg_body())
    length = next(int(line.split(":")[1]) for line in lines if line.startswith("Content-Length"))
    assert 0 < len(body) < length
    _, lines, _ = await post(cloud.http_url, "/register/dev", dynreg_body())
    assert "Location: http://127.0.0.1:1/x" in lines


async def test_malformed_payloads(start):
    kinds = ("base64", "padding", "encryption_type")
    mode = {"dynreg": [{"do": "malformed", "kind": kind, "times": 1} for kind in kinds]}
    cloud = await start([UNREGISTERED], mode=mode)

    async def payload():
        answer = json.loads((await post(cloud.http_url, "/register/dev", dynreg_body()))[2])
        return answer["payload"], answer["len"]

    with pytest.raises(ValueError, match="base64"):
        base64.b64decode((await payload())[0], validate=True)
    assert len(base64.b64decode((await payload())[0], validate=True)) % 16
    assert decrypt(*await payload())["encryptionType"] == 1
    assert decrypt(*await payload())["encryptionType"] == 2


# --- MQTT packets ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", [1, 2, 3, 4, 5])
async def test_connack_codes_and_they_do_not_count_as_a_connection(start, code):
    cloud = await start(mode={"connack": {"do": "code", "code": code, "times": 1}}, connect_interval=3600.0)
    assert await exchange(cloud.mqtt_url, CONNECT) == bytes([0x20, 2, 0, code])
    await (await Mqtt.login(cloud.mqtt_url)).close()


@pytest.mark.parametrize(
    ("action", "answer"),
    [
        ("refuse", b""),
        ("hang", b""),
        ("drop", b""),
        ("malformed", b"\x00\xff\xff\xff\xff\x7f"),
        ({"do": "malformed", "kind": "truncated"}, b"\x20\2\0"),
        ("disconnect", b"\x20\2\0\0"),
        ("duplicate", b"\x20\2\0\0\x20\2\0\0"),
        ({"do": "ok", "times": 1}, b"\x20\2\0\0"),
    ],
)
async def test_connack(start, action, answer):
    cloud = await start(mode={"connack": action})
    assert await until_end(cloud.mqtt_url, CONNECT) == answer


async def test_connack_hang_is_silent_even_to_a_ping(start):
    cloud = await start(mode={"connack": {"do": "hang", "times": 1}})
    reader, writer = await open_url(cloud.mqtt_url)
    writer.write(CONNECT)
    await cloud.wait_for(is_fault("connack: hang"))
    writer.write(b"\xc0\0")
    writer.write_eof()
    assert await reader.read() == b""
    writer.close()
    await writer.wait_closed()


SUBSCRIBE = packet(0x82, b"\0\1\0" + bytes([len(service("down"))]) + service("down").encode() + b"\0")


@pytest.mark.parametrize(
    ("action", "answer"),
    [
        ("refuse", b""),
        ("hang", b""),
        ("drop", b"\xd0\0"),
        ({"do": "code", "code": 128}, b"\x90\3\0\1\x80\xd0\0"),
        ("foreign", b"\x90\3\1\0\0\xd0\0"),
        ({"do": "foreign", "keep": True}, b"\x90\3\1\0\0\x90\3\0\1\0\xd0\0"),
        ("malformed", b"\x00\xff\xff\xff\xff\x7f"),
        ("disconnect", b"\x90\3\0\1\0"),
        ("duplicate", b"\x90\3\0\1\0\x90\3\0\1\0\xd0\0"),
        ({"do": "drop", "times": 0}, b"\x90\3\0\1\0\xd0\0"),
    ],
)
async def test_suback(start, action, answer):
    cloud = await start(mode={"suback": action})
    client = await Mqtt.login(cloud.mqtt_url)
    await answered(client, SUBSCRIBE + b"\xc0\0", answer)


@pytest.mark.parametrize(
    ("action", "answer"),
    [
        ("refuse", b""),
        ("hang", b""),
        ("drop", b"\xd0\0"),
        ("foreign", b"\x40\2\1\x08\xd0\0"),
        ("malformed", b"\x00\xff\xff\xff\xff\x7f"),
        ({"do": "malformed", "kind": "truncated"}, b"\x40\2\0"),
        ("disconnect", b"\x40\2\0\x09"),
        ("duplicate", b"\x40\2\0\x09\x40\2\0\x09\xd0\0"),
    ],
)
async def test_puback(start, action, answer):
    cloud = await start(mode={"puback": action})
    client = await Mqtt.login(cloud.mqtt_url)
    client.publish(service("up"), bind_message("x"), packet_id=9)
    await answered(client, b"\xc0\0", answer)


# --- replies ---------------------------------------------------------------------------------------------


async def bound(cloud):
    """A client that has just reported a good token."""
    token = (await call(cloud.http_url, "AppCreateDeviceBindToken"))["Token"]
    client = await Mqtt.login(cloud.mqtt_url)
    await client.subscribe(service("down"))
    client.publish(service("up"), bind_message(token, "me-1"), packet_id=9)
    assert await client.read() == (0x40, b"\0\x09")
    return client


GOOD = {"method": "app_bind_token_reply", "clientToken": "me-1", "code": 0, "status": "success"}


@pytest.mark.parametrize(
    ("action", "change"),
    [
        ({"do": "code", "code": 1021}, {"code": 1021, "status": "fault on purpose"}),
        ("foreign", {"clientToken": "foreign-1"}),
        ({"do": "foreign", "kind": "method"}, {"method": "foreign_reply"}),
    ],
)
async def test_bind_reply_altered(start, action, change):
    cloud = await start(mode={"bind_reply": action})
    client = await bound(cloud)
    assert await client.answer() == GOOD | change
    assert await client.alive()
    await client.close()


async def test_bind_reply_foreign_then_right(start):
    cloud = await start(mode={"bind_reply": {"do": "foreign", "kind": "device", "keep": True}})
    client = await bound(cloud)
    topic, payload = await client.message()
    assert (topic, json.loads(payload)) == (service("down") + "-other", GOOD)
    topic, payload = await client.message()
    assert (topic, json.loads(payload)) == (service("down"), GOOD)
    await client.close()


async def test_bind_reply_forms(start):
    mode = {"bind_reply": [{"do": do, "times": 1} for do in ("malformed", "empty", "duplicate", "drop")]}
    cloud = await start(mode=mode)
    client = await bound(cloud)
    payload = (await client.message())[1]
    with pytest.raises(ValueError, match=r"."):
        json.loads(payload)
    message = bind_message("x")
    client.publish(service("up"), message)
    assert (await client.message())[1] == b""
    client.publish(service("up"), message)
    assert await client.message() == await client.message()
    client.publish(service("up"), message)
    await cloud.wait_for(is_fault("bind_reply: drop"))
    assert await client.alive()
    client.publish(service("up"), message)
    assert (await client.answer())["method"] == "app_bind_token_reply"
    await client.close()


@pytest.mark.parametrize(("do", "replies"), [("refuse", 0), ("disconnect", 1)])
async def test_bind_reply_and_the_end(start, do, replies):
    cloud = await start(mode={"bind_reply": do})
    client = await bound(cloud)
    for _ in range(replies):
        assert await client.answer() == GOOD
    assert await client.read() is None
    await client.abort()


async def test_bind_reply_hang_keeps_the_connection_and_says_nothing(start):
    cloud = await start(mode={"bind_reply": "hang"})
    client = await bound(cloud)
    await cloud.wait_for(is_fault("bind_reply: hang"))
    await answered(client, b"\xc0\0", b"")


async def test_property_reply_has_its_own_point_and_control_has_none(start):
    cloud = await start(mode={"property_reply": {"do": "code", "code": 3}})
    client = await Mqtt.login(cloud.mqtt_url)
    await client.subscribe(prop("down"), service("down"))
    client.publish(prop("up"), {"method": "get_status", "clientToken": "g"})
    reply = await client.answer()
    assert (reply["method"], reply["code"], reply["clientToken"]) == ("get_status_reply", 3, "g")
    client.publish(service("up"), bind_message("x"))
    assert (await client.answer())["status"] == "token not exist"
    await call(cloud.http_url, "AppControlDeviceData", ProductId=PRODUCT, DeviceName="dev1", Data={"a": 1})
    assert (await client.answer())["params"] == {"a": 1}
    await client.close()


# --- the mode --------------------------------------------------------------------------------------------


async def test_actions_are_used_up_in_turn():
    faults = Faults(parse_mode({"app": [{"do": "ok", "times": 2}, {"do": "refuse", "times": 1}, "hang"]}))
    taken = [(await faults.take(Point.APP)).do for _ in range(5)]
    assert taken == [Do.OK, Do.OK, Do.REFUSE, Do.HANG, Do.HANG]
    assert (await faults.take(Point.DYNREG)).do is Do.OK


async def test_seconds_are_waited(monkeypatch):
    waited = []

    async def sleep(seconds):
        waited.append(seconds)

    monkeypatch.setattr("qiot.testbed.cloud.faults.asyncio.sleep", sleep)
    faults = Faults(
        parse_mode({"connack": {"do": "delay", "seconds": 2}, "app": {"do": "hang", "seconds": 0.5}})
    )
    assert (await faults.take(Point.CONNACK)).do is Do.DELAY
    assert (await faults.take(Point.APP)).do is Do.HANG
    assert (await faults.take(Point.DYNREG)) == Fault()
    assert waited == [2, 0.5]


async def test_a_delayed_answer_is_the_right_one(start):
    delay = {"do": "delay", "seconds": 0.01}
    points = ("http_tcp", "dynreg", "app", "mqtt_tcp", "connack", "suback", "puback", "bind_reply")
    cloud = await start([UNREGISTERED], mode=dict.fromkeys(points, delay))
    identity = await register(cloud.http_url)
    token = (await call(cloud.http_url, "AppCreateDeviceBindToken"))["Token"]
    client = await Mqtt.login(cloud.mqtt_url, secret=identity["psk"])
    assert await client.subscribe(service("down")) == [0]
    client.publish(service("up"), bind_message(token), packet_id=9)
    assert await client.read() == (0x40, b"\0\x09")
    assert (await client.answer())["code"] == 0
    await client.close()


@pytest.mark.parametrize(
    ("mode", "message"),
    [
        ([], "JSON object"),
        ({"nowhere": "ok"}, "no point 'nowhere'"),
        ({"app": "explode"}, "mode.app[0]"),
        ({"app": {"times": 1}}, '"do"'),
        ({"app": 5}, '"do"'),
        ({"app": {"do": "ok", "tims": 1}}, "tims"),
        ({"app": {"do": "ok", "times": "x"}}, "times"),
        ({"app": {"do": "ok", "times": -1}}, "times must not be negative"),
        ({"app": {"do": "ok", "seconds": -0.1}}, "seconds must be 0 to 86400"),
        ({"app": "duplicate"}, "app has no duplicate"),
        ({"connack": "empty"}, "connack has no empty"),
        ({"connack": "code"}, "1 to 5"),
        ({"connack": {"do": "code", "code": 6}}, "1 to 5"),
        ({"dynreg": {"do": "code"}}, "needs a number"),
        ({"dynreg": {"do": "status", "code": 99}}, "200 to 599"),
        ({"dynreg": {"do": "malformed", "kind": "poem"}}, "no kind 'poem'"),
        ({"dynreg": {"do": "hang", "kind": "json"}}, "hang has none"),
        ({"bind_reply": ["ok", {"do": "foreign", "kind": "json"}]}, "mode.bind_reply[1]"),
    ],
)
def test_modes_that_cannot_be_used(mode, message):
    with pytest.raises(ConfigurationError) as caught:
        parse_mode(mode)
    assert message in str(caught.value)


async def test_the_mode_file_is_read_again(start, tmp_path):
    path = tmp_path / "mode.json"

    def write(text):
        fresh = tmp_path / "fresh"
        fresh.write_text(text)
        fresh.replace(path)
        # The file's time may be too coarse to tell two writes apart; the inode tells too.
        os.utime(path, ns=(path.stat().st_atime_ns, path.stat().st_mtime_ns + write.count))
        write.count += 1

    write.count = 0
    write('{"app": {"do": "code", "code": 1}}')
    cloud = await start(mode_file=path)
    assert await call(cloud.http_url, "AppCreateDeviceBindToken") == "InternalError"
    write("{}")
    assert isinstance(await call(cloud.http_url, "AppCreateDeviceBindToken"), dict)
    write('{"app": "wrong"}')
    assert isinstance(await call(cloud.http_url, "AppCreateDeviceBindToken"), dict)
    problem = await cloud.wait_for(lambda record: record.kind is Kind.MODE and record.code == 1)
    assert "mode.json.app[0]" in problem.text
    path.unlink()
    assert isinstance(await call(cloud.http_url, "AppCreateDeviceBindToken"), dict)
    cloud.set_mode({"app": {"do": "code", "code": 1}})
    assert await call(cloud.http_url, "AppCreateDeviceBindToken") == "InternalError"
    with pytest.raises(ConfigurationError):
        cloud.set_mode({"app": "wrong"})


def test_mode_file_that_is_not_there_or_no_json(tmp_path):
    with pytest.raises(ConfigurationError, match="cannot be read"):
        read_mode(tmp_path / "no")
    (tmp_path / "bad").write_text("{")
    with pytest.raises(ConfigurationError, match="not JSON"):
        read_mode(tmp_path / "bad")
