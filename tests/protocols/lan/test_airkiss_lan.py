"""WeChat's discovery: the packets as its own library makes and reads them."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qiot.errors import ProtocolError
from qiot.model import Event, Outcome, Peer, Step
from qiot.protocols.lan.airkiss_lan import AirKissLanDevice, LanCommand, LanMessage, request

JOINED = Event(1, 0.0, 1, Step.JOINING, Outcome.OK, detail={"ip": "192.168.1.7"})
PHONE = Peer("airkiss", "192.168.1.5:12476")


def device() -> AirKissLanDevice:
    return AirKissLanDevice(device_type="gh_1234567890ab", device_id="lamp-1")


def test_the_request_is_the_librarys() -> None:
    assert request().hex() == "fd01fefc00100001" + "00000010" + "00000001"


def test_a_request_is_answered_to_its_sender() -> None:
    [answer] = device().feed("12476", request(), PHONE, 0.0)
    assert answer.to == PHONE
    body = b'{"deviceInfo":{"deviceType":"gh_1234567890ab","deviceId":"lamp-1"}}'
    size = (16 + len(body)).to_bytes(4, "big")
    assert answer.data == bytes.fromhex("fd01fefc00100001") + size + bytes.fromhex("00001001") + body
    assert LanMessage.parse(answer.data) == LanMessage(LanCommand.RESPONSE, "gh_1234567890ab", "lamp-1")


def test_everybody_is_told_every_five_seconds() -> None:
    codec = device()
    [first] = codec.tell(JOINED, 1.0)
    assert first.to.address == "255.255.255.255:12476"
    assert LanMessage.parse(first.data).command is LanCommand.NOTIFY
    assert codec.deadline() == pytest.approx(6.0)
    assert codec.tick(5.9) == ()
    assert len(codec.tick(6.0)) == 1


def test_devices_do_not_answer_each_other() -> None:
    for command in (LanCommand.RESPONSE, LanCommand.NOTIFY):
        assert device().feed("12476", LanMessage(command, "a", "b").build(), PHONE, 0.0) == ()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        request()[:-1],
        request() + b"x",
        b"\0" + request()[1:],
        request()[:15] + b"\x07",
        bytes.fromhex("fd01fefc00100001" + "00000012" + "00001001") + b"{}",
    ],
)
def test_what_is_no_packet_is_refused(data: bytes) -> None:
    with pytest.raises(ProtocolError):
        device().feed("12476", data, PHONE, 0.0)


@given(st.binary(max_size=100))
def test_any_octets_are_read_or_refused(data: bytes) -> None:
    for octets in (data, request()[:8] + (12 + len(data)).to_bytes(4, "big") + data):
        with contextlib.suppress(ProtocolError):
            LanMessage.parse(octets)
