"""The sniffer: monitor mode through a packet socket (packet(7)), sieved by the kernel."""

from __future__ import annotations

import asyncio
import ctypes
import errno
import os
import socket
import struct
import time
from collections import deque
from collections.abc import Sequence
from typing import Final

import attrs

from qiot.errors import MediumError, ProtocolError
from qiot.hal.contract import Frame, FrameFilter, Sniffer
from qiot.hal.linux.kernel_filter import assemble, filter_program
from qiot.hal.linux.monitor import Monitor
from qiot.hal.linux.nl80211 import RadioChannel
from qiot.hal.linux.radio import Radio
from qiot.log import get_logger
from qiot.model import Band, Reason
from qiot.protocols.air.channels import channel_of
from qiot.protocols.air.radiotap import unwrap

__all__ = ["QUEUE_MAX", "RadioSniffer", "SniffCounts"]

log = get_logger()

QUEUE_MAX: Final = 4096
"""Frames that wait to be read; further ones are dropped and counted."""

_BATCH: Final = 64
"""Packets that are taken at a time, before others have their turn on the loop."""
_PACKET_MAX: Final = 16384
"""Longest aggregate in the air (IEEE 802.11, 9.2.4.8.1: 11454) with a generous header."""
_RECEIVE_BUFFER: Final = 1 << 20
_ALL_PROTOCOLS: Final = 0x0003  # ETH_P_ALL, linux/if_ether.h; bind() swaps the octets
# asm-generic/socket.h, linux/if_packet.h
_SO_ATTACH_FILTER: Final = 26
_SO_RCVBUFFORCE: Final = 33
_SO_TIMESTAMPNS: Final = 35
_SOL_PACKET: Final = 263
_PACKET_STATISTICS: Final = 6
_STATISTICS: Final = struct.Struct("=II")
_TIMESPEC: Final = struct.Struct("@ll")
_USABLE_BANDS: Final = (Band.GHZ_2_4, Band.GHZ_5)
"""Channel numbers of 6 GHz mean other channels below; the contract has no place for the band."""


@attrs.define
class SniffCounts:
    """What came, since the start.

    Attributes:
        passed: Packets that the kernel's filter let through.
        damaged: Those that the radio marked as not received well.
        strange: Those that could not be read.
        dropped: Those that nobody fetched in time.
    """

    passed: int = 0
    damaged: int = 0
    strange: int = 0
    dropped: int = 0


