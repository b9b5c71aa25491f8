"""The air as monitor mode sees it."""

from __future__ import annotations

import abc
from collections.abc import Sequence
from typing import Literal

import attrs

__all__ = ["Frame", "FrameFilter", "Injector", "Sniffer"]


@attrs.frozen
class Frame:
    """One 802.11 frame as it was in the air.

    Attributes:
        data: From the frame control field to the end of the body, without radiotap and FCS.
        t: When, monotonic seconds.
        channel: IEEE channel number.
        signal: dBm, or None where unknown.
    """

    data: bytes
    t: float
    channel: int
    signal: int | None = None


@attrs.frozen
class FrameFilter:
    """What the decoders can use; the platform drops the rest as early as it can.

    Attributes:
        kinds: "data", "probe request", "beacon".
        group_addressed: Only data frames to broadcast and multicast addresses.
    """

    kinds: frozenset[Literal["data", "probe request", "beacon"]]
    group_addressed: bool = True


class Sniffer(abc.ABC):
    """Monitor mode."""

    @abc.abstractmethod
    async def start(self, wanted: FrameFilter) -> None:
        """Begin to listen."""

    @abc.abstractmethod
    async def tune(self, channel: int) -> int:
        """Go to a channel; gives the channel read back from the radio, which may differ."""

    @abc.abstractmethod
    async def read(self) -> tuple[Sequence[Frame], int]:
        """The next frames, and how many were dropped before them."""

    @abc.abstractmethod
    async def stop(self) -> None:
        """Give the radio back as it was. Idempotent."""


class Injector(abc.ABC):
    """Sending of raw frames on the tuned channel."""

    @abc.abstractmethod
    async def send(self, frame: bytes) -> None:
        """Send one 802.11 frame, without radiotap and FCS."""
