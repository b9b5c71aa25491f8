"""What stations have to send: a datagram as it stands in a frame body (RFC 1042, RFC 791, RFC 768)."""

from __future__ import annotations

import struct
from ipaddress import IPv4Address
from typing import Final

import attrs

__all__ = ["BROADCAST", "Packet", "group_address", "udp_packet"]

BROADCAST: Final = b"\xff" * 6
_LLC_IPV4: Final = b"\xaa\xaa\x03\x00\x00\x00\x08\x00"
_GROUP_MAC: Final = b"\x01\x00\x5e"
_LIMITED_BROADCAST: Final = IPv4Address("255.255.255.255")
_UDP: Final = 17
_TTL: Final = 64
_IP_HEADER: Final = 20
_UDP_HEADER: Final = 8
_PAYLOAD_MAX: Final = 1472
"""Of a datagram in one frame: 1500 octets less the headers."""


@attrs.frozen
class Packet:
    """One thing to send, from its source to its destination.

    Attributes:
        source: Source address (SA), six octets.
        destination: Destination address (DA), six octets.
        content: The frame body in the clear, LLC first.
        origin: Whatever the sender wants to find again where the frame is heard; it is not in the air.
    """

    source: bytes
    destination: bytes
    content: bytes = attrs.field(repr=False)
    origin: object = None

    @property
    def for_everybody(self) -> bool:
        """To a broadcast or multicast address."""
        return bool(self.destination[0] & 1)


def group_address(ip: str, prefix: int = 32, address: str = "0.0.0.0") -> bytes | None:  # noqa: S104 - no socket
    """The MAC address of a broadcast or multicast address (RFC 1112, 6.4); None for that of one host.

    Args:
        ip: IPv4 destination, dotted.
        prefix: Prefix length of the sender's network; 32 where only 255.255.255.255 is a broadcast.
        address: The sender's own address in it.
    """
    there = IPv4Address(ip)
    if there.is_multicast:
        packed = there.packed
        return _GROUP_MAC + bytes((packed[1] & 0x7F,)) + packed[2:]
    hosts = (1 << 32 - prefix) - 1
    directed = IPv4Address(int(IPv4Address(address)) | hosts)
    if there == _LIMITED_BROADCAST or (hosts and there == directed):
        return BROADCAST
    return None


def udp_packet(
    source: bytes,
    destination: bytes,
    *,
    address: str,
    to: str,
    port: int,
    payload: bytes,
    number: int = 0,
    origin: object = None,
) -> Packet:
    """A UDP datagram.

    Args:
        source: The sender's MAC address.
        destination: MAC address of the next hop, or of the group.
        address: The sender's IPv4 address.
        to: IPv4 destination.
        port: UDP destination port, also the source port.
        payload: 0 to 1472 octets.
        number: The IP header's identification.
        origin: As in `Packet`.

    Raises:
        ValueError: The payload does not fit in one frame, or an address or a port is none.
    """
    if len(payload) > _PAYLOAD_MAX:
        raise ValueError(f"{len(payload)} octets do not fit in one datagram of at most {_PAYLOAD_MAX}")
    if not 0 < port < 1 << 16:
        raise ValueError(f"{port} is no UDP port")
    size = _UDP_HEADER + len(payload)
    head = struct.pack(
        ">BBHHHBBH4s4s",
        0x45,
        0,
        _IP_HEADER + size,
        number & 0xFFFF,
        0,
        _TTL,
        _UDP,
        0,
        IPv4Address(address).packed,
        IPv4Address(to).packed,
    )
    head = head[:10] + struct.pack(">H", _internet_sum(head)) + head[12:]
    # A check sum of 0 says that there is none (RFC 768).
    udp = struct.pack(">HHHH", port, port, size, 0)
    return Packet(source, destination, _LLC_IPV4 + head + udp + payload, origin)


def _internet_sum(octets: bytes) -> int:
    """RFC 1071."""
    total: int = sum(struct.unpack(f">{len(octets) // 2}H", octets))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF
