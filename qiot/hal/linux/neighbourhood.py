"""What the radio hears of other access points, and what it remembers of them."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Sequence
from typing import Final

from qiot.errors import MediumError
from qiot.hal.linux.nl80211 import RadioChannel
from qiot.hal.linux.radio import Radio
from qiot.hal.linux.scan import networks_of
from qiot.log import get_logger
from qiot.model import Band, Network, Reason

__all__ = ["Neighbourhood"]

log = get_logger()

_LIMIT: Final = 15.0
"""Seconds for the scan of one band, with the wait for a scan of somebody else."""
_FRESH: Final = 15.0
"""Seconds in which a scan is still good enough to join by."""
_WORTH_KEEPING: Final = 60.0
"""Seconds in which a list for a phone needs no new scan, which would keep the access point waiting."""
_PREFERRED: Final = 5
_ANY: Final = b""
"""SSID of a probe request that every access point answers, unless it hides (IEEE 802.11, 11.1.4.3)."""


class Neighbourhood:
    """The access points around one radio.

    Args:
        radio: The radio.
    """

    def __init__(self, radio: Radio) -> None:
        self._radio = radio
        self._last: Sequence[Network] = ()
        self._at = float("-inf")

    async def scan(self, *, urgent: bool = False) -> Sequence[Network]:
        """Listen and ask on every channel; our own access point is left out.

        Args:
            urgent: End a scan of somebody else instead of waiting for it.

        Raises:
            MediumError: The radio cannot scan now, or we may not.
        """
        found: list[Network] = []
        async with contextlib.aclosing(self.sweep(urgent=urgent)) as bands:
            async for networks in bands:
                found += networks
        self._last = sorted(found, key=lambda each: -each.signal)
        self._at = asyncio.get_running_loop().time()
        return self._last

    async def sweep(
        self, ssid: bytes | None = None, *, urgent: bool = False
    ) -> AsyncGenerator[Sequence[Network], None]:
        """The same band by band, those with most networks first: whoever finds his need not go on.

        Args:
            ssid: Ask for this name too, which is how a network that hides is found.
            urgent: End a scan of somebody else instead of waiting for it.

        Raises:
            MediumError: The radio cannot scan now, or we may not.
        """
        channels = (await self._radio.nl80211.wiphy(self._radio.interface)).channels
        for band in Band:
            frequencies = [each.frequency for each in channels if each.band is band and _worth_a_look(each)]
            if frequencies:
                yield await self.look_at(frequencies, ssid, urgent=urgent)

    async def look_at(
        self, frequencies: Sequence[int], ssid: bytes | None = None, *, urgent: bool = False
    ) -> Sequence[Network]:
        """Listen and ask on some channels.

        Args:
            frequencies: MHz.
            ssid: Ask for this name too.
            urgent: End a scan of somebody else instead of waiting for it.

        Raises:
            MediumError: The radio cannot scan now, or we may not.
        """
        interface = self._radio.interface
        await self._radio.links.up(interface)
        seen = await self._radio.nl80211.scan(
            interface,
            ssids=(_ANY,) if ssid is None else (ssid, _ANY),
            frequencies=frequencies,
            urgent=urgent,
            timeout=_LIMIT,
        )
        own = await self._radio.own_addresses()
        return [each for each in networks_of(seen) if each.bssid not in own]

    def recall(self, *, within: float = _FRESH) -> Sequence[Network]:
        """The last scan over every channel; nothing where it is older than `within` seconds."""
        return self._last if asyncio.get_running_loop().time() - self._at < within else ()

    async def scan_or_recall(self) -> Sequence[Network]:
        """A scan, or the last one where the radio cannot scan now.

        Raises:
            MediumError: It cannot, and there was none before; or we may not.
        """
        try:
            return await self.scan()
        except MediumError as error:
            if self._at == float("-inf") or error.reason is Reason.NO_PERMISSION:
                raise
            log.debug(f"no scan now, the last one holds: {error}")
            return self._last

    async def remember(self) -> None:
        """Scan as long as that can be done, unless the last scan will do; else keep what is known."""
        if asyncio.get_running_loop().time() - self._at < _WORTH_KEEPING:
            return
        try:
            await self.scan(urgent=True)
        except MediumError as error:
            log.debug(f"no scan before the access point starts: {error}")


def _worth_a_look(channel: RadioChannel) -> bool:
    """Of 6 GHz only the preferred scanning channels, where access points are (802.11ax, 26.17.2.3)."""
    return not channel.disabled and (channel.band is not Band.GHZ_6 or channel.number % 16 == _PREFERRED)
