"""What hostapd and dnsmasq are told."""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from qiot.hal.contract import SoftApSpec
from qiot.hal.linux.supplicant.settings import psk_of
from qiot.model import Band
from qiot.protocols.air.channels import channel_of

__all__ = ["dnsmasq_arguments", "hostapd_configuration"]

_WORLD: Final = frozenset({"00", "98", "99"})
"""What the kernel has for a country where it knows none, several, or the driver's own rules."""
_LEASES_MAX: Final = 100
_LEASE_TIME: Final = "1h"
_ROUTER: Final = 3
_DNS_SERVER: Final = 6
"""Options of DHCP (RFC 2132, 3.5 and 3.8)."""


def hostapd_configuration(
    spec: SoftApSpec, interface: str, frequency: int, *, country: str, control: Path
) -> str:
    """Hostapd's configuration. It holds the key: only its owner may read the file.

    SSID and key are hexadecimal digits, so that every octet can be in them and no line ends early.
    """
    number, band = channel_of(frequency) or (spec.channel, Band.GHZ_2_4)
    facts: list[tuple[str, object]] = [
        ("interface", interface),
        ("driver", "nl80211"),
        ("ctrl_interface", control),
        ("ssid2", spec.ssid.hex()),
        ("hw_mode", "g" if band is Band.GHZ_2_4 else "a"),
        ("channel", number),
        ("ieee80211n", 1),
        ("wmm_enabled", 1),
        ("auth_algs", 1),
    ]
    if country not in _WORLD:
        facts += [("country_code", country), ("ieee80211d", 1)]
    if spec.password is not None:
        facts += [
            ("wpa", 2),
            ("wpa_key_mgmt", "WPA-PSK"),
            ("rsn_pairwise", "CCMP"),
            ("wpa_psk", psk_of(spec.ssid, spec.password)),
        ]
    return "".join(f"{name}={value}\n" for name, value in facts)


def dnsmasq_arguments(spec: SoftApSpec, interface: str, leases: Path) -> Sequence[str]:
    """Dnsmasq's command line: DHCP on this interface only, whatever the system's own dnsmasq is told.

    It answers no DNS (port=0): captive answers are no part of provisioning, and port 53 may be taken. The
    phone is told of a router and a DNS server all the same, the access point itself, as the C SDK's boards
    do: some phones leave a network that names none. What they ask there is refused at once by the kernel.
    """
    first, last = _range(spec)
    network = ipaddress.IPv4Interface(f"{spec.address}/{spec.prefix}").network
    arguments = [
        "--keep-in-foreground",
        "--conf-file=/dev/null",
        "--no-resolv",
        "--no-hosts",
        "--port=0",
        f"--interface={interface}",
        "--except-interface=lo",
        "--bind-interfaces",
        f"--dhcp-range={first},{last},{network.netmask},{_LEASE_TIME}",
        f"--dhcp-option={_ROUTER},{spec.address}",
        f"--dhcp-option={_DNS_SERVER},{spec.address}",
        "--dhcp-authoritative",
        f"--dhcp-leasefile={leases}",
        "--pid-file",
        "--log-facility=-",
    ]
    # It would become a user that cannot write the leases.
    return [*arguments, "--user=root", "--group=root"] if os.geteuid() == 0 else arguments


def _range(spec: SoftApSpec) -> tuple[str, str]:
    """The longer run of addresses beside the access point's own, at most 100 of them."""
    interface = ipaddress.IPv4Interface(f"{spec.address}/{spec.prefix}")
    lowest, highest = int(interface.network.network_address) + 1, int(interface.network.broadcast_address) - 1
    own = int(interface.ip)
    below, above = (lowest, own - 1), (own + 1, highest)
    first, last = max(above, below, key=lambda run: run[1] - run[0])
    last = min(last, first + _LEASES_MAX - 1)
    return str(ipaddress.IPv4Address(first)), str(ipaddress.IPv4Address(last))
