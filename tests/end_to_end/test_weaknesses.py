"""The C SDK's fourteen measured weaknesses: each test fails on what the C SDK does."""

from __future__ import annotations

import asyncio
import base64
import json
import re
import socket
import struct
import threading

import attrs
import pytest

from qiot.api import CloudOptions, State, WifiConfig
from qiot.blocking import WIFI_CONFIG_SUCCESS, BlockingWifiConfig
from qiot.cloud.transport import HostTransport
from qiot.device_info import load_device_info
from qiot.errors import ConfigurationError, QiotError
from qiot.hal.contract import Slot, Storage, Transport, Wifi
from qiot.hal.mock import MockPlatform
from qiot.hal.registry import parse_spec
from qiot.model import Reason, Secret, Step
from qiot.testbed.cloud import DEMO_PRODUCT_ID, DEMO_PRODUCT_SECRET, LocalCloud
from qiot.testbed.cloud.journal import Kind
from qiot.testbed.phone import LogPhone
from tests.end_to_end.support import (
    CERT_DEVICE,
    DEVICE,
    HOME,
    IDENTITY,
    NEW_DEVICE,
    PASSWORD,
    PATIENCE,
    Phone,
    Wiretap,
    at,
    bound_by,
    deaf_port,
    end_of,
    is_free,
    mock,
    new_token,
    place,
    quick_binder,
    settings,
)

TEST2 = "L4WG9V9M2M/TEST2"


async def test_weakness_01_no_start_is_lost_in_a_race(cloud, device, phone):
    here = await cloud({"devices": [_demo("demo-device-1")], "autoCreate": [DEMO_PRODUCT_ID]})
    ten = asyncio.Semaphore(10)

    async def one(number: int) -> Step:
        async with ten:
            info = attrs.evolve(
                IDENTITY,
                product_id=DEMO_PRODUCT_ID,
                device_name=f"device-{number}",
                product_secret=Secret(DEMO_PRODUCT_SECRET),
                device_secret=None,
            )
            wifi = device(here, info=info)
            await wifi.start()
            (await phone(wifi)).join(token := new_token(here))
            step = (await end_of(wifi)).step
            assert bound_by(here, token) == f"{DEMO_PRODUCT_ID}/device-{number}"
            await wifi.aclose()
            return step

    assert await asyncio.gather(*(one(number) for number in range(60))) == [Step.BOUND] * 60


def _demo(name: str) -> dict[str, str]:
    return {"productId": DEMO_PRODUCT_ID, "deviceName": name, "productSecret": DEMO_PRODUCT_SECRET}


@pytest.mark.parametrize(
    ("reply", "reason", "code", "told"),
    [
        ({"do": "code", "code": 7}, Reason.TOKEN_REFUSED, 7, "(24, 7)"),
        ("drop", Reason.TOKEN_NO_REPLY, None, "(24, -111)"),
        ({"do": "foreign", "kind": "method"}, Reason.TOKEN_NO_REPLY, None, "(24, -111)"),
        ({"do": "foreign", "kind": "client_token"}, Reason.TOKEN_NO_REPLY, None, "(24, -111)"),
        ("malformed", Reason.TOKEN_MALFORMED, None, "(24, 201)"),
        ("empty", Reason.TOKEN_MALFORMED, None, "(24, 201)"),
    ],
)
async def test_weakness_02_only_the_right_reply_is_success(cloud, device, phone, reply, reason, code, told):
    here = await cloud(mode={"bind_reply": reply})
    platform = mock(ap_sta="yes")
    wifi = device(here, platform, binder=quick_binder(here), retry_window=0.05)
    await wifi.start()
    speaker = await phone(wifi)
    speaker.join(new_token(here))
    failure = (await end_of(wifi)).failure
    assert (failure.step, failure.reason, failure.code) == (Step.BINDING, reason, code)
    assert await speaker.error() == ("Current_Error", f"MQTT Token reply error! {told}")
    assert wifi.link is None
    assert (await platform.port(Wifi).status()).saved is None


async def test_weakness_02_a_foreign_message_before_the_reply_is_ignored(cloud, device, phone):
    here = await cloud(mode={"bind_reply": {"do": "foreign", "kind": "client_token", "keep": True}})
    wifi = device(here)
    await wifi.start()
    (await phone(wifi)).join(new_token(here))
    assert (await end_of(wifi)).step is Step.BOUND


