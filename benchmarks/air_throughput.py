"""How many frames per second one core takes: radiotap, 802.11 header, tracker, all decoders; beside scapy.

The capture comes from a fixed seed: of its frames, 80 % are data between others, 10 % beacons, and 10 % data
to everybody that may be a phone's, of phones that provision by all four protocols and of ordinary stations.
Another process makes it: neither its time nor its memory counts. Scapy only takes the packets apart; it is in
the extra `bench`.

    python benchmarks/air_throughput.py [--frames 300000] [--scapy-frames 20000] [--seed 1] [--json]

`--profile` shows where the time goes instead.
"""

from __future__ import annotations

import argparse
import cProfile
import io
import json
import pstats
import random
import struct
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, Final

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from qiot.model import Secret
from qiot.pcap import CaptureReader
from qiot.protocols.air.airkiss import AirKiss
from qiot.protocols.air.casts import Cast
from qiot.protocols.air.esptouch import EspTouch
from qiot.protocols.air.esptouch_v2 import EspTouchV2
from qiot.protocols.air.realtek import RealtekSimpleConfig
from qiot.protocols.air.tracker import Tracker
from qiot.sniff.ear import Ear
from tests.protocols.air.channel import group_address

HEADER: Final = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 127)
LAP: Final = 10_000
"""Frames that are made at a time."""
RATE: Final = 1000.0
"""Frames per second in the air."""
MILLION: Final = 1_000_000
OVERHEAD: Final = 52
_SSID: Final = b"MyHome-2G"
_PASSWORD: Final = Secret(b"pass1234word")


class Phone:
    """Sends for ever: one phone after the other, each by the next protocol."""

    def __init__(self, source: random.Random) -> None:
        self.mac = b""
        self._source = source
        self._count = 0
        self._casts: Iterator[Cast] = iter(())
        self._left = 0

    def next(self) -> Cast:
        """The next datagram; after some seconds of one phone another one begins."""
        self._left -= 1
        cast = next(self._casts, None) if self._left > 0 else None
        if cast is None:
            self.mac = b"\x02" + self._source.randbytes(5)
            self._casts = self._encoder().casts()
            self._left = 1500
            self._count += 1
            cast = next(self._casts)
        return cast

    def _encoder(self) -> EspTouch | EspTouchV2 | AirKiss | RealtekSimpleConfig:
        source = self._source
        match self._count % 4:
            case 0:
                return EspTouch(_SSID, _PASSWORD, bytes(6), "192.168.1.100")
            case 1:
                return EspTouchV2(_SSID, _PASSWORD, bytes(6), source.randbytes)
            case 2:
                return AirKiss(_SSID, _PASSWORD, source.randrange(256))
            case _:
                return RealtekSimpleConfig(_SSID, _PASSWORD, "192.168.1.100", self.mac, source.randbytes)


class Neighbourhood:
    """Makes frames, in the shares that the head of this file names."""

    def __init__(self, seed: int) -> None:
        source = self._source = random.Random(seed)  # noqa: S311 - runs have to be repeatable
        self._stations = [b"\x00" + source.randbytes(5) for _ in range(40)]
        self._access_points = [b"\x04" + source.randbytes(5) for _ in range(12)]
        self._sequences = dict.fromkeys((*self._stations, *self._access_points), 0)
        self._phone = Phone(source)
        self._noise = source.randbytes(4096)
        self._beacons = [self._beacon(number) for number in range(len(self._access_points))]
        self._time = 1_700_000_000.0

    def lap(self, frames: int) -> bytes:
        """So many packets."""
        parts = []
        for _ in range(frames):
            self._time += 1 / RATE
            packet = b"".join(self._packet())
            seconds, rest = divmod(self._time, 1)
            parts.append(struct.pack("<IIII", int(seconds), int(rest * 1e6), len(packet), len(packet)))
            parts.append(packet)
        return b"".join(parts)

    def _packet(self) -> tuple[bytes, ...]:
        drawn = self._source.random()
        if drawn < 0.8:  # noqa: PLR2004 - the shares
            return self._foreign()
        if drawn < 0.9:  # noqa: PLR2004
            number = self._source.randrange(len(self._access_points))
            access_point = self._access_points[number]
            head = b"\x80\x00\x00\x00" + b"\xff" * 6 + access_point * 2
            return (self._radiotap(), head, self._number(access_point), self._beacons[number])
        return self._candidate()

    def _radiotap(self) -> bytes:
        self._tick = round((self._time % 1000) * 1e6)
        return struct.pack("<BBHIQBBHHbB", 0, 0, 25, 0x82F, self._tick, 0, 12, 2437, 0x480, -50, 0) + b"\0"

    def _number(self, sender: bytes) -> bytes:
        number = self._sequences[sender] = (self._sequences.get(sender, 0) + 1) % 4096
        return struct.pack("<H", number << 4)

    def _foreign(self) -> tuple[bytes, ...]:
        source = self._source
        station, access_point = source.choice(self._stations), source.choice(self._access_points)
        size = source.choice((60, 120, 400, 1480))
        if source.random() < 0.5:  # noqa: PLR2004
            head = b"\x88\x41\x2c\x00" + access_point + station + access_point + self._number(station)
        else:
            head = b"\x88\x42\x2c\x00" + station + access_point * 2 + self._number(access_point)
        return (self._radiotap(), head, b"\x00\x00", self._noise[:size])

    def _candidate(self) -> tuple[bytes, ...]:
        source, access_point = self._source, self._access_points[0]
        if source.random() < 0.3:  # noqa: PLR2004 - of ordinary stations: ARP, mDNS
            station = source.choice(self._stations)
            to = source.choice((b"\xff" * 6, b"\x01\x00\x5e\x00\x00\xfb", b"\x33\x33\x00\x00\x00\xfb"))
            head = b"\x08\x42\x00\x00" + to + access_point + station + self._number(access_point)
            return (self._radiotap(), head, self._noise[: source.choice((36, 80, 300))])
        cast = self._phone.next()
        phone = self._phone.mac
        if phone not in self._sequences:
            self._sequences[phone] = source.randrange(4096)
        to = group_address(cast.to)
        head = b"\x88\x41\x2c\x00" + access_point + phone + to + self._number(phone)
        return (self._radiotap(), head, b"\x00\x00", self._noise[: cast.length + OVERHEAD])

    def _beacon(self, number: int) -> bytes:
        ssid = f"network {number}".encode()
        elements = bytes((0, len(ssid))) + ssid + b"\x01\x08\x82\x84\x8b\x96\x0c\x12\x18\x24\x03\x01\x06"
        rsn = bytes.fromhex("30140100000fac040100000fac040100000fac020000")
        return bytes(8) + struct.pack("<HH", 100, 0x11) + elements + rsn + self._noise[:120]


