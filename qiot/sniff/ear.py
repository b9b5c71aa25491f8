"""Takes frames of any kind, feeds the tracker with those it can use, and counts what there was.

Most frames are data between others. They are told apart by three octets and cost no more than that.
"""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final

from qiot.errors import ProtocolError
from qiot.model import Network
from qiot.pcap import IEEE802_11, IEEE802_11_RADIOTAP, Packet
from qiot.protocols.air.channels import channel_of
from qiot.protocols.air.dot11 import FIXED_FIELDS, is_group_data, parse_header
from qiot.protocols.air.elements import find_element, security_of, ssid_of
from qiot.protocols.air.radiotap import parse_radiotap
from qiot.protocols.air.results import Decoded
from qiot.protocols.air.tracker import Tracker

__all__ = ["Ear"]

NETWORKS_MAX: Final = 512
SENDERS_MAX: Final = 256
_FCS: Final = 4
_FCS_TRIALS: Final = 64
"""Frames that are looked at for a check sum, where the capture does not say whether there is one."""
_BEACON: Final = 0x80
_ADDRESSES: Final = 24
_CAPABILITY: Final = slice(34, 36)
_UNKNOWN_SIGNAL: Final = -100
_DS_PARAMETER: Final = 3
_MORE_FRAGMENTS: Final = 0x04
"""Of the frame control field's second octet (IEEE 802.11, 9.2.4.1.5)."""