@pytest.mark.parametrize(
    "message",
    [b'{"cmdType":0,"token":1}', b'{"cmdType":0,"token":null}', b'{"cmdType":1,"ssid":[],"password":{}}'],
)
async def test_weakness_03_a_token_of_the_wrong_type_is_refused(cloud, device, phone, message):
    here = await cloud()
    wifi = device(here)
    await wifi.start()
    bad, good = await phone(wifi), await phone(wifi)
    bad.send(message)
    assert await bad.error() == ("Current_Error", "APP command error! (2, 204)")
    good.join(token := new_token(here))
    assert (await end_of(wifi)).step is Step.BOUND
    assert bound_by(here, token) == TEST2


async def test_weakness_04_no_datagram_ends_the_service(cloud, device, phone):
    here = await cloud()
    wifi = device(here)
    await wifi.start()
    speaker = await phone(wifi)
    for number in range(200):
        speaker.send(b"junk %d" % number)
        await speaker.error()
    speaker.send({"cmdType": 3})
    speaker.send({"cmdType": 4})
    speaker.send({"cmdType": 0, "token": new_token(here)})
    assert (await speaker.info())["deviceName"] == "TEST2"
    speaker.join(token := new_token(here))
    assert (await end_of(wifi)).step is Step.BOUND
    assert bound_by(here, token) == TEST2


async def test_weakness_05_the_first_sender_does_not_shut_the_real_phone_out(cloud, device, phone, written):
    here = await cloud()
    platform = mock(ap_sta="yes", join_delay="0.2")
    wifi = device(here, platform)
    await wifi.start()
    spoofer, real = await phone(wifi), await phone(wifi)
    spoofer.join(stolen := new_token(here), ssid="Evil", password="evil-password")
    real.join(token := new_token(here))
    assert (await end_of(wifi)).step is Step.BOUND
    assert bound_by(here, token) == TEST2
    assert bound_by(here, stolen) is None
    assert (await platform.port(Wifi).status()).saved == b"Home"
    warning = next(line for line in written.getvalue().splitlines() if "came first" in line)
    assert f"127.0.0.1:{spoofer.port}>" in warning
    assert f"127.0.0.1:{real.port}>" in warning


async def test_weakness_05_a_token_cannot_inject_fields(cloud, device, phone, stack):
    here = await cloud()
    tap = await stack.enter_async_context(Wiretap(here.mqtt_url).running())
    wifi = device(CloudOptions(mqtt_url=f"mqtt://127.0.0.1:{tap.port}"), retry_window=0.05)
    await wifi.start()
    token = 'a","x":"'
    (await phone(wifi)).join(token)
    failure = (await end_of(wifi)).failure
    assert failure.reason is Reason.TOKEN_REFUSED
    message = bytes(tap.sent).partition(b'{"method":"app_bind_token"')
    payload, _ = json.JSONDecoder().raw_decode((message[1] + message[2]).decode(errors="replace"))
    assert payload["params"] == {"token": token}


async def test_weakness_05_a_long_token_is_refused_and_not_cut(cloud, device, phone):
    here = await cloud()
    wifi = device(here)
    await wifi.start()
    speaker = await phone(wifi)
    token = new_token(here)
    speaker.join(token + "0")
    assert await speaker.error() == ("Current_Error", "APP command error! (2, 204)")
    assert bound_by(here, token) is None
    speaker.join(token)
    assert (await end_of(wifi)).step is Step.BOUND


async def test_weakness_06_a_busy_port_is_a_typed_error_at_the_start(cloud, device, phone):
    here = await cloud()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as busy:
        busy.bind(("127.0.0.1", 0))
        port = busy.getsockname()[1]
        platform = mock()
        wifi = device(here, platform, udp_port=port)
        for _ in range(2):
            with pytest.raises(QiotError, match=str(port)) as caught:
                await wifi.start()
            assert caught.value.reason is Reason.PORT_BUSY
            assert caught.value.hint
            assert (await end_of(wifi)).failure.reason is Reason.PORT_BUSY
            assert wifi.query_state() is State.FAILED
            assert b"qcloud-softap" not in {each.ssid for each in platform.world.wifi.access_points}
    await wifi.start()
    (await phone(wifi)).join(new_token(here))
    assert (await end_of(wifi)).step is Step.BOUND


