"""Captures for tests: what phones send, as frames with and without radiotap, QoS, check sums."""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import attrs
import pytest

from qiot.protocols.air.casts import Cast
from qiot.sniff.command import main
from tests.protocols.air.channel import ACCESS_POINT, PHONE, group_address

STRANGER = bytes.fromhex("0c1122334455")
RADIOTAP, PLAIN = 127, 105


@attrs.frozen
class Shape:
    """What the frames look like.

    Attributes:
        overhead: Octets of the frame without check sum beside the payload, QoS control left out: 60 to 84.
        check_sum: The frame's check sum follows it.
        numbered: "right", "not shifted", or "not" at all.
        flagged: Radiotap says so.
        right: It is the right one; some programs write zeros.
        cut: Octets of each packet that are kept, or None.
    """

    overhead: int = 76
    qos: bool = False
    from_ap: bool = False
    check_sum: bool = False
    flagged: bool = True
    right: bool = True
    link: int = RADIOTAP
    cut: int | None = None
    frequency: int = 2437
    order: str = "<"
    strangers: bool = False
    numbered: str = "right"
    phone: bytes = PHONE


@attrs.define
class Capture:
    """Collects packets."""

    shape: Shape = attrs.field(factory=Shape)
    records: list[tuple[float, bytes, int]] = attrs.field(factory=list)
    numbers: dict[bytes, int] = attrs.field(factory=dict)

    def add(self, casts: Iterable[Cast], shape: Shape | None = None) -> Capture:
        shape = self.shape if shape is None else shape
        for count, cast in enumerate(casts):
            if shape.strangers and count % 3 == 0:
                other = attrs.evolve(shape, phone=STRANGER)
                to = b"\xff" * 6 if count % 2 else b"\1\0\x5e\0\0\xfb"
                self._data(cast.t - 0.001, to, 40 + count % 77, other)
            self._data(cast.t, group_address(cast.to), cast.length, shape)
        return self

    def _data(self, t: float, to: bytes, length: int, shape: Shape) -> None:
        flags = 0x42 if shape.from_ap else 0x41
        addresses = (to, ACCESS_POINT, shape.phone) if shape.from_ap else (ACCESS_POINT, shape.phone, to)
        head = bytes((0x88 if shape.qos else 0x08, flags, 0, 0)) + b"".join(addresses)
        sender = ACCESS_POINT if shape.from_ap else shape.phone
        number = self.numbers[sender] = (self.numbers.get(sender, 7) + 1) % 4096
        control = {"right": number << 4, "not shifted": number, "not": 0}[shape.numbered]
        frame = head + struct.pack("<H", control) + (b"\0\0" if shape.qos else b"")
        self.frame(t, frame + bytes(length + shape.overhead - 24), shape)

    def beacon(self, t: float, ssid: bytes, bssid: bytes = ACCESS_POINT) -> Capture:
        head = b"\x80\0\0\0" + b"\xff" * 6 + bssid * 2 + b"\0\0"
        elements = bytes((0, len(ssid))) + ssid + b"\3\1\6"
        self.frame(t, head + bytes(8) + struct.pack("<HH", 100, 0x11) + elements, self.shape)
        return self

    def frame(self, t: float, frame: bytes, shape: Shape) -> None:
        if shape.check_sum:
            frame += struct.pack("<I", zlib.crc32(frame) if shape.right else 0)
        packet = frame
        if shape.link == RADIOTAP:
            flags = 0x10 if shape.check_sum and shape.flagged else 0
            packet = struct.pack("<BBHIBBHH", 0, 0, 14, 0x000A, flags, 0, shape.frequency, 0x80) + frame
        self.records.append((t, packet[: shape.cut], len(packet)))

    def bytes(self) -> bytes:
        order = self.shape.order
        parts = [struct.pack(f"{order}IHHiIII", 0xA1B23C4D, 2, 4, 0, 0, 65535, self.shape.link)]
        for t, packet, length in sorted(self.records, key=lambda record: record[0]):
            seconds, rest = divmod(round((t + 1.7e9) * 1e9), 10**9)
            parts.append(struct.pack(f"{order}IIII", seconds, rest, len(packet), length) + packet)
        return b"".join(parts)

    def write(self, path: Path) -> Path:
        path.write_bytes(self.bytes())
        return path


def sniffed(
    capsys: pytest.CaptureFixture[str], *arguments: object, status: int = 0
) -> tuple[list[dict[str, Any]], str]:
    """Results and what is said beside them."""
    assert main([*map(str, arguments), "--json"]) == status
    written = capsys.readouterr()
    return [json.loads(line) for line in written.out.splitlines()], written.err
