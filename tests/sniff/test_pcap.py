"""Captures: both octet orders, both units, pcapng, what is cut off, and any octets at all."""

from __future__ import annotations

import io
import struct

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from qiot.errors import ProtocolError
from qiot.pcap import IEEE802_11_RADIOTAP, CaptureReader, Packet

PACKETS = [b"one", b"", b"three" * 30]


def classic(order: str = "<", *, nanoseconds: bool = False, link: int = 127) -> bytes:
    magic = 0xA1B23C4D if nanoseconds else 0xA1B2C3D4
    data = struct.pack(f"{order}IHHiIII", magic, 2, 4, 0, 0, 65535, link)
    for count, packet in enumerate(PACKETS):
        fraction = 250_000 * (1000 if nanoseconds else 1)
        data += struct.pack(f"{order}IIII", 100 + count, fraction, len(packet), len(packet) + count) + packet
    return data


def block(order: str, kind: int, body: bytes) -> bytes:
    body += bytes(-len(body) % 4)
    size = len(body) + 12
    return struct.pack(f"{order}II", kind, size) + body + struct.pack(f"{order}I", size)


def option(order: str, code: int, value: bytes) -> bytes:
    return struct.pack(f"{order}HH", code, len(value)) + value + bytes(-len(value) % 4)


def pcapng(order: str = "<", *options: bytes, unit: float = 1e-6) -> bytes:
    data = block(order, 0x0A0D0D0A, struct.pack(f"{order}IHHq", 0x1A2B3C4D, 1, 0, -1))
    data += block(order, 1, struct.pack(f"{order}HxxI", 127, 0) + b"".join(options))
    data += block(order, 0x0BAD, b"what nobody knows")
    for count, packet in enumerate(PACKETS):
        ticks = round((100.25 + count) / unit)
        head = struct.pack(
            f"{order}IIIII", 0, ticks >> 32, ticks & 0xFFFFFFFF, len(packet), len(packet) + count
        )
        data += block(order, 6, head + packet + bytes(-len(packet) % 4))
    return data


def read(data: bytes) -> tuple[list[Packet], str]:
    reader = CaptureReader(io.BytesIO(data))
    return list(reader), reader.damage


def expected(check_sum: int = 0) -> list[Packet]:
    return [
        Packet(IEEE802_11_RADIOTAP, pytest.approx(100.25 + count), packet, len(packet) + count, check_sum)
        for count, packet in enumerate(PACKETS)
    ]


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("nanoseconds", [False, True])
def test_pcap(order: str, nanoseconds: bool) -> None:
    assert read(classic(order, nanoseconds=nanoseconds)) == (expected(), "")


def test_pcap_says_that_there_are_check_sums() -> None:
    assert read(classic(link=127 | 0x0400_0000 | 2 << 28)) == (expected(4), "")


@pytest.mark.parametrize("order", ["<", ">"])
def test_pcapng(order: str) -> None:
    assert read(pcapng(order)) == (expected(), "")


@pytest.mark.parametrize(("value", "unit"), [(b"\x09", 1e-9), (b"\x8a", 1 / 1024), (b"\x03", 1e-3)])
def test_pcapng_has_its_own_unit(value: bytes, unit: float) -> None:
    data = pcapng("<", option("<", 9, value), option("<", 13, b"\x04"), option("<", 0, b""), unit=unit)
    assert read(data) == (expected(4), "")


def test_pcapng_has_its_own_beginning() -> None:
    data = pcapng("<", option("<", 14, struct.pack("<q", 1000)))
    assert [packet.time for packet in read(data)[0]] == pytest.approx([1100.25, 1101.25, 1102.25])


def test_simple_packets_have_no_time() -> None:
    data = pcapng() + block("<", 3, struct.pack("<I", 4) + b"four")
    assert read(data)[0][-1] == Packet(127, 0.0, b"four", 4, 0)


def test_a_second_section_may_have_the_other_order() -> None:
    assert read(pcapng("<") + pcapng(">"))[0] == expected() * 2


@pytest.mark.parametrize("data", [classic(), classic(">"), pcapng()])
def test_what_is_whole_is_read_and_the_rest_is_said(data: bytes) -> None:
    whole, _ = read(data)
    for end in range(len(data) - 1, 60, -1):
        packets, damage = read(data[:end])
        assert packets == whole[: len(packets)]
        assert bool(damage) or end in boundaries(data)


def boundaries(data: bytes) -> set[int]:
    """Ends at which the file is whole, only shorter."""
    found, at = set(), 24
    if data[:4] == b"\n\r\r\n":
        at = 0
        while at < len(data):
            found.add(at)
            at += struct.unpack_from("<I", data, at + 4)[0]
        return found
    order = "<" if data[0] == 0xD4 else ">"
    while at < len(data):
        found.add(at)
        at += 16 + struct.unpack_from(f"{order}I", data, at + 8)[0]
    return found


@pytest.mark.parametrize(
    "data", [b"", b"\xd4\xc3\xb2\xa1", b"GIF89a" * 9, b"\x1f\x8b" + bytes(30), b"\xa1\xb2\xc3"]
)
def test_what_is_no_capture_is_refused(data: bytes) -> None:
    with pytest.raises(ProtocolError):
        CaptureReader(io.BytesIO(data))


def test_a_length_that_cannot_be_ends_it() -> None:
    data = classic() + struct.pack("<IIII", 1, 2, 1 << 30, 5) + b"more"
    packets, damage = read(data)
    assert len(packets) == len(PACKETS)
    assert "damaged" in damage


class Trickle(io.RawIOBase):
    """A pipe that gives a few octets at a time."""

    def __init__(self, data: bytes) -> None:
        self._data = io.BytesIO(data)

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        return self._data.read(min(size, 7))


@pytest.mark.parametrize("data", [classic(), pcapng()])
def test_a_pipe_gives_what_it_has(data: bytes) -> None:
    assert list(CaptureReader(Trickle(data))) == expected()


@settings(max_examples=200)
@given(
    st.sampled_from([b"", classic()[:24], classic(">")[:24], classic(), pcapng(), pcapng(">")[:28]]),
    st.binary(max_size=300),
    st.integers(0, 400),
    st.binary(max_size=4),
)
@example(pcapng()[:28], block("<", 1, b""), 0, b"")
def test_any_octets_are_read_or_refused(start: bytes, rest: bytes, at: int, change: bytes) -> None:
    data = start + rest
    data = data[:at] + change + data[at + len(change) :]
    try:
        packets, damage = read(data)
    except ProtocolError:
        return
    assert sum(len(packet.data) for packet in packets) <= len(data)
    assert isinstance(damage, str)
