"""Radiotap headers of every kind, against the specification, against scapy, and against any octets."""

from __future__ import annotations

import struct
from random import Random

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from qiot.errors import ProtocolError
from qiot.protocols.air.radiotap import Radiotap, header_length, make_transmit, parse_radiotap, unwrap

FRAME = bytes.fromhex("0842000001005e010101020304050607020000000001c05d") + b"body"
FLAGS, CHANNEL, SIGNAL = 1 << 1, 1 << 3, 1 << 5


def header(*words: int, fields: bytes = b"", length: int | None = None, version: int = 0) -> bytes:
    body = struct.pack(f"<{len(words)}I", *words) + fields
    return struct.pack("<BBH", version, 0, 4 + len(body) if length is None else length) + body


# What mac80211 writes (net/mac80211/rx.c): TSFT, flags, rate, channel, signal, antenna, RX flags.
MAC80211 = header(
    0x0000_482F,
    fields=struct.pack("<QBBHHbxBxH", 123456789, 0x00, 2, 2437, 0x00A0, -42, 0, 0),
)


def test_the_header_of_mac80211() -> None:
    assert parse_radiotap(MAC80211 + FRAME) == Radiotap(
        length=len(MAC80211),
        check_sum=False,
        padded=False,
        frequency=2437,
        signal=-42,
        transmitted=False,
        damaged=False,
    )
    assert unwrap(MAC80211 + FRAME)[1] == FRAME


def test_the_fields_are_aligned_from_the_headers_start() -> None:
    # Flags (1), then the channel at the next even place.
    packet = header(FLAGS | CHANNEL | SIGNAL, fields=b"\x10" + b"\0" + struct.pack("<HHb", 5180, 0, -60))
    known = parse_radiotap(packet)
    assert (known.check_sum, known.frequency, known.signal) == (True, 5180, -60)
    # A rate between them takes the padding's place.
    packet = header(FLAGS | 1 << 2 | CHANNEL, fields=b"\x10\x02" + struct.pack("<HH", 2412, 0))
    assert parse_radiotap(packet).frequency == 2412
    # After three present words TSFT begins at 16, as it needs eight.
    packet = header(1 << 0 | FLAGS | 0xA000_0000, 0xA000_0000, 0, fields=bytes(8) + b"\x40")
    assert parse_radiotap(packet).damaged


def test_the_antennas_own_fields_do_not_count() -> None:
    per_antenna = 1 << 5 | 1 << 11
    packet = header(
        CHANNEL | SIGNAL | 0xA000_0000,
        per_antenna | 0xA000_0000,
        per_antenna,
        fields=struct.pack("<HHbbBbB", 2462, 0, -50, -55, 0, -70, 1),
    )
    assert parse_radiotap(packet).signal == -50


def test_an_antennas_signal_counts_where_there_is_no_other() -> None:
    packet = header(CHANNEL | 0xA000_0000, 1 << 5 | 1 << 11, fields=struct.pack("<HHbB", 2462, 0, -55, 0))
    assert parse_radiotap(packet).signal == -55


def test_a_vendors_fields_are_stepped_over() -> None:
    vendor = bytes.fromhex("00c0ff") + b"\x01" + struct.pack("<H", 5) + b"vendo"
    packet = header(
        FLAGS | 0xC000_0000,
        0xFFFF | 1 << 29 | 1 << 31,
        CHANNEL,
        fields=b"\x10" + b"\0" + vendor + b"\0" + struct.pack("<HH", 2472, 0),
    )
    known = parse_radiotap(packet)
    assert known.check_sum
    assert known.frequency == 2472
    longer = header(
        FLAGS | 0xC000_0000,
        0xFFFF | 1 << 29 | 1 << 31,
        CHANNEL,
        fields=b"\x10"
        b"\0" + vendor[:4] + struct.pack("<H", 7) + b"vendors" + b"\0" + struct.pack("<HH", 2437, 0),
    )
    assert parse_radiotap(longer).frequency == 2437


