"""The phone against scripted devices and clouds."""

import asyncio
import json
import socket
from pathlib import Path
from typing import Any

import pytest

from qiot.errors import ConfigurationError
from qiot.model import Secret
from qiot.protocols.lan.app_message import error_record
from qiot.testbed.phone import PhoneResult, SoftApPhone, TokenPhone
from qiot.testbed.phone.udp import open_socket
from tests.testbed_phone.peers import INFO, PASSWORD, TOKEN, cloud, device

CURRENT = error_record("WIFI AP STA error!", 12, 202, previous=False)
PREVIOUS = error_record("MQTT connect error!", 1, -111, previous=True)
NEW_TOKEN = {"Response": {"RequestId": "1", "Token": TOKEN}}
USED = {"Response": {"State": 2}}
UNUSED = {"Response": {"State": 1}}
BOUND = {"Response": {"Data": {}}}


@pytest.fixture
def steps() -> list[dict[str, Any]]:
    return []


def phone(port: int, steps: list[dict[str, Any]], **options) -> SoftApPhone:
    options = {
        "resend_interval": 0.02,
        "poll_interval": 0.01,
        "timeout": 60,
        "on_event": steps.append,
        **options,
    }
    return SoftApPhone("127.0.0.1", port, "Home", PASSWORD, **options)


def names(steps: list[dict[str, Any]]) -> list[str]:
    return [step["event"] for step in steps]


def no_secret_in(*shown: object) -> None:
    text = repr(shown)
    assert TOKEN not in text
    assert PASSWORD not in text


def open_sockets() -> int:
    links = Path("/proc/self/fd").iterdir()
    return sum(link.is_symlink() and str(link.readlink()).startswith("socket:") for link in links)


async def test_without_an_api_the_answer_is_the_end(steps):
    async with device(lambda _, __: [INFO]) as peer:
        result = await phone(peer.port, steps, token=TOKEN).run()
        assert json.loads(peer.heard[0]) == {
            "cmdType": 1,
            "ssid": "Home",
            "password": PASSWORD,
            "token": TOKEN,
        }
    assert result == PhoneResult(answered=True, product_id="P1", device_name="D1")
    assert names(steps) == ["socket", "sent", "reply", "answered"]
    no_secret_in(steps, result)


async def test_token_phone_sends_only_the_token(steps):
    async with device(lambda _, __: [INFO]) as peer:
        result = await TokenPhone("127.0.0.1", peer.port, token=Secret(TOKEN), on_event=steps.append).run()
        assert peer.heard[0] == f'{{"cmdType":0,"token":"{TOKEN}"}}'.encode()
    assert result.answered
    assert not result.error


async def test_with_an_api_it_binds(steps):
    def state(api):
        return UNUSED if api.count("AppGetDeviceBindTokenState") < 3 else USED

    script = {
        "AppCreateBindToken": NEW_TOKEN,
        "AppGetDeviceBindTokenState": state,
        "AppTokenBindDeviceFamily": BOUND,
    }
    async with device(lambda _, __: [INFO, INFO]) as peer, cloud(**script) as api:
        result = await phone(peer.port, steps, app_url=api.url, family="F", room="R").run()
        assert api.calls[0] == {"Action": "AppCreateBindToken"}
        assert api.calls[1] == {"Action": "AppGetDeviceBindTokenState", "Token": TOKEN}
        assert api.calls[-1] == {
            "Action": "AppTokenBindDeviceFamily",
            "FamilyId": "F",
            "ProductId": "P1",
            "DeviceName": "D1",
            "Token": TOKEN,
            "RoomId": "R",
        }
        assert set(api.targets) == {"/api/tokenapi?v=1"}
    assert result == PhoneResult(bound=True, answered=True, product_id="P1", device_name="D1")
    assert [step["state"] for step in steps if step["event"] == "poll"] == [1, 1, 2]
    assert names(steps)[0] == "token"
    assert names(steps)[-1] == "bound"
    no_secret_in(steps, result)