async def test_weakness_07_a_cert_device_binds_again_and_again(cloud, device, phone, identity_file, tmp_path):
    here = await cloud([CERT_DEVICE], tls_dir=tmp_path / "tls")
    path = identity_file(CERT_DEVICE)
    for registrations in (1, 1):  # the second run uses the saved files, from another working directory
        wifi = device(at(here, secure=True), info=path)
        await wifi.start()
        (await phone(wifi)).join(token := new_token(here))
        result = await end_of(wifi)
        assert result.step is Step.BOUND, result.failure
        assert bound_by(here, token) == "L4WG9V9M2M/CERT1"
        await wifi.aclose()
        assert sum(record.kind is Kind.DYNREG and not record.code for record in here.records) == registrations
    key = path.parent / "certs" / "CERT1_private.key"
    assert {each.stat().st_mode & 0o777 for each in (key, path)} == {0o600}
    assert b"PRIVATE KEY" in key.read_bytes()
    assert load_device_info(path).key_file == key


class RecordingTransport(HostTransport):
    """Goes to the local cloud, whatever host is asked for, and keeps what was asked for."""

    def __init__(self, cloud: LocalCloud) -> None:
        self.cloud = cloud
        self.hosts: list[tuple[str, int]] = []
        self.urls: list[str] = []

    async def mqtt(self, parameters):
        self.hosts.append((parameters.host, parameters.port))
        _, _, port = self.cloud.mqtt_url.rpartition(":")
        return await super().mqtt(attrs.evolve(parameters, host="127.0.0.1", port=int(port), tls=None))

    async def request(self, request):
        self.urls.append(request.url)
        url = f"{self.cloud.http_url}/register/dev"
        return await super().request(attrs.evolve(request, url=url, tls=None))


class ModemPlatform(MockPlatform):
    """A mock whose way to the internet is its own."""

    def __init__(self, transport: Transport) -> None:
        super().__init__(parse_spec(f"mock,ap_sta=yes,ssid={HOME},password={PASSWORD}"))
        self._transport = transport

    def port(self, kind):
        return self._transport if kind is Transport else super().port(kind)


@pytest.mark.parametrize(
    ("region", "broker", "gateway"),
    [
        ("us-east", "L4WG9V9M2M.us-east.iotcloud.tencentdevices.com", "us-east.gateway.tencentdevices.com"),
        ("china", "L4WG9V9M2M.iotcloud.tencentdevices.com", "gateway.tencentdevices.com"),
    ],
)
async def test_weakness_08_the_region_chooses_the_hosts(cloud, device, phone, region, broker, gateway):
    here = await cloud([NEW_DEVICE])
    transport = RecordingTransport(here)
    info = attrs.evolve(IDENTITY, region=region, device_secret=None)
    wifi = device(None, ModemPlatform(transport), info)
    await wifi.start()
    (await phone(wifi)).join(new_token(here))
    assert (await end_of(wifi)).step is Step.BOUND
    assert [(host.lower(), port) for host, port in transport.hosts] == [(broker.lower(), 8883)]
    assert transport.urls == [f"https://{gateway}/register/dev"]


async def test_weakness_09_the_device_log_keeps_the_newest_ten_whole(cloud, device, phone):
    wifi = device(await cloud())
    await wifi.start()
    speaker = await phone(wifi)
    for number in range(13):  # two entries each
        speaker.join("a" * 32, ssid=f"Nowhere-{number:02}")
        await speaker.error()
    speaker.send({"cmdType": 3})
    upload = await speaker.hear(lambda data: data[:1] != b"{")
    assert await speaker.hear(lambda data: data[:1] != b"{") == upload, "sent twice"
    lines = upload.decode().split("\r\n")
    assert lines.pop() == ""
    assert len(lines) == 10
    assert [line for line in lines if not re.fullmatch(r"\d+\|_join\(\d+\): .+", line)] == []
    assert re.findall(r"SSID:Nowhere-(\d+)", upload.decode()) == ["08", "09", "10", "11", "12"]


async def test_weakness_10_errors_survive_a_restart(cloud, device, phone, tmp_path, written):
    here = await cloud(mode={"bind_reply": {"do": "code", "code": 7}})
    state = str(tmp_path / "state")
    wifi = device(here, mock(ap_sta="yes", state=state), retry_window=0.05)
    await wifi.start()
    (await phone(wifi)).join(new_token(here))
    assert not (await end_of(wifi)).successful
    await wifi.aclose()
    assert "error log not saved" not in written.getvalue()
    platform = mock(ap_sta="yes", state=state)
    image = await platform.port(Storage).load(Slot.ERRORS)
    assert image == struct.pack("<IIBBHi", 0xF00DBEEF, 1, 0, 0, 24, 7)
    here.set_mode({})
    again = device(here, platform)
    await again.start()
    speaker = await phone(again)
    speaker.join(new_token(here))
    assert await speaker.error() == ("Previous_Error", "MQTT Token reply error! (24, 7)")
    assert (await end_of(again)).step is Step.BOUND
    assert await platform.port(Storage).load(Slot.ERRORS) is None


