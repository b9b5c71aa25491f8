"""Dynamic registration: the golden vector of the public log, and every wrong answer."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import random

import attrs
import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from hypothesis import given
from hypothesis import strategies as st

from qiot.cloud.tencent.binder import Clock, TencentBinder
from qiot.cloud.tencent.dynreg import newer_request, read_answer, registration_request, sign
from qiot.cloud.transport import HostTransport
from qiot.device_info import AuthMode, DeviceInfo, load_device_info, save_device_info
from qiot.errors import CloudError, ConfigurationError
from qiot.hal.contract import HttpResponse
from qiot.model import Reason, Secret
from tests.cloud.wire import DEVICE, PRODUCT, PSK, SECRET, SHORT, HttpServer, http_answer, nothing_left

SIGNATURE = "YWM2ZjM1MDZlYzE4N2M1NGNiYjIwZTcwY2E1YTY5NzIyMWM0Mjg2NA=="
BODY = (
    b'{"deviceName":"TEST2","nonce":1005258070,"productId":"L4WG9V9M2M","timestamp":1611299964,'
    b'"signature":"YWM2ZjM1MDZlYzE4N2M1NGNiYjIwZTcwY2E1YTY5NzIyMWM0Mjg2NA=="}'
)
ANSWER = (
    b'{"code":0,"message":"success","len":53,"payload":"sf1gANtJCT/PRC4ZHOypfkLnO53otVR/oBAnD3vXhS2m8XkbQ08b'
    b'TCD+I1Tz5Jjo7vhAnC6QE3RgWWZGg6pWGg==","requestId":"27d8557c-8a38-4f7b-affb-7fe5bbbf75b1"}'
)
KEY_DEVICE = DeviceInfo(PRODUCT, DEVICE, region="china", product_secret=Secret(SECRET))
CERT_DEVICE = attrs.evolve(KEY_DEVICE, auth_mode=AuthMode.CERT)


class Fixed(random.Random):
    """Gives the nonce of the golden vector."""

    def getrandbits(self, k: int) -> int:
        assert k == 31
        return 1005258070


def binder(info: DeviceInfo, url: str, **more) -> TencentBinder:
    clock = Clock(utc=lambda: 1611299964.9)
    return TencentBinder(info, HostTransport(), dynreg_url=url, clock=clock, chance=Fixed(), **more)


def seal(plain: bytes, secret: str = SECRET) -> bytes:
    encryptor = Cipher(algorithms.AES(secret.encode()[:16]), modes.CBC(b"0" * 16)).encryptor()
    return encryptor.update(plain) + encryptor.finalize()


def answer(plain: bytes | dict, length: int | None = None, padding: bytes = b"\0") -> HttpResponse:
    data = json.dumps(plain).encode() if isinstance(plain, dict) else plain
    padded = data + padding * (-len(data) % 16)
    fields = {"code": 0, "len": len(data) if length is None else length}
    payload = base64.b64encode(seal(padded)).decode()
    return HttpResponse(200, json.dumps({**fields, "payload": payload}).encode())


def malformed(response: HttpResponse, info: DeviceInfo = KEY_DEVICE) -> str:
    with pytest.raises(CloudError) as raised:
        read_answer(info, response)
    assert raised.value.reason is Reason.CLOUD_MALFORMED
    assert not raised.value.permanent
    return str(raised.value)


def test_golden_signature():
    assert sign(Secret(SECRET), DEVICE, 1005258070, PRODUCT, 1611299964) == SIGNATURE


async def test_golden_request_and_answer_over_the_wire(written):
    async with HttpServer(http_answer(ANSWER)) as server, nothing_left():
        device = binder(KEY_DEVICE, server.url)
        assert not device.registered
        registered = await device.register()
        assert device.registered
    head, body = server.requests[0]
    assert body == BODY
    assert head.decode().split("\r\n") == [
        "POST /register/dev HTTP/1.1",
        f"Host: 127.0.0.1:{server.port}",
        "Accept: text/xml,application/json;*/*",
        f"Content-Length: {len(BODY)}",
        "Content-Type: application/x-www-form-urlencoded",
        "",
        "",
    ]
    assert registered == attrs.evolve(KEY_DEVICE, device_secret=Secret(PSK))
    log = written.getvalue()
    assert log.index("dev psk not exist, do dyn reg!") < log.index("request dev info success")
    for secret in (SECRET, SIGNATURE, PSK, "sf1gANtJCT"):
        assert secret not in log
        assert secret not in repr(registered)


def test_default_hosts_are_those_of_the_region():
    request = registration_request(KEY_DEVICE, "https://gateway.tencentdevices.com", 1, 2)
    assert request.url == "https://gateway.tencentdevices.com/register/dev"
    assert registration_request(KEY_DEVICE, "http://host/own/way", 1, 2).url == "http://host/own/way"


async def test_newer_interface():
    reply = json.loads(ANSWER)
    body = {"Response": {"Len": reply["len"], "Payload": reply["payload"], "RequestId": "1"}}
    async with HttpServer(http_answer(body)) as server:
        registered = await binder(KEY_DEVICE, server.url, newer_registration=True).register()
    assert registered.device_secret == Secret(PSK)
    head, body = server.requests[0]
    lines = head.decode().split("\r\n")
    headers = dict(line.split(": ", 1) for line in lines[1:-2])
    assert lines[0] == "POST /device/register HTTP/1.1"
    assert body == b'{"ProductId":"L4WG9V9M2M","DeviceName":"TEST2"}'
    text = (
        f"POST\n127.0.0.1:{server.port}\n/device/register\n\nhmacsha256\n1611299964\n1005258070\n"
        + hashlib.sha256(body).hexdigest()
    )
    expected = hmac.new(SECRET.encode(), text.encode(), hashlib.sha256).digest()
    assert headers["X-TC-Signature"] == base64.b64encode(expected).decode()
    assert headers["X-TC-Algorithm"] == "hmacsha256"


def test_newer_interface_signs_the_official_host():
    url = newer_request(KEY_DEVICE, "https://ap-guangzhou.gateway.tencentdevices.com", 1, 2).url
    assert url == "https://ap-guangzhou.gateway.tencentdevices.com/device/register"


def test_newer_interface_refuses():
    refusal = {
        "Response": {"Error": {"Code": "AuthFailure.SignatureFailure", "Message": "no"}, "RequestId": "1"}
    }
    with pytest.raises(CloudError, match=r"AuthFailure\.SignatureFailure: no") as raised:
        read_answer(KEY_DEVICE, HttpResponse(200, json.dumps(refusal).encode()), newer=True)
    assert raised.value.reason is Reason.REGISTRATION_REFUSED


async def test_the_cloud_refuses():
    async with HttpServer(http_answer({"code": 1021, "message": "no such device"})) as server:
        with pytest.raises(CloudError, match="no such device") as raised:
            await binder(KEY_DEVICE, server.url).register()
    error = raised.value
    assert (error.reason, error.code, error.permanent) == (Reason.REGISTRATION_REFUSED, 1021, True)


@pytest.mark.parametrize("status", [204, 302, 403, 500])
async def test_another_http_status(status):
    async with HttpServer(http_answer(ANSWER, status), close=True) as server:
        with pytest.raises(CloudError) as raised:
            await binder(KEY_DEVICE, server.url).register()
    assert (raised.value.reason, raised.value.code) == (Reason.HTTP, status)


async def test_the_gateway_hangs():
    async with HttpServer(b"") as server, nothing_left():
        with pytest.raises(CloudError) as raised:
            await binder(KEY_DEVICE, server.url, request_timeout=SHORT).register()
    assert raised.value.reason is Reason.CLOUD_TIMEOUT


async def test_a_failed_registration_can_be_tried_again():
    async with HttpServer(http_answer("busy", 503)) as server:
        device = binder(KEY_DEVICE, server.url)
        with pytest.raises(CloudError):
            await device.register()
        assert not device.registered
        server.answer = (http_answer(ANSWER),)
        assert (await device.register()).device_secret == Secret(PSK)
        assert device.registered


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"[]",
        b"{}",
        b'{"code":"0"}',
        b'{"code":true}',
        b'{"code":0}',
        b'{"code":0,"len":5,"payload":5}',
        b'{"code":0,"len":5,"payload":"*"}',
        b'{"code":0,"len":0,"payload":""}',
        b'{"code":0,"len":5,"payload":"c2hvcnQ="}',
        b"\xff\xfe",
        b"[" * 100_000,
    ],
)
def test_answers_that_are_none(body):
    malformed(HttpResponse(200, body))


def test_length_has_to_fit():
    good = {"encryptionType": 2, "psk": PSK}
    size = len(json.dumps(good))
    for length in (-1, 0, size - 16, size - 1, size + 16, 10**9):
        malformed(answer(good, length))
    for length in (None, "56", size, size + 1):  # a cloud that leaves it out, or counts the padding
        assert read_answer(KEY_DEVICE, answer(good, length)).device_secret == Secret(PSK)


def test_padding_has_to_be_zeros():
    assert "product secret" in malformed(answer({"encryptionType": 2, "psk": PSK}, padding=b"\x0b"))


def test_another_product_secret():
    other = attrs.evolve(KEY_DEVICE, product_secret=Secret("another-secret-of-24-cha"))
    malformed(HttpResponse(200, ANSWER), other)


@pytest.mark.parametrize(
    "plain",
    [
        b"not json",
        b"[]",
        {"psk": PSK},
        {"encryptionType": 1, "psk": PSK},
        {"encryptionType": "2", "psk": PSK},
        {"encryptionType": 2},
        {"encryptionType": 2, "psk": ""},
        {"encryptionType": 2, "psk": "no base64!"},
        {"encryptionType": 2, "psk": 5},
    ],
)
def test_what_is_in_the_payload_is_checked(plain):
    text = malformed(answer(plain))
    assert PSK not in text


@given(st.binary(max_size=200))
def test_no_answer_gets_through_unchecked(body):
    with pytest.raises(CloudError):
        read_answer(KEY_DEVICE, HttpResponse(200, body))


@given(st.binary(max_size=64))
def test_no_payload_gets_through_unchecked(plain):
    with pytest.raises(CloudError):
        read_answer(KEY_DEVICE, answer(plain or b"\0"))


@pytest.mark.parametrize("secret", [None, "fifteen-charact"])
async def test_without_a_usable_product_secret(secret):
    info = attrs.evolve(KEY_DEVICE, product_secret=None if secret is None else Secret(secret))
    with pytest.raises(ConfigurationError, match="product secret"):
        await binder(info, "http://127.0.0.1:1").register()


# --- CERT ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("literal", [False, True], ids=["line feeds", "backslash n"])
async def test_weakness_07_a_registered_certificate_is_saved_private_and_loads_again(
    authority, tmp_path, written, literal
):
    certificate, key = authority.issue("device")
    sent = [text.replace("\n", "\\n") if literal else text for text in (certificate, key)]
    response = answer({"encryptionType": 1, "clientCert": sent[0], "clientKey": sent[1]})
    file = tmp_path / "device_info.json"
    file.write_text(
        json.dumps(
            {
                "auth_mode": "CERT",
                "productId": PRODUCT,
                "productSecret": SECRET,
                "deviceName": DEVICE,
                "cert_deviceinfo": {
                    "devCertFile": "YOUR_DEVICE_CERT_FILE_NAME",
                    "devPrivateKeyFile": "YOUR_DEVICE_PRIVATE_KEY_FILE_NAME",
                },
            }
        )
    )
    async with HttpServer(http_answer(response.body)) as server:
        info = await binder(load_device_info(file), server.url).register()
    assert info.issued is not None
    assert not info.needs_registration
    save_device_info(file, info)
    names = json.loads(file.read_text())["cert_deviceinfo"]
    assert names == {"devCertFile": "TEST2_cert.crt", "devPrivateKeyFile": "TEST2_private.key"}
    loaded = load_device_info(file)
    assert loaded.cert_file == tmp_path / "certs" / "TEST2_cert.crt"
    assert loaded.key_file == tmp_path / "certs" / "TEST2_private.key"
    assert loaded.cert_file.read_text() == certificate
    assert loaded.key_file.read_text() == key
    assert loaded.key_file.stat().st_mode & 0o777 == 0o600
    assert not loaded.needs_registration
    assert "dev cert not exist, do dyn reg!" in written.getvalue()
    assert key.splitlines()[1] not in written.getvalue() + repr(info)


def test_certificates_that_are_none(authority):
    certificate, key = authority.issue("device")
    other = authority.issue("device")[1]
    for fields in (
        {},
        {"clientCert": certificate},
        {"clientCert": certificate, "clientKey": "no PEM"},
        {"clientCert": "no PEM", "clientKey": key},
        {"clientCert": certificate, "clientKey": other},
        {"clientCert": key, "clientKey": certificate},
        {"clientCert": 1, "clientKey": 2},
    ):
        malformed(answer({"encryptionType": 1, **fields}), CERT_DEVICE)
    malformed(answer({"encryptionType": 2, "psk": PSK}), CERT_DEVICE)
