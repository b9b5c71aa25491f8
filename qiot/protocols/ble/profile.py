"""What a device serves and advertises over Bluetooth Low Energy."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import attrs

__all__ = ["ADVERTISING_MAX", "GattProfile"]

ADVERTISING_MAX: Final = 31
"""Octets of a legacy advertisement, and of a scan response (Bluetooth Core 5.4, volume 6, B 2.3)."""


@attrs.frozen
class GattProfile:
    """One GATT service and how it is advertised.

    Attributes:
        service: UUID of the service: four hexadecimal digits for the SIG's base, or all 36 characters.
        characteristics: UUID of each characteristic, in the same form, with its properties ("read", "write",
            "write-without-response", "notify", "indicate").
        advertising: Advertisement octets, at most 31.
        scan_response: Scan response octets, at most 31.
    """

    service: str
    characteristics: Mapping[str, frozenset[str]] = attrs.field(hash=False)
    advertising: bytes = b""
    scan_response: bytes = b""
