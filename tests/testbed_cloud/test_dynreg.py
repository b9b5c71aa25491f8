from __future__ import annotations

import base64
import hashlib
import hmac
import json

import pytest
from cryptography import x509

from qiot.model import Secret
from qiot.testbed.cloud import DEMO_DEVICE_NAME, DEMO_PRODUCT_ID, DEMO_PRODUCT_SECRET, Kind, LocalCloud
from qiot.testbed.cloud.dynreg import Refusal, encrypt, sign
from tests.testbed_cloud.outside import (
    PRODUCT,
    PRODUCT_SECRET,
    SECRET,
    Mqtt,
    connect_packet,
    decrypt,
    device,
    dynreg_body,
    exchange,
    password,
    post,
    register,
    user_name,
)

UNREGISTERED = device(secret="YOUR_IOT_PSK")


def test_golden_vector_of_the_public_log():
    secret = Secret(PRODUCT_SECRET)
    signature = sign(secret, "TEST2", 1005258070, "L4WG9V9M2M", 1611299964)
    assert signature == "YWM2ZjM1MDZlYzE4N2M1NGNiYjIwZTcwY2E1YTY5NzIyMWM0Mjg2NA=="
    plain = b'{"encryptionType":2,"psk":"MLvMHde65nKPk0Lx+ZThaA=="}'
    assert base64.b64encode(encrypt(secret, plain)) == (
        b"sf1gANtJCT/PRC4ZHOypfkLnO53otVR/oBAnD3vXhS2m8XkbQ08bTCD+I1Tz5Jjo7vhAnC6QE3RgWWZGg6pWGg=="
    )


async def test_golden_exchange_byte_for_byte(start):
    cloud = await start([device("TEST2", secret="MLvMHde65nKPk0Lx+ZThaA==")])
    body = (
        b'{"deviceName":"TEST2","nonce":1005258070,"productId":"L4WG9V9M2M","timestamp":1611299964,'
        b'"signature":"YWM2ZjM1MDZlYzE4N2M1NGNiYjIwZTcwY2E1YTY5NzIyMWM0Mjg2NA=="}'
    )
    headers = ["Accept: text/xml,application/json;*/*", "Content-Type: application/x-www-form-urlencoded"]
    status, lines, answer = await post(cloud.http_url, "/register/dev", body, headers=headers)
    assert status == 200
    assert f"Content-Length: {len(answer)}" in lines
    assert answer.startswith(
        b'{"code":0,"message":"success","len":53,"payload":"sf1gANtJCT/PRC4ZHOypfkLnO53otVR/oBAnD3vXhS2m8XkbQ08b'
        b'TCD+I1Tz5Jjo7vhAnC6QE3RgWWZGg6pWGg==","requestId":"'
    )


async def test_the_secret_that_is_handed_out_logs_in(start):
    cloud = await start([UNREGISTERED])
    identity = await register(cloud.http_url)
    assert identity["encryptionType"] == 2
    client = await Mqtt.login(cloud.mqtt_url, secret=identity["psk"])
    await client.close()


async def test_another_registration_makes_the_first_secret_invalid(start):
    cloud = await start([UNREGISTERED])
    first = await register(cloud.http_url)
    second = await register(cloud.http_url)
    assert first["psk"] != second["psk"]
    user = user_name(PRODUCT + "dev1")
    login = connect_packet(PRODUCT + "dev1", user, password(first["psk"], user))
    assert await exchange(cloud.mqtt_url, login) == b"\x20\2\0\5"
    await (await Mqtt.login(cloud.mqtt_url, secret=second["psk"])).close()


async def test_a_stored_first_secret_outlives_the_cloud(start):
    identity = await register((await start([UNREGISTERED])).http_url)
    again = await start([UNREGISTERED])
    await (await Mqtt.login(again.mqtt_url, secret=identity["psk"])).close()


async def test_an_activated_device_is_refused(start):
    cloud = await start([UNREGISTERED])
    identity = await register(cloud.http_url)
    await (await Mqtt.login(cloud.mqtt_url, secret=identity["psk"])).close()
    assert await register(cloud.http_url) == Refusal.ACTIVATED == 1021


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"productId": "NOPE"}, Refusal.NO_SUCH_PRODUCT),
        ({"signature": "AAAA"}, Refusal.BAD_SIGNATURE),
        ({"nonce": 1}, Refusal.BAD_SIGNATURE),
        ({"nonce": None}, Refusal.BAD_REQUEST),
        ({"timestamp": "1611299964"}, Refusal.BAD_REQUEST),
        ({"timestamp": True}, Refusal.BAD_REQUEST),
        ({"deviceName": ""}, Refusal.BAD_REQUEST),
        ({"signature": 5}, Refusal.BAD_REQUEST),
    ],
)
async def test_wrong_requests_are_refused_with_a_code(start, change, code):
    cloud = await start([UNREGISTERED])
    status, _, body = await post(cloud.http_url, "/register/dev", dynreg_body() | change)
    assert (status, json.loads(body)["code"]) == (200, code)


