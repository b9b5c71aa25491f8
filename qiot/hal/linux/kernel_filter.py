"""The kernel's own sieve for monitor mode: a classic BPF program (linux/filter.h) for what is wanted.

In a busy place the air has thousands of frames a second; a few in a hundred are of use. The rest is dropped
before it is copied to us. A load beyond the packet's end drops it, so that short packets need no check.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Final

import attrs

from qiot.hal.contract import FrameFilter

__all__ = ["Instruction", "assemble", "filter_program"]

# Instruction codes: linux/bpf_common.h.
LOAD_OCTET: Final = 0x30
"""A = packet[k]; from `EXTRAS` on, what the kernel knows of the packet."""
LOAD_OCTET_BEHIND: Final = 0x50
"""A = packet[X + k]."""
COPY_TO_X: Final = 0x07
"""X = A."""
SHIFT_LEFT: Final = 0x64
"""A <<= k."""
OR_X: Final = 0x4C
"""A |= X."""
AND: Final = 0x54
"""A &= k."""
JUMP_IF_EQUAL: Final = 0x15
"""Goes to one label where A == k, else to the other."""
JUMP_IF_ANY: Final = 0x45
"""Goes to one label where A & k, else to the other."""
RETURN: Final = 0x06
"""Ends; so many octets of the packet are passed."""

_EXTRAS: Final = 0x1_0000_0000 - 0x1000
"""SKF_AD_OFF of linux/filter.h."""
_PACKET_TYPE: Final = _EXTRAS + 4
_OUTGOING: Final = 4
"""PACKET_OUTGOING of linux/if_packet.h: what a program of this machine sends."""
_EVERYTHING: Final = 0x4_0000
_NOTHING: Final = 0

# Radiotap.
_LENGTH_LOW: Final = 2
_LENGTH_HIGH: Final = 3
_PRESENT_8_TO_15: Final = 5
_HAS_TX_FLAGS: Final = 0x80
"""Bit 15: the frame was sent by this radio, and comes back."""

# IEEE 802.11, 9.2.4.1.
_VERSION_TYPE_AND_NULL: Final = 0x4F
_DATA: Final = 0x08
_PROBE_REQUEST: Final = 0x40
_BEACON: Final = 0x80
_TO_DS: Final = 0x01
_ADDRESS_1: Final = 4
_ADDRESS_3: Final = 16
_GROUP: Final = 0x01

_NEXT: Final = ""


@attrs.frozen
class Instruction:
    """One line of a program.

    Attributes:
        code: One of the codes above.
        k: Its operand.
        then: Label where a jump goes; empty for the next line.
        otherwise: Label where a jump goes else; empty for the next line.
        label: Its own label.
    """

    code: int
    k: int = 0
    then: str = _NEXT
    otherwise: str = _NEXT
    label: str = ""


def filter_program(wanted: FrameFilter) -> Sequence[Instruction]:
    """The program that passes what is wanted: octets of monitor mode, radiotap first."""
    program = [
        Instruction(LOAD_OCTET, _PACKET_TYPE),
        Instruction(JUMP_IF_EQUAL, _OUTGOING, then="drop"),
        Instruction(LOAD_OCTET, _PRESENT_8_TO_15),
        Instruction(JUMP_IF_ANY, _HAS_TX_FLAGS, then="drop"),
        # X = length of the radiotap header, little endian.
        Instruction(LOAD_OCTET, _LENGTH_HIGH),
        Instruction(SHIFT_LEFT, 8),
        Instruction(COPY_TO_X),
        Instruction(LOAD_OCTET, _LENGTH_LOW),
        Instruction(OR_X),
        Instruction(COPY_TO_X),
        Instruction(LOAD_OCTET_BEHIND, 0),
    ]
    if "probe request" in wanted.kinds:
        program.append(Instruction(JUMP_IF_EQUAL, _PROBE_REQUEST, then="pass"))
    if "beacon" in wanted.kinds:
        program.append(Instruction(JUMP_IF_EQUAL, _BEACON, then="pass"))
    if "data" in wanted.kinds:
        accepted = "data" if wanted.group_addressed else "pass"
        program += [
            Instruction(AND, _VERSION_TYPE_AND_NULL),
            Instruction(JUMP_IF_EQUAL, _DATA, then=accepted, otherwise="drop"),
        ]
        if wanted.group_addressed:
            program += _GROUP_ADDRESSED
    program += [
        Instruction(RETURN, _NOTHING, label="drop"),
        Instruction(RETURN, _EVERYTHING, label="pass"),
    ]
    return program


_GROUP_ADDRESSED: Final = (
    # The destination is the third address on the way to the access point, else the first.
    Instruction(LOAD_OCTET_BEHIND, 1, label="data"),
    Instruction(JUMP_IF_ANY, _TO_DS, then="to the access point"),
    Instruction(LOAD_OCTET_BEHIND, _ADDRESS_1),
    Instruction(JUMP_IF_ANY, _GROUP, then="pass", otherwise="drop"),
    Instruction(LOAD_OCTET_BEHIND, _ADDRESS_3, label="to the access point"),
    Instruction(JUMP_IF_ANY, _GROUP, then="pass", otherwise="drop"),
)


def assemble(program: Sequence[Instruction]) -> bytes:
    """The program as an array of struct sock_filter: labels become distances."""
    lines = {line.label: number for number, line in enumerate(program) if line.label}
    octets = bytearray()
    for number, line in enumerate(program):
        distances = [
            0 if label == _NEXT else lines[label] - number - 1 for label in (line.then, line.otherwise)
        ]
        octets += struct.pack("=HBBI", line.code, *distances, line.k)
    return bytes(octets)
