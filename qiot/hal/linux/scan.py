"""What a scan of the kernel has seen, as networks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from qiot.hal.linux.nl80211 import Bss
from qiot.model import Network
from qiot.protocols.air.channels import channel_of
from qiot.protocols.air.elements import security_of, ssid_of

__all__ = ["networks_of"]

_ESS: Final = 0x0001
"""Of the capability information field (IEEE 802.11, 9.4.1.4): an access point, not ad hoc and no mesh."""
_SIGNALS: Final = (-100, 0)


def networks_of(seen: Iterable[Bss]) -> Sequence[Network]:
    """One network for each BSSID, the strongest first.

    The kernel keeps a hidden network twice: nameless from its beacons, and by name once it has answered.
    """
    best: dict[bytes, tuple[tuple[bool, float], Network]] = {}
    for bss in seen:
        channel = channel_of(bss.frequency)
        if channel is None or not bss.capability & _ESS:
            continue
        network = Network(
            ssid=ssid_of(bss.elements),
            bssid=bss.bssid,
            channel=channel[0],
            signal=min(max(bss.signal, _SIGNALS[0]), _SIGNALS[1]),
            security=security_of(bss.capability, bss.elements),
            band=channel[1],
        )
        rank = (not network.ssid, bss.age)
        if bss.bssid not in best or rank < best[bss.bssid][0]:
            best[bss.bssid] = (rank, network)
    return sorted((network for _, network in best.values()), key=lambda each: -each.signal)
