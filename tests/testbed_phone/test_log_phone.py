"""Log collection against a scripted device."""

import socket

from qiot.protocols.lan.app_message import AppMessageDevice
from qiot.testbed.phone import LogPhone
from qiot.testbed.phone.log_query import LogResult
from tests.testbed_phone.peers import device

ITEM = b"4215522433|qiot_device_bind(396): WIFI_MQTT_CONNECT_FAILED: -1001\r\n"


def phone(port: int, **options) -> LogPhone:
    return LogPhone("127.0.0.1", port, **{"resend_interval": 0.02, "quiet": 600.0, "timeout": 60, **options})


async def test_the_second_copy_completes_the_log():
    steps: list = []
    async with device(lambda _, __: [ITEM, b"second\r\n", ITEM, b"second\r\n"]) as peer:
        result = await phone(peer.port, on_event=steps.append).run()
        assert set(peer.heard) == {b'{"cmdType":3}'}
    assert result == LogResult(text=ITEM.decode() + "second\r\n")
    assert [step["event"] for step in steps] == ["socket", "sent", "log", "log"]


async def test_a_single_copy_is_complete_when_it_is_quiet():
    async with device(lambda _, __: [ITEM]) as peer:
        result = await phone(peer.port, resend_interval=600, quiet=0.05).run()
    assert result == LogResult(text=ITEM.decode())


async def test_octets_that_are_no_text_are_replaced():
    async with device(lambda _, __: [b"\xff\x00log", b"\xff\x00log"]) as peer:
        assert (await phone(peer.port).run()).text == "\ufffd\x00log"


async def test_a_device_without_a_log_is_asked_twelve_times():
    async with device(lambda _, __: [b""]) as peer:
        result = await phone(peer.port).run()
        assert len(peer.heard) == 12
    assert result.text == ""
    assert "no log" in result.error


async def test_an_endless_log_ends():
    async with device(lambda _, __: [b"%d|" % number for number in range(100)]) as peer:
        result = await phone(peer.port, resend_interval=600, quiet=600).run()
    assert result == LogResult(text="".join(f"{number}|" for number in range(64)))


async def test_port_unreachable_is_shown_and_not_fatal():
    steps: list = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as gone:
        gone.bind(("127.0.0.1", 0))
        port = gone.getsockname()[1]
    result = await phone(port, on_event=steps.append).run()
    assert "no log" in result.error
    assert any(step["event"] == "error" and step["source"] == "network" for step in steps)


async def test_time_out():
    async with device(lambda _, __: []) as peer:
        result = await phone(peer.port, resend_interval=600, timeout=0.05).run()
    assert result.error == "no end within 0.05 s"


async def test_against_the_codec_of_the_log_service():
    from qiot.model import Peer
    from qiot.protocols.base import Answer, Ask, Send

    codec = AppMessageDevice(product_id="P", device_name="D", log_only=True)
    who = Peer("soft_ap", "127.0.0.1:9")

    def script(_, data: bytes) -> list[bytes]:
        assert codec.feed("log", data, who, 0.0) == (Ask("log", who),)
        first = codec.tell(Answer("log", who, [ITEM] * 30), 0.0)
        again = codec.tick(0.5)
        return [send.data for send in (*first, *again) if isinstance(send, Send)]

    async with device(script) as peer:
        result = await phone(peer.port, resend_interval=600).run()
    assert result == LogResult(text=ITEM.decode() * 30)