def resident() -> float:
    """Resident memory of this process, MiB (proc(5))."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096 / 2**20


def make(frames: int, seed: int, file: BinaryIO) -> None:
    """Write a capture of so many frames."""
    neighbourhood = Neighbourhood(seed)
    file.write(HEADER)
    file.writelines(neighbourhood.lap(min(LAP, frames - done)) for done in range(0, frames, LAP))


def measure(frames: int, seed: int) -> dict[str, float | int]:
    """Everything through parser, tracker and decoders."""
    ear = Ear(Tracker())
    results = 0
    memory: dict[int, float] = {}
    command = [sys.executable, __file__, "--make", "--frames", str(frames), "--seed", str(seed)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as maker:
        assert maker.stdout is not None
        start = time.process_time()
        for packet in CaptureReader(maker.stdout):
            results += len(ear.hear_packet(packet))
            if ear.frames % MILLION == 0 or ear.frames == frames:
                memory[ear.frames] = resident()
                print(
                    f"{ear.frames:>12,} frames: {memory[ear.frames]:.1f} MiB resident",
                    file=sys.stderr,
                    flush=True,
                )
        spent = time.process_time() - start
    assert ear.frames == frames
    assert not ear.unreadable
    return {
        "frames": frames,
        "seconds": round(spent, 3),
        "per_second": round(frames / spent),
        "results": results,
        "resident_mib_first": round(memory.get(MILLION, memory[frames]), 1),
        "resident_mib_last": round(memory[frames], 1),
    }


def measure_scapy(frames: int, seed: int) -> dict[str, float | int] | None:
    """The same packets taken apart by scapy; None where it is not installed."""
    try:
        from scapy.layers.dot11 import Dot11
        from scapy.utils import PcapReader
    except ImportError:
        return None
    data = HEADER + Neighbourhood(seed).lap(frames)
    count = 0
    start = time.process_time()
    with PcapReader(io.BytesIO(data)) as packets:
        for packet in packets:
            count += packet.haslayer(Dot11)
    spent = time.process_time() - start
    assert count == frames
    return {"frames": frames, "seconds": round(spent, 3), "per_second": round(frames / spent)}


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--frames", type=int, default=300_000)
    parser.add_argument("--scapy-frames", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--profile", action="store_true", help="show where the time goes")
    parser.add_argument("--make", action="store_true", help="only write the capture to standard output")
    options = parser.parse_args(arguments)
    if options.make:
        make(options.frames, options.seed, sys.stdout.buffer)
        return
    if options.profile:
        profile = cProfile.Profile()
        capture = io.BytesIO()
        make(options.frames, options.seed, capture)
        capture.seek(0)
        packets = list(CaptureReader(capture))
        ear = Ear(Tracker())
        profile.runcall(lambda: list(map(ear.hear_packet, packets)))
        pstats.Stats(profile).sort_stats("tottime").print_stats(25)
        return
    ours = measure(options.frames, options.seed)
    theirs = measure_scapy(options.scapy_frames, options.seed)
    ratio = None if theirs is None else round(ours["per_second"] / theirs["per_second"], 1)
    if options.json:
        print(json.dumps({"qiot": ours, "scapy": theirs, "ratio": ratio}))
        return
    print(f"qiot   {ours['per_second']:>9,} frames/s  {ours['results']} results")
    print(f"memory {ours['resident_mib_first']} MiB, at the end {ours['resident_mib_last']} MiB")
    if theirs is None:
        print("scapy  is not installed: pip install 'qiot[bench]'")
    else:
        print(f"scapy  {theirs['per_second']:>9,} frames/s  qiot is {ratio} times as fast")


if __name__ == "__main__":
    main()
