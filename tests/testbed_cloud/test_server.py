from __future__ import annotations

import asyncio
import json
import logging
import signal
import socket
import stat
import sys

import pytest

from qiot.errors import ConfigurationError, MediumError, StorageError
from qiot.model import Reason
from qiot.testbed.cloud import DEMO_DEVICE_NAME, DEMO_PRODUCT_ID, Kind, LocalCloud
from qiot.testbed.cloud.authority import Authority
from qiot.testbed.cloud.registry import load_devices
from tests.testbed_cloud.outside import (
    PRODUCT,
    PRODUCT_SECRET,
    SECRET,
    Mqtt,
    bind_message,
    call,
    device,
    open_url,
    register,
    service,
)


async def test_close_ends_every_connection_and_leaves_nothing(tmp_path):
    before = asyncio.all_tasks()
    cloud = LocalCloud([device()], tls_dir=tmp_path, mode={"app": "hang"})
    await cloud.start()
    client = await Mqtt.login(cloud.mqtt_url)
    await client.subscribe(service("down"))
    streams = [
        await open_url(url) for url in (cloud.http_url, cloud.mqtt_url, cloud.http_url, cloud.mqtt_url)
    ]
    streams[0][1].write(b"POST /app HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n{}")
    streams[1][1].write(b"\x10")
    await cloud.wait_for(lambda record: record.kind is Kind.FAULT)
    port = int(cloud.http_url.rpartition(":")[2])
    await cloud.aclose()
    await cloud.aclose()
    assert asyncio.all_tasks() == before
    assert await client.read() is None
    await client.abort()
    for _, writer in streams:
        writer.transport.abort()
    with socket.socket() as free:
        free.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        free.bind(("127.0.0.1", port))


async def test_close_while_an_answer_is_delayed():
    before = asyncio.all_tasks()
    async with LocalCloud([device()], mode={"suback": {"do": "delay", "seconds": 3600}}) as cloud:
        client = await Mqtt.login(cloud.mqtt_url)
        client.send(b"\x82\x06\x00\x01\x00\x01a\x00")
        await cloud.wait_for(lambda record: record.kind is Kind.FAULT)
    assert asyncio.all_tasks() == before
    await client.abort()


async def test_a_busy_port_is_told_and_nothing_is_left():
    before = asyncio.all_tasks()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        cloud = LocalCloud(mqtt_port=taken.getsockname()[1])
        with pytest.raises(MediumError) as caught:
            await cloud.start()
    assert caught.value.reason is Reason.PORT_BUSY
    assert asyncio.all_tasks() == before


async def test_amqtt_says_nothing_to_the_applications_log(start):
    seen = []

    class Handler(logging.Handler):
        def emit(self, record):
            seen.append(record.name)

    handler = Handler(0)
    logging.getLogger().addHandler(handler)
    level = logging.getLogger().level
    logging.getLogger().setLevel(0)
    try:
        cloud = await start()
        client = await Mqtt.login(cloud.mqtt_url)
        await client.subscribe(service("down"))
        client.publish(service("up"), bind_message("0" * 32))
        await client.answer()
        await client.close()
    finally:
        logging.getLogger().setLevel(level)
        logging.getLogger().removeHandler(handler)
    assert not [name for name in seen if name.startswith("amqtt")]


async def test_journal_waits_looks_back_and_gives_up(start):
    told = []
    cloud = await start(on_record=told.append)

    def is_app(record):
        return record.kind is Kind.APP

    waiting = asyncio.create_task(cloud.wait_for(is_app))
    await call(cloud.http_url, "AppCreateDeviceBindToken")
    first = await waiting
    assert await cloud.wait_for(is_app) is first
    with pytest.raises(TimeoutError):
        await cloud.wait_for(is_app, timeout=0.01, since=first.seq)
    await call(cloud.http_url, "AppCreateDeviceBindToken")
    assert (await cloud.wait_for(is_app, since=first.seq)).seq == first.seq + 1
    assert tuple(told) == cloud.records
    assert [record.seq for record in cloud.records] == list(range(1, len(told) + 1))


async def test_a_record_shows_no_control_characters(start):
    cloud = await start()
    await call(cloud.http_url, "\x1b[2Jclear\n")
    assert "\x1b" not in str(cloud.records[-1])
    assert "\n" not in str(cloud.records[-1])
    assert "clear" in str(cloud.records[-1])


async def test_device_secrets_are_not_in_any_repr(start):
    cloud = await start()
    text = repr(cloud.registry.devices) + repr(cloud.registry.products)
    assert SECRET not in text
    assert PRODUCT_SECRET not in text


# --- devices ---------------------------------------------------------------------------------------------


def test_one_device_a_list_or_an_object(tmp_path):
    path = tmp_path / "devices.json"
    for data in (device(), [device()], {"devices": [device()]}):
        path.write_text(json.dumps(data))
        devices, _ = load_devices(path)
        assert [(found.path, found.certificate) for found in devices] == [(f"{PRODUCT}/dev1", False)]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ([5], "a device is a JSON object"),
        ("x", "must be a device"),
        ([{}], "productId is missing"),
        ([device(productId="a/b")], "productId must be"),
        ([device("no/name")], "deviceName must be"),
        ([device("n" * 49)], "deviceName must be"),
        ([device(productSecret="short")], "at least 16"),
        ([device(secret="***")], "not base64"),
        ([device(secret="YOUR_IOT_PSK", productSecret="")], "needs a productSecret"),
        ([device(auth_mode="PIN")], "KEY or CERT"),
        ([device(key_deviceinfo=[])], "key_deviceinfo"),
        ([device(), device()], "there twice"),
        ([device(), device("dev2", productSecret="another-product-secret")], "another productSecret"),
        ([device(subDev={"subdev_list": [1]})], "subdev_list"),
        ([device(subDev={"subdev_list": [{}]})], "sub_productId"),
        ({"devices": [device()], "autoCreate": ["OTHER"]}, "autoCreate"),
    ],
)
def test_devices_that_cannot_be_used(data, message):
    with pytest.raises(ConfigurationError) as caught:
        load_devices(data)
    assert message in str(caught.value)
    assert PRODUCT_SECRET not in str(caught.value)


