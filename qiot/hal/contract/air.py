"""The air as monitor mode sees it."""

from __future__ import annotations

import abc
from collections.abc import Sequence
from typing import Final, Literal

import attrs

__all__ = ["Frame", "FrameFilter", "Injector", "Sniffer"]

_RETRY: Final = 0x08
_CHANNELS_2_4_GHZ: Final = tuple(range(1, 14))


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

    @property
    def retry(self) -> bool:
        """True where the sender marks it as sent before (IEEE 802.11, 9.2.4.1.6)."""
        return len(self.data) > 1 and bool(self.data[1] & _RETRY)


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
    """Monitor mode.

    Frames that the radio itself marks as damaged, and those that this device sends, do not come up.
    """

    async def channels(self) -> Sequence[int]:
        """The channels that the radio can tune to, those of 2.4 GHz first."""
        return _CHANNELS_2_4_GHZ

    @abc.abstractmethod
    async def start(self, wanted: FrameFilter) -> None:
        """Begin to listen, on the channel where the radio is.

        Raises:
            HalError: The radio cannot, or is not ours; nothing is left of the start.
        """

    @abc.abstractmethod
    async def tune(self, channel: int) -> int:
        """Go to a channel; gives the channel read back from the radio.

        It may differ: a joined station or an access point on the same radio holds the channel.

        Raises:
            MediumError: The radio has no such channel, or `start` was not called.
        """

    @abc.abstractmethod
    async def read(self) -> tuple[Sequence[Frame], int]:
        """Wait for and give the next frames, and how many were dropped before them.

        Raises:
            MediumError: The radio is gone, or `start` was not called.
        """

    @abc.abstractmethod
    async def stop(self) -> None:
        """Give the radio back as it was. Idempotent."""


class Injector(abc.ABC):
    """Sending of raw frames, where the platform's sniffer is tuned: that is started first."""

    @abc.abstractmethod
    async def send(self, frame: bytes) -> None:
        """Send one 802.11 frame, without radiotap and FCS.

        Raises:
            MediumError: The sniffer is not started, or the radio did not take the frame.
        """
