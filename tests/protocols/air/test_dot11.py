"""802.11 headers: the roles of the addresses, lengths, and any octets."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qiot.errors import ProtocolError
from qiot.protocols.air.dot11 import (
    BEACON,
    CONTROL,
    DATA,
    MANAGEMENT,
    PROBE_REQUEST,
    is_group_data,
    parse_header,
)

PHONE, AP, OTHER = bytes.fromhex("02aaaaaaaaaa"), bytes.fromhex("02bbbbbbbbbb"), bytes.fromhex("02cccccccccc")
EVERYBODY, GROUP = b"\xff" * 6, bytes.fromhex("01005e010101")
TO_DS, FROM_DS, RETRY, PROTECTED, ORDER = 0x01, 0x02, 0x08, 0x40, 0x80


def frame(
    first: int, flags: int, *addresses: bytes, sequence: int = 0x123, fragment: int = 0, rest: bytes = b""
) -> bytes:
    one, two, three, *four = addresses
    order = struct.pack("<H", sequence << 4 | fragment)
    return bytes((first, flags, 0, 0)) + one + two + three + order + b"".join(four) + rest


def test_from_the_phone_by_qos() -> None:
    header = parse_header(frame(0x88, TO_DS | PROTECTED, AP, PHONE, EVERYBODY, rest=b"\x05\x00" + bytes(552)))
    assert (header.type, header.subtype) == (DATA, 8)
    assert (header.receiver, header.transmitter) == (AP, PHONE)
    assert (header.destination, header.source, header.bssid) == (EVERYBODY, PHONE, AP)
    assert (header.sequence, header.fragment, header.tid) == (0x123, 0, 5)
    assert (header.length, header.total, header.body) == (26, 578, 552)
    assert header.to_ds
    assert not header.from_ds
    assert header.protected
    assert header.group_addressed
    assert header.carries_data
    assert not header.retry


def test_from_the_access_point() -> None:
    header = parse_header(frame(0x08, FROM_DS | RETRY, GROUP, AP, PHONE, fragment=2, rest=bytes(100)))
    assert (header.receiver, header.transmitter) == (GROUP, AP)
    assert (header.destination, header.source, header.bssid) == (GROUP, PHONE, AP)
    assert (header.length, header.body, header.tid) == (24, 100, None)
    assert header.retry
    assert header.fragmented
    assert header.group_addressed


def test_between_access_points_and_between_stations() -> None:
    header = parse_header(frame(0x88, TO_DS | FROM_DS, AP, OTHER, EVERYBODY, PHONE, rest=b"\x03\0"))
    assert (header.receiver, header.transmitter) == (AP, OTHER)
    assert (header.destination, header.source, header.bssid) == (EVERYBODY, PHONE, None)
    assert (header.length, header.tid, header.body) == (32, 3, 0)
    header = parse_header(frame(0x08, 0, PHONE, OTHER, AP))
    assert (header.destination, header.source, header.bssid) == (PHONE, OTHER, AP)
    assert not header.group_addressed


def test_ht_control_belongs_to_the_header() -> None:
    assert parse_header(frame(0x88, TO_DS | ORDER, AP, PHONE, EVERYBODY, rest=bytes(10))).length == 30
    assert parse_header(frame(0x08, TO_DS | ORDER, AP, PHONE, EVERYBODY, rest=bytes(10))).length == 24
    assert parse_header(frame(0x80, ORDER, EVERYBODY, AP, AP, rest=bytes(12))).length == 28


def test_a_frame_of_several_has_no_single_destination() -> None:
    header = parse_header(frame(0x88, TO_DS, AP, PHONE, AP, rest=b"\x80\0" + bytes(40)))
    assert (header.destination, header.source, header.transmitter) == (None, PHONE, PHONE)
    header = parse_header(frame(0x88, FROM_DS, PHONE, AP, AP, rest=b"\x80\0" + bytes(40)))
    assert (header.destination, header.source) == (PHONE, None)


def test_signs_of_life_carry_no_data() -> None:
    for first in (0x48, 0xC8):
        data = frame(first, TO_DS, AP, PHONE, EVERYBODY, rest=b"\0\0")
        assert not parse_header(data).carries_data
        assert not is_group_data(data)


def test_management() -> None:
    header = parse_header(frame(0x40, 0, EVERYBODY, PHONE, EVERYBODY, rest=b"\0\0"))
    assert (header.type, header.subtype) == (MANAGEMENT, PROBE_REQUEST)
    assert (header.destination, header.source, header.bssid) == (EVERYBODY, PHONE, EVERYBODY)
    assert (header.sequence, header.body) == (0x123, 2)
    assert parse_header(frame(0x80, 0, EVERYBODY, AP, AP)).subtype == BEACON


@pytest.mark.parametrize(
    ("octets", "transmitter", "length"),
    [("d400" + "0000" + PHONE.hex(), None, 10), ("b400" + "0000" + PHONE.hex() + AP.hex(), AP, 16)],
)
def test_control(octets: str, transmitter: bytes | None, length: int) -> None:
    header = parse_header(bytes.fromhex(octets))
    assert (header.type, header.receiver, header.transmitter) == (CONTROL, PHONE, transmitter)
    assert (header.length, header.sequence, header.destination) == (length, None, None)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        bytes(9),
        b"\x09" + bytes(30),
        frame(0x08, FROM_DS, EVERYBODY, AP, PHONE)[:-1],
        frame(0x88, FROM_DS, EVERYBODY, AP, PHONE, rest=b"\0"),
        frame(0x88, FROM_DS | ORDER, EVERYBODY, AP, PHONE, rest=bytes(5)),
        frame(0x08, FROM_DS | TO_DS, EVERYBODY, AP, PHONE, rest=bytes(5)),
        frame(0x80, 0, EVERYBODY, AP, AP)[:-1],
        bytes.fromhex("b400" + "0000" + PHONE.hex() + AP.hex()[:-2]),
    ],
)
def test_what_is_cut_off(data: bytes) -> None:
    with pytest.raises(ProtocolError):
        parse_header(data)


@pytest.mark.parametrize(
    ("data", "wanted"),
    [
        (frame(0x88, TO_DS, AP, PHONE, EVERYBODY, rest=b"\0\0"), True),
        (frame(0x08, FROM_DS, GROUP, AP, PHONE), True),
        (frame(0x08, FROM_DS | RETRY, GROUP, AP, PHONE), True),
        (frame(0x08, 0, EVERYBODY, AP, PHONE), True),
        (frame(0x88, TO_DS | FROM_DS, AP, OTHER, EVERYBODY, PHONE, rest=b"\0\0"), True),
        (frame(0x88, TO_DS, AP, PHONE, OTHER, rest=b"\0\0"), False),
        (frame(0x08, FROM_DS, PHONE, AP, GROUP), False),
        (frame(0x80, 0, EVERYBODY, AP, AP), False),
        (frame(0x08, FROM_DS, GROUP, AP, PHONE)[:-1], False),
        (b"", False),
    ],
)
def test_data_for_a_group(data: bytes, wanted: bool) -> None:
    assert is_group_data(data) is wanted


@given(st.binary(max_size=64))
def test_any_octets(data: bytes) -> None:
    quick = is_group_data(data)
    try:
        header = parse_header(data)
    except ProtocolError:
        return
    assert 0 <= header.body <= header.total == len(data)
    if header.destination is not None or header.type != DATA:
        assert quick == (header.group_addressed and header.carries_data)


ADDRESS = st.binary(min_size=6, max_size=6)


@settings(deadline=None)  # scapy is slow
@given(
    st.sampled_from((0, 1, 2, 3, 8, 9, 10, 11)),  # scapy reads no QoS of frames without data
    st.integers(0, 0x7F),
    ADDRESS,
    ADDRESS,
    ADDRESS,
    st.integers(0, 0xFFFF),
    st.binary(min_size=8, max_size=40),
)
def test_as_scapy_reads_it(
    subtype: int, flags: int, one: bytes, two: bytes, three: bytes, order: int, rest: bytes
) -> None:
    dot11 = pytest.importorskip("scapy.layers.dot11")
    data = bytes((subtype << 4 | 8, flags, 0, 0)) + one + two + three + struct.pack("<H", order) + rest
    ours, theirs = parse_header(data), dot11.Dot11(data)
    assert (ours.type, ours.subtype, ours.flags) == (theirs.type, theirs.subtype, int(theirs.FCfield))
    assert ours.receiver is not None
    assert ours.receiver.hex(":") == theirs.addr1
    assert (ours.sequence, ours.fragment) == (theirs.SC >> 4, theirs.SC & 15)
    qos = theirs.getlayer(dot11.Dot11QoS)
    assert (ours.tid is None) == (qos is None)
    if qos is not None:
        assert ours.tid == qos.TID
        assert ours.body == len(qos.payload)
    else:
        assert ours.body == len(theirs.payload)
