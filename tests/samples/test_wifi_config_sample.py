"""The sample as a user runs it: what it prints, what it keeps, how it ends."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import stat
import subprocess
import sys
from pathlib import Path

import pytest

import qiot
from tests.faults.phone import PASSWORD, SSID, RawPhone
from tests.samples.conftest import IDENTITY
from tests.samples.program import LISTENS, LOG_LINE, Program, run

SAMPLE = "qiot.samples.wifi_config_sample"
PHONE = "qiot.testbed.phone"
ANY_PORT = ("--udp", "127.0.0.1:0")

STORY = (
    "Received 107 bytes from",
    "Report dev info",
    "STA to connect SSID:",
    "wifi_sta_connect success",
    "device bind start",
    "dev psk not exist, do dyn reg!",
    "request dev info success",
    "mqtt connect with id:",
    "mqtt topic subscribe success",
    "publish success",
    "token reply code = 0",
    "WIFI_MQTT_CONNECT_SUCCESS",
    "Device bind success!",
    "WiFi is ready, to do Qcloud IoT demo",
    "get_status_reply",
    '"method":"report"',
)
STEPS = (
    "listening",
    "listening",
    "joining",
    "registering",
    "connecting",
    "awaiting grant",
    "binding",
    "bound",
)


def _assert_in_order(text: str, parts) -> None:
    at = 0
    for part in parts:
        found = text.find(part, at)
        assert found >= 0, f"{part!r} is missing, or comes too early"
        at = found + len(part)


def _table(out: str) -> list[str]:
    """First column of the table at the end."""
    lines = out.splitlines()
    titles = [index for index, line in enumerate(lines) if line.startswith("step ")]
    assert titles, "there is no table"
    start = titles[0]
    return [line[: lines[start].index("outcome")].strip() for line in lines[start + 1 :] if "|" not in line]


# --- by itself --------------------------------------------------------------------------


async def test_without_options_everything_runs_and_is_told(tmp_path):
    code, out, err = await run(SAMPLE, *ANY_PORT, folder=tmp_path)
    assert (code, err) == (0, "")
    _assert_in_order(out, STORY)
    assert tuple(_table(out)) == STEPS
    assert all(LOG_LINE.fullmatch(line) for line in out.splitlines() if "|" in line)
    assert PASSWORD not in out
    assert list(tmp_path.iterdir()) == []  # nothing is left in a user's folder


@pytest.mark.parametrize(
    ("number", "method", "key"),
    [
        (1, "smart_config", ()),
        (2, "esptouch_v2", ("--esptouch-key", "0123456789abcdef")),
        (3, "airkiss", ("--airkiss-key", "hex:6b65792d6f662d6f776e")),
        (4, "simple_config", ("--pin", "31415926")),
    ],
)
async def test_a_phone_of_the_air_needs_no_options_either(tmp_path, number, method, key):
    # An address of its own, so that the protocols' fixed ports are free.
    where = f"127.61.{number}.1:0"
    code, out, err = await run(SAMPLE, "--method", method, *key, "--udp", where, folder=tmp_path)
    assert (code, err) == (0, "")
    assert _table(out)[-1] == "bound"
    _assert_in_order(
        out, ("listening to the air", "complete after", "wifi_sta_connect success", '"token":"***"')
    )
    assert all(LOG_LINE.fullmatch(line) for line in out.splitlines() if "|" in line)
    assert PASSWORD not in out
    assert not key or key[1] not in out
    assert "key-of-own" not in out


@pytest.mark.parametrize("method", ["blufi", "bt_combo", "llsync", "thing"])
async def test_a_phone_with_bluetooth_needs_no_options_either(tmp_path, method):
    code, out, err = await run(SAMPLE, "--method", method, *ANY_PORT, folder=tmp_path)
    assert (code, err) == (0, "")
    assert _table(out)[-1] == "bound"
    _assert_in_order(out, ("is advertised", "connected", "wifi_sta_connect success", "Device bind success!"))
    assert PASSWORD not in out


async def test_json_log_has_nothing_but_objects(tmp_path):
    code, out, err = await run(SAMPLE, *ANY_PORT, "--log", "json", folder=tmp_path)
    assert (code, err) == (0, "")
    records = [json.loads(line) for line in out.splitlines()]
    assert all(isinstance(each, dict) for each in records)
    summary = next(each for each in records if each.get("event") == "summary")
    assert [each["step"] for each in summary["steps"] if each["outcome"] == "ok"][-1] == "bound"


async def test_an_identity_of_ones_own_is_completed_and_nothing_else_in_it_changes(tmp_path, identity):
    path = identity()
    path.chmod(0o644)
    code, _, err = await run(SAMPLE, *ANY_PORT, "-c", path.name, folder=tmp_path)
    assert (code, err) == (0, "")
    saved = json.loads(path.read_text())
    secret = saved["key_deviceinfo"]["deviceSecret"]
    assert secret != IDENTITY["key_deviceinfo"]["deviceSecret"]
    expected = IDENTITY | {"key_deviceinfo": {"deviceSecret": secret, "vendor": {"batch": 7}}}
    assert json.dumps(saved) == json.dumps(expected)  # the order of the keys too
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [each.name for each in tmp_path.iterdir()] == [path.name]

    code, out, err = await run(SAMPLE, *ANY_PORT, "-c", path.name, folder=tmp_path)
    assert (code, err) == (0, "")
    assert "dev psk not exist" not in out
    assert "request dev info" not in out
    assert secret not in out
    assert json.loads(path.read_text()) == saved


async def test_with_a_state_folder_the_next_run_needs_no_phone(tmp_path, identity):
    hal = ("--hal", f"mock,state={tmp_path / 'state'}", "-c", identity(), *ANY_PORT)
    assert (await run(SAMPLE, *hal, folder=tmp_path))[0] == 0
    code, out, _ = await run(SAMPLE, *hal, "--log-level", "debug", folder=tmp_path)
    assert code == 0
    assert "Received" not in out
    assert "phone: " not in out  # nor does a simulated one try
    assert "WIFI_MQTT_CONNECT_SUCCESS" in out
    code, out, _ = await run(SAMPLE, *hal, "--forget", folder=tmp_path)
    assert code == 0
    assert "Received" in out


@pytest.mark.parametrize(
    "options",
    [
        ("--hal", "mock,ap_sta=yes"),
        ("--proto-version", "3.0", "--broadcast", "127.0.0.2"),
        ("--newer-dynreg", "--hmac", "hmacsha256"),
    ],
    ids=["ap_sta", "3.0", "newer"],
)
async def test_the_same_with_options(tmp_path, options):
    code, out, err = await run(SAMPLE, *ANY_PORT, *options, folder=tmp_path)
    assert (code, err) == (0, "")
    assert "Device bind success!" in out


async def test_a_certificate_device_registers_over_tls_and_keeps_its_files(tmp_path, identity):
    path = identity(auth_mode="CERT")
    code, out, err = await run(SAMPLE, *ANY_PORT, "-c", path, folder=tmp_path)
    assert (code, err) == (0, "")
    assert "dev cert not exist, do dyn reg!" in out
    saved = json.loads(path.read_text())["cert_deviceinfo"]
    for name, mode in ((saved["devCertFile"], 0o644), (saved["devPrivateKeyFile"], 0o600)):
        assert stat.S_IMODE((tmp_path / "certs" / name).stat().st_mode) == mode
    code, out, err = await run(SAMPLE, *ANY_PORT, "-c", path, folder=tmp_path)
    assert (code, err) == (0, "")
    assert "do dyn reg!" not in out


# --- wrong use --------------------------------------------------------------------------


async def test_placeholders_are_named_one_by_one(tmp_path, identity):
    path = identity(productId="PRODUCT_ID", productSecret="YOUR_PRODUCT_SECRET", deviceName="YOUR_DEV_NAME")
    code, _, err = await run(SAMPLE, "-c", path.name, folder=tmp_path)
    assert code == 2
    assert err.count("\n") == 1
    _assert_in_order(err, ("device_info.json", "productId", "deviceName", "productSecret"))


async def test_a_placeholder_secret_without_registration(tmp_path, identity):
    code, _, err = await run(SAMPLE, "-c", identity(), "--no-dynreg", folder=tmp_path)
    assert code == 2
    assert err.count("\n") == 1
    assert "key_deviceinfo.deviceSecret" in err


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--method", "qr"), "not built yet"),
        (("--method", "nonsense"), "no such method"),
        (("--hal", "nonsense"), "no platform 'nonsense'"),
        (("--hal", "mock,colour=red"), "unknown option 'colour'"),
        (("--udp", "nonsense"), "not HOST:PORT"),
        (("--udp", "127.0.0.1:65536"), "not HOST:PORT"),
        (("--timeout", "0"), "no time in seconds"),
        (("--timeout", "soon"), "soon"),
        (("--phone", "sim", "--mqtt-url", "mqtt://127.0.0.1:1"), "--phone sim needs the local cloud"),
        (("--cloud", "tencent"), "-c"),
        (("--mqtt-url", "http://127.0.0.1"), "no MQTT URL"),
        (("-c", "nowhere.json"), "no such file"),
        (("--hal", "mock,sniff=no", "--method", "smart_config"), "smart_config: the mock hears it nowhere"),
        (("--method", "airkiss", "--airkiss-key", "hex:nonsense"), "no hexadecimal digits"),
        (("--method", "smart_config", "--esptouch-key", "short"), "must have 16"),
        (("--method", "soft_ap", "--pin", ""), "pin has 0 octets"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else None,
)
async def test_wrong_use_is_2_and_says_what_is_wrong(tmp_path, arguments, says):
    code, _, err = await run(SAMPLE, *arguments, folder=tmp_path)
    assert code == 2
    assert says in err.splitlines()[-1]


# --- failures ---------------------------------------------------------------------------


def _assert_one_line(err: str, *parts: str) -> None:
    assert err.count("\n") == 1, err
    _assert_in_order(err, parts)


async def test_a_busy_port(tmp_path):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        code, _, err = await run(SAMPLE, "--udp", f"127.0.0.1:{port}", folder=tmp_path)
    assert code == 1
    _assert_one_line(err, "port busy", str(port), "ss -lunp")


async def test_a_cloud_that_is_not_there(tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # nobody listens, nobody else can
        port = taken.getsockname()[1]
        urls = ("--dynreg-url", f"http://127.0.0.1:{port}", "--mqtt-url", f"mqtt://127.0.0.1:{port}")
        arguments = (*ANY_PORT, *urls, "--phone", "none", "--timeout", 5)
        async with Program(SAMPLE, *arguments, folder=tmp_path) as sample:
            async with RawPhone(int((await sample.find(LISTENS))[1])) as phone:
                phone.send_join("0123456789abcdef0123456789abcdef")
                await phone.until(lambda each: bool(each.errors), 20)
                assert phone.errors[0] == ("Current_Error", 1, -8)
            code, _, err = await sample.end()
    assert code == 1
    _assert_one_line(err, "registering failed: not reachable (111)", "Connection refused", "firewall")


async def test_a_wrong_wifi_password_is_told_everywhere(tmp_path):
    hal = (
        "--hal",
        "mock,ssid=home,password=right-password",
        "--ssid",
        "home",
        "--password",
        "wrong-password",
    )
    code, out, err = await run(SAMPLE, *ANY_PORT, *hal, folder=tmp_path)
    assert code == 1
    _assert_one_line(err, "joining failed: wrong password", "WIFI AP STA error! (12, 202)")
    assert "right-password" not in out + err
    assert "wrong-password" not in out + err


async def test_interrupt_while_it_waits(tmp_path):
    async with Program(SAMPLE, *ANY_PORT, "--phone", "none", folder=tmp_path) as sample:
        await sample.find(LISTENS)
        sample.interrupt()
        code, _, err = await sample.end()
    assert code == 1
    assert err.splitlines() == [f"python -m {SAMPLE}: stopped"]


async def test_interrupt_while_it_joins(tmp_path):
    async with Program(SAMPLE, *ANY_PORT, "--hal", "mock,join_delay=30", folder=tmp_path) as sample:
        await sample.find("STA to connect SSID:")
        sample.interrupt()
        code, _, err = await sample.end()
    assert code == 1
    assert err.splitlines() == [f"python -m {SAMPLE}: stopped"]


async def test_looping_until_interrupted_is_no_failure(tmp_path):
    """The device was bound and reports: Ctrl-C is the one way to end -l, and the table is shown."""
    async with Program(SAMPLE, *ANY_PORT, "-l", folder=tmp_path) as sample:
        await sample.find(r'"method":"report".*"brightness": 1')
        sample.interrupt()
        code, out, _ = await sample.end()
    assert tuple(_table(out)) == STEPS
    assert code == 0


# --- with a cloud and a phone of other processes ----------------------------------------


async def _phone_of_another_process(sample: Program, folder, app_url: str) -> tuple[int, str]:
    port = (await sample.find(LISTENS))[1]
    where = ("--host", "127.0.0.1", "--port", port, "--app-url", app_url)
    code, out, err = await run(
        PHONE, "softap", *where, "--ssid", SSID, "--password", PASSWORD, "--json", folder=folder
    )
    assert err == ""
    return code, json.loads(out.splitlines()[-1])["event"]


async def test_three_processes(tmp_path, identity, cloud):
    path = identity()
    _, urls = await cloud("--devices", identity("devices.json"), "--json")
    arguments = ("-c", path, "--dynreg-url", urls["http"], "--mqtt-url", urls["mqtt"])
    async with Program(SAMPLE, *ANY_PORT, *arguments, folder=tmp_path) as sample:
        phone = asyncio.create_task(_phone_of_another_process(sample, tmp_path, f"{urls['http']}/app"))
        assert await phone == (0, "bound")
        code, out, err = await sample.end()
    assert (code, err) == (0, "")
    _assert_in_order(out, STORY[1:])
    assert json.loads(path.read_text())["key_deviceinfo"]["deviceSecret"] not in out


async def test_a_stored_secret_needs_no_registration(tmp_path, identity, cloud):
    stored = {"key_deviceinfo": {"deviceSecret": "MLvMHde65nKPk0Lx+ZThaA=="}}
    path = identity(**stored)
    program, urls = await cloud("--devices", path)
    arguments = ("-c", path, "--dynreg-url", urls["http"], "--mqtt-url", urls["mqtt"])
    async with Program(SAMPLE, *ANY_PORT, *arguments, folder=tmp_path) as sample:
        assert (await _phone_of_another_process(sample, tmp_path, f"{urls['http']}/app"))[0] == 0
        await sample.find("WiFi is ready, to do Qcloud IoT demo")
        assert not any("do dyn reg!" in line for line in sample.lines)
    assert not any(" dynreg " in line for line in program.lines)


async def test_tls_with_a_ca_file_and_sha256(tmp_path, identity, cloud):
    program, urls = await cloud("--devices", identity(), "--tls-dir", tmp_path / "tls")
    where = ("--dynreg-url", urls["https"], "--mqtt-url", urls["mqtts"], "--ca-file", urls["ca_file"])
    arguments = ("-c", identity("own.json"), *where, "--hmac", "hmacsha256", "--newer-dynreg")
    async with Program(SAMPLE, *ANY_PORT, *arguments, folder=tmp_path) as sample:
        assert (await _phone_of_another_process(sample, tmp_path, f"{urls['http']}/app"))[0] == 0
        await sample.find("WiFi is ready, to do Qcloud IoT demo")
    await program.find(r" connect .*hmacsha256")


async def test_a_mode_file_makes_the_cloud_fail(tmp_path, identity, cloud):
    mode = tmp_path / "mode.json"
    mode.write_text('{"bind_reply": {"do": "code", "code": 1021}}')
    program, urls = await cloud("--devices", identity(), "--mode", mode)
    where = ("--dynreg-url", urls["http"], "--mqtt-url", urls["mqtt"])
    arguments = ("-c", identity("own.json"), *where, "--timeout", 4)
    async with Program(SAMPLE, *ANY_PORT, *arguments, folder=tmp_path) as sample:
        assert (await _phone_of_another_process(sample, tmp_path, f"{urls['http']}/app")) == (1, "failed")
        code, _, err = await sample.end()
    assert code == 1
    _assert_one_line(err, "binding failed: token refused (1021)", "start again from the phone")
    await program.find("bind_reply: code")


async def test_terminating_undoes_what_is_not_finished(tmp_path):
    async with Program(SAMPLE, *ANY_PORT, "--phone", "none", folder=tmp_path) as sample:
        await sample.find(LISTENS)
        sample.terminate()
        code, out, err = await sample.end()
    assert code == 1
    assert "softAP stopped" in out
    assert err.splitlines() == [f"python -m {SAMPLE}: stopped"]


async def test_endpoints_of_the_file_are_no_local_cloud(tmp_path, identity):
    path = identity(endpoints={"dynreg": "http://127.0.0.1:9", "mqtt": "mqtt://127.0.0.1:9"})
    before = path.read_text()
    async with Program(SAMPLE, *ANY_PORT, "-c", path, folder=tmp_path) as sample:
        await sample.find("waiting for a phone")
        sample.interrupt()
        _, out, _ = await sample.end()
    assert "local cloud" not in out
    assert path.read_text() == before


def test_a_full_output_changes_nothing_of_how_it_ended(tmp_path):
    with Path("/dev/full").open("wb") as full:
        ended = subprocess.run(
            [sys.executable, "-m", SAMPLE, *ANY_PORT],
            stdout=full,
            stderr=subprocess.PIPE,
            cwd=tmp_path,
            env=os.environ | {"PYTHONPATH": str(Path(qiot.__file__).parent.parent)},
            check=False,
        )
    assert ended.returncode == 0, ended.stderr.decode()
    assert b"Traceback" not in ended.stderr