async def test_unknown_device_is_created_only_where_the_product_allows_it(start):
    closed = await start([UNREGISTERED])
    assert await register(closed.http_url, "dev2") == Refusal.NO_SUCH_DEVICE
    open_product = await start({"devices": [UNREGISTERED], "autoCreate": [PRODUCT]})
    identity = await register(open_product.http_url, "dev2")
    await (await Mqtt.login(open_product.mqtt_url, "dev2", secret=identity["psk"])).close()
    assert await register(open_product.http_url, "no/name") == Refusal.NO_SUCH_DEVICE


async def test_product_without_secret_has_no_dynamic_registration(start):
    cloud = await start([device(productSecret="")])
    assert await register(cloud.http_url) == Refusal.OFF


async def test_the_demo_product_needs_no_file():
    async with LocalCloud() as cloud:
        options = {"product": DEMO_PRODUCT_ID, "secret": DEMO_PRODUCT_SECRET}
        for name in (DEMO_DEVICE_NAME, "demo-device-2"):
            identity = await register(cloud.http_url, name, **options)
            client = await Mqtt.login(
                cloud.mqtt_url, name, secret=identity["psk"], product=DEMO_PRODUCT_ID, method="sha256"
            )
            await client.close()


def tc_headers(body, *, host="localhost:80", secret=PRODUCT_SECRET, algorithm="hmacsha256"):
    text = "\n".join(
        [
            "POST",
            host,
            "/device/register",
            "",
            algorithm,
            "1611299964",
            "5456",
            hashlib.sha256(body).hexdigest(),
        ]
    )
    sign_ = base64.b64encode(hmac.new(secret.encode(), text.encode(), "sha256").digest()).decode()
    return [
        "Content-Type: application/json",
        f"X-TC-Algorithm: {algorithm}",
        "X-TC-Timestamp: 1611299964",
        "X-TC-Nonce: 5456",
        f"X-TC-Signature: {sign_}",
    ]


@pytest.mark.parametrize("options", [{}, {"host": "localhost"}, {"algorithm": "HmacSha256"}])
async def test_newer_registration(start, options):
    cloud = await start([UNREGISTERED])
    body = json.dumps({"ProductId": PRODUCT, "DeviceName": "dev1"}).encode()
    _, _, answer = await post(cloud.http_url, "/device/register", body, headers=tc_headers(body, **options))
    response = json.loads(answer)["Response"]
    identity = decrypt(response["Payload"], response["Len"])
    await (await Mqtt.login(cloud.mqtt_url, secret=identity["psk"])).close()


@pytest.mark.parametrize(
    ("drop", "options", "code"),
    [
        (None, {"secret": "another-product-secret"}, "AuthFailure.SignatureFailure"),
        (None, {"host": "other"}, "AuthFailure.SignatureFailure"),
        ("X-TC-Nonce: 5456", {}, "InvalidParameter"),
        (None, {"algorithm": "md5"}, "InvalidParameter"),
    ],
)
async def test_newer_registration_refuses(start, drop, options, code):
    cloud = await start([UNREGISTERED])
    body = json.dumps({"ProductId": PRODUCT, "DeviceName": "dev1"}).encode()
    headers = [line for line in tc_headers(body, **options) if line != drop]
    _, _, answer = await post(cloud.http_url, "/device/register", body, headers=headers)
    assert json.loads(answer)["Response"]["Error"]["Code"] == code


async def test_certificate_device_gets_a_certificate_in_its_name(start, tmp_path):
    cloud = await start([device(auth_mode="CERT")], tls_dir=tmp_path)
    _, _, body = await post(cloud.http_url, "/register/dev", dynreg_body())
    answer = json.loads(body)
    identity = decrypt(answer["payload"], answer["len"])
    assert identity["encryptionType"] == 1
    certificate = x509.load_pem_x509_certificate(identity["clientCert"].encode())
    ca = x509.load_pem_x509_certificate(cloud.ca_file.read_bytes())
    certificate.verify_directly_issued_by(ca)
    assert certificate.subject.rfc4514_string() == f"CN={PRODUCT}dev1"


async def test_no_secret_is_in_the_journal(start):
    cloud = await start([UNREGISTERED])
    identity = await register(cloud.http_url)
    record = await cloud.wait_for(lambda record: record.kind is Kind.DYNREG)
    assert (record.device, record.code) == (f"{PRODUCT}/dev1", 0)
    text = "".join(map(str, cloud.records)) + json.dumps([record.as_dict() for record in cloud.records])
    for secret in (identity["psk"], PRODUCT_SECRET, SECRET):
        assert secret not in text