@pytest.mark.parametrize(
    "answer",
    [
        {"Token": TOKEN},
        {"data": {"Token": TOKEN}},
        {"code": 0, "data": {"Token": TOKEN}},
        {"Response": {"data": {"Token": TOKEN}}},
        {"Response": {"Data": {"Token": TOKEN, "RequestId": "1"}}},
        {"code": 0, "data": {"Response": {"Token": TOKEN}}},
    ],
)
async def test_a_token_is_found_wherever_a_gateway_puts_it(steps, answer):
    script = {
        "AppCreateBindToken": answer,
        "AppGetDeviceBindTokenState": USED,
        "AppTokenBindDeviceFamily": BOUND,
    }
    async with device(lambda _, __: [INFO]) as peer, cloud(**script) as api:
        assert (await phone(peer.port, steps, app_url=api.url).run()).bound


async def test_a_silent_device_gets_six_copies(steps):
    async with device(lambda _, __: []) as peer:
        result = await phone(peer.port, steps, token=TOKEN).run()
        assert len(peer.heard) == 6
        assert len(set(peer.heard)) == 1
    assert not result.answered
    assert "UDP_NOT_RESPONSE" in result.error
    assert names(steps) == ["socket", *["sent"] * 6, "failed"]
    assert steps[-1]["text"] == result.error


async def test_a_late_device_is_heard(steps):
    async with device(lambda count, _: [INFO] if count == 4 else []) as peer:
        result = await phone(peer.port, steps, token=TOKEN).run()
    assert result.answered
    assert names(steps).count("sent") >= 4


async def test_a_current_error_ends_it(steps):
    async with device(lambda _, __: [PREVIOUS, CURRENT, INFO]) as peer:
        result = await phone(peer.port, steps, token=TOKEN).run()
    assert result == PhoneResult(error="the device reports: WIFI AP STA error! (12, 202)")
    shown = [(step["current"], step["text"]) for step in steps if step["event"] == "error"]
    assert shown == [(False, "MQTT connect error! (1, -111)"), (True, "WIFI AP STA error! (12, 202)")]


async def test_a_previous_error_is_only_shown(steps):
    async with device(lambda _, __: [PREVIOUS, INFO]) as peer:
        result = await phone(peer.port, steps, token=TOKEN).run()
    assert result.answered
    assert not result.error
    assert names(steps) == ["socket", "sent", "error", "reply", "answered"]


async def test_a_current_error_ends_the_polling_too(steps):
    async with device(lambda _, __: [INFO]) as peer:

        def state(api):
            if api.count("AppGetDeviceBindTokenState") == 3:
                peer.say(CURRENT)
            return UNUSED

        async with cloud(AppGetDeviceBindTokenState=state) as api:
            # The interval leaves the error all the time it may need; it ends the wait.
            options = {"token": TOKEN, "app_url": api.url, "poll_interval": 0.05}
            result = await phone(peer.port, steps, **options).run()
            assert 3 <= api.count("AppGetDeviceBindTokenState") < 20
    assert result.answered
    assert not result.bound
    assert "WIFI AP STA error! (12, 202)" in result.error


async def test_junk_and_other_commands_are_ignored(steps):
    junk = [
        b"\xff",
        b"{",
        b'{"cmdType":1}',
        b'{"cmdType":3}',
        b'{"cmdType":"2"}',
        b"[" * 1500,
        b'{"x":1}',
    ]
    async with device(lambda _, data: [*junk, data, INFO]) as peer:
        result = await phone(peer.port, steps, token=TOKEN).run()
    assert result.answered
    assert names(steps).count("ignored") == len(junk) + 1
    no_secret_in(steps)


async def test_states_and_auth_info_are_shown(steps):
    state = b'{"cmdType":7,"productId":"P1","deviceName":"D1","protoVersion":"3.0","wifiConfigState":1}'
    async with device(lambda _, __: [state, b'{"cmdType":5}', INFO]) as peer:
        assert (await phone(peer.port, steps, token=TOKEN).run()).answered
    replies = [(step["cmdType"], step.get("wifiConfigState")) for step in steps if step["event"] == "reply"]
    assert replies == [(7, 1), (5, None), (2, None)]


