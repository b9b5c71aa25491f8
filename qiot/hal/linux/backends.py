"""Who runs station and access point on this host: NetworkManager, or wpa_supplicant and hostapd.

A backend is mechanism for one interface. What both have in common stands in `wifi.py` and `soft_ap.py`: the
scan, finding the network, its security, turns of the radio, checks of what was asked for.
"""

from __future__ import annotations

import abc
from typing import ClassVar

import attrs

from qiot.errors import NotSupportedError
from qiot.hal.contract import SoftApSpec, WifiStatus
from qiot.model import IpConfig, Secret, Security

__all__ = ["AccessPointBackend", "StationBackend", "Target"]


@attrs.frozen
class Target:
    """A network that a scan has just found, to be joined.

    `bssid` and `frequency` hold for the try only: what is settled may roam.

    Attributes:
        ssid: 1 to 32 octets.
        password: Passphrase or PSK of 64 hexadecimal digits, fit for `security`; empty for an open network.
        security: OPEN, WPA, WPA2, WPA3 or WPA2_WPA3; what else there is has been refused before.
        hidden: It does not tell its name, so it has to be asked for by name.
        bssid: Six octets: only this access point.
        frequency: MHz of its channel, to look nowhere else; None to look everywhere.
    """

    ssid: bytes
    password: Secret
    security: Security
    hidden: bool = False
    bssid: bytes | None = None
    frequency: int | None = None


class StationBackend(abc.ABC):
    """The station of one interface. One verb at a time; `LinuxWifi` sees to it."""

    name: ClassVar[str]

    @abc.abstractmethod
    async def problem(self) -> NotSupportedError | None:
        """Why it cannot be used on this interface now, with what to install or change; None where it can."""

    @abc.abstractmethod
    async def join(self, target: Target, timeout: float) -> IpConfig:
        """Join as a try and get an IPv4 address.

        The network before the first try is remembered, also for `recover`: a failure or a cancellation brings
        it back, as far as it can be brought back at once; the caller does not wait until it is there again.

        Raises:
            JoinError: WRONG_PASSWORD, HANDSHAKE_TIMEOUT, NO_SUCH_AP, ASSOCIATION_REFUSED, DHCP, JOIN_TIMEOUT,
                UNSUPPORTED_SECURITY or JOIN_OTHER, with the number the system gave.
        """

    @abc.abstractmethod
    async def rejoin(self, timeout: float) -> IpConfig:
        """Be in a network that the system keeps, as after a reboot; nothing happens where it is in one.

        Raises:
            JoinError: NO_SAVED_NETWORK, or as `join`.
        """

    @abc.abstractmethod
    async def settle(self, *, keep: bool) -> None:
        """Make the network of the last join survive a reboot, or forget it and bring the earlier one back."""

    @abc.abstractmethod
    async def forget(self) -> None:
        """Undo a try, and remove what `settle` has stored; networks that are not ours stay. Idempotent."""

    @abc.abstractmethod
    async def status(self) -> WifiStatus:
        """Where the station is, and which network it would join after a reboot."""

    @abc.abstractmethod
    async def close(self) -> None:
        """Undo a try that was never settled, and let go of the bus, the socket, the programs. Idempotent.

        A network that was settled stays joined where the system keeps it without us.
        """


class AccessPointBackend(abc.ABC):
    """The access point of one interface, with DHCP. One verb at a time; `LinuxSoftAp` sees to it."""

    name: ClassVar[str]

    @abc.abstractmethod
    async def problem(self) -> NotSupportedError | None:
        """Why it cannot be used on this interface now, with what to install or change; None where it can."""

    @abc.abstractmethod
    async def start(self, spec: SoftApSpec, interface: str, frequency: int) -> None:
        """Return when a phone can join and gets an address of the spec's network.

        Args:
            spec: What was asked for; it has been checked.
            interface: The radio's own interface, whose station loses its network for this, or a second one.
            frequency: MHz; takes the place of the spec's channel.

        Raises:
            HalError: It could not be started; nothing is left of it, and the station is back.
        """

    @abc.abstractmethod
    async def stop(self) -> None:
        """Take it down, and begin to bring the station back that lost its network. Idempotent."""

    async def move(self, frequency: int) -> None:
        """Take the access point and its stations to another channel.

        Args:
            frequency: MHz, in the same band or another.

        Raises:
            NotSupportedError: It has to be stopped and started there.
        """
        raise NotSupportedError(f"{self.name} cannot move an access point to {frequency} MHz")
