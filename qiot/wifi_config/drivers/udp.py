"""A codec on UDP ports."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Final, TypeAlias

from qiot.errors import HalError, MediumError, ProtocolError
from qiot.hal.contract import Datagram, Endpoint, ListenContext, Listener, Udp
from qiot.log import get_logger, mask_message
from qiot.model import Peer
from qiot.protocols.base import Codec, Heard, News, Output, Send
from qiot.wifi_config.drivers.codec_clock import CodecClock

__all__ = ["UdpListener"]

log = get_logger()

_SHOWN: Final = 300
"""Characters of a datagram that are worth a log line."""


_ANYWHERE: Final = "0.0.0.0"  # noqa: S104 - a comparison
_SHOWN_COPIES: Final = 8
"""Datagrams in the making of copies whose log line is there already."""
_WAITING: Final = 64
"""Datagrams taken from the ports and not fed yet; the rest waits in the endpoints, which count drops."""

_Arrival: TypeAlias = tuple[str, Datagram | HalError]


class UdpListener(Listener):
    """Listens on one UDP port, or on a few, and speaks one codec there.

    `read` both receives and runs the codec's clock, so somebody has to be reading for repeats to go out.

    Args:
        udp: The platform's sockets.
        codec: What is spoken.
        door: The codec's name for this port.
        method: Method name that peers of this port carry.
        host: Local address.
        port: Local port; 0 for any.
        more: Further ports of the codec, by their doors' names.
        any_port: Where a port cannot be had, say so, take any other, and do without what comes in there.
        broadcasts: The address of everybody, and the own one in the network where everybody is meant: what
            goes there leaves by that network's interface (ip(7)), where the machine has several.
        announces: The codec tells everybody of itself for as long as it runs: `drain` does not wait for it.
    """

    def __init__(
        self,
        udp: Udp,
        codec: Codec,
        *,
        door: str,
        method: str,
        host: str,
        port: int,
        more: Mapping[str, int] | None = None,
        any_port: bool = False,
        broadcasts: tuple[str, str] | None = None,
        announces: bool = False,
    ) -> None:
        self._udp = udp
        self._codec = codec
        self._door = door
        self._method = method
        self._host = host
        self._ports = {door: port, **(more or {})}
        self._any_port = any_port
        self._announces = announces
        self._broadcasts = broadcasts
        self._to_everybody: Endpoint | None = None
        self._endpoints: dict[str, Endpoint] = {}
        self._readers: list[asyncio.Task[None]] = []
        self._arrived: asyncio.Queue[_Arrival] = asyncio.Queue(_WAITING)
        self._clock = CodecClock(codec)
        self._shown: deque[tuple[bytes, str]] = deque(maxlen=_SHOWN_COPIES)
        self._not_sent: tuple[str, str] | None = None
        self._dropped: dict[str, int] = {}
        self._strange: deque[tuple[str, str]] = deque(maxlen=_SHOWN_COPIES)

    @property
    def local(self) -> tuple[str, int]:
        """Where it listens; the port asked for before the start."""
        endpoint = self._endpoints.get(self._door)
        return endpoint.local if endpoint else (self._host, self._ports[self._door])

    async def start(self, context: ListenContext) -> None:
        """Open the ports."""
        del context
        if self._endpoints:
            return
        try:
            for door, port in self._ports.items():
                endpoint = self._endpoints[door] = await self._open(port)
                host, number = endpoint.local
                log.info(f"UDP server socket listening on {host}:{number}")
            self._to_everybody = await self._open_broadcast()
        except BaseException:
            await self.stop()
            raise
        self._arrived = asyncio.Queue(_WAITING)
        self._readers = [
            asyncio.create_task(self._receive(door, endpoint), name=f"qiot UDP {door}")
            for door, endpoint in self._endpoints.items()
        ]

    async def _open(self, port: int) -> Endpoint:
        try:
            return await self._udp.open(self._host, port, broadcast=True)
        except MediumError as error:
            if not self._any_port:
                raise
            log.warning(f"{error}: nothing can be heard there. {error.hint}")
        return await self._udp.open(self._host, 0, broadcast=True)

    async def _open_broadcast(self) -> Endpoint | None:
        """A socket of the network's own address; None where the address is only simulated."""
        if self._broadcasts is None or self._host not in {_ANYWHERE, self._broadcasts[1]}:
            return None
        try:
            return await self._udp.open(self._broadcasts[1], 0, broadcast=True)
        except MediumError as error:
            log.debug(f"broadcasts leave by the default route: {error}")
            return None

    async def read(self) -> Sequence[Heard]:
        """Receive, let the codec's clock run, and give what was heard."""
        if not self._endpoints:
            raise MediumError(f"UDP port {self._ports[self._door]} is not open")
        while True:
            arrival = await self._next()
            now = asyncio.get_running_loop().time()
            outputs = self._codec.tick(now) if arrival is None else self._feed(*arrival, now)
            if heard := await self._carry_out(outputs):
                return heard

    async def tell(self, news: News) -> None:
        """Let the codec report it; first copies go out before this returns."""
        if self._endpoints:
            await self._carry_out(self._codec.tell(news, asyncio.get_running_loop().time()))

    async def carry_out(self, outputs: Sequence[Output]) -> None:
        """Send what the codec says outside of `feed` and `tell`."""
        await self._carry_out(outputs)

    async def drain(self) -> None:
        """Return when the codec has nothing more to repeat."""
        if not self._announces:
            await self._clock.wait_quiet()

    async def stop(self) -> None:
        """Close the ports."""
        endpoints, self._endpoints = self._endpoints, {}
        readers, self._readers = self._readers, []
        everybody, self._to_everybody = self._to_everybody, None
        self._clock.end()
        for reader in readers:
            reader.cancel()
        if everybody is not None:
            await everybody.close()
        for endpoint in endpoints.values():
            await endpoint.close()
        await asyncio.gather(*readers, return_exceptions=True)

    async def _receive(self, door: str, endpoint: Endpoint) -> None:
        while True:
            try:
                datagram = await endpoint.receive()
            except HalError as error:
                await self._arrived.put((door, error))
                return
            self._note_drops(door, endpoint)
            await self._arrived.put((door, datagram))

    async def _next(self) -> tuple[str, Datagram] | None:
        """A datagram and its door, or None when the codec's clock is due."""
        arrival = await self._clock.wait(self._arrived.get())
        if arrival is None:
            return None
        door, arrived = arrival
        if isinstance(arrived, HalError):
            raise arrived
        return door, arrived

    def _note_drops(self, door: str, endpoint: Endpoint) -> None:
        before = self._dropped.get(door, 0)
        if endpoint.dropped > before:
            log.warning(f"{endpoint.dropped - before} datagrams came faster than they were read")
            self._dropped[door] = endpoint.dropped

    def _feed(self, door: str, datagram: Datagram, now: float) -> Sequence[Output]:
        peer = Peer(self._method, datagram.address)
        if not self._goes_on(door, datagram):
            text = _readable(datagram.data)
            log.info(f"Received {len(datagram.data)} bytes from <{datagram.address}> msg: {text}")
        try:
            return self._codec.feed(door, datagram.data, peer, now)
        except ProtocolError as error:
            log.warning(f"datagram from <{datagram.address}> ignored: {error}")
            return ()

    def _goes_on(self, door: str, datagram: Datagram) -> bool:
        """True for more of what is no text: a phone of the air sends hundreds, and they say nothing."""
        if datagram.data.lstrip().startswith(b"{"):
            return False
        sender = (door, datagram.host)
        if sender in self._strange:
            return True
        self._strange.append(sender)
        return False

    async def _carry_out(self, outputs: Sequence[Output]) -> list[Heard]:
        heard: list[Heard] = []
        for output in outputs:
            if isinstance(output, Send):
                await self._send(output)
            elif isinstance(output, Heard):
                heard.append(output)
        self._clock.rearm()
        return heard

    async def _send(self, send: Send) -> None:
        endpoint = self._endpoints.get(send.port)
        if endpoint is None:
            return
        host, _, port = send.to.address.rpartition(":")
        if self._to_everybody is not None and self._broadcasts is not None and host == self._broadcasts[0]:
            endpoint = self._to_everybody
        if (send.data, send.to.address) not in self._shown:  # one line for all copies
            self._shown.append((send.data, send.to.address))
            log.info(f"{send.label}({len(send.data)}) to <{send.to.address}>: {_readable(send.data)}")
        try:
            await endpoint.send(send.data, host, int(port))
        except HalError as error:
            if (send.to.address, str(error)) != self._not_sent:
                self._not_sent = (send.to.address, str(error))
                log.warning(f"{send.label} to <{send.to.address}> not sent: {error}")


def _readable(data: bytes) -> str:
    text = mask_message(data)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}… ({len(data)} bytes)"