async def test_an_answer_without_names_cannot_be_bound(steps):
    async with device(lambda _, __: [b'{"cmdType":2}']) as peer, cloud() as api:
        result = await phone(peer.port, steps, token=TOKEN, app_url=api.url).run()
        assert api.calls == []
    assert result.answered
    assert "productId" in result.error


async def test_state_never_2_ends_after_20_polls(steps):
    async with device(lambda _, __: [INFO]) as peer, cloud(AppGetDeviceBindTokenState=UNUSED) as api:
        result = await phone(peer.port, steps, token=TOKEN, app_url=api.url).run()
        assert api.count("AppGetDeviceBindTokenState") == 20
        assert api.count("AppTokenBindDeviceFamily") == 0
    assert result.answered
    assert not result.bound
    assert "20 polls (state 1)" in result.error


async def test_a_failed_poll_is_not_the_end(steps):
    def state(api):
        count = api.count("AppGetDeviceBindTokenState")
        return {1: (502, b"bad gateway"), 2: b"", 3: {"Response": {"State": "2"}}}.get(count, USED)

    script = {"AppGetDeviceBindTokenState": state, "AppTokenBindDeviceFamily": BOUND}
    async with device(lambda _, __: [INFO]) as peer, cloud(**script) as api:
        assert (await phone(peer.port, steps, token=TOKEN, app_url=api.url).run()).bound
    polls = [step for step in steps if step["event"] == "poll"]
    assert ["text" in poll for poll in polls] == [True, True, True, False]
    assert "HTTP 502" in polls[0]["text"]


