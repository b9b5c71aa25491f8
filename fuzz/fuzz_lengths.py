"""The decoders: frames of any length, order, direction and sender; no error, and no result out of noise.

After the first octet, every frame is four octets of the input: who and how, a step of the sequence number,
and a length, of which most values lie in the alphabets that the protocols use.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from typing import Final

from harness import fuzz, instrumented

with instrumented():
    from qiot.model import SSID_MAX, Secret
    from qiot.protocols.air.airkiss import AirKiss
    from qiot.protocols.air.esptouch import EspTouch
    from qiot.protocols.air.esptouch_v2 import EspTouchV2
    from qiot.protocols.air.observation import BROADCAST, Direction, Observation
    from qiot.protocols.air.realtek import RealtekSimpleConfig
    from qiot.protocols.air.tracker import Tracker, all_decoders

FRAME: Final = 4
OVERHEADS: Final = (36, 52, 44, 56, 37)
PHONES: Final = (b"\x02\0\0\0\0\1", b"\x02\0\0\0\0\2")
AP: Final = b"\x04\0\0\0\0\1"
PASSWORD_MAX: Final = 80
"""Of a decoded one, octets: an AirKiss password field under a key has a block more than 64."""


def try_octets(data: bytes) -> None:
    """Feed all frames; the first octet says whether the decoders have keys."""
    keys = {"esptouch_key": Secret(bytes(16)), "airkiss_key": Secret(b"k"), "pin": Secret(b"1")}
    tracker = Tracker(lambda: all_decoders(**keys)) if data[:1] > b"\x7f" else Tracker()
    for seen in observations(data[1:]):
        for result in tracker.feed(seen):
            ssid = result.credentials.ssid
            assert ssid is None or 0 < len(ssid) <= SSID_MAX
            assert len(result.credentials.password) <= PASSWORD_MAX
            assert (ssid is None) is (result.credentials.clue is not None)
    assert all(0 <= progress.weight <= 1 for progress in tracker.progress())


def observations(data: bytes) -> Iterator[Observation]:
    """The frames that the input stands for."""
    sequence, time = 0, 0.0
    for start in range(0, len(data) - FRAME + 1, FRAME):
        how, step, high, low = data[start : start + FRAME]
        sequence = (sequence + (step & 0x0F)) % 4096
        time += (step >> 4) * 0.004
        number = high << 8 | low
        to = BROADCAST if not how & 0x08 else b"\x01\x00\x5e" + bytes((low & 0x7F, step, high))
        yield Observation(
            transmitter=PHONES[how & 1],
            bssid=AP,
            direction=Direction.TO_AP if how & 2 else Direction.FROM_AP,
            destination=to,
            length=number % 1200 + OVERHEADS[how >> 5 if how >> 5 < len(OVERHEADS) else 0],
            sequence=sequence,
            fragment=0,
            retry=bool(how & 4),
            tid=0 if how & 0x10 else None,
            channel=6,
            time=time,
        )


def seeds() -> list[bytes]:
    """What phones send, as inputs."""
    encoders = (
        EspTouch(b"Home", Secret(b"12345678"), bytes(6), "10.0.0.1"),
        EspTouchV2(b"Home", Secret(b"12345678"), bytes(6), bytes),
        EspTouchV2(b"H", Secret(b"1"), bytes(6), bytes, key=Secret(bytes(16)), security=2),
        AirKiss(b"Home", Secret(b"12345678"), 1),
        AirKiss(b"Home", Secret(b"12345678"), 1, key=Secret(b"k")),
        RealtekSimpleConfig(b"Home", Secret(b""), "10.0.0.1", PHONES[0], bytes, pattern=4),
    )
    found = []
    for encoder in encoders:
        lengths = [cast.length for cast in encoder.round()]
        guide = [cast.length for cast in encoder.round() if cast.part in {"guide", "sync", "count"}]
        frames = _frames(itertools.chain(guide[:4] * 3, lengths, guide[:4], lengths))
        found += [b"\0" + frames, b"\xff" + frames]
    return found


def _frames(lengths: Iterable[int]) -> bytes:
    return b"".join(bytes((0x22, 0x21, length >> 8, length & 0xFF)) for length in lengths)


if __name__ == "__main__":
    fuzz(try_octets, seeds)
