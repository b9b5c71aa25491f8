"""A codec on a UDP port."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

from qiot.errors import HalError, MediumError, ProtocolError
from qiot.hal.contract import Datagram, Endpoint, ListenContext, Listener, Udp
from qiot.log import get_logger, mask_message
from qiot.model import Peer
from qiot.protocols.base import Codec, Heard, News, Output, Send

__all__ = ["UdpListener"]

log = get_logger()

_SHOWN: Final = 300
"""Characters of a datagram that are worth a log line."""


class UdpListener(Listener):
    """Listens on one UDP port and speaks one codec there.

    `read` both receives and runs the codec's clock, so somebody has to be reading for repeats to go out.

    Args:
        udp: The platform's sockets.
        codec: What is spoken.
        door: The codec's name for this port.
        method: Method name that peers of this port carry.
        host: Local address.
        port: Local port; 0 for any.
    """

    def __init__(self, udp: Udp, codec: Codec, *, door: str, method: str, host: str, port: int) -> None:
        self._udp = udp
        self._codec = codec
        self._door = door
        self._method = method
        self._host = host
        self._port = port
        self._endpoint: Endpoint | None = None
        self._waiting: asyncio.Timeout | None = None
        self._quiet = asyncio.Event()
        self._shown: tuple[bytes, str] | None = None
        self._dropped = 0

    @property
    def local(self) -> tuple[str, int]:
        """Where it listens; the port asked for before the start."""
        return self._endpoint.local if self._endpoint else (self._host, self._port)

    async def start(self, context: ListenContext) -> None:
        """Open the port."""
        del context
        if self._endpoint is None:
            self._endpoint = await self._udp.open(self._host, self._port, broadcast=True)
            self._quiet.set()
            host, port = self.local
            log.info(f"UDP server socket listening on {host}:{port}")

    async def read(self) -> Sequence[Heard]:
        """Receive, let the codec's clock run, and give what was heard."""
        if self._endpoint is None:
            raise MediumError(f"UDP port {self._port} is not open")
        while True:
            datagram = await self._next(self._endpoint)
            now = asyncio.get_running_loop().time()
            outputs = self._codec.tick(now) if datagram is None else self._feed(datagram, now)
            if heard := await self._carry_out(outputs):
                return heard

    async def tell(self, news: News) -> None:
        """Let the codec report it; first copies go out before this returns."""
        if self._endpoint is None:
            return
        await self._carry_out(self._codec.tell(news, asyncio.get_running_loop().time()))

    async def drain(self) -> None:
        """Return when the codec has nothing more to repeat."""
        await self._quiet.wait()

    async def stop(self) -> None:
        """Close the port."""
        endpoint, self._endpoint = self._endpoint, None
        self._quiet.set()
        if endpoint is not None:
            await endpoint.close()

    async def _next(self, endpoint: Endpoint) -> Datagram | None:
        """A datagram, or None when the codec's clock is due."""
        try:
            async with asyncio.timeout_at(self._codec.deadline()) as self._waiting:
                datagram = await endpoint.receive()
        except TimeoutError:
            return None
        finally:
            self._waiting = None
        self._note_drops(endpoint)
        return datagram

    def _note_drops(self, endpoint: Endpoint) -> None:
        if endpoint.dropped > self._dropped:
            log.warning(f"{endpoint.dropped - self._dropped} datagrams came faster than they were read")
            self._dropped = endpoint.dropped

    def _feed(self, datagram: Datagram, now: float) -> Sequence[Output]:
        peer = Peer(self._method, datagram.address)
        text = _readable(datagram.data)
        log.info(f"Received {len(datagram.data)} bytes from <{datagram.address}> msg: {text}")
        try:
            return self._codec.feed(self._door, datagram.data, peer, now)
        except ProtocolError as error:
            log.warning(f"datagram from <{datagram.address}> ignored: {error}")
            return ()

    async def _carry_out(self, outputs: Sequence[Output]) -> list[Heard]:
        heard: list[Heard] = []
        for output in outputs:
            if isinstance(output, Send):
                await self._send(output)
            elif isinstance(output, Heard):
                heard.append(output)
        self._rearm()
        return heard

    def _rearm(self) -> None:
        """Wake `read` in time for the codec's next deadline, whoever changed it."""
        deadline = self._codec.deadline()
        if deadline is None:
            self._quiet.set()
        else:
            self._quiet.clear()
        if self._waiting is not None and not self._waiting.expired():
            self._waiting.reschedule(deadline)

    async def _send(self, send: Send) -> None:
        if self._endpoint is None:
            return
        host, _, port = send.to.address.rpartition(":")
        if (send.data, send.to.address) != self._shown:
            self._shown = (send.data, send.to.address)
            log.info(f"{send.label}({len(send.data)}) to <{send.to.address}>: {_readable(send.data)}")
        try:
            await self._endpoint.send(send.data, host, int(port))
        except HalError as error:
            log.warning(f"{send.label} to <{send.to.address}> not sent: {error}")


def _readable(data: bytes) -> str:
    text = mask_message(data)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}… ({len(data)} bytes)"
