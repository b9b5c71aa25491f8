"""Information elements: what beacons and probes say of a network (IEEE 802.11, 9.4.2)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from qiot.model import SSID_MAX, Security

__all__ = ["elements_of", "find_element", "security_of", "ssid_of"]

SSID: Final = 0
RSN: Final = 48
WAPI: Final = 68
VENDOR: Final = 221

_PRIVACY: Final = 0x0010
"""Of the capability information field (IEEE 802.11, 9.4.1.4)."""
_WPA: Final = bytes.fromhex("0050f201")
"""Vendor element of WPA, as it was before RSN."""
_WPA_OUI: Final = bytes.fromhex("0050f2")
_RSN_OUI: Final = bytes.fromhex("000fac")
_VERSION: Final = 1
_SUITE: Final = 4

_ENTERPRISE, _PSK, _SAE = "enterprise", "psk", "sae"
_KEY_MANAGEMENT: Final = {
    # IEEE 802.11, table 9-190: AKM suite selectors, with their fast-transition and longer-hash kin.
    **{_RSN_OUI + bytes((each,)): _PSK for each in (2, 4, 6, 19, 20)},
    **{_RSN_OUI + bytes((each,)): _SAE for each in (8, 9, 24, 25)},
    **{_RSN_OUI + bytes((each,)): _ENTERPRISE for each in (1, 3, 5, 11, 12, 13, 14, 15, 16, 17, 22, 23)},
    _WPA_OUI + b"\x01": _ENTERPRISE,
    _WPA_OUI + b"\x02": _PSK,
}


def elements_of(data: bytes, offset: int = 0) -> Iterator[tuple[int, bytes]]:
    """Each element's number and content; one that is cut off ends it.

    Args:
        data: Octets.
        offset: Where the first one begins.
    """
    end = len(data)
    while offset + 2 <= end:
        after = offset + 2 + data[offset + 1]
        if after > end:
            return
        yield data[offset], data[offset + 2 : after]
        offset = after


def find_element(data: bytes, number: int, offset: int = 0) -> bytes | None:
    """Content of the first element with this number."""
    return next((content for found, content in elements_of(data, offset) if found == number), None)


def ssid_of(data: bytes, offset: int = 0) -> bytes:
    """The network's name; empty where it hides, be it by no octets or by zeros only."""
    ssid = find_element(data, SSID, offset) or b""
    return ssid if len(ssid) <= SSID_MAX and ssid.strip(b"\0") else b""


def security_of(capability: int, data: bytes) -> Security:
    """How a network protects itself.

    Args:
        capability: Capability information field.
        data: Information elements of a beacon or probe response.
    """
    rsn = wpa = None
    other = False
    for number, content in elements_of(data):
        if number == RSN and rsn is None:
            rsn = _key_management(content)
        elif number == VENDOR and content.startswith(_WPA) and wpa is None:
            wpa = _key_management(content[len(_WPA) :])
        elif number == WAPI:
            other = True
    if rsn is None and wpa is None:
        if other:
            return Security.UNKNOWN
        return Security.WEP if capability & _PRIVACY else Security.OPEN
    return _strongest(rsn or frozenset(), wpa or frozenset())


def _strongest(rsn: frozenset[str], wpa: frozenset[str]) -> Security:
    if _SAE in rsn:
        return Security.WPA2_WPA3 if _PSK in rsn else Security.WPA3
    if _PSK in rsn:
        return Security.WPA2
    if _PSK in wpa:
        return Security.WPA
    if _ENTERPRISE in rsn | wpa:
        return Security.ENTERPRISE
    return Security.UNKNOWN  # such as OWE, or what came after this was written


def _key_management(content: bytes) -> frozenset[str]:
    """The kinds of key management of an RSN element, or of a WPA element behind its type.

    Trailing fields may be left out and have their defaults then (IEEE 802.11, 9.4.2.24.1).
    """
    if len(content) < 2 or int.from_bytes(content[:2], "little") != _VERSION:  # noqa: PLR2004
        return frozenset()
    offset = 2 + _SUITE  # the group's cipher
    offset += 2 + _SUITE * int.from_bytes(content[offset : offset + 2], "little")
    if offset + 2 > len(content):
        return frozenset({_ENTERPRISE})
    count = int.from_bytes(content[offset : offset + 2], "little")
    suites = content[offset + 2 : offset + 2 + _SUITE * count]
    kinds = (_KEY_MANAGEMENT.get(suites[at : at + _SUITE]) for at in range(0, len(suites), _SUITE))
    return frozenset(kind for kind in kinds if kind is not None)
