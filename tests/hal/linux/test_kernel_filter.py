"""The kernel's sieve, run by an interpreter of classic BPF, against what the headers say."""

from __future__ import annotations

import itertools
import struct
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qiot.errors import ProtocolError
from qiot.hal.contract import FrameFilter
from qiot.hal.linux.kernel_filter import assemble, filter_program
from qiot.protocols.air.dot11 import BEACON, DATA, MANAGEMENT, PROBE_REQUEST, parse_header
from qiot.protocols.air.radiotap import make_transmit

OUTGOING, OTHER_HOST = 4, 3
KINDS: Sequence[str] = ("data", "probe request", "beacon")
FILTERS = [
    FrameFilter(frozenset(kinds), group_addressed=group)  # type: ignore[arg-type]
    for size in range(4)
    for kinds in itertools.combinations(KINDS, size)
    for group in (True, False)
]


def passes(program: bytes, packet: bytes, packet_type: int = OTHER_HOST) -> bool:
    """Run a program as the kernel does (net/core/filter.c); a load beyond the end drops the packet."""
    lines = list(struct.iter_unpack("=HBBI", program))
    a = x = at = 0
    while True:
        code, then, otherwise, k = lines[at]
        at += 1
        if code == 0x06:
            return k > 0
        if code in {0x30, 0x50}:
            place = k if code == 0x30 else x + k
            if place == 0xFFFF_F004:
                a = packet_type
            elif place < len(packet):
                a = packet[place]
            else:
                return False
        elif code in {0x15, 0x45}:
            at += then if (a == k if code == 0x15 else a & k) else otherwise
        elif code == 0x07:
            x = a
        else:
            a = {0x64: a << k & 0xFFFF_FFFF, 0x4C: a | x, 0x54: a & k}[code]


def expected(wanted: FrameFilter, frame: bytes) -> bool:
    """The same by the parser of headers."""
    header = parse_header(frame)
    if header.type == MANAGEMENT:
        return {PROBE_REQUEST: "probe request", BEACON: "beacon"}.get(header.subtype) in wanted.kinds
    if header.type != DATA or not header.carries_data or "data" not in wanted.kinds:
        return False
    address = frame[16:22] if header.to_ds else frame[4:10]
    return not wanted.group_addressed or bool(address[0] & 1)


def radiotap(length: int) -> bytes:
    return struct.pack("<BBHI", 0, 0, length, 0x0000_482F) + bytes(length - 8)


FRAMES = st.builds(
    lambda first, flags, addresses, rest: bytes((first, flags, 0, 0)) + addresses + b"\x10\0" + rest,
    st.sampled_from([kind << 2 | subtype << 4 for kind in (0, 1, 2) for subtype in range(16)]),
    st.integers(0, 255),
    st.binary(min_size=18, max_size=18),
    st.binary(min_size=16, max_size=60),
)


@pytest.mark.parametrize("wanted", FILTERS, ids=lambda each: f"{sorted(each.kinds)}-{each.group_addressed}")
@given(frame=FRAMES, length=st.sampled_from([8, 26, 36, 0x1A4]))
def test_it_passes_what_the_headers_say(wanted: FrameFilter, frame: bytes, length: int) -> None:
    program = assemble(filter_program(wanted))
    assert passes(program, radiotap(length) + frame) is expected(wanted, frame)


@given(st.sampled_from(FILTERS), st.binary(max_size=80))
def test_any_octets_have_an_answer(wanted: FrameFilter, packet: bytes) -> None:
    assert passes(assemble(filter_program(wanted)), packet) in {True, False}


GROUP = bytes.fromhex("0842000001005e010101020304050607020000000001c05d") + b"body"


@pytest.mark.parametrize("wanted", [FILTERS[-1], FrameFilter(frozenset({"data"}))])
def test_what_this_machine_sends_does_not_come_up(wanted: FrameFilter) -> None:
    program = assemble(filter_program(wanted))
    assert passes(program, radiotap(26) + GROUP)
    assert not passes(program, radiotap(26) + GROUP, OUTGOING)
    assert not passes(program, make_transmit() + GROUP)


@pytest.mark.parametrize("cut", range(len(GROUP) + 26))
def test_what_is_cut_off_is_dropped_or_read(cut: int) -> None:
    """A packet that passes has at least the octets that were looked at."""
    packet = (radiotap(26) + GROUP)[:cut]
    if passes(assemble(filter_program(FrameFilter(frozenset({"data"})))), packet):
        assert len(packet) > 26 + 4
        if len(packet) < 26 + 24:
            with pytest.raises(ProtocolError):
                parse_header(packet[26:])


def test_the_kernel_takes_it() -> None:
    """A program has at most 4096 instructions and jumps forward, by at most 255."""
    for wanted in FILTERS:
        lines = filter_program(wanted)
        assert len(lines) < 40
        assert len(assemble(lines)) == 8 * len(lines)