def _image(count: int, *items: tuple[int, int], magic: int = 0xF00DBEEF) -> bytes:
    return struct.pack("<II", magic, count) + b"".join(struct.pack("<BBHi", 0, 0, *item) for item in items)


@pytest.mark.parametrize(
    ("image", "told"),
    [
        (_image(1, (24, 7), magic=0xDEADBEEF), []),
        (_image(17, *[(24, 7)] * 17), []),
        (_image(0xFFFFFFFF, (24, 7)), []),
        (_image(2, (24, 7)), []),
        (b"\xef\xbe", []),
        (b"", []),
        (_image(1, (200, 5)), ["unknown error! (200, 5)"]),
        (
            _image(2, (65535, -(2**31)), (1, -111)),
            ["unknown error! (65535, -2147483648)", "MQTT connect error! (1, -111)"],
        ),
    ],
)
async def test_weakness_10_a_damaged_error_log_is_survived(cloud, device, phone, image, told):
    here = await cloud()
    platform = mock(ap_sta="yes")
    await platform.port(Storage).save(Slot.ERRORS, image)
    wifi = device(here, platform)
    await wifi.start()
    speaker = await phone(wifi)
    speaker.send({"cmdType": 4})
    assert [(await speaker.error()) for _ in told] == [("Previous_Error", text) for text in told]
    speaker.join(new_token(here))
    assert (await end_of(wifi)).step is Step.BOUND
    records = [json.loads(data) for data in speaker.everything if b"deviceReply" in data]
    assert [record["log"] for record in records] == told, "nothing else, and each once"


