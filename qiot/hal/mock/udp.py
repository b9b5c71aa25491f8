"""UDP of the mock: the host's sockets, with the world's losses and duplicates on top."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from qiot.hal.contract import Datagram, Endpoint, Udp
from qiot.hal.linux.udp import SocketUdp

__all__ = ["MockUdp"]


class MockUdp(Udp):
    """Real sockets on a bad medium.

    Args:
        random: The world's random source.
        loss: Share of datagrams that get lost, in each direction, 0 to 1.
        duplication: Share of datagrams that arrive twice, in each direction, 0 to 1.
    """

    def __init__(self, random: Random, *, loss: float = 0.0, duplication: float = 0.0) -> None:
        self._sockets = SocketUdp()
        self._random = random
        self._loss = loss
        self._duplication = duplication

    async def open(
        self,
        host: str,
        port: int,
        *,
        interface: str | None = None,
        broadcast: bool = False,
        groups: Sequence[str] = (),
    ) -> Endpoint:
        """Bind a socket of the host."""
        endpoint = await self._sockets.open(
            host, port, interface=interface, broadcast=broadcast, groups=groups
        )
        if not self._loss and not self._duplication:
            return endpoint
        return _BadEndpoint(endpoint, self)

    async def close(self) -> None:
        """Close every endpoint."""
        await self._sockets.close()

    def copies(self) -> int:
        """How often the next datagram arrives: 0, 1 or 2."""
        if self._random.random() < self._loss:
            return 0
        return 2 if self._random.random() < self._duplication else 1


class _BadEndpoint(Endpoint):
    def __init__(self, endpoint: Endpoint, medium: MockUdp) -> None:
        self._endpoint = endpoint
        self._medium = medium
        self._again: list[Datagram] = []

    @property
    def local(self) -> tuple[str, int]:
        return self._endpoint.local

    @property
    def dropped(self) -> int:
        return self._endpoint.dropped

    async def receive(self) -> Datagram:
        while not self._again:
            datagram = await self._endpoint.receive()
            self._again = [datagram] * self._medium.copies()
        return self._again.pop()

    async def send(self, data: bytes, host: str, port: int) -> None:
        for _ in range(self._medium.copies()):
            await self._endpoint.send(data, host, port)

    async def close(self) -> None:
        self._again.clear()
        await self._endpoint.close()
