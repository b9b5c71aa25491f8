"""Reads captures: pcap and pcapng, packet by packet, in memory that does not grow.

Sources: draft-ietf-opsawg-pcap (both octet orders, micro- and nanoseconds), draft-ietf-opsawg-pcapng (the
blocks of sections, interfaces, enhanced and simple packets; others are passed over), the list of link types.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from typing import BinaryIO, Final, NamedTuple

from qiot.errors import ProtocolError

__all__ = ["IEEE802_11", "IEEE802_11_RADIOTAP", "CaptureReader", "Packet"]

IEEE802_11: Final = 105
"""Link type: 802.11 frames as they are."""
IEEE802_11_RADIOTAP: Final = 127
"""Link type: radiotap in front of each 802.11 frame."""

_MICROSECONDS: Final = 0xA1B2C3D4
_NANOSECONDS: Final = 0xA1B23C4D
_HEADER: Final = 24
_RECORD: Final = 16
_PACKET_MAX: Final = 1 << 18
"""Longest packet that programs write (MAXIMUM_SNAPLEN of libpcap); a longer one is a fault of the file."""
_LINK_TYPE: Final = 0xFFFF
_HAS_FCS: Final = 0x0400_0000
_FCS_SHIFT: Final = 28

_SECTION: Final = 0x0A0D0D0A
_INTERFACE, _SIMPLE, _ENHANCED = 1, 3, 6
_ORDER: Final = 0x1A2B3C4D
_BLOCK_MIN: Final = 12
_BLOCK_MAX: Final = 1 << 24
_INTERFACES_MAX: Final = 4096
_TIME_RESOLUTION, _TIME_OFFSET, _FCS_LENGTH = 9, 14, 13

_CHUNK: Final = 1 << 18


class Packet(NamedTuple):
    """One packet.

    Attributes:
        link: Link type, such as `IEEE802_11_RADIOTAP`.
        time: Seconds since 1970, as the capture has it.
        data: Its octets, as far as they were captured.
        length: Octets it had; more than there are where it was cut off.
        check_sum: Octets of check sum at the end, where the file says so, else 0.
    """

    link: int
    time: float
    data: bytes
    length: int
    check_sum: int


class _Interface(NamedTuple):
    link: int
    snap: int
    unit: float
    offset: int
    check_sum: int


class CaptureReader:
    """Iterates over the packets of a capture. A file that ends or goes wrong in the middle ends it.

    Args:
        file: Open for reading octets; need not be seekable.

    Attributes:
        damage: What was wrong with the file, empty where nothing was (so far).

    Raises:
        ProtocolError: This is no capture.
    """

    def __init__(self, file: BinaryIO) -> None:
        self.damage = ""
        # Of a pipe, what is there already: the rest may take its time.
        self._read: Callable[[int], bytes] = getattr(file, "read1", file.read)
        self._buffer = b""
        self._at = 0
        self._packets = self._open()

    def __iter__(self) -> Iterator[Packet]:
        return self._packets

    def _open(self) -> Iterator[Packet]:
        head = self._peek(_HEADER)
        for order in "<>":
            magic = int.from_bytes(head[:4], "little" if order == "<" else "big")
            if magic in {_MICROSECONDS, _NANOSECONDS}:
                if len(head) < _HEADER:
                    raise ProtocolError("the capture ends within its header")
                link = int.from_bytes(head[20:24], "little" if order == "<" else "big")
                self._at += _HEADER
                return self._classic(order, link, 1e-9 if magic == _NANOSECONDS else 1e-6)
        if head[:4] == struct.pack(">I", _SECTION):
            return self._blocks()
        if head[:2] == b"\x1f\x8b":
            raise ProtocolError("this capture is compressed", hint="Unpack it with gunzip first.")
        raise ProtocolError(
            "this is no capture: neither pcap nor pcapng",
            hint="Record one with tcpdump -I -w, dumpcap or airodump-ng in monitor mode.",
        )

    # --- octets ---------------------------------------------------------------------------------------------

    def _peek(self, size: int) -> bytes:
        """The next octets, fewer at the end of the file."""
        if len(self._buffer) - self._at < size:
            parts = [self._buffer[self._at :]]
            have = len(parts[0])
            while have < size:
                more = self._read(max(_CHUNK, size - have))
                if not more:
                    break
                parts.append(more)
                have += len(more)
            self._buffer, self._at = b"".join(parts), 0
        return self._buffer[self._at : self._at + size]

    # --- pcap -----------------------------------------------------------------------------------------------

    def _classic(self, order: str, link_field: int, unit: float) -> Iterator[Packet]:
        unpack = struct.Struct(f"{order}IIII").unpack_from
        link = link_field & _LINK_TYPE
        check_sum = 2 * (link_field >> _FCS_SHIFT) if link_field & _HAS_FCS else 0
        buffer, at = self._buffer, self._at
        end = len(buffer)
        while True:
            if end - at < _RECORD:
                self._at = at
                left = len(self._peek(_RECORD))
                buffer, at = self._buffer, self._at
                end = len(buffer)
                if left < _RECORD:
                    if left:
                        self.damage = "the file ends within the header of a packet"
                    return
            seconds, fraction, size, length = unpack(buffer, at)
            if size > _PACKET_MAX or length > _PACKET_MAX:
                self.damage = (
                    f"a packet of {max(size, length)} octets cannot be: the file is damaged from there"
                )
                return
            after = at + _RECORD + size
            if after > end:
                self._at = at
                if len(self._peek(_RECORD + size)) < _RECORD + size:
                    self.damage = "the file ends within a packet"
                    return
                buffer, at = self._buffer, self._at
                end = len(buffer)
                after = at + _RECORD + size
            yield Packet(
                link,
                seconds + fraction * unit,
                buffer[at + _RECORD : after],
                max(size, length),
                check_sum,
            )
            at = after

    # --- pcapng ---------------------------------------------------------------------------------------------

    def _blocks(self) -> Iterator[Packet]:
        order: str = "<"
        interfaces: list[_Interface] = []
        while True:
            head = self._peek(_BLOCK_MIN)
            if len(head) < _BLOCK_MIN:
                if head:
                    self.damage = "the file ends within the header of a block"
                return
            if head[:4] == struct.pack(">I", _SECTION):
                order = "<" if struct.unpack_from("<I", head, 8)[0] == _ORDER else ">"
                interfaces = []
            kind, size = struct.unpack_from(f"{order}II", head)
            if size < _BLOCK_MIN or size > _BLOCK_MAX or size % 4:
                self.damage = f"no block has {size} octets: the file is damaged from there"
                return
            block = self._peek(size)
            if len(block) < size:
                self.damage = "the file ends within a block"
                return
            self._at += size
            body = block[8:-4]
            try:
                if kind == _INTERFACE and len(interfaces) < _INTERFACES_MAX:
                    interfaces.append(_interface(body, order))
                elif kind == _ENHANCED:
                    yield _enhanced(body, order, interfaces)
                elif kind == _SIMPLE:
                    yield _simple(body, order, interfaces)
            except (struct.error, IndexError):
                self.damage = "a block of the file is damaged"
                return


def _interface(body: bytes, order: str) -> _Interface:
    link, snap = struct.unpack_from(f"{order}HxxI", body)
    unit, offset, check_sum = 1e-6, 0, 0
    at = 8
    while at + 4 <= len(body):
        code, size = struct.unpack_from(f"{order}HH", body, at)
        value = body[at + 4 : at + 4 + size]
        if code == _TIME_RESOLUTION and value:
            unit = 2.0 ** -(value[0] & 0x7F) if value[0] & 0x80 else 10.0 ** -value[0]
        elif code == _TIME_OFFSET:
            (offset,) = struct.unpack(f"{order}q", value)
        elif code == _FCS_LENGTH and value:
            check_sum = value[0]
        elif not code:
            break
        at += 4 + size + -size % 4
    return _Interface(link, snap, unit, offset, check_sum)


def _enhanced(body: bytes, order: str, interfaces: list[_Interface]) -> Packet:
    number, high, low, size, length = struct.unpack_from(f"{order}IIIII", body)
    interface = interfaces[number]
    data = body[20 : 20 + size]
    if len(data) < size:
        raise IndexError
    time = interface.offset + (high << 32 | low) * interface.unit
    return Packet(interface.link, time, data, max(length, size), interface.check_sum)


def _simple(body: bytes, order: str, interfaces: list[_Interface]) -> Packet:
    """Without a time of its own: no more than the order is known."""
    (length,) = struct.unpack_from(f"{order}I", body)
    interface = interfaces[0]
    size = min(length, interface.snap) if interface.snap else length
    data = body[4 : 4 + size]
    if len(data) < size:
        raise IndexError
    return Packet(interface.link, 0.0, data, length, interface.check_sum)