class Ear:
    """Listens to one capture, or one radio.

    Args:
        tracker: Decodes.

    Attributes:
        tracker: The same.
        frames: Frames so far.
        damaged: Those that the radio marked as not received well; nothing else is made of them.
        unreadable: Those whose head could not be read.
        foreign: Packets of a link type that is none of 802.11, by its number.
        to_ap: Data frames to everybody, on their way to an access point.
        from_ap: The same, as an access point sends them on.
        first: Time of the first frame, seconds.
        last: Time of the last one.
        channels: Frames by IEEE channel number, as far as the radio says.
        senders: Frames to everybody by source address, of the first 256.
        networks: Access points by BSSID, of the first 512.
    """

    def __init__(self, tracker: Tracker) -> None:
        self.tracker = tracker
        self.frames = self.damaged = self.unreadable = 0
        self.foreign: Counter[int] = Counter()
        self.to_ap = self.from_ap = 0
        self.first = self.last = 0.0
        self.senders: Counter[bytes] = Counter()
        self.networks: dict[bytes, Network] = {}
        self._frequencies: Counter[int] = Counter()
        self._channels: Counter[int] = Counter()
        self._fragments = False
        self._fcs = 0
        self._fcs_trials = _FCS_TRIALS

    @property
    def channels(self) -> Mapping[int, int]:
        """Frames by channel number."""
        found = Counter(self._channels)
        for frequency, count in self._frequencies.items():
            channel = channel_of(frequency)
            if channel is not None:
                found[channel[0]] += count
        return found

    def hear_packet(self, packet: Packet) -> Sequence[Decoded]:
        """Take a packet of a capture; what became complete with it."""
        link, time, data, length, check_sum = packet
        frequency = None
        if link == IEEE802_11_RADIOTAP:
            try:
                known = parse_radiotap(data)
            except ProtocolError:
                self._count(time)
                self.unreadable += 1
                return ()
            if known.damaged:
                self._count(time)
                self.damaged += 1
                return ()
            frequency = known.frequency
            data = data[known.length :]
            length -= known.length
            if known.padded:
                data, length = _unpadded(data, length)
            if known.check_sum:
                check_sum = _FCS
        elif link != IEEE802_11:
            self.foreign[link] += 1
            return ()
        if not check_sum:
            check_sum = self._fcs if not self._fcs_trials else self._find_fcs(data, length)
        length -= check_sum
        if len(data) > length:
            data = data[:length]
        if frequency is not None:
            self._frequencies[frequency] += 1
        return self._hear(data, length, frequency, None, time)

    def hear_frame(self, data: bytes, channel: int | None, time: float) -> Sequence[Decoded]:
        """Take a whole frame without radiotap and check sum; what became complete with it."""
        if channel is not None:
            self._channels[channel] += 1
        return self._hear(data, len(data), None, channel, time)

    def _hear(
        self, data: bytes, length: int, frequency: int | None, channel: int | None, time: float
    ) -> Sequence[Decoded]:
        self._count(time)
        if is_group_data(data):
            if channel is None and frequency is not None:
                known = channel_of(frequency)
                channel = None if known is None else known[0]
            return self._hear_group_data(data, length, channel, time)
        if len(data) < _ADDRESSES:
            # Acknowledgements and their like, or rubbish: nobody counts them.
            return ()
        if data[0] == _BEACON and data[16:22] not in self.networks:
            self._note_network(data, channel, frequency)
        if data[10:16] in self.tracker.senders:
            self._hear_other(data, time)
        return ()

    def _count(self, time: float) -> None:
        if not self.frames:
            self.first = time
        self.frames += 1
        self.last = time

    def _hear_group_data(
        self, data: bytes, length: int, channel: int | None, time: float
    ) -> Sequence[Decoded]:
        try:
            header = parse_header(data)
        except ProtocolError:
            self.unreadable += 1
            return ()
        if length > header.total:  # the capture has cut it off
            header = header._replace(total=length)
        if header.fragmented:
            # Some programs write captures whose numbers are not shifted; a true fragment is announced.
            self._fragments |= bool(header.flags & _MORE_FRAGMENTS)
            if not self._fragments:
                header = header._replace(fragment=0)
        if header.to_ds:
            self.to_ap += 1
        else:
            self.from_ap += 1
        source = header.source
        if source is not None and (source in self.senders or len(self.senders) < SENDERS_MAX):
            self.senders[source] += 1
        return self.tracker.hear(header, channel, time)

    def _hear_other(self, data: bytes, time: float) -> None:
        """A phone's or its access point's frame that uses up a number."""
        try:
            header = parse_header(data)
        except ProtocolError:
            self.unreadable += 1
            return
        self.tracker.hear(header, None, time)

    def _note_network(self, data: bytes, channel: int | None, frequency: int | None) -> None:
        if len(self.networks) >= NETWORKS_MAX:
            return
        try:
            header = parse_header(data)
        except ProtocolError:
            self.unreadable += 1
            return
        elements = header.length + FIXED_FIELDS[header.subtype]
        if header.bssid is None or len(data) < elements:
            return
        if channel is None and frequency is not None:
            known = channel_of(frequency)
            channel = None if known is None else known[0]
        told = find_element(data, _DS_PARAMETER, elements)
        if told:
            channel = told[0]  # a beacon is heard on the channels beside its own, too
        capability = int.from_bytes(data[_CAPABILITY], "little")
        self.networks[header.bssid] = Network(
            ssid_of(data, elements),
            header.bssid,
            channel or 0,
            _UNKNOWN_SIGNAL,
            security_of(capability, data[elements:]),
        )

    def _find_fcs(self, data: bytes, length: int) -> int:
        """Whether frames end with their check sum, by trying; the first frames tell, and then it is known."""
        if len(data) == length and length > _FCS:
            self._fcs_trials -= 1
            if zlib.crc32(data[:-_FCS]) == int.from_bytes(data[-_FCS:], "little"):
                self._fcs, self._fcs_trials = _FCS, 0
        return self._fcs


def _unpadded(data: bytes, length: int) -> tuple[bytes, int]:
    """Without the octets that some radios put behind the 802.11 header, up to a multiple of four."""
    try:
        size = parse_header(data).length
    except ProtocolError:
        return data, length
    padding = -size % 4
    return data[:size] + data[size + padding :], length - padding
