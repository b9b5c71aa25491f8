"""Which network a phone means that did not send its name.

Old ESP-TOUCH phones leave the SSID out where it is visible, and so may those of version 2: what is left is
its length, its CRC-8 and that of the access point's address. The networks around have to do the rest.
"""

from __future__ import annotations

from collections.abc import Iterable

import attrs

from qiot.model import Credentials, Network, show_ssid
from qiot.protocols.air.crc import crc8

__all__ = ["describe_clue", "resolve"]


def resolve(credentials: Credentials, networks: Iterable[Network]) -> Credentials | None:
    """The same credentials with the SSID and access point that the clue fits, or None where none does.

    The access point that the phone named comes first, then one whose address has the right CRC, then the
    strongest. Eight bits cannot tell all networks apart: where two names are left, the join tells.
    """
    clue = credentials.clue
    if credentials.ssid is not None or clue is None:
        return credentials if credentials.ssid is not None else None
    fitting = []
    for network in networks:
        if not network.ssid or (clue.length and len(network.ssid) != clue.length):
            continue
        if clue.length and crc8(network.ssid) != clue.crc8:
            continue
        named = network.bssid == credentials.bssid
        alike = clue.bssid_crc8 is not None and crc8(network.bssid) == clue.bssid_crc8
        # Where nothing is known of the name, the address has to be the right one.
        if clue.length or named or alike:
            fitting.append((named, alike, network.signal, network))
    if not fitting:
        return None
    *_, best = max(fitting, key=lambda each: each[:3])
    return attrs.evolve(
        credentials, ssid=best.ssid, bssid=credentials.bssid or best.bssid, channel=best.channel, clue=None
    )


def describe_clue(credentials: Credentials) -> str:
    """What is known of the network, for people."""
    clue = credentials.clue
    if credentials.ssid is not None or clue is None:
        return show_ssid(credentials.ssid)
    known = [f"a name of {clue.length} octets with CRC {clue.crc8:#04x}"] if clue.length else []
    if credentials.bssid is not None:
        known.append(f"access point {credentials.bssid.hex(':')}")
    elif clue.bssid_crc8 is not None:
        known.append(f"an access point whose address has CRC {clue.bssid_crc8:#04x}")
    return ", ".join(known)
