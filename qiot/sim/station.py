"""A station: a device or a phone that scans and joins, with typed outcomes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Final, NoReturn

import attrs

from qiot.errors import JoinError
from qiot.model import Credentials, IpConfig, Network, Reason, Security, show_ssid
from qiot.sim.clock import Clock
from qiot.sim.faults import Faults
from qiot.sim.wifi import AccessPoint, Neighbourhood

__all__ = ["Delays", "Station"]

_UNSUPPORTED: Final = frozenset({Security.WEP, Security.ENTERPRISE, Security.UNKNOWN})

_PHASES: Final = ("search", "associate", "handshake", "dhcp")

_FEWER_CHANNELS: Final = frozenset({"US", "CA", "TW"})
"""Where the band of 2.4 GHz ends with channel 11 (Linux wireless-regdb)."""
_LAST_OF_FEWER: Final = 11
_LAST_OF_2_4_GHZ: Final = 14

_STRIKES_IN: Final[Mapping[Reason, str]] = {
    Reason.NO_SUCH_AP: "search",
    Reason.UNSUPPORTED_SECURITY: "search",
    Reason.ASSOCIATION_REFUSED: "associate",
    Reason.JOIN_OTHER: "associate",
    Reason.WRONG_PASSWORD: "handshake",
    Reason.HANDSHAKE_TIMEOUT: "handshake",
    Reason.DHCP: "dhcp",
    Reason.JOIN_TIMEOUT: "dhcp",
}
"""The phase at whose end each failure shows."""


@attrs.frozen
class Delays:
    """How long each phase takes, in seconds from 0.

    Attributes:
        scan: One scan.
        search: Finding the access point.
        associate: Authentication and association.
        handshake: The four-way handshake.
        dhcp: Until the address is there.
    """

    scan: float = 0.0
    search: float = 0.0
    associate: float = 0.0
    handshake: float = 0.0
    dhcp: float = 0.0

    @classmethod
    def of_join(cls, seconds: float) -> Delays:
        """A join that takes `seconds` altogether."""
        quarter = seconds / len(_PHASES)
        return cls(search=quarter, associate=quarter, handshake=quarter, dhcp=quarter)


class Station:
    """The station side of one radio.

    Args:
        neighbourhood: What it can hear.
        clock: The world's clock.
        delays: How long its phases take.
        faults: Joins of this station that fail, wherever it joins.

    Attributes:
        mac: Its MAC address, six octets.
        country: Whose radio rules it keeps to, two letters; "00" hears every channel.
    """

    def __init__(
        self,
        neighbourhood: Neighbourhood,
        clock: Clock,
        *,
        delays: Delays | None = None,
        faults: Faults | None = None,
    ) -> None:
        self.mac = neighbourhood.new_mac()
        self.country = "00"
        self._neighbourhood = neighbourhood
        self._clock = clock
        self._delays = delays or Delays()
        self._faults = faults or Faults()
        self._access_point: AccessPoint | None = None

    @property
    def access_point(self) -> AccessPoint | None:
        """The access point it is joined to, None where it is not or where that has gone."""
        joined = self._access_point
        return joined if joined is not None and self.mac in joined.stations else None

    @property
    def ip(self) -> IpConfig | None:
        """Its address, where it is joined."""
        return None if self.access_point is None else self.access_point.stations[self.mac]

    async def scan(self, *, without: AccessPoint | None = None) -> Sequence[Network]:
        """The access points in reach, the strongest first; `without` is the radio's own."""
        await self._clock.sleep(self._delays.scan)
        in_reach = self._neighbourhood.access_points
        heard = [each.seen() for each in in_reach if each is not without and self._may_use(each.channel)]
        return sorted(heard, key=lambda network: -network.signal)

    async def join(self, credentials: Credentials, timeout: float) -> IpConfig:
        """Leave where it is and join; a failure or a cancellation brings it back there.

        Args:
            credentials: The network, with its SSID.
            timeout: Seconds for all phases together.

        Raises:
            JoinError: With the reason and what was wrong.
        """
        before = self.access_point
        self.leave()
        try:
            return await self._join(credentials, self._clock.now() + timeout)
        except BaseException:
            self.restore(before)
            raise

    def leave(self) -> None:
        """Leave the network. Idempotent."""
        if self._access_point is not None:
            self._access_point.leave(self.mac)
            self._access_point = None

    def restore(self, before: AccessPoint | None) -> None:
        """Be back where it was, as far as that is still there."""
        self.leave()
        if before is not None and before.up:
            before.associate(self.mac)
            self._access_point = before

    async def _join(self, credentials: Credentials, end: float) -> IpConfig:
        ssid = credentials.ssid or b""
        fault = self._faults.take()
        await self._phase("search", ssid, end, fault)
        access_point = self._neighbourhood.find(ssid, credentials.bssid)
        if access_point is None or not self._may_use(access_point.channel):
            _fail(ssid, Reason.NO_SUCH_AP)
        if access_point.security in _UNSUPPORTED:
            _fail(ssid, Reason.UNSUPPORTED_SECURITY)
        fault = fault or access_point.faults.take()
        if fault is not None and _STRIKES_IN[fault] == "search":
            _fail(ssid, fault)
        await self._phase("associate", ssid, end, fault)
        await self._phase("handshake", ssid, end, fault)
        if not access_point.admits(credentials.password):
            _fail(ssid, Reason.WRONG_PASSWORD)
        await self._phase("dhcp", ssid, end, fault)
        if not access_point.up:
            _fail(ssid, Reason.NO_SUCH_AP)
        ip = access_point.associate(self.mac)
        self._access_point = access_point
        return ip

    def _may_use(self, channel: int) -> bool:
        fewer = self.country in _FEWER_CHANNELS
        return not (fewer and _LAST_OF_FEWER < channel <= _LAST_OF_2_4_GHZ)

    async def _phase(self, phase: str, ssid: bytes, end: float, fault: Reason | None) -> None:
        strikes = fault is not None and _STRIKES_IN[fault] == phase
        hangs = strikes and fault is Reason.JOIN_TIMEOUT
        seconds: float = math.inf if hangs else getattr(self._delays, phase)
        left = end - self._clock.now()
        if seconds > left:
            await self._clock.sleep(max(left, 0.0))
            _fail(ssid, Reason.JOIN_TIMEOUT)
        await self._clock.sleep(seconds)
        if strikes and fault is not None:
            _fail(ssid, fault)


def _fail(ssid: bytes, reason: Reason) -> NoReturn:
    raise JoinError(f"{show_ssid(ssid)}: {reason.value}", reason=reason)
