"""What adapters of `Gatt` have in common: profiles that can be served, and names."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Final

from qiot.errors import HalError
from qiot.hal.contract import GattProfile
from qiot.model import Reason
from qiot.protocols.ble.profile import ADVERTISING_MAX, advertising_parts

__all__ = ["check_profiles", "full_uuid", "short_name"]

_BASE: Final = "0000{}-0000-1000-8000-00805f9b34fb"
"""UUIDs of the SIG by their 16 bits (Bluetooth Core 5.4, volume 3, B 2.5.1)."""
_SHORT: Final = 4
_PROPERTIES: Final = frozenset({"read", "write", "write-without-response", "notify", "indicate"})


def full_uuid(text: str) -> str:
    """All 36 characters, lower case, of a UUID in either form.

    Raises:
        HalError: It is no UUID.
    """
    try:
        if len(text) == _SHORT:
            return _BASE.format(f"{int(text, 16):04x}")
        return str(uuid.UUID(text))
    except ValueError:
        raise HalError(f"{text!r} is no UUID of a service", reason=Reason.CONFIGURATION) from None


def short_name(text: str) -> str:
    """The contract's name of a characteristic: third and fourth octet of its UUID, "ff01"."""
    return full_uuid(text)[4:8]


def check_profiles(profiles: Sequence[GattProfile]) -> None:
    """For adapters, before they start.

    Raises:
        HalError: CONFIGURATION, naming what cannot be served or advertised: nothing at all, a service or
            characteristic twice, an unknown property, more than 31 octets, damaged advertisements.
    """
    services: set[str] = set()
    chars: set[str] = set()
    problem = "" if profiles else "there is no profile"
    for profile in profiles:
        service = full_uuid(profile.service)
        if service in services:
            problem = f"service {service} is there twice, and phones would find either"
        services.add(service)
        for char, properties in profile.characteristics.items():
            name = short_name(char)
            if name in chars:
                problem = f"characteristic {name} is there twice, and its name would not tell which"
            if unknown := properties - _PROPERTIES:
                problem = f"characteristic {name} has unknown properties: {', '.join(sorted(unknown))}"
            chars.add(name)
        for what, octets in (
            ("advertisement", profile.advertising),
            ("scan response", profile.scan_response),
        ):
            if len(octets) > ADVERTISING_MAX:
                problem = f"the {what} has {len(octets)} octets, {ADVERTISING_MAX} fit"
            else:
                list(advertising_parts(octets))
    if problem:
        raise HalError(f"Bluetooth cannot serve this: {problem}", reason=Reason.CONFIGURATION)
