"""What devices say to phones after the join: exact octets, and any octets read or refused."""

from __future__ import annotations

import contextlib
import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qiot.errors import ProtocolError
from qiot.protocols.lan import air_acks
from qiot.protocols.lan.air_acks import JoinedDevice, RealtekAsk, RealtekCode, RealtekReport, RealtekRequest

MAC = bytes.fromhex("a4cf12345678")
NONCE = bytes(range(64))


def test_the_octets_of_esptouch_airkiss_and_version_2() -> None:
    assert air_acks.esptouch_ack(36, MAC, "192.168.1.7").hex() == "24a4cf12345678c0a80107"
    assert air_acks.esptouch_v2_ack(3, MAC).hex() == "03a4cf12345678"
    assert air_acks.airkiss_ack(186, MAC).hex() == "baa4cf12345678"


def test_what_is_built_is_read_again() -> None:
    assert air_acks.parse_esptouch_ack(air_acks.esptouch_ack(255, MAC, "10.0.0.1")) == JoinedDevice(
        255, MAC, "10.0.0.1"
    )
    assert air_acks.parse_esptouch_v2_ack(air_acks.esptouch_v2_ack(1, MAC) + b"more") == JoinedDevice(1, MAC)
    assert air_acks.parse_airkiss_ack(air_acks.airkiss_ack(9, MAC)) == JoinedDevice(9, MAC)
    assert air_acks.parse_airkiss_ack(b"\x09") == JoinedDevice(9, b"")


def test_a_report_of_simple_config_is_80_octets() -> None:
    report = RealtekReport(RealtekCode.SUCCESS, MAC, "192.168.1.7", "lamp")
    built = report.build()
    assert len(built) == 80
    assert built[:17].hex() == "20004d" + MAC.hex() + "01" + "0000" + "c0a80107" + b"l".hex()
    assert RealtekReport.parse(built) == report


def test_an_answer_to_a_discovery_says_whether_there_is_a_pin() -> None:
    report = RealtekReport(RealtekCode.DISCOVERY, MAC, "192.168.1.7", "ü" * 40, pin_enabled=True)
    built = report.build()
    assert (len(built), built[0], built[1:3]) == (81, 0x21, b"\x51\0")
    parsed = RealtekReport.parse(built)
    assert parsed.pin_enabled is True
    assert parsed.name == "ü" * 32


def test_requests_of_simple_config() -> None:
    discovery = RealtekRequest.make(RealtekAsk.DISCOVER, NONCE, b"57289961", mac=MAC).build()
    assert len(discovery) == 92
    assert discovery[:4].hex() == "00005901"
    assert discovery[68:84] == hashlib.md5(NONCE + b"57289961").digest()
    assert RealtekRequest.parse(discovery).proves(b"57289961")
    assert not RealtekRequest.parse(discovery).proves(b"12345678")
    rename = RealtekRequest.make(RealtekAsk.RENAME, NONCE, b"57289961", user_pin=b"11112222", name="desk")
    parsed = RealtekRequest.parse(rename.build())
    assert len(rename.build()) == 104
    assert parsed == rename
    assert parsed.proves_user(b"11112222")
    assert not parsed.proves_user(b"57289961")


@given(st.binary(max_size=200))
def test_any_octets_are_read_or_refused(data: bytes) -> None:
    for parse in (
        air_acks.parse_esptouch_ack,
        air_acks.parse_esptouch_v2_ack,
        air_acks.parse_airkiss_ack,
        RealtekReport.parse,
        RealtekRequest.parse,
    ):
        with contextlib.suppress(ProtocolError):
            parse(data)


def test_a_mac_address_has_six_octets() -> None:
    with pytest.raises(ValueError, match="6 octets"):
        air_acks.airkiss_ack(1, b"")