class RadioSniffer(Sniffer):
    """Monitor mode on one radio.

    Args:
        radio: The radio.

    Attributes:
        counts: What came since the last start.
    """

    def __init__(self, radio: Radio) -> None:
        self._radio = radio
        self._monitor = Monitor(radio)
        self._turn = asyncio.Lock()
        self._name = ""
        self._channels: Sequence[RadioChannel] = ()
        self._tuned: RadioChannel | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._socket: socket.socket | None = None
        self._gone: MediumError | None = None
        self._inbox: deque[Frame] = deque()
        self._arrived = asyncio.Event()
        self._writable: asyncio.Future[None] | None = None
        self._told_drops = 0
        self.counts = SniffCounts()

    async def channels(self) -> Sequence[int]:
        """The channels of 2.4 and 5 GHz that the country allows."""
        return [each.number for each in await self._usable()]

    async def start(self, wanted: FrameFilter) -> None:
        """Begin to listen: beside a joined station or an access point, else alone."""
        async with self._turn:
            if self._socket is not None:
                raise MediumError("the sniffer is started already", hint="Stop it before the next start.")
            self._channels = await self._usable()
            name = await self._monitor.take()
            try:
                opened = _open(name, wanted)
                try:
                    await self._see_channel(name)
                except BaseException:
                    opened.close()
                    raise
            except BaseException:
                await self._monitor.give_back()
                raise
            self._name, self._socket, self._gone = name, opened, None
            self.counts, self._told_drops = SniffCounts(), 0
            self._inbox.clear()
            self._arrived.clear()
            self._loop = asyncio.get_running_loop()
            self._loop.add_reader(opened, self._drain)

    async def tune(self, channel: int) -> int:
        """Go to a channel; who is joined holds it, and so does an access point."""
        async with self._turn:
            self._check_started()
            wanted = next((each for each in self._channels if each.number == channel), None)
            if wanted is None:
                raise MediumError(
                    f"{self._radio.interface} has no channel {channel}, or may not use it",
                    hint="Set the country, or use an adapter with this band.",
                )
            try:
                found = await self._radio.nl80211.set_frequency(self._name, wanted.frequency)
            except MediumError as error:
                # What was idle has been brought up meanwhile, as NetworkManager does.
                if error.code != errno.EBUSY or not await self._monitor.take_down_idle():
                    raise
                found = await self._radio.nl80211.set_frequency(self._name, wanted.frequency)
            return self._note_channel(found)

    async def read(self) -> tuple[Sequence[Frame], int]:
        """The frames that wait, oldest first; at least one."""
        while not self._inbox:
            self._check_started()
            self._arrived.clear()
            await self._arrived.wait()
        self._count_kernel_drops()
        frames = list(self._inbox)
        self._inbox.clear()
        dropped, self._told_drops = self.counts.dropped - self._told_drops, self.counts.dropped
        return frames, dropped

    async def stop(self) -> None:
        """Give the radio back: no second interface, the own one as it was."""
        async with self._turn:
            self._end(MediumError("the sniffer is stopped", hint="Start it first."))
            self._inbox.clear()
            self._tuned = None
            await self._monitor.give_back()

    async def send(self, packet: bytes) -> None:
        """Send a frame on the tuned channel.

        Args:
            packet: The frame behind its radiotap header, without check sum.

        Raises:
            MediumError: It is not started, only listening is allowed on the channel, or the radio refused.
        """
        self._check_started()
        if self._tuned is not None and self._tuned.no_ir:
            raise MediumError(
                f"nothing may be sent on channel {self._tuned.number} in this country",
                code=errno.EPERM,
                hint="Set the country, or choose another channel.",
            )
        while self._socket is not None:
            try:
                self._socket.send(packet)
            except BlockingIOError:
                await self._wait_writable(self._socket)
            except OSError as error:
                if error.errno == errno.ENETDOWN:
                    self._end(_lost(self._name, error))
                    break
                raise MediumError(
                    f"{self._name}: a frame of {len(packet)} octets was not sent: {error.strerror}",
                    code=error.errno,
                ) from None
            else:
                return
        self._check_started()

    async def _usable(self) -> Sequence[RadioChannel]:
        wiphy = await self._radio.nl80211.wiphy(self._radio.interface)
        return sorted(
            (each for each in wiphy.channels if not each.disabled and each.band in _USABLE_BANDS),
            key=lambda each: (_USABLE_BANDS.index(each.band), each.number),
        )

    async def _see_channel(self, name: str) -> None:
        """Where the radio is; an idle one may not know, and gets its first channel."""
        found = await self._radio.nl80211.frequency(name)
        if found is None and self._channels:
            found = await self._radio.nl80211.set_frequency(name, self._channels[0].frequency)
        if found is not None:
            self._note_channel(found)

    def _note_channel(self, frequency: int) -> int:
        self._tuned = next((each for each in self._channels if each.frequency == frequency), None)
        channel = channel_of(frequency)
        if channel is None:
            raise MediumError(f"{self._name} is at {frequency} MHz, which is no channel")
        return channel[0]

    def _drain(self) -> None:
        """Take what has come; called by the loop."""
        opened = self._socket
        if opened is None:
            return
        # The kernel stamps by the wall clock.
        shift = time.monotonic() - time.time()
        for _ in range(_BATCH):
            try:
                packet, notes, _, _ = opened.recvmsg(_PACKET_MAX, _ANCILLARY)
            except (BlockingIOError, InterruptedError):
                return
            except OSError as error:
                self._end(_lost(self._name, error))
                return
            self.counts.passed += 1
            self._take(packet, notes, shift)

    def _take(self, packet: bytes, notes: Sequence[tuple[int, int, bytes]], shift: float) -> None:
        try:
            known, frame = unwrap(packet)
        except ProtocolError as error:
            self.counts.strange += 1
            log.debug(f"{self._name}: {error}")
            return
        if known.damaged:
            self.counts.damaged += 1
            return
        if len(self._inbox) >= QUEUE_MAX:
            self.counts.dropped += 1
            return
        number = self._tuned.number if self._tuned is not None else 0
        if known.frequency is not None:
            number, _ = channel_of(known.frequency) or (number, None)
        t = shift + time.time()
        for level, kind, value in notes:
            if (level, kind) == (socket.SOL_SOCKET, _SO_TIMESTAMPNS):
                seconds, nanoseconds = _TIMESPEC.unpack(value)
                t = shift + seconds + nanoseconds / 1e9
        self._inbox.append(Frame(data=frame, t=t, channel=number, signal=known.signal))
        self._arrived.set()

    def _count_kernel_drops(self) -> None:
        if self._socket is not None:
            counts = self._socket.getsockopt(_SOL_PACKET, _PACKET_STATISTICS, _STATISTICS.size)
            self.counts.dropped += _STATISTICS.unpack(counts)[1]  # the kernel begins anew with each look

    def _check_started(self) -> None:
        if self._gone is not None:
            raise MediumError(str(self._gone), code=self._gone.code, hint=self._gone.hint)
        if self._socket is None:
            raise MediumError("the sniffer is not started", hint="Start it first.")

    def _end(self, why: MediumError) -> None:
        opened, self._socket = self._socket, None
        if opened is not None:
            self._gone = why
            if self._loop is not None:
                self._loop.remove_reader(opened)
                self._loop.remove_writer(opened)
            opened.close()
            self._arrived.set()
            _wake(self._writable)

    async def _wait_writable(self, opened: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        self._writable = loop.create_future()
        loop.add_writer(opened, _wake, self._writable)
        try:
            await self._writable
        finally:
            if opened is self._socket:
                loop.remove_writer(opened)
            self._writable = None


_ANCILLARY: Final = socket.CMSG_SPACE(_TIMESPEC.size)


def _wake(future: asyncio.Future[None] | None) -> None:
    if future is not None and not future.done():
        future.set_result(None)


def _lost(name: str, error: OSError) -> MediumError:
    return MediumError(
        f"{name} is gone: {error.strerror}",
        code=error.errno,
        hint="The adapter was unplugged, or another program took the interface down.",
    )


def _open(name: str, wanted: FrameFilter) -> socket.socket:
    """A packet socket that hears what is wanted and nothing before."""
    try:
        # Protocol 0: nothing is received until the filter stands and the interface is bound.
        opened = socket.socket(socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_NONBLOCK, 0)
    except OSError as error:
        raise _refused(name, error) from None
    try:
        _attach(opened, assemble(filter_program(wanted)))
        opened.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
        try:
            opened.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _RECEIVE_BUFFER)
        except PermissionError:
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER)
        opened.bind((name, _ALL_PROTOCOLS))
    except OSError as error:
        opened.close()
        raise _refused(name, error) from None
    except BaseException:
        opened.close()
        raise
    return opened


def _attach(opened: socket.socket, program: bytes) -> None:
    """SO_ATTACH_FILTER with struct sock_fprog: a count and a pointer."""
    memory = ctypes.create_string_buffer(program, len(program))
    opened.setsockopt(
        socket.SOL_SOCKET,
        _SO_ATTACH_FILTER,
        struct.pack("@HP", len(program) // 8, ctypes.addressof(memory)),
    )


def _refused(name: str, error: OSError) -> MediumError:
    denied = error.errno in {errno.EPERM, errno.EACCES}
    return MediumError(
        f"{name}: no packet socket: {os.strerror(error.errno) if error.errno else error}",
        reason=Reason.NO_PERMISSION if denied else Reason.MEDIUM,
        code=error.errno,
        hint="Run as root or give CAP_NET_RAW." if denied else "",
    )