def test_the_cloud_refuses_what_cannot_work(tmp_path):
    with pytest.raises(ConfigurationError, match="needs TLS"):
        LocalCloud([device(auth_mode="CERT")])
    with pytest.raises(ConfigurationError, match="not both"):
        LocalCloud(mode={}, mode_file=tmp_path / "x")


# --- certificates ----------------------------------------------------------------------------------------


def test_certificates_are_made_once_and_kept(tmp_path):
    folder = tmp_path / "new" / "tls"
    authority = Authority.open(folder)
    names = ("ca.crt", "ca.key", "server.crt", "server.key")
    first = {name: (folder / name).read_bytes() for name in names}
    assert sorted(path.name for path in folder.iterdir()) == sorted(names)
    for name in ("ca.key", "server.key"):
        assert stat.S_IMODE((folder / name).stat().st_mode) == 0o600
    Authority.open(folder)
    assert {name: (folder / name).read_bytes() for name in names} == first
    assert authority.ca_file == folder / "ca.crt"


@pytest.mark.parametrize("name", ["server.crt", "server.key"])
@pytest.mark.parametrize("text", [None, "rubbish"])
def test_a_lost_server_certificate_is_made_anew(tmp_path, name, text):
    Authority.open(tmp_path)
    ca = (tmp_path / "ca.crt").read_bytes()
    (tmp_path / name).unlink() if text is None else (tmp_path / name).write_text(text)
    Authority.open(tmp_path).server_context()
    assert (tmp_path / "ca.crt").read_bytes() == ca


def test_a_server_certificate_of_another_authority_is_made_anew(tmp_path):
    for name in ("a", "b"):
        Authority.open(tmp_path / name)
    for name in ("server.crt", "server.key"):
        (tmp_path / "a" / name).write_bytes((tmp_path / "b" / name).read_bytes())
    Authority.open(tmp_path / "a")
    assert (tmp_path / "a" / "server.crt").read_bytes() != (tmp_path / "b" / "server.crt").read_bytes()


@pytest.mark.parametrize("name", ["ca.crt", "ca.key"])
def test_a_broken_authority_is_not_overwritten(tmp_path, name):
    Authority.open(tmp_path)
    (tmp_path / name).write_text("mine")
    with pytest.raises(ConfigurationError, match=r"ca\.crt"):
        Authority.open(tmp_path)
    assert (tmp_path / name).read_text() == "mine"


async def test_a_folder_that_is_none(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError):
        await LocalCloud(tls_dir=tmp_path / "file").start()


# --- the command line ------------------------------------------------------------------------------------


async def run(*arguments):
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-W",
        "error",
        "-m",
        "qiot.testbed.cloud",
        *map(str, arguments),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_command_line(tmp_path, number):
    process = await run("--http-port", 0, "--mqtt-port", 0, "--tls-dir", tmp_path, "--json")
    ready = json.loads(await process.stdout.readline())
    assert ready["event"] == "ready"
    assert ready["devices"] == [f"{DEMO_PRODUCT_ID}/{DEMO_DEVICE_NAME}"]
    assert ready["https"] == ready["http"].replace("http:", "https:")
    assert ready["mqtts"] == ready["mqtt"].replace("mqtt:", "mqtts:")
    assert ready["ca_file"] == str(tmp_path / "ca.crt")
    token = (await call(ready["http"], "AppCreateDeviceBindToken"))["Token"]
    line = await process.stdout.readline()
    assert json.loads(line)["event"] == "app"
    assert token.encode() not in line
    process.send_signal(number)
    out, err = await asyncio.wait_for(process.communicate(), 30)
    assert (process.returncode, out, err) == (0, b"", b"")


async def test_command_line_for_people(tmp_path):
    (tmp_path / "devices.json").write_text(json.dumps(device(secret="YOUR_IOT_PSK")))
    process = await run("--http-port", 0, "--mqtt-port", 0, "--devices", tmp_path / "devices.json")
    ready = (await process.stdout.readline()).decode()
    assert ready.startswith("ready http=http://127.0.0.1:")
    identity = await register(ready.split()[1].removeprefix("http="))
    line = (await process.stdout.readline()).decode()
    assert f"{PRODUCT}/dev1 registered" in line
    assert identity["psk"] not in line
    process.terminate()
    assert await asyncio.wait_for(process.wait(), 30) == 0
    await process.communicate()


async def test_command_line_says_what_is_wrong(tmp_path):
    (tmp_path / "bad.json").write_text("{")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        cases = [
            (("--http-port", "x"), 2, "--http-port"),
            (("--http-port", "70000"), 2, "70000"),
            (("--devices", tmp_path / "bad.json"), 2, "bad.json: not JSON"),
            (("--mode", tmp_path / "none.json"), 2, "none.json: cannot be read"),
            (("--mqtt-port", "0", "--http-port", port), 1, f"TCP port {port} on 127.0.0.1 is in use"),
        ]
        processes = [await run(*arguments) for arguments, _, _ in cases]
        for process, (_, code, text) in zip(processes, cases, strict=True):
            out, err = await asyncio.wait_for(process.communicate(), 30)
            assert (process.returncode, out) == (code, b"")
            assert text in err.decode()
            assert "Traceback" not in err.decode()
