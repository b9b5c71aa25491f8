"""Listens to a platform's sniffer, on one channel or on all in turn, led by what is recognised."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Final

import attrs

from qiot.errors import MediumError
from qiot.finishing import finish
from qiot.hal.contract import FrameFilter, Sniffer
from qiot.protocols.air.results import AIRKISS, ESPTOUCH, ESPTOUCH_V2, REALTEK, Decoded
from qiot.protocols.base import Seen
from qiot.sniff.ear import Ear
from qiot.wifi_config.drivers.air_report import AirReport
from qiot.wifi_config.drivers.hopper import Hopper, Sight

__all__ = ["LiveEar"]

_EVERYTHING: Final = FrameFilter(frozenset({"data", "beacon"}), group_addressed=False)
"""What the phone sends to others as well: it uses up sequence numbers."""
_PROTOCOLS: Final = frozenset({ESPTOUCH, ESPTOUCH_V2, AIRKISS, REALTEK})
_CHUNK: Final = 256
"""Frames that are looked at before others have their turn on the loop."""
_GLANCE: Final = 0.1
"""Seconds between two looks at how far the decoders are."""
_BUSY: Final = 4
"""Frames to everybody, during one look, that may be a phone's."""


class LiveEar:
    """One sniffer.

    Args:
        sniffer: The platform's.
        ear: Takes the frames.
        on_result: Is told each result.
        on_seen: Is told what is recognised.
        channel: The only channel to listen on, or None for all.

    Attributes:
        dropped: Frames that came faster than they were looked at.
    """

    def __init__(
        self,
        sniffer: Sniffer,
        ear: Ear,
        *,
        on_result: Callable[[Decoded], None],
        on_seen: Callable[[Seen], None],
        channel: int | None = None,
    ) -> None:
        self.dropped = 0
        self._sniffer = sniffer
        self._ear = ear
        self._on_result = on_result
        self._on_seen = on_seen
        self._channel = channel
        self._group_frames = 0

    async def run(self) -> None:
        """Listen until cancelled; the radio is given back before this ends.

        Raises:
            HalError: The radio cannot listen, or is gone.
        """
        channels = [self._channel] if self._channel is not None else await self._sniffer.channels()
        try:
            await self._sniffer.start(_EVERYTHING)
            reading = asyncio.ensure_future(self._read())
            hopping = asyncio.ensure_future(self._hop(channels))
            try:
                done, _ = await asyncio.wait({reading, hopping}, return_when=asyncio.FIRST_EXCEPTION)
                for task in done:
                    task.result()
            finally:
                for task in (reading, hopping):
                    task.cancel()
                await asyncio.gather(reading, hopping, return_exceptions=True)
        finally:
            await finish(self._sniffer.stop())

    async def _read(self) -> None:
        ear = self._ear
        while True:
            frames, dropped = await self._sniffer.read()
            self.dropped += dropped
            for start in range(0, len(frames), _CHUNK):
                for frame in frames[start : start + _CHUNK]:
                    for result in ear.hear_frame(frame.data, frame.channel, frame.t):
                        self._on_result(result)
                await asyncio.sleep(0)

    async def _hop(self, channels: Sequence[int]) -> None:
        clock = asyncio.get_running_loop().time
        hopper, report = Hopper(channels), AirReport(clock())
        while True:
            wanted = hopper.next()
            if wanted is None:
                raise MediumError(
                    "the radio can go to no channel",
                    hint="Set the country, choose another channel, or use another radio.",
                )
            try:
                found = await self._sniffer.tune(wanted)
            except MediumError:
                if len(channels) == 1:
                    raise
                hopper.refuse(wanted)
                continue
            if found != wanted and hopper.held is None:
                text = f"the radio stays on channel {found}, where its station or access point holds it"
                self._on_seen(Seen(0.0, found, text))
            hopper.found(wanted, found)
            begin, heard = clock(), self._ear.to_ap + self._ear.from_ap
            sight = Sight()
            while hopper.stay(found, clock() - begin, sight):
                await asyncio.sleep(_GLANCE)
                sight = self._look(report, found, heard, clock())
                hopper.prefer({each.channel for each in self._ear.networks.values()})

    def _look(self, report: AirReport, channel: int, heard: int, now: float) -> Sight:
        tracker = self._ear.tracker
        progress = tracker.progress() if tracker.weight > 0 else ()
        for _, seen in report.follow(progress, now):
            self._on_seen(seen)
        sight = report.sight(progress, channel, _PROTOCOLS, now)
        busy = self._ear.to_ap + self._ear.from_ap - heard >= _BUSY
        return attrs.evolve(sight, busy=busy and sight.weight == 0)
