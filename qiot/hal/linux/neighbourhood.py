"""What the radio hears of other access points, and what it remembers of them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

from qiot.errors import MediumError
from qiot.hal.linux.radio import Radio
from qiot.hal.linux.scan import networks_of
from qiot.log import get_logger
from qiot.model import Network, Reason

__all__ = ["Neighbourhood"]

log = get_logger()

_LIMIT: Final = 15.0
"""Seconds for one scan over all bands, with the wait for a scan of somebody else."""
_FRESH: Final = 15.0
"""Seconds in which a scan is still good enough to join by."""
_WORTH_KEEPING: Final = 60.0
"""Seconds in which a list for a phone needs no new scan, which would keep the access point waiting."""
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

    async def scan(self, *, ssid: bytes | None = None, frequencies: Sequence[int] = ()) -> Sequence[Network]:
        """Listen and ask; our own access point is left out.

        Args:
            ssid: Ask for this name too, which is how a network that hides is found.
            frequencies: MHz, to look only there; none for everywhere.

        Raises:
            MediumError: The radio cannot scan now, or we may not.
        """
        interface = self._radio.interface
        await self._radio.links.up(interface)
        seen = await self._radio.nl80211.scan(
            interface,
            ssids=(_ANY,) if ssid is None else (ssid, _ANY),
            frequencies=frequencies,
            timeout=_LIMIT,
        )
        own = await self._radio.own_addresses()
        found = [each for each in networks_of(seen) if each.bssid not in own]
        if not frequencies:
            self._last, self._at = found, asyncio.get_running_loop().time()
        return found

    async def recent(self) -> Sequence[Network]:
        """The last scan, where it is fresh enough to join by, else nothing."""
        return self._last if asyncio.get_running_loop().time() - self._at < _FRESH else ()

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
            await self.scan()
        except MediumError as error:
            log.debug(f"no scan before the access point starts: {error}")