@pytest.mark.parametrize(
    ("answer", "named"),
    [
        (
            {"Response": {"Error": {"Code": "InvalidAccessToken", "Message": "log in"}}},
            "InvalidAccessToken: log in",
        ),
        ({"code": 1021, "msg": "no such family"}, "code 1021 no such family"),
        ({"Response": {}}, "no Token"),
        ({"Response": {"Token": 5}}, "no Token"),
        ([1], "no JSON object"),
        ((200, b"<html>"), "no JSON object"),
        ((200, b"[" * 60000), "no JSON object"),
        ((404, b"{}"), "HTTP 404"),
        ((200, b" " * 70000), "more than 65536"),
        (b"SSH-2.0-OpenSSH_9.2\r\n\r\n", "no HTTP answer"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{}", "no HTTP answer"),
        (b"", "no HTTP answer"),
    ],
)
async def test_an_api_that_gives_no_token(steps, answer, named):
    async with device(lambda _, __: [INFO]) as peer, cloud(AppCreateBindToken=answer) as api:
        result = await phone(peer.port, steps, app_url=api.url).run()
        assert peer.heard == []
    assert "AppCreateBindToken" in result.error
    assert named in result.error
    assert names(steps) == ["failed"]


async def test_an_api_that_is_not_there(steps):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        result = await phone(1, steps, app_url=url).run()
    assert "AppCreateBindToken" in result.error


async def test_a_refused_bind_fails_and_shows_no_token(steps):
    refusal = {"Response": {"Error": {"Code": "InvalidToken", "Message": f"token {TOKEN} is used"}}}
    script = {"AppGetDeviceBindTokenState": USED, "AppTokenBindDeviceFamily": refusal}
    async with device(lambda _, __: [INFO]) as peer, cloud(**script) as api:
        result = await phone(peer.port, steps, token=TOKEN, app_url=api.url).run()
    assert not result.bound
    assert "InvalidToken: token *** is used" in result.error
    no_secret_in(steps, result)


async def test_secrets_that_a_device_sends_back_are_not_shown(steps):
    echo = json.dumps({"cmdType": 2, "deviceReply": "Current_Error", "log": f"PSW:{PASSWORD}|TOKEN:{TOKEN}"})
    async with device(lambda _, __: [echo.encode()]) as peer:
        result = await phone(peer.port, steps, token=TOKEN).run()
    assert "PSW:***|TOKEN:***" in result.error
    no_secret_in(steps, result)


async def test_port_unreachable_is_shown_and_not_fatal(steps):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as gone:
        gone.bind(("127.0.0.1", 0))
        port = gone.getsockname()[1]
    result = await phone(port, steps, token=TOKEN).run()
    assert "UDP_NOT_RESPONSE" in result.error
    refused = [step for step in steps if step["event"] == "error"]
    assert refused
    assert all(step["source"] == "network" for step in refused)
    assert "refused" in refused[0]["text"]


async def test_error_queue_does_not_keep_the_loop_busy():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as gone:
        gone.bind(("127.0.0.1", 0))
        port = gone.getsockname()[1]
    async with open_socket("127.0.0.1", port) as link:
        for _ in range(5):
            link.send(b"x")
            assert isinstance(await link.receive(), ConnectionRefusedError)
        with pytest.raises(BlockingIOError):
            link._sock.recvmsg(1024, 1024, 0x2000)


async def test_the_local_port_is_the_device_s_where_it_is_free():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind(("0.0.0.0", 0))
        wanted = other.getsockname()[1]
        async with open_socket("127.0.0.1", 9, local_port=wanted) as link:
            assert link.local_port != wanted
    async with open_socket("127.0.0.1", 9, local_port=wanted) as link:
        assert link.local_port == wanted
    async with open_socket("127.0.0.1", wanted) as link:
        assert link.local_port != wanted
    async with open_socket("192.0.2.1", wanted) as link:
        assert link.local_port == wanted


async def test_an_unknown_host_fails(steps):
    result = await SoftApPhone(
        "no.such.host.invalid", 8266, "Home", "", token=TOKEN, on_event=steps.append
    ).run()
    assert "no.such.host.invalid" in result.error
    assert names(steps) == ["failed"]


async def test_time_out(steps):
    async with device(lambda _, __: []) as peer:
        result = await phone(peer.port, steps, token=TOKEN, resend_interval=600, timeout=0.05).run()
    assert result.error == "no end within 0.05 s"


async def test_an_ssid_that_is_no_text_fails(steps):
    result = await SoftApPhone("127.0.0.1", 9, "\udc80", "", token=TOKEN, on_event=steps.append).run()
    assert "ssid" in result.error


@pytest.mark.parametrize(
    "url", ["", "example.org", "ftp://example.org/", "http://", "http://a:b", "http://u:p@h/"]
)
async def test_what_is_no_url_is_refused(url):
    with pytest.raises(ConfigurationError):
        await phone(9, [], app_url=url).run()


async def test_neither_token_nor_api_is_refused():
    with pytest.raises(ConfigurationError):
        await phone(9, []).run()


@pytest.mark.parametrize("phase", ["asking", "sending", "polling"])
async def test_cancelling_leaves_nothing(steps, phase):
    before, tasks = open_sockets(), len(asyncio.all_tasks())
    reached = asyncio.Event()

    def mark(*_):
        reached.set()

    def hang(_):
        reached.set()

    script = {
        "AppCreateBindToken": hang if phase == "asking" else NEW_TOKEN,
        "AppGetDeviceBindTokenState": hang,
    }
    answer = [INFO] if phase == "polling" else []

    def replies(_, __):
        if phase == "sending":
            mark()
        return answer

    async with device(replies) as peer, cloud(**script) as api:
        running = asyncio.create_task(
            phone(peer.port, steps, app_url=api.url, resend_interval=600, poll_interval=600).run()
        )
        await reached.wait()
        with_peers = open_sockets()
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        assert open_sockets() < with_peers
    await asyncio.sleep(0)
    assert len(asyncio.all_tasks()) == tasks
    assert open_sockets() == before
    assert "failed" not in names(steps)


async def test_a_cancellation_and_the_answer_at_the_same_moment():
    def show(step):
        if step["event"] == "reply":
            running.cancel()

    async with device(lambda _, __: [INFO]) as peer:
        running = asyncio.create_task(phone(peer.port, [], token=TOKEN, on_event=show).run())
        with pytest.raises(asyncio.CancelledError):
            await running


def test_a_phone_does_not_show_its_secrets():
    no_secret_in(phone(9, [], token=TOKEN))
