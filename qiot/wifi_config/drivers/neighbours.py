"""The networks around, as beacons and a scan before listening show them."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable
from typing import Final

from qiot.errors import HalError
from qiot.hal.contract import Frame, Wifi
from qiot.log import get_logger
from qiot.model import Network
from qiot.protocols.air.dot11 import BEACON, FIXED_FIELDS, Header
from qiot.protocols.air.elements import find_element, security_of, ssid_of

__all__ = ["Neighbours"]

log = get_logger()

_SCAN_LIMIT: Final = 4.0
"""Seconds that a scan may take: beacons show the same, a little later."""
_SCAN_AGE: Final = 60.0
_NETWORKS_MAX: Final = 256
_CAPABILITY: Final = 10
"""Where the capability information is in a beacon's body (IEEE 802.11, 9.3.3.2)."""
_DS_PARAMETER: Final = 3
_WEAKEST: Final = -100


class Neighbours:
    """At most 256 access points.

    Args:
        wifi: Scans, where it can; None does without.
    """

    def __init__(self, wifi: Wifi | None) -> None:
        self._wifi = wifi
        self._networks: dict[bytes, Network] = {}
        self._scanned: float | None = None

    def __len__(self) -> int:
        return len(self._networks)

    @property
    def networks(self) -> Iterable[Network]:
        """All of them."""
        return self._networks.values()

    @property
    def channels(self) -> Collection[int]:
        """Where they are."""
        return {network.channel for network in self._networks.values()}

    async def scan(self) -> None:
        """Look around, where that was not done within a minute; a radio that cannot now costs nothing."""
        now = asyncio.get_running_loop().time()
        if self._wifi is None or (self._scanned is not None and now - self._scanned < _SCAN_AGE):
            return
        try:
            async with asyncio.timeout(_SCAN_LIMIT):
                found = await self._wifi.scan()
        except TimeoutError:
            log.debug(f"no scan before listening: it took longer than {_SCAN_LIMIT:g} s")
            return
        except HalError as error:
            log.debug(f"no scan before listening: {error}")
            return
        self._scanned = now if found else None  # who is an access point only may not be able to scan now
        for network in found:
            self._networks[network.bssid] = network

    def hear(self, header: Header, frame: Frame) -> int | None:
        """Take a beacon; the channel of a network that was not known, else None."""
        bssid = header.bssid
        if bssid is None or bssid in self._networks or len(self._networks) >= _NETWORKS_MAX:
            return None
        start = header.length + FIXED_FIELDS[BEACON]
        capability = frame.data[header.length + _CAPABILITY : start]
        # A beacon is heard on the channels beside its own, too: it says itself where it belongs.
        told = find_element(frame.data, _DS_PARAMETER, start)
        channel = told[0] if told else frame.channel
        self._networks[bssid] = Network(
            ssid=ssid_of(frame.data, start),
            bssid=bssid,
            channel=channel,
            signal=_WEAKEST if frame.signal is None else frame.signal,
            security=security_of(int.from_bytes(capability, "little"), frame.data[start:]),
        )
        return channel
