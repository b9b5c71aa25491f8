"""When, how often and to whom a joined device answers."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qiot.model import AckRecipe, Event, Outcome, Peer, Step
from qiot.protocols.air.results import AIRKISS, ESPTOUCH, ESPTOUCH_V2
from qiot.protocols.base import Send
from qiot.protocols.lan.air_ack_device import AirAckDevice

MAC = bytes.fromhex("a4cf12345678")
JOINED = Event(1, 0.0, 1, Step.JOINING, Outcome.OK, detail={"ip": "192.168.1.7"})
PHONE = "192.168.1.5:51234"


def device(protocol: str, port: int = 18266, data: bytes = b"\x24") -> AirAckDevice:
    return AirAckDevice(AckRecipe(protocol, port, data), method="m", mac=MAC)


def run(codec: AirAckDevice, sends, until: float) -> list[tuple[float, str, bytes]]:
    """Everything that goes out, with its time."""
    told = [(0.0, send.to.address, send.data) for send in sends]
    while (due := codec.deadline()) is not None and due <= until:
        told += [(round(due, 3), send.to.address, send.data) for send in codec.tick(due)]
    return told


def test_before_the_join_nothing_goes_out() -> None:
    codec = device(ESPTOUCH)
    assert list(codec.feed("7001", b"1" * 515, Peer("m", PHONE), 0.0)) == []
    assert codec.deadline() is None


def test_esptouch_answers_everybody_30_times_every_100_ms() -> None:
    codec = device(ESPTOUCH)
    told = run(codec, codec.tell(JOINED, 0.0), 60.0)
    assert [time for time, _, _ in told] == [round(count / 10, 3) for count in range(30)]
    assert {address for _, address, _ in told} == {"255.255.255.255:18266"}
    assert {data.hex() for _, _, data in told} == {"24a4cf12345678c0a80107"}
    assert codec.deadline() is None


@pytest.mark.parametrize(("protocol", "port"), [(ESPTOUCH, 18266), (AIRKISS, 10000)])
def test_the_phone_is_where_its_datagrams_come_from(protocol: str, port: int) -> None:
    codec = device(protocol, port)
    codec.tell(JOINED, 0.0)
    told = codec.feed("7001", b"1" * 513, Peer("m", PHONE), 0.0)
    assert [send.to.address for send in told if isinstance(send, Send)] == [f"192.168.1.5:{port}"]
    assert codec.feed("7001", b"1" * 513, Peer("m", PHONE), 0.0) == (), "once is enough: copies follow"
    addresses = [address for _, address, _ in run(codec, told, 60.0)]
    assert addresses.count(f"192.168.1.5:{port}") == 30
    assert addresses.count(f"255.255.255.255:{port}") == 29


def test_who_spoke_before_the_join_is_answered_after_it() -> None:
    codec = device(ESPTOUCH)
    codec.feed("7001", b"1" * 515, Peer("m", PHONE), 0.0)
    addresses = [send.to.address for send in codec.tell(JOINED, 1.0)]
    assert addresses == ["255.255.255.255:18266", "192.168.1.5:18266"]


@pytest.mark.parametrize(
    "address", ["255.255.255.255:7001", "224.0.0.1:7001", "0.0.0.0:7001", "192.168.1.7:7001"]
)
def test_nobody_is_answered_at_an_address_that_is_everybody_or_ourselves(address: str) -> None:
    codec = device(ESPTOUCH)
    codec.tell(JOINED, 0.0)
    assert list(codec.feed("7001", b"1" * 515, Peer("m", address), 0.0)) == []


def test_two_devices_do_not_answer_each_other() -> None:
    codec, other = device(AIRKISS, 10000), device(AIRKISS, 10000, b"\x07")
    codec.tell(JOINED, 0.0)
    [answer] = other.tell(JOINED, 0.0)
    assert codec.feed("10000", answer.data, Peer("m", "192.168.1.8:10001"), 0.0) == ()
    assert codec.feed("10000", b"1111111", Peer("m", PHONE), 0.0) != ()


def test_at_most_four_phones_are_answered() -> None:
    codec = device(ESPTOUCH)
    codec.tell(JOINED, 0.0)
    answered = [
        send
        for host in range(50)
        for send in codec.feed("7001", b"1" * 515, Peer("m", f"192.168.2.{host + 1}:7001"), 0.0)
    ]
    assert len(answered) == 4


def test_version_2_answers_everybody_until_the_phone_confirms() -> None:
    codec = device(ESPTOUCH_V2, 38266, b"\x02")
    first = codec.tell(JOINED, 0.0)
    assert [(send.to.address, send.data.hex()) for send in first] == [
        ("255.255.255.255:38266", "02a4cf12345678")
    ]
    assert codec.feed("7001", bytes(1048), Peer("m", PHONE), 0.0) == ()
    assert codec.feed("7002", b"\x00", Peer("m", PHONE), 0.0) == ()
    assert codec.deadline() is not None, "that was no confirmation"
    codec.feed("7002", b"\x01", Peer("m", PHONE), 0.05)
    assert codec.deadline() is None


@given(
    st.sampled_from([ESPTOUCH, ESPTOUCH_V2, AIRKISS]),
    st.sampled_from(["7001", "7002", "10000"]),
    st.binary(max_size=20),
    st.text(max_size=30),
)
def test_any_datagram_from_anywhere_gives_outputs(
    protocol: str, door: str, data: bytes, address: str
) -> None:
    codec = device(protocol)
    codec.tell(JOINED, 0.0)
    for send in codec.feed(door, data, Peer("m", address), 0.0):
        assert isinstance(send, Send)
