"""The messages of nl80211 as far as they are used here, for pyroute2's codec.

pyroute2 has a class of its own for them. It reads what access points around sent as well (information
elements, SSIDs as text), differently in each version; here those stay octets, and only what is ours to read
is read. Numbers: linux/nl80211.h.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any, Final

from qiot.model import Band

__all__ = ["MODES", "message_class"]

MODES: Final[Mapping[int, str]] = {
    1: "ad hoc",
    2: "managed",
    3: "ap",
    4: "ap vlan",
    5: "wds",
    6: "monitor",
    7: "mesh point",
    8: "p2p client",
    9: "p2p group owner",
    10: "p2p device",
    11: "outside a BSS",
    12: "nan",
}
"""What an interface can be (enum nl80211_iftype), in the words of `iw`."""


@cache
def message_class() -> Any:
    """The class of every message, made when it is wanted: pyroute2 reads files as soon as it is imported."""
    from pyroute2.netlink import genlmsg, nla

    class _Modes(nla):
        """A set of modes: one flag for each."""

        nla_map = tuple((number, name, "flag") for number, name in MODES.items())

    class _Frequency(nla):
        """enum nl80211_frequency_attr."""

        nla_map = ((1, "FREQUENCY", "uint32"), (2, "DISABLED", "flag"), (3, "NO_IR", "flag"))

    class _Band(nla):
        """enum nl80211_band_attr."""

        nla_map = ((1, "FREQUENCIES", "*frequency"),)
        frequency = _Frequency

    class _Bands(nla):
        """enum nl80211_band."""

        nla_map = (
            (0, Band.GHZ_2_4.value, "band"),
            (1, Band.GHZ_5.value, "band"),
            (3, Band.GHZ_6.value, "band"),
        )
        band = _Band

    class _Limit(nla):
        """enum nl80211_iface_limit_attrs."""

        nla_map = ((1, "MAX", "uint32"), (2, "MODES", "modes"))
        modes = _Modes

    class _Combination(nla):
        """enum nl80211_if_combination_attrs."""

        nla_map = ((1, "LIMITS", "*limit"), (2, "TOTAL", "uint32"), (4, "CHANNELS", "uint32"))
        limit = _Limit

    class _Bss(nla):
        """enum nl80211_bss."""

        nla_map = (
            (1, "BSSID", "cdata"),
            (2, "FREQUENCY", "uint32"),
            (5, "CAPABILITY", "uint16"),
            (6, "ELEMENTS", "cdata"),
            (7, "SIGNAL", "int32"),
            (8, "QUALITY", "uint8"),
            (9, "STATUS", "uint32"),
            (10, "AGE", "uint32"),
            (11, "BEACON_ELEMENTS", "cdata"),
        )

    class Wireless(genlmsg):
        """A message of nl80211 (enum nl80211_attrs)."""

        nla_map = (
            (1, "WIPHY", "uint32"),
            (2, "WIPHY_NAME", "asciiz"),
            (3, "INTERFACE", "uint32"),
            (4, "INTERFACE_NAME", "asciiz"),
            (5, "MODE", "uint32"),
            (6, "MAC", "cdata"),
            (22, "BANDS", "bands"),
            (32, "MODES", "modes"),
            (33, "COUNTRY", "asciiz"),
            (38, "FREQUENCY", "uint32"),
            (44, "SCAN_FREQUENCIES", "*uint32"),
            (45, "SCAN_SSIDS", "*cdata"),
            (47, "BSS", "bss"),
            (52, "SSID", "cdata"),
            (120, "COMBINATIONS", "*combination"),
            (121, "SOFTWARE_MODES", "modes"),
            (153, "WIRELESS_DEVICE", "uint64"),
            (158, "SCAN_FLAGS", "uint32"),
            (159, "WIDTH", "uint32"),
            (160, "CENTER", "uint32"),
            (174, "SPLIT_DUMP", "flag"),
        )
        bands = _Bands
        modes = _Modes
        combination = _Combination
        bss = _Bss

    return Wireless
