"""Access points: home routers, and those that devices start; a station cannot tell them apart."""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
from collections.abc import Sequence

import attrs

from qiot.errors import JoinError
from qiot.model import SSID_MAX, IpConfig, Network, Reason, Secret, Security
from qiot.sim.faults import Faults

__all__ = ["AccessPoint", "HomeNetwork", "Neighbourhood"]

_PSK_DIGITS = 64


def _default_security(access_point: AccessPoint) -> Security:
    return Security.OPEN if access_point.password is None else Security.WPA2


@attrs.define(eq=False)
class AccessPoint:
    """One access point with its DHCP server.

    Attributes:
        ssid: 1 to 32 octets.
        password: Passphrase, or None for an open network.
        security: WPA2 with a password and open without one, where nothing else is said.
        channel: IEEE channel number.
        signal: How strongly stations hear it, dBm.
        hidden: Scans show an empty SSID; who knows the name can join.
        bssid: Six octets; the world gives one where it is empty.
        faults: Joins that fail, whatever the password.
        address: Its own IPv4 address, which it hands out as the gateway.
        prefix: Prefix length of its network.
        first_lease: Last part of the first address that DHCP gives.
        stations: Who is joined now: address by MAC.
    """

    ssid: bytes = attrs.field(validator=attrs.validators.max_len(SSID_MAX))
    password: Secret | None = None
    security: Security = attrs.field(default=attrs.Factory(_default_security, takes_self=True), kw_only=True)
    channel: int = attrs.field(default=6, kw_only=True)
    signal: int = attrs.field(default=-50, kw_only=True)
    hidden: bool = attrs.field(default=False, kw_only=True)
    bssid: bytes = attrs.field(default=b"", kw_only=True)
    faults: Faults = attrs.field(factory=Faults, repr=False, kw_only=True)
    address: str = attrs.field(default="192.168.4.1", kw_only=True)
    prefix: int = attrs.field(default=24, kw_only=True)
    first_lease: int = attrs.field(default=2, kw_only=True)
    stations: dict[bytes, IpConfig] = attrs.field(factory=dict, init=False)
    up: bool = attrs.field(default=False, init=False)
    _leases: dict[bytes, IpConfig] = attrs.field(factory=dict, init=False, repr=False)

    def admits(self, password: Secret) -> bool:
        """True where `password` opens this network: the passphrase, or the PSK made from it (64 digits)."""
        if self.password is None:
            return not password
        if password == self.password:
            return True
        if len(password) != _PSK_DIGITS or self.security is Security.WPA3:
            return False
        psk = hashlib.pbkdf2_hmac("sha1", self.password.reveal(), self.ssid, 4096, 32).hex()
        return hmac.compare_digest(psk.encode(), password.reveal().lower())

    def associate(self, mac: bytes) -> IpConfig:
        """Take a station in and give it an address, the same one each time.

        Raises:
            JoinError: DHCP where no address is left.
        """
        if mac not in self._leases:
            self._leases[mac] = self._lease()
        self.stations[mac] = self._leases[mac]
        return self.stations[mac]

    def leave(self, mac: bytes) -> None:
        """The station goes."""
        self.stations.pop(mac, None)

    def seen(self) -> Network:
        """What a scan shows of it."""
        ssid = b"" if self.hidden else self.ssid
        return Network(
            ssid=ssid, bssid=self.bssid, channel=self.channel, signal=self.signal, security=self.security
        )

    def _lease(self) -> IpConfig:
        network = ipaddress.ip_interface(f"{self.address}/{self.prefix}").network
        taken = {lease.address for lease in self._leases.values()} | {self.address}
        for number in range(self.first_lease, network.num_addresses - 1):
            address = str(network.network_address + number)
            if address not in taken:
                return IpConfig(address=address, prefix=self.prefix, gateway=self.address)
        raise JoinError("the network has no address left", reason=Reason.DHCP)


@attrs.define(eq=False)
class HomeNetwork(AccessPoint):
    """A home router, 192.168.1.1/24, whose DHCP begins at .100."""

    address: str = attrs.field(default="192.168.1.1", kw_only=True)
    first_lease: int = attrs.field(default=100, kw_only=True)


class _AnyNetwork(HomeNetwork):
    """The network that a world without networks makes up: it takes every password."""

    def admits(self, password: Secret) -> bool:  # noqa: ARG002 - that is the point
        return True


class Neighbourhood:
    """Every access point in reach."""

    def __init__(self) -> None:
        self._access_points: list[AccessPoint] = []
        self._made_up: dict[bytes, _AnyNetwork] = {}
        self._macs = 0

    @property
    def access_points(self) -> Sequence[AccessPoint]:
        """Those that are up, in the order they came."""
        return tuple(self._access_points)

    def add(self, access_point: AccessPoint) -> None:
        """Bring it up."""
        if access_point.up:
            raise ValueError("the access point is up already")
        if not access_point.bssid:
            access_point.bssid = self.new_mac()
        access_point.up = True
        self._access_points.append(access_point)

    def remove(self, access_point: AccessPoint) -> None:
        """Take it down; its stations lose it. Idempotent."""
        if access_point.up:
            access_point.up = False
            access_point.stations.clear()
            self._access_points.remove(access_point)

    def new_mac(self) -> bytes:
        """A locally administered MAC address that nobody else here has."""
        self._macs += 1
        return b"\x02\x00" + self._macs.to_bytes(4, "big")

    def find(self, ssid: bytes, bssid: bytes | None = None) -> AccessPoint | None:
        """The one with that `bssid`, else the strongest of that name.

        In a world without home networks there is one that takes what it is given.
        """
        fitting = [each for each in self._access_points if each.ssid == ssid]
        if fitting:
            return max(fitting, key=lambda each: (each.bssid == bssid, each.signal))
        if any(isinstance(each, HomeNetwork) for each in self._access_points):
            return None
        return self._make_up(ssid)

    def _make_up(self, ssid: bytes) -> AccessPoint:
        if ssid not in self._made_up:
            self._made_up[ssid] = made_up = _AnyNetwork(ssid, bssid=self.new_mac(), security=Security.WPA2)
            made_up.up = True
        return self._made_up[ssid]