def test_what_nobody_knows_ends_the_reading() -> None:
    packet = header(FLAGS | 1 << 28 | 0x8000_0000, SIGNAL, fields=b"\x10" + b"\xff" * 8)
    known = parse_radiotap(packet)
    assert (known.check_sum, known.signal) == (True, None)
    # Bits from 32 on are not defined.
    packet = header(FLAGS | 0x8000_0000, SIGNAL, fields=b"\x10" + b"\xff" * 8)
    assert parse_radiotap(packet).signal is None


def test_check_sum_and_padding_go() -> None:
    packet = header(FLAGS, fields=b"\x10") + FRAME + b"\x01\x02\x03\x04"
    assert unwrap(packet)[1] == FRAME
    qos = b"\x88" + FRAME[1:24] + b"\x05\x00"
    padded = header(FLAGS, fields=b"\x30") + qos + b"\0\0" + b"body" + b"\x01\x02\x03\x04"
    assert unwrap(padded)[1] == qos + b"body"
    aligned = header(FLAGS, fields=b"\x20") + FRAME
    assert unwrap(aligned)[1] == FRAME


def test_what_this_radio_has_sent() -> None:
    packet = make_transmit() + FRAME
    known, frame = unwrap(packet)
    assert known.transmitted
    assert frame == FRAME
    assert make_transmit()[8:] == b"\x18\0"  # keep the sequence number, nobody acknowledges
    assert make_transmit(acknowledged=True)[8:] == b"\x10\0"


def test_a_bad_plcp_is_damage() -> None:
    packet = header(1 << 14, fields=struct.pack("<H", 0x0002))
    assert parse_radiotap(packet).damaged
    assert not parse_radiotap(header(1 << 14, fields=bytes(2))).damaged


@pytest.mark.parametrize(
    "packet",
    [
        b"",
        b"\0" * 7,
        header(0, length=7),
        header(0, length=9),
        header(0, version=1),
        header(CHANNEL),
        header(CHANNEL, fields=b"\0\0\0"),
        header(0x8000_0000),
        header(*[0x8000_0000] * 9),
        header(0x4000_0000, fields=b"\0\0\0"),
        header(0x4000_0000, fields=bytes(4) + b"\xff\xff"),
    ],
)
def test_what_is_no_header(packet: bytes) -> None:
    with pytest.raises(ProtocolError):
        parse_radiotap(packet)


@pytest.mark.parametrize(
    "packet", [MAC80211, header(FLAGS, fields=b"\x10") + b"abc", header(FLAGS, fields=b"\x20") + FRAME[:20]]
)
def test_no_frame_behind_the_header(packet: bytes) -> None:
    with pytest.raises(ProtocolError):
        unwrap(packet)


@given(st.binary(max_size=120))
@example(header(0x4000_0000, fields=bytes(4) + b"\x02\0zz") + FRAME)
def test_any_octets(packet: bytes) -> None:
    try:
        known, frame = unwrap(packet)
    except ProtocolError:
        return
    assert 8 <= known.length == header_length(packet) <= len(packet)
    assert 0 < len(frame) <= len(packet) - known.length


# Bits that scapy knows.
AGREED = (0, 1, 2, 3, 5, 6, 7, 11, 14, 15, 19, 20, 21, 22)


@settings(deadline=None)  # scapy is slow
@given(st.sets(st.sampled_from(AGREED)), st.randoms(use_true_random=False))
def test_as_scapy_reads_it(bits: set[int], random: Random) -> None:
    dot11 = pytest.importorskip("scapy.layers.dot11")
    packet = header(sum(1 << bit for bit in bits), fields=random.randbytes(100)) + FRAME
    ours, theirs = parse_radiotap(packet), dot11.RadioTap(packet)
    assert ours.signal == theirs.dBm_AntSignal
    assert ours.frequency == (theirs.ChannelFrequency or None)
    flags = 0 if theirs.Flags is None else int(theirs.Flags)
    assert (ours.check_sum, ours.padded) == (bool(flags & 0x10), bool(flags & 0x20))
