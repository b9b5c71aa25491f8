"""Recordings: pcap with radiotap, as its documents say; read by our own parser, and by tshark where there."""

from __future__ import annotations

import io
import shutil
import struct
import subprocess
import zlib
from pathlib import Path

import pytest

from qiot.protocols.air.dot11 import parse_header
from qiot.protocols.air.radiotap import unwrap
from qiot.sim.air import Air, AirAccessPoint, Heard, Link, Recorder, neighbours
from qiot.sim.air.recording import RADIOTAP_LINK

PACKET = struct.Struct("<IIII")


def heard() -> list[Heard]:
    air = Air(5)
    found: list[Heard] = []
    AirAccessPoint(air, bytes.fromhex("00e04c8712ab")).start()
    neighbours(air, 3, channels=(6,))
    air.receiver(found.append, channel=6, link=Link(0.3, 0.2))
    air.advance(3)
    assert any(not each.intact for each in found)
    return found


def packets(content: bytes) -> list[tuple[float, bytes]]:
    magic, major, minor, zone, figures, snap, link = struct.unpack_from("<IHHiIII", content)
    assert (magic, major, minor, zone, figures) == (0xA1B23C4D, 2, 4, 0, 0)
    assert (snap, link) == (0x40000, 127)
    found = []
    place = 24
    while place < len(content):
        seconds, nanoseconds, captured, length = PACKET.unpack_from(content, place)
        assert captured == length
        assert nanoseconds < 1_000_000_000
        place += PACKET.size
        found.append((seconds + nanoseconds / 1e9, content[place : place + captured]))
        place += captured
    return found


@pytest.mark.parametrize("check_sum", [True, False])
def test_what_is_written_is_read(check_sum: bool) -> None:
    frames = heard()
    file = io.BytesIO()
    recorder = Recorder(file, began=1_700_000_000.0, check_sum=check_sum)
    for each in frames:
        recorder.write(each)
    recorder.close()
    found = packets(file.getvalue())
    assert len(found) == len(frames)
    for (t, packet), each in zip(found, frames, strict=True):
        assert t == pytest.approx(1_700_000_000.0 + each.t, abs=1e-6)
        known, frame = unwrap(packet)
        assert frame == each.data
        assert (known.signal, known.frequency) == (each.signal, 2437)
        assert known.check_sum is check_sum
        assert known.damaged is not each.intact
        if check_sum:
            fits = zlib.crc32(frame).to_bytes(4, "little") == packet[-4:]
            assert fits is each.intact


@pytest.mark.parametrize(
    ("channel", "frequency"), [(1, 2412), (13, 2472), (14, 2484), (36, 5180), (165, 5825)]
)
def test_channels_have_their_frequencies(channel: int, frequency: int) -> None:
    file = io.BytesIO()
    Recorder(file).write(Heard(bytes(30), 1.5, channel, -40, 1.0))
    ((_, packet),) = packets(file.getvalue())
    known, _ = unwrap(packet)
    assert known.frequency == frequency


def test_a_file_of_its_own_is_closed(tmp_path: Path) -> None:
    with Recorder(tmp_path / "air.pcap") as recorder:
        recorder.write(Heard(bytes(30), 0.0, 6, -40, 6.0))
    recorder.close()
    assert len(packets((tmp_path / "air.pcap").read_bytes())) == 1
    assert RADIOTAP_LINK == 127


@pytest.mark.skipif(shutil.which("tshark") is None, reason="tshark is not installed")
def test_tshark_reads_the_same(tmp_path: Path) -> None:
    frames = heard()
    path = tmp_path / "air.pcap"
    with Recorder(path, check_sum=True) as recorder:
        for each in frames:
            recorder.write(each)
    fields = [
        "wlan.fc.type",
        "wlan.fc.subtype",
        "wlan.fc.retry",
        "wlan.seq",
        "radiotap.channel.freq",
        "radiotap.dbm_antsignal",
        "wlan.fcs.status",
    ]
    command = [
        "tshark",
        "-r",
        str(path),
        "-o",
        "wlan.check_checksum:TRUE",
        "-T",
        "fields",
        "-E",
        "occurrence=f",
    ]
    for field in fields:
        command += ["-e", field]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    lines = done.stdout.splitlines()
    assert len(lines) == len(frames)
    for line, each in zip(lines, frames, strict=True):
        kind, subtype, retry, sequence, frequency, signal, fcs = line.split("\t")
        assert (frequency, signal, fcs) == ("2437", str(each.signal), "1" if each.intact else "0")
        if each.intact:
            header = parse_header(each.data)
            assert (int(kind), int(subtype), int(sequence)) == (header.type, header.subtype, header.sequence)
            assert retry in {str(int(header.retry)), str(header.retry)}
