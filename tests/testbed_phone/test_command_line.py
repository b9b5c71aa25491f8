"""`python -m qiot.testbed.phone`: exit status and what is printed."""

import asyncio
import json
import subprocess
import sys

import pytest

from qiot.protocols.lan.app_message import error_record
from qiot.testbed.phone.__main__ import main
from tests.testbed_phone.peers import INFO, PASSWORD, TOKEN, cloud, device

RUN = [sys.executable, "-m", "qiot.testbed.phone"]


async def run(*arguments: object) -> tuple[int, str]:
    process = await asyncio.create_subprocess_exec(
        *RUN, *map(str, arguments), stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    try:
        out, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    text = out.decode()
    assert PASSWORD not in text
    assert TOKEN not in text
    assert process.returncode is not None
    return process.returncode, text


async def test_softap_binds_and_prints_json():
    script = {
        "AppCreateBindToken": {"Response": {"Token": TOKEN}},
        "AppGetDeviceBindTokenState": {"Response": {"State": 2}},
        "AppTokenBindDeviceFamily": {"Response": {}},
    }
    async with device(lambda _, __: [INFO]) as peer, cloud(**script) as api:
        options = ["--host", "127.0.0.1", "--port", peer.port, "--app-url", api.url, "--timeout", 60]
        status, text = await run("softap", *options, "--ssid", "Home", "--password", PASSWORD, "--json")
        assert json.loads(peer.heard[0])["password"] == PASSWORD
    assert status == 0
    events = [json.loads(line) for line in text.splitlines()]
    assert [each["event"] for each in events] == ["token", "socket", "sent", "reply", "poll", "bound"]
    assert events[-1] == {"event": "bound", "productId": "P1", "deviceName": "D1"}


async def test_softap_takes_the_password_from_a_file(tmp_path):
    file = tmp_path / "password"
    file.write_text(f"{PASSWORD}\nnot this\n")
    async with device(lambda _, __: [INFO]) as peer:
        options = ["--host", "127.0.0.1", "--port", peer.port, "--ssid", "Home", "--token", TOKEN]
        status, text = await run("softap", *options, "--password-file", file)
        assert json.loads(peer.heard[0])["password"] == PASSWORD
    assert status == 0
    assert "answered: productId=P1, deviceName=D1" in text


async def test_a_failure_is_1_and_control_characters_are_not_printed():
    record = error_record("\x1b[2Jbad", 12, 202, previous=False)
    async with device(lambda _, __: [record]) as peer:
        status, text = await run("token", "--host", "127.0.0.1", "--port", peer.port, "--token", TOKEN)
    assert status == 1
    assert "failed: the device reports: \\x1b[2Jbad (12, 202)" in text
    assert "\x1b" not in text


async def test_log_prints_the_raw_text():
    async with device(lambda _, __: [b"1|f(1): one\r\n2|f(2): \x1btwo\r\n"] * 2) as peer:
        status, text = await run("log", "--host", "127.0.0.1", "--port", peer.port)
    assert status == 0
    assert text.splitlines()[-2:] == ["1|f(1): one", "2|f(2): \\x1btwo"]


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["fly"],
        ["softap"],
        ["softap", "--ssid", "Home"],
        ["token"],
        ["token", "--token", "t", "--port", "0"],
        ["token", "--token", "t", "--timeout", "-1"],
        ["token", "--token", "t", "--app-url", "nowhere"],
        ["softap", "--ssid", "Home", "--token", "s3cret\udc80"],
        ["softap", "--ssid", "Home", "--token", "t", "--password", "s3cret\udc80"],
        ["softap", "--ssid", "Home", "--token", "t", "--password-file", "/nowhere/at/all"],
        ["softap", "--ssid", "Home", "--token", "t", "--password", "s3cret", "--password-file", "x"],
    ],
)
def test_wrong_use_is_2(arguments, capsys):
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert "s3cret" not in capsys.readouterr().err


def test_help_names_the_exit_codes(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["--help"])
    assert ended.value.code == 0
    assert "exit 0" in capsys.readouterr().out
