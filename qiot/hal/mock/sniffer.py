"""Monitor mode of the mock: what its radio hears in the simulated air."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import Final

from qiot.errors import MediumError, ProtocolError
from qiot.hal.contract import Frame, FrameFilter, Sniffer
from qiot.hal.mock.radio import Radio
from qiot.protocols.air.dot11 import BEACON, MANAGEMENT, PROBE_REQUEST, parse_header
from qiot.sim.air import Heard, Receiver
from qiot.sim.faults import Faults

__all__ = ["CHANNELS", "QUEUE_MAX", "MockSniffer"]

CHANNELS: Final[Sequence[int]] = (*range(1, 14), 36, 40, 44, 48, 149, 153, 157, 161, 165)
"""2.4 GHz, then those of 5 GHz that need no radar detection."""
QUEUE_MAX: Final = 4096
"""Frames that wait to be read; further ones are dropped and counted."""


class MockSniffer(Sniffer):
    """The ear of the mock's radio.

    Args:
        radio: The radio; who is joined by it, or serves with it, holds its channel.
        loss: Share of frames that are not heard, 0 to 1; None for the world's.
        start_failures: Starts that fail.

    Attributes:
        damaged: Frames that came with a wrong check sum since the last start.
    """

    def __init__(self, radio: Radio, *, loss: float | None, start_failures: Faults) -> None:
        self._radio = radio
        self._air = radio.world.air
        self._loss = loss
        self._start_failures = start_failures
        self._tuned = CHANNELS[0]
        self._wanted = FrameFilter(kinds=frozenset())
        self._receiver: Receiver | None = None
        self._inbox: deque[Frame] = deque()
        self._dropped = 0
        self._woken = asyncio.Event()
        self.damaged = 0

    async def channels(self) -> Sequence[int]:
        """2.4 GHz, and 5 GHz without radar detection."""
        return CHANNELS

    async def start(self, wanted: FrameFilter) -> None:
        """Begin to listen."""
        if self._receiver is not None:
            raise MediumError("the sniffer is started already", hint="Stop it before the next start.")
        failure = self._start_failures.take()
        if failure is not None:
            raise MediumError("the sniffer did not start: start_failure says so", reason=failure)
        self._inbox.clear()
        self._dropped = self.damaged = 0
        self._wanted = wanted
        self._woken = asyncio.Event()
        self._receiver = self._air.listen(
            self._hear, channel=self._channel, loss=self._loss, ignores=self._radio.is_own
        )

    async def tune(self, channel: int) -> int:
        """Go to a channel; a joined station or an access point holds its own."""
        self._check_started()
        if channel not in CHANNELS:
            raise MediumError(
                f"the mock has no channel {channel}", hint=f"It has {', '.join(map(str, CHANNELS))}."
            )
        self._air.catch_up()
        self._tuned = channel
        return self._channel()

    async def read(self) -> tuple[Sequence[Frame], int]:
        """The frames that wait, oldest first; at least one."""
        receiver = self._receiver
        self._check_started()
        self._air.catch_up()
        while not self._inbox:
            self._woken.clear()
            await self._air.wait(self._woken)
            if self._receiver is not receiver:
                raise MediumError("the sniffer was stopped", hint="Start it first.")
        frames, dropped = list(self._inbox), self._dropped
        self._inbox.clear()
        self._dropped = 0
        return frames, dropped

    async def stop(self) -> None:
        """Listen no longer; who waits in `read` gets an error."""
        if self._receiver is not None:
            self._air.stop_listening(self._receiver)
            self._receiver = None
            self._inbox.clear()
            self._woken.set()

    def send(self, frame: bytes) -> None:
        """Send a frame on the tuned channel.

        Raises:
            MediumError: The sniffer is not started, or it is no frame.
        """
        self._check_started()
        try:
            parse_header(frame)
        except ProtocolError as error:
            raise MediumError(f"the radio does not take this: {error}") from None
        self._air.inject(frame, self._channel(), self._radio.station.mac)

    def _channel(self) -> int:
        """Where the radio is; it stays where it was held, until it is tuned."""
        self._tuned = self._radio.held_channel or self._tuned
        return self._tuned

    def _hear(self, heard: Heard) -> None:
        if not heard.intact:
            self.damaged += 1
            return
        if not _passes(heard.data, self._wanted):
            return
        if len(self._inbox) >= QUEUE_MAX:
            self._dropped += 1
            return
        self._inbox.append(Frame(data=heard.data, t=heard.t, channel=heard.channel, signal=heard.signal))

    def _check_started(self) -> None:
        if self._receiver is None:
            raise MediumError("the sniffer is not started", hint="Start it first.")


def _passes(frame: bytes, wanted: FrameFilter) -> bool:
    """Whether the filter asks for it; what is no frame, nobody asks for."""
    try:
        header = parse_header(frame)
    except ProtocolError:
        return False
    if header.carries_data:
        return "data" in wanted.kinds and (header.group_addressed or not wanted.group_addressed)
    if header.type != MANAGEMENT:
        return False
    kinds = {BEACON: "beacon", PROBE_REQUEST: "probe request"}
    return kinds.get(header.subtype) in wanted.kinds
