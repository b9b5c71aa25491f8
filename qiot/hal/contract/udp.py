"""UDP sockets."""

from __future__ import annotations

import abc
from collections.abc import Sequence

import attrs

__all__ = ["Datagram", "Endpoint", "Udp"]


@attrs.frozen
class Datagram:
    """One datagram, with the address from its header.

    Attributes:
        data: The payload, whole.
        host: Sender's address.
        port: Sender's port.
    """

    data: bytes
    host: str
    port: int

    @property
    def address(self) -> str:
        """host:port, as `Peer.address` has it."""
        return f"{self.host}:{self.port}"


class Endpoint(abc.ABC):
    """An open UDP socket."""

    @property
    @abc.abstractmethod
    def local(self) -> tuple[str, int]:
        """Where it is bound; the port is the real one where 0 was asked for."""

    @property
    @abc.abstractmethod
    def dropped(self) -> int:
        """Datagrams that came in faster than they were read."""

    @abc.abstractmethod
    async def receive(self) -> Datagram:
        """The next datagram.

        Raises:
            MediumError: The socket is gone.
        """

    @abc.abstractmethod
    async def send(self, data: bytes, host: str, port: int) -> None:
        """Send one datagram.

        Raises:
            MediumError: The system refused it (code: errno). The endpoint stays open.
        """

    @abc.abstractmethod
    async def close(self) -> None:
        """Close. Idempotent."""


class Udp(abc.ABC):
    """UDP sockets."""

    @abc.abstractmethod
    async def open(
        self,
        host: str,
        port: int,
        *,
        interface: str | None = None,
        broadcast: bool = False,
        groups: Sequence[str] = (),
    ) -> Endpoint:
        """Bind a socket.

        Args:
            host: Local address; "0.0.0.0" for all.
            port: Local port, 0 for any.
            interface: Only this interface.
            broadcast: Allow sending to broadcast addresses.
            groups: Multicast groups to join.

        Raises:
            MediumError: PORT_BUSY, NO_PERMISSION or MEDIUM, with the errno. A busy port is never silent.
        """
