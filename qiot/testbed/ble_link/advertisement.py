"""What a phone sees of a device before it connects, and which device it wants."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping
from typing import Final, Self

import attrs

__all__ = ["Advertisement", "Wanted", "long_uuid"]

# Assigned numbers, section 2.3: types of an advertisement's parts.
_UUIDS_16: Final = (0x02, 0x03)
_UUIDS_128: Final = (0x06, 0x07)
_NAMES: Final = (0x09, 0x08)
_MANUFACTURER: Final = 0xFF
_SHORT: Final = 4
_COMPANY: Final = 2


def long_uuid(text: str) -> str:
    """A UUID with all 36 characters, lower case, from either form.

    Raises:
        ValueError: It is none.
    """
    if len(text) == _SHORT:
        return f"0000{int(text, 16):04x}-0000-1000-8000-00805f9b34fb"
    return str(uuid.UUID(text))


@attrs.frozen
class Advertisement:
    """One device, as seen.

    Attributes:
        address: Its Bluetooth address, "AA:BB:CC:DD:EE:FF" (some systems give a UUID instead).
        name: Its name; empty where it tells none.
        services: UUIDs with 36 characters.
        manufacturer: Manufacturer data by company number, without that number.
        signal: dBm.
        advertising: The advertisement's octets; empty where the adapter does not give them.
        scan_response: Likewise of the scan response.
        random: The address is a random one (Bluetooth Core 5.4, volume 6, B 1.3).
    """

    address: str
    name: str = ""
    services: frozenset[str] = frozenset()
    manufacturer: Mapping[int, bytes] = attrs.field(factory=dict, hash=False)
    signal: int = 0
    advertising: bytes = b""
    scan_response: bytes = b""
    random: bool = False

    @classmethod
    def of_octets(
        cls, address: str, advertising: bytes, scan_response: bytes, signal: int, *, random: bool = False
    ) -> Self:
        """From what was on the air; damaged parts are left out."""
        services: set[str] = set()
        manufacturer: dict[int, bytes] = {}
        names: dict[int, bytes] = {}
        for octets in (advertising, scan_response):
            for kind, value in _parts(octets):
                if kind in _UUIDS_16:
                    services |= {long_uuid(each[::-1].hex()) for each in _cut(value, 2)}
                elif kind in _UUIDS_128:
                    services |= {str(uuid.UUID(bytes=each[::-1])) for each in _cut(value, 16)}
                elif kind in _NAMES:
                    names[kind] = value
                elif kind == _MANUFACTURER and len(value) >= _COMPANY:
                    manufacturer[int.from_bytes(value[:_COMPANY], "little")] = value[_COMPANY:]
        name = next((names[kind] for kind in _NAMES if kind in names), b"").decode(errors="replace")
        return cls(
            address, name, frozenset(services), manufacturer, signal, advertising, scan_response, random
        )


@attrs.frozen
class Wanted:
    """Which device to connect to; everything that is given has to fit.

    Attributes:
        service: UUID of a service that it advertises, in either form.
        name: Its name, or the beginning of it.
        address: Its address.
    """

    service: str | None = None
    name: str | None = None
    address: str | None = None

    def fits(self, seen: Advertisement) -> bool:
        """True for the device that is wanted."""
        return (
            (self.service is None or long_uuid(self.service) in seen.services)
            and (self.name is None or seen.name.startswith(self.name))
            and (self.address is None or seen.address.lower() == self.address.lower())
        )

    def __str__(self) -> str:
        parts = {"service": self.service, "name": self.name, "address": self.address}
        return ", ".join(f"{name} {value}" for name, value in parts.items() if value) or "any device"


def _cut(octets: bytes, size: int) -> Iterator[bytes]:
    """Whole pieces of this size."""
    return (octets[at : at + size] for at in range(0, len(octets) - size + 1, size))


def _parts(octets: bytes) -> Iterator[tuple[int, bytes]]:
    place = 0
    while place < len(octets) and octets[place] and place + octets[place] < len(octets):
        yield octets[place + 1], octets[place + 2 : place + 1 + octets[place]]
        place += 1 + octets[place]
