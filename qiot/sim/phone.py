"""A phone: a station that speaks through the air to devices that are not in its network yet."""

from __future__ import annotations

from qiot.model import Credentials, IpConfig
from qiot.sim.air.live import LiveAir
from qiot.sim.air.packets import group_address, udp_packet
from qiot.sim.station import Station

__all__ = ["Phone"]


class Phone:
    """One phone. What it sends in the air is only what others hear of it; its sockets are the host's.

    Args:
        station: Its radio.
        air: The world's air.
    """

    def __init__(self, station: Station, air: LiveAir) -> None:
        self.station = station
        self._air = air
        self._sent = 0

    @property
    def mac(self) -> bytes:
        """Its MAC address, six octets."""
        return self.station.mac

    @property
    def ip(self) -> IpConfig | None:
        """Its address, where it is joined."""
        return self.station.ip

    async def join(self, credentials: Credentials, timeout: float = 15.0) -> IpConfig:
        """Join a network.

        Raises:
            JoinError: With its reason.
        """
        return await self.station.join(credentials, timeout)

    def leave(self) -> None:
        """Leave the network. Idempotent."""
        self.station.leave()

    def send_datagram(self, to: str, port: int, payload: bytes | int, *, origin: object = None) -> None:
        """Send a UDP datagram now; the access point sends it on where it is for everybody.

        Args:
            to: IPv4 destination: 255.255.255.255, the network's broadcast, a multicast address or a host.
            port: UDP destination port.
            payload: 0 to 1472 octets, or so many zeros.
            origin: What receivers find with the frame; it is not in the air.

        Raises:
            ValueError: The phone is not joined, or it is no datagram.
        """
        if isinstance(payload, int) and payload < 0:
            raise ValueError("a datagram of less than no octets")
        own = self.station.ip
        radio = self._air.station(self.station)
        if own is None:
            raise ValueError("a phone that is not joined sends no datagram")
        self._sent += 1
        packet = udp_packet(
            self.mac,
            group_address(to, own.prefix, own.address) or radio.access_point.router,
            address=own.address,
            to=to,
            port=port,
            payload=bytes(payload) if isinstance(payload, int) else payload,
            number=self._sent,
            origin=origin,
        )
        radio.send(packet)
        self._air.touched()
