"""Recordings as monitor mode makes them: pcap with radiotap in front of each frame; Wireshark opens them.

pcap: draft-ietf-opsawg-pcap, times in nanoseconds. Radiotap: radiotap.org, little endian, fields aligned.
"""

from __future__ import annotations

import struct
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Final, Self

from qiot.sim.air.receiver import Heard

__all__ = ["RADIOTAP_LINK", "Recorder", "radiotap"]

RADIOTAP_LINK: Final = 127
"""LINKTYPE_IEEE802_11_RADIOTAP."""

_NANOSECONDS: Final = 0xA1B23C4D
_VERSION: Final = (2, 4)
_SNAP: Final = 0x40000
_BILLION: Final = 1_000_000_000

_TSFT, _FLAGS, _RATE, _CHANNEL, _SIGNAL, _ANTENNA = 0, 1, 2, 3, 5, 11
_PRESENT: Final = sum(1 << bit for bit in (_TSFT, _FLAGS, _RATE, _CHANNEL, _SIGNAL, _ANTENNA))
_HEADER: Final = struct.Struct("<BBHIQBBHHbB")
_FCS: Final = 0x10
_BAD_FCS: Final = 0x40
_CCK: Final = 0x0020
_OFDM: Final = 0x0040
_2_GHZ: Final = 0x0080
_5_GHZ: Final = 0x0100
_LAST_OF_2_4_GHZ: Final = 14
_CHANNEL_14: Final = 2484
_CCK_RATES: Final = frozenset({1.0, 2.0, 5.5, 11.0})


def radiotap(heard: Heard, *, check_sum: bool) -> bytes:
    """The header that says what the radio knows of a frame.

    Args:
        heard: The frame.
        check_sum: The four octets of the check sum follow the frame.
    """
    flags = (_FCS if check_sum else 0) | (0 if heard.intact else _BAD_FCS)
    low = heard.channel <= _LAST_OF_2_4_GHZ
    frequency = (2407 if low else 5000) + 5 * heard.channel
    if heard.channel == _LAST_OF_2_4_GHZ:
        frequency = _CHANNEL_14
    channel_flags = (_2_GHZ if low else _5_GHZ) | (_CCK if heard.rate in _CCK_RATES else _OFDM)
    return _HEADER.pack(
        0,
        0,
        _HEADER.size,
        _PRESENT,
        max(0, round(heard.t * 1e6)),
        flags,
        round(heard.rate * 2),
        frequency,
        channel_flags,
        heard.signal,
        0,
    )


class Recorder:
    """Writes what a receiver hears; `write` can be its listener.

    Args:
        target: A file's path, or an open binary file, which stays open.
        began: What is added to the air's time for the time stamps, in seconds since 1970.
        check_sum: With the check sum behind each frame, as some drivers leave it there.
    """

    def __init__(self, target: Path | BinaryIO, *, began: float = 0.0, check_sum: bool = False) -> None:
        self._own = isinstance(target, Path)
        self._file: BinaryIO = target.open("wb") if isinstance(target, Path) else target
        self._began = began
        self._check_sum = check_sum
        self._file.write(struct.pack("<IHHiIII", _NANOSECONDS, *_VERSION, 0, 0, _SNAP, RADIOTAP_LINK))

    def write(self, heard: Heard) -> None:
        """Add one frame."""
        packet = radiotap(heard, check_sum=self._check_sum) + heard.data
        if self._check_sum:
            packet += heard.check_sum
        nanoseconds = round((self._began + heard.t) * _BILLION)
        seconds, rest = divmod(nanoseconds, _BILLION)
        self._file.write(struct.pack("<IIII", seconds, rest, len(packet), len(packet)) + packet)

    def close(self) -> None:
        """Close the file, where it was opened here. Idempotent."""
        if self._own:
            self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
