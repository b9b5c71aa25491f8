"""Simple Config after the join: the report until something comes back, discovery, control."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qiot.model import Event, Outcome, Peer, Secret, Step
from qiot.protocols.base import Ask, Seen, Send
from qiot.protocols.lan.air_acks import RealtekAsk, RealtekCode, RealtekReport, RealtekRequest
from qiot.protocols.lan.realtek_device import RealtekDevice

MAC = bytes.fromhex("00e04c8712ac")
JOINED = Event(1, 0.0, 1, Step.JOINING, Outcome.OK, detail={"ip": "192.168.1.7"})
PHONE = Peer("simple_config", "192.168.1.5:8864")
NONCE = bytes(64)
DEFAULT = b"57289961"


def device(pin: str | None = None) -> RealtekDevice:
    return RealtekDevice(name="lamp", mac=MAC, pin=None if pin is None else Secret(pin))


def request(ask: int, pin: bytes = DEFAULT, user_pin: bytes = b"", name: str = "") -> bytes:
    return RealtekRequest.make(ask, NONCE, pin, user_pin=user_pin, name=name).build()


def reports(outputs) -> list[tuple[str, RealtekReport]]:
    return [(each.to.address, RealtekReport.parse(each.data)) for each in outputs if isinstance(each, Send)]


def test_the_report_goes_on_every_50_ms_until_something_comes_back() -> None:
    codec = device()
    [(address, report)] = reports(codec.tell(JOINED, 0.0))
    assert address == "255.255.255.255:8864"
    assert report == RealtekReport(RealtekCode.SUCCESS, MAC, "192.168.1.7", "lamp")
    assert codec.deadline() == pytest.approx(0.05)
    for count in range(1, 100):
        assert len(codec.tick(count * 0.05)) == 1
    confirmed = codec.feed("8864", request(RealtekAsk.CONFIRM), PHONE, 5.0)
    assert [report.code for _, report in reports(confirmed)] == [RealtekCode.SUCCESS_CONFIRMED]
    assert codec.deadline() is None
    assert codec.learn("192.168.1.9", 6.0) == (), "it is over"


def test_reports_of_other_devices_and_our_own_are_nothing_that_came_back() -> None:
    codec = device()
    own = codec.tell(JOINED, 0.0)
    codec.feed("8864", own[0].data, Peer("simple_config", "192.168.1.7:8864"), 0.01)
    other = RealtekReport(RealtekCode.SUCCESS, bytes(6), "192.168.1.8").build()
    codec.feed("8864", other, Peer("simple_config", "192.168.1.8:8864"), 0.01)
    assert codec.deadline() is not None


def test_data_that_go_on_show_where_the_phone_is() -> None:
    codec = device()
    codec.tell(JOINED, 0.0)
    told = codec.feed("18864", b"a" * 300, Peer("simple_config", "192.168.1.5:40000"), 0.0)
    assert [address for address, _ in reports(told)] == ["192.168.1.5:8864"]


def test_a_discovery_is_answered_three_times() -> None:
    codec = device("11112222")
    codec.tell(JOINED, 0.0)
    codec.feed("8864", b"ok", PHONE, 0.0)
    told = [
        *reports(codec.feed("18864", request(RealtekAsk.DISCOVER), PHONE, 1.0)),
        *reports(codec.tick(1.05)),
        *reports(codec.tick(1.1)),
    ]
    assert [address for address, _ in told] == ["192.168.1.5:8864"] * 3
    assert {report.code for _, report in told} == {RealtekCode.DISCOVERY}
    assert all(report.pin_enabled for _, report in told)
    assert codec.deadline() is None


def test_a_wrong_pin_is_not_answered() -> None:
    [seen] = device().feed("18864", request(RealtekAsk.DISCOVER, b"00000000"), PHONE, 0.0)
    assert isinstance(seen, Seen)


def test_a_rename_and_its_answer() -> None:
    codec = device()
    codec.tell(JOINED, 0.0)
    told = reports(codec.feed("18864", request(RealtekAsk.RENAME, name="desk"), PHONE, 0.0))
    assert [(report.code, report.name) for _, report in told] == [(RealtekCode.RENAME, "desk")]


@pytest.mark.parametrize(
    ("pin", "sent", "deleted"),
    [(None, DEFAULT, False), ("11112222", b"11112222", True), ("11112222", DEFAULT, False)],
)
def test_only_the_devices_own_pin_deletes_the_network(pin: str | None, sent: bytes, deleted: bool) -> None:
    codec = device(pin)
    codec.tell(JOINED, 0.0)
    told = codec.feed("18864", request(RealtekAsk.DELETE, user_pin=sent), PHONE, 0.0)
    assert (Ask("reset", PHONE) in told) is deleted


@given(st.sampled_from(["8864", "18864"]), st.binary(max_size=120), st.text(max_size=30))
def test_any_datagram_from_anywhere_gives_outputs(door: str, data: bytes, address: str) -> None:
    codec = device("11112222")
    codec.tell(JOINED, 0.0)
    list(codec.feed(door, data, Peer("simple_config", address), 0.0))
