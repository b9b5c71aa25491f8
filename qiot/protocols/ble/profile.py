"""What a device serves and advertises over Bluetooth Low Energy."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import attrs

from qiot.errors import HalError
from qiot.model import Reason

__all__ = ["ADVERTISING_MAX", "SERVICE_LISTS", "GattProfile", "advertising_parts", "listed_services"]

ADVERTISING_MAX: Final = 31
"""Octets of a legacy advertisement, and of a scan response (Bluetooth Core 5.4, volume 6, B 2.3)."""
SERVICE_LISTS: Final[Mapping[int, int]] = {0x02: 2, 0x03: 2, 0x06: 16, 0x07: 16}
"""Types of an advertisement's parts that list services, with the octets of a UUID (Assigned Numbers, 2.3)."""


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

    @property
    def advertised(self) -> Sequence[str]:
        """The services that phones can look for, in the form of `service`, which need not be among them.

        Raises:
            HalError: CONFIGURATION: advertisement or scan response is damaged.
        """
        parts = [*advertising_parts(self.advertising), *advertising_parts(self.scan_response)]
        return [service for kind, value in parts for service in listed_services(kind, value)]


def advertising_parts(octets: bytes) -> Iterator[tuple[int, bytes]]:
    """Type and value of each part of an advertisement (Core Specification Supplement, part A).

    Raises:
        HalError: CONFIGURATION: a part is longer than what is left.
    """
    place = 0
    while place < len(octets):
        length = octets[place]
        end = place + 1 + length
        if not length or end > len(octets):
            raise HalError(
                f"the advertisement is damaged at octet {place}: {octets.hex()}", reason=Reason.CONFIGURATION
            )
        yield octets[place + 1], octets[place + 2 : end]
        place = end


def listed_services(kind: int, value: bytes) -> Sequence[str]:
    """The services that one part of an advertisement lists, in the form of `GattProfile.service`.

    Args:
        kind: Type of the part; those that are not in `SERVICE_LISTS` list none.
        value: Its value, UUIDs in little endian.

    Raises:
        HalError: CONFIGURATION: the last UUID is cut off.
    """
    size = SERVICE_LISTS.get(kind)
    if size is None:
        return ()
    if len(value) % size:
        raise HalError(
            f"the advertisement's list of services is cut off: {value.hex()}", reason=Reason.CONFIGURATION
        )
    octets = [value[at : at + size][::-1] for at in range(0, len(value), size)]
    return [each.hex() if len(each) == 2 else str(uuid.UUID(bytes=each)) for each in octets]  # noqa: PLR2004
