"""Station and access point."""

from __future__ import annotations

import abc
import ipaddress
from collections.abc import Sequence
from typing import Final

import attrs

from qiot.errors import HalError, NotSupportedError
from qiot.model import SSID_MAX, Credentials, IpConfig, Network, Reason, Secret

__all__ = ["SoftAp", "SoftApSpec", "Station", "Wifi", "WifiStatus"]

_CHANNELS: Final = frozenset({*range(1, 15), *range(36, 65, 4), *range(100, 145, 4), *range(149, 178, 4)})
"""Channels of 20 MHz in the 2.4 and 5 GHz bands (IEEE 802.11, annex E)."""

_PASSPHRASE: Final = range(8, 64)
"""Lengths of a passphrase (IEEE 802.11, annex J.4)."""

_PREFIXES: Final = range(8, 31)


@attrs.frozen
class WifiStatus:
    """Where the station is.

    Attributes:
        connected: True where it is joined and has an address.
        ssid: The network it is in, else None.
        ip: Its address, else None.
        saved: The SSID that would be joined again after a reboot, else None.
    """

    connected: bool
    ssid: bytes | None = None
    ip: IpConfig | None = None
    saved: bytes | None = None


class Wifi(abc.ABC):
    """The station."""

    async def set_country(self, code: str) -> None:
        """Keep to the radio rules of a country, from the next scan, join and access point on.

        Args:
            code: Two letters of ISO 3166-1, such as "DE"; "00" for the rules that hold everywhere.

        Raises:
            NotSupportedError: The platform cannot choose.
            HalError: The system refused the code.
        """
        raise NotSupportedError(
            f"this platform cannot set the country {code}", hint="Set it where the system is configured."
        )

    async def address(self) -> str:
        """The station's MAC address, "AA:BB:CC:DD:EE:FF"; empty where the platform does not know it."""
        return ""

    @abc.abstractmethod
    async def scan(self) -> Sequence[Network]:
        """The access points around, the strongest first; where the radio cannot scan now, the last scan."""

    @abc.abstractmethod
    async def join(self, credentials: Credentials, timeout: float) -> IpConfig:
        """Join and get an address, as a try: the network that was there before stays stored.

        A hidden network is found too. `bssid` and `channel` say where to look first; where the network is
        not there, it is looked for everywhere.

        Args:
            credentials: The network; `ssid` is never None here.
            timeout: Seconds for everything together.

        Raises:
            JoinError: With its reason; the earlier network is back, as after a cancellation.
            HalError: The access point is up, and both at once are not claimed; it stays up.
        """

    @abc.abstractmethod
    async def rejoin(self, timeout: float) -> IpConfig:
        """Be in the stored network again, as after a reboot; nothing happens where the station is there.

        Raises:
            JoinError: NO_SAVED_NETWORK where none is stored, else the reason.
        """

    @abc.abstractmethod
    async def settle(self, *, keep: bool) -> None:
        """End the try: make the last join survive a reboot, or undo it and bring the earlier network back.

        Without a try before it, nothing happens.
        """

    async def forget(self) -> None:
        """Forget the network that `settle` has stored, and leave it where the station is in it. Idempotent.

        Networks that somebody else has configured on this system stay.

        Raises:
            NotSupportedError: The platform cannot.
            HalError: It is still stored.
        """
        raise NotSupportedError(
            "this platform cannot forget its network", hint="Remove it where the system is configured."
        )

    @abc.abstractmethod
    async def status(self) -> WifiStatus:
        """Where the station is now."""


@attrs.frozen
class SoftApSpec:
    """The access point to start.

    Attributes:
        ssid: 1 to 32 octets.
        password: 8 to 63 characters, or None for an open network.
        channel: IEEE channel number; with a station on another channel the platform may follow the station.
        address: The access point's own IPv4 address; the phone takes it for granted.
        prefix: Prefix length of the network that DHCP serves.
    """

    ssid: bytes
    password: Secret | None = None
    channel: int = 6
    address: str = "192.168.4.1"
    prefix: int = 24

    def check(self) -> None:
        """For adapters, before they start.

        Raises:
            HalError: CONFIGURATION, naming what no access point can be.
        """
        problem = ""
        if not 1 <= len(self.ssid) <= SSID_MAX:
            problem = f"the ssid has {len(self.ssid)} octets, it must have 1 to {SSID_MAX}"
        elif self.password is not None and len(self.password) not in _PASSPHRASE:
            problem = f"the password has {len(self.password)} octets, it must have 8 to 63"
        elif self.channel not in _CHANNELS:
            problem = f"there is no channel {self.channel}"
        elif self.prefix not in _PREFIXES:
            problem = f"a prefix of {self.prefix} leaves no room for stations, or is none"
        elif not _is_hosts_address(self.address, self.prefix):
            problem = f"{self.address}/{self.prefix} is no host's IPv4 address"
        if problem:
            raise HalError(f"the access point cannot start: {problem}", reason=Reason.CONFIGURATION)


def _is_hosts_address(address: str, prefix: int) -> bool:
    try:
        interface = ipaddress.IPv4Interface(f"{address}/{prefix}")
    except ValueError:
        return False
    return interface.ip not in {interface.network.network_address, interface.network.broadcast_address}


@attrs.frozen
class Station:
    """A station that is associated with our access point."""

    mac: bytes
    address: str | None = None


class SoftAp(abc.ABC):
    """The access point, with DHCP."""

    @abc.abstractmethod
    async def start(self, spec: SoftApSpec) -> None:
        """Return when a phone can join and gets an address.

        Raises:
            HalError: It could not be started; nothing is left of it. Or it is up already, and stays so.
        """

    @abc.abstractmethod
    async def stop(self) -> None:
        """Take it down. Idempotent; where it was cancelled, the next one finishes it."""

    @abc.abstractmethod
    async def stations(self) -> Sequence[Station]:
        """Who is associated now."""