def test_weakness_11_two_sessions_in_two_threads():
    steps: list[Step] = []

    async def session() -> None:
        async with (
            LocalCloud([DEVICE]) as here,
            WifiConfig(IDENTITY, hal="mock,ap_sta=yes", cloud=at(here), settings=settings()) as wifi,
        ):
            await wifi.start()
            phone = await Phone.open(place(wifi))
            phone.join(new_token(here))
            steps.append((await end_of(wifi)).step)
            phone.close()

    threads = [threading.Thread(target=lambda: asyncio.run(session())) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert steps == [Step.BOUND, Step.BOUND]


async def test_weakness_11_the_blocking_facade_is_used_from_many_threads(cloud, phone):
    here = await cloud()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    results: list[object] = []
    wifi = await asyncio.to_thread(
        BlockingWifiConfig,
        IDENTITY,
        hal="mock,ap_sta=yes",
        cloud=at(here),
        settings=settings(udp_port=port, grace=PATIENCE),
    )
    try:
        starts = await asyncio.gather(*(asyncio.to_thread(wifi.start) for _ in range(4)))
        assert sorted(starts) == [-1, -1, -1, 0]
        threads = [
            threading.Thread(target=lambda: results.append(wifi.wait(PATIENCE).step)) for _ in range(4)
        ]
        for thread in threads:
            thread.start()
        (await phone(("127.0.0.1", port))).join(new_token(here))
        for thread in threads:
            await asyncio.to_thread(thread.join)
        assert results == [Step.BOUND] * 4
        assert await asyncio.to_thread(wifi.query_state) == WIFI_CONFIG_SUCCESS
    finally:
        await asyncio.to_thread(wifi.close)
    assert "qiot" not in {thread.name for thread in threading.enumerate()}


async def test_weakness_12_stop_ends_everything_and_the_token_with_it(cloud, device, tmp_path):
    here = await cloud()
    networks, offers = tmp_path / "networks.json", tmp_path / "offers.json"
    home = {"ssid": HOME, "password": PASSWORD}
    networks.write_text(json.dumps([home]))
    offers.write_text(json.dumps([{"method": "smart_config", "after": 0.0, **home}]))
    wifi = device(here, f"mock,networks={networks},offers={offers}", grant_timeout=0.2, retry_window=0.05)
    old = new_token(here)
    await wifi.set_token(old)
    await wifi.start()  # by SoftAP: the script has nothing for it
    await wifi.stop()
    await wifi.start("smart_config")
    assert (await end_of(wifi)).failure.reason is Reason.GRANT_TIMEOUT
    assert bound_by(here, old) is None


async def test_weakness_12_a_failed_run_is_over_at_once(cloud, device, phone):
    here = await cloud(mode={"connack": {"do": "code", "code": 5}})
    wifi = device(here, retry_window=0.05)
    await wifi.start()
    speaker = await phone(wifi)
    port = place(wifi)[1]
    speaker.join(new_token(here))
    assert (await end_of(wifi)).failure.reason is Reason.MQTT_REFUSED
    await wifi.linger()
    assert is_free("127.0.0.1", port)
    here.set_mode({})
    await wifi.start()
    (await phone(wifi)).join(new_token(here))
    assert (await end_of(wifi)).step is Step.BOUND


async def test_weakness_13_no_secret_in_log_and_upload(cloud, device, phone, written):
    here = await cloud([NEW_DEVICE], mode={"bind_reply": {"do": "code", "code": 7}})
    platform = mock()
    info = attrs.evolve(IDENTITY, device_secret=None)
    wifi = device(here, platform, info, retry_window=0.05)
    await wifi.start()
    (await phone(wifi)).join(token := new_token(here))
    assert not (await end_of(wifi)).successful
    passwords = set()
    for _ in range(2):
        service = await wifi.send_log(random_password=True, port=0)
        point = next(each for each in platform.world.wifi.access_points if each.ssid == b"ESP-LOG-QUERY")
        passwords.add(point.password.reveal())
        upload = await LogPhone(*service.local, quiet=0.05).run()
        assert "SSID:Home" in upload.text
        secrets = [PASSWORD, token, DEVICE["productSecret"], wifi.device_info.device_secret.text()]
        assert [each for each in secrets if each in written.getvalue() + upload.text] == []
    assert len(passwords) == 2
    assert all(re.fullmatch(rb"\d{8}", each) for each in passwords)
    await wifi.send_log(port=0)
    point = next(each for each in platform.world.wifi.access_points if each.ssid == b"ESP-LOG-QUERY")
    assert point.password == Secret("86013388")


async def test_weakness_14_the_user_name_goes_out_whole(cloud, device, phone, stack):
    here = await cloud()
    tap = await stack.enter_async_context(Wiretap(here.mqtt_url).running())
    wifi = device(CloudOptions(mqtt_url=f"mqtt://127.0.0.1:{tap.port}"))
    await wifi.start()
    (await phone(wifi)).join(new_token(here))
    assert (await end_of(wifi)).step is Step.BOUND
    user = re.search(rb"L4WG9V9M2MTEST2;21010406;\w{5};(\d+)", bytes(tap.sent))
    length = int.from_bytes(tap.sent[user.start() - 2 : user.start()], "big")
    assert user[1] == b"9223372036854775807"
    assert length == len(user[0])


async def test_weakness_14_a_long_answer_with_a_long_secret_fits(cloud, device, phone, identity_file, stack):
    secret = base64.b64encode(bytes(range(64))).decode()
    assert len(secret) == 88
    path = identity_file(NEW_DEVICE)
    here = await cloud([DEVICE | {"key_deviceinfo": {"deviceSecret": secret}}])
    for _ in range(2):  # the second run reads what the first has saved
        wifi = device(here, info=path)
        await wifi.start()
        (await phone(wifi)).join(new_token(here))
        result = await end_of(wifi)
        assert result.step is Step.BOUND, result.failure
        await wifi.aclose()
    assert load_device_info(path).device_secret == Secret(secret)


@pytest.mark.parametrize("how", ["chunked", "lower_case"])
async def test_weakness_14_other_forms_of_http_are_read(cloud, device, phone, how):
    here = await cloud([NEW_DEVICE], mode={"dynreg": how})
    wifi = device(here, info=attrs.evolve(IDENTITY, device_secret=None))
    await wifi.start()
    (await phone(wifi)).join(new_token(here))
    assert (await end_of(wifi)).step is Step.BOUND


async def test_weakness_14_a_tcp_connect_ends(cloud, device, phone):
    here = await cloud()
    with deaf_port() as port:
        binder = quick_binder(here, mqtt_url=f"mqtt://127.0.0.1:{port}", connect_timeout=0.2)
        wifi = device(here, binder=binder, tries=1, retry_window=0.05)
        await wifi.start()
        (await phone(wifi)).join(new_token(here))
        failure = (await end_of(wifi)).failure
    assert (failure.step, failure.reason) == (Step.CONNECTING, Reason.TCP)


@pytest.mark.parametrize("secret", ["YOUR_PRODUCT_SECRET", "", "fifteen-charact"])
async def test_weakness_14_a_missing_product_secret_is_named_before_the_start(device, identity_file, secret):
    path = identity_file(NEW_DEVICE | {"productSecret": secret})
    with pytest.raises(ConfigurationError, match="productSecret") as caught:
        device(info=path)
    assert "fifteen" not in str(caught.value)
