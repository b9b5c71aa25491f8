from __future__ import annotations

import json

import pytest

from qiot.testbed.cloud import Kind
from tests.testbed_cloud.outside import (
    PRODUCT,
    Mqtt,
    bind_message,
    call,
    device,
    exchange,
    open_url,
    post,
    request,
    service,
    trust,
)


def status_of(answer):
    return int(answer.split()[1])


@pytest.mark.parametrize(
    ("octets", "status"),
    [
        (request("/nowhere", {}), 404),
        (request("/register/dev", {}, method="GET"), 405),
        (request("/app", {}, method="PUT"), 405),
        (request("/register/dev", b"", method="HEAD"), 405),
        (request("/app", b"x" * (64 * 1024 + 1)), 413),
        (request("/app", b"{"), 400),
        (request("/app", b"[]"), 400),
        (request("/app", b"\xff\xfe"), 400),
        (request("/app", b'{"Action":"\\ud800"}'), 400),
        (request("/app", b"[" * 60000), 400),
        (request("/app", b'{"a":' * 400 + b"1" + b"}" * 400), 400),
        (b"\x00\x01\x02\r\n\r\n", 400),
        (b"POST /app\r\n\r\n", 400),
        (b"POST /app HTTP/1.1\r\n\r\n", 400),
        (b"POST /app HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n", 400),
        (b"GET /" + b"a" * 20000 + b" HTTP/1.1\r\n", 431),
    ],
)
async def test_wrong_requests(start, octets, status):
    cloud = await start()
    assert status_of(await exchange(cloud.http_url, octets)) == status
    assert isinstance(await call(cloud.http_url, "AppCreateDeviceBindToken"), dict)


async def test_half_a_request_and_an_endless_one_do_no_harm(start):
    cloud = await start()
    reader, writer = await open_url(cloud.http_url)
    writer.write(b"POST /app HTTP/1.1\r\nHost: a\r\nContent-Length: 50\r\n\r\nhalf")
    writer.write_eof()
    assert status_of(await reader.read()) == 400
    writer.close()
    await writer.wait_closed()
    assert status_of(await exchange(cloud.http_url, request("/app", b"x" * 3_000_000))) == 413
    assert isinstance(await call(cloud.http_url, "AppCreateDeviceBindToken"), dict)


async def test_one_connection_serves_several_requests(start):
    cloud = await start()
    reader, writer = await open_url(cloud.http_url)
    body = json.dumps({"Action": "AppCreateDeviceBindToken"}).encode()
    seen = set()
    for _ in range(3):
        writer.write(b"POST /app HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        head = await reader.readuntil(b"\r\n\r\n")
        length = next(
            int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.startswith(b"Content-L")
        )
        seen.add(json.loads(await reader.readexactly(length))["Response"]["Data"]["Token"])
    assert len(seen) == 3
    writer.close()
    await writer.wait_closed()


async def test_https_on_the_same_port(start, tmp_path):
    cloud = await start(tls_dir=tmp_path)
    body = {"Action": "AppCreateDeviceBindToken"}
    for path in ("/app", "/api/exploreropen/tokenapi"):
        status, _, answer = await post(cloud.https_url, path, body, context=trust(cloud.ca_file))
        assert status == 200
        assert len(json.loads(answer)["Response"]["Data"]["Token"]) == 32
    assert (await post(cloud.http_url, "/app", body))[0] == 200


async def test_tls_without_tls_dir_is_closed(start):
    cloud = await start()
    assert (cloud.https_url, cloud.mqtts_url, cloud.ca_file) == (None, None, None)
    assert await exchange(cloud.http_url, b"\x16\x03\x01\x00\x05hello") == b""
    await cloud.wait_for(lambda record: record.kind is Kind.TLS)


async def test_the_way_of_a_token(start):
    cloud = await start([device(), device("dev2")])
    url = cloud.http_url
    token = (await call(url, "AppCreateDeviceBindToken", AccessToken="me"))["Token"]
    assert len(token) == 32
    assert int(token, 16) >= 0
    assert (await call(url, "AppGetDeviceBindTokenState", Token=token))["State"] == 1
    family = {"FamilyId": "f1", "RoomId": "0", "ProductId": PRODUCT, "DeviceName": "dev1", "Token": token}
    assert await call(url, "AppTokenBindDeviceFamily", **family) == "InvalidParameterValue.TokenNotBind"

    client = await Mqtt.login(cloud.mqtt_url)
    await client.subscribe(service("down"))
    client.publish(service("up"), bind_message(token))
    await client.message()
    state = {"State": 2, "ProductId": PRODUCT, "DeviceName": "dev1", "RequestId": "r1"}
    assert await call(url, "AppGetDeviceBindTokenState", Token=token) == state
    many = await call(url, "AppGetMultiDeviceBindTokenState", Tokens=[token])
    assert many["Tokens"][0]["State"] == 2

    other = family | {"DeviceName": "dev2"}
    assert await call(url, "AppTokenBindDeviceFamily", **other) == "InvalidParameterValue.TokenNotBind"
    assert await call(url, "AppTokenBindDeviceFamily", **family) == {"RequestId": "r1"}
    assert cloud.registry.device(PRODUCT, "dev1").family == "f1"
    assert await call(url, "AppTokenBindDeviceFamily", **family) == "InvalidParameterValue.TokenNotBind"
    assert token not in "".join(map(str, cloud.records))
    await client.close()


@pytest.mark.parametrize(
    ("action", "params", "code"),
    [
        ("Nope", {}, "InvalidParameterValue.ActionNotFound"),
        ("AppGetDeviceBindTokenState", {}, "InvalidParameter"),
        ("AppGetDeviceBindTokenState", {"Token": "0" * 32}, "InvalidParameterValue.TokenNotExist"),
        ("AppGetMultiDeviceBindTokenState", {"Tokens": []}, "InvalidParameter"),
        ("AppTokenBindDeviceFamily", {"FamilyId": ""}, "InvalidParameter"),
        ("AppTokenBindDeviceFamily", {"FamilyId": "f"}, "InvalidParameter"),
        (
            "AppControlDeviceData",
            {"ProductId": "X", "DeviceName": "dev1", "Data": "{}"},
            "ResourceNotFound.StudioProductNotExist",
        ),
        (
            "AppControlDeviceData",
            {"ProductId": PRODUCT, "DeviceName": "dev9", "Data": "{}"},
            "ResourceNotFound.DeviceNotExist",
        ),
        (
            "AppControlDeviceData",
            {"ProductId": PRODUCT, "DeviceName": "dev1", "Data": "no"},
            "InvalidParameter",
        ),
    ],
)
async def test_actions_that_cannot_be_done(start, action, params, code):
    cloud = await start()
    assert await call(cloud.http_url, action, **params) == code


async def test_an_expired_token(start):
    cloud = await start(token_life=0.0)
    token = (await call(cloud.http_url, "AppCreateDeviceBindToken"))["Token"]
    assert await call(cloud.http_url, "AppGetDeviceBindTokenState", Token=token) == (
        "InvalidParameterValue.TokenIsExpire"
    )
