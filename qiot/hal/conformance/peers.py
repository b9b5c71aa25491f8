"""The other side of a transport: a broker and web servers on this host, good ones and bad ones."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Final

import attrs

__all__ = ["Broker", "Server", "broker", "serving", "web_server"]

_Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

# Control packets, MQTT 3.1.1, 2.2.1.
_CONNECT: Final = 1
_PUBLISH: Final = 3
_SUBSCRIBE: Final = 8
_PINGREQ: Final = 12
_DISCONNECT: Final = 14
_CONNACK: Final = 0x20
_PUBACK: Final = 0x40
_SUBACK: Final = 0x90
_PINGRESP: Final = 0xD0
_MORE: Final = 0x80


@attrs.define
class Server:
    """A server that listens.

    Attributes:
        host: Its address.
        port: Its port.
        connections: How many are open.
        received: What came, for handlers that keep it.
    """

    host: str
    port: int
    connections: int = 0
    received: bytearray = attrs.field(factory=bytearray)

    async def is_left(self) -> bool:
        """True where nobody is connected."""
        return not self.connections


@contextlib.asynccontextmanager
async def serving(host: str, handler: _Handler) -> AsyncIterator[Server]:
    """Listen, hand each connection to `handler`, and end them all with the block."""
    made = Server(host, 0)
    tasks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        made.connections += 1
        try:
            with contextlib.suppress(OSError, asyncio.IncompleteReadError):
                await handler(reader, writer)
        finally:
            made.connections -= 1
            writer.close()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.get_running_loop().create_task(serve(reader, writer))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    listening = await asyncio.start_server(accept, host, 0)
    made.port = listening.sockets[0].getsockname()[1]
    try:
        yield made
    finally:
        listening.close()
        for task in list(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.sleep(0)  # closed streams go


async def _packet(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    """One control packet: its first octet, and its body (MQTT 3.1.1, 2.2)."""
    (first,) = await reader.readexactly(1)
    length = shift = 0
    while True:
        (octet,) = await reader.readexactly(1)
        length |= (octet & ~_MORE) << shift
        shift += 7
        if not octet & _MORE:
            break
    return first, await reader.readexactly(length)


class Broker:
    """What an MQTT broker needs to do for one client that talks to itself.

    Args:
        answer: Return code of CONNACK.
    """

    def __init__(self, answer: int = 0) -> None:
        self._answer = answer
        self._writers: set[asyncio.StreamWriter] = set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, to its end."""
        first, _ = await _packet(reader)
        if first >> 4 != _CONNECT:
            return
        writer.write(bytes((_CONNACK, 2, 0, self._answer)))
        if self._answer:
            await writer.drain()
            return
        self._writers.add(writer)
        try:
            while first >> 4 != _DISCONNECT:
                first, body = await _packet(reader)
                self._answer_to(first, body, writer)
                await writer.drain()
        finally:
            self._writers.discard(writer)

    def drop_all(self) -> None:
        """Lose every connection."""
        for writer in self._writers:
            writer.transport.abort()

    def _answer_to(self, first: int, body: bytes, writer: asyncio.StreamWriter) -> None:
        kind = first >> 4
        if kind == _SUBSCRIBE:
            writer.write(bytes((_SUBACK, 3, *body[:2], body[-1])))
        elif kind == _PINGREQ:
            writer.write(bytes((_PINGRESP, 0)))
        elif kind == _PUBLISH:
            topic_end = 2 + int.from_bytes(body[:2], "big")
            payload = body[topic_end:]
            if first >> 1 & 3:
                writer.write(bytes((_PUBACK, 2, *payload[:2])))
                payload = payload[2:]
            back = body[:topic_end] + payload  # to the sender, who subscribed
            writer.write(bytes((_PUBLISH << 4,)) + _length(len(back)) + back)


def _length(number: int) -> bytes:
    octets = bytearray()
    while True:
        number, octet = number >> 7, number & ~_MORE & 0xFF
        octets.append(octet | (_MORE if number else 0))
        if not number:
            return bytes(octets)


@contextlib.asynccontextmanager
async def broker(host: str, answer: int = 0) -> AsyncIterator[tuple[Server, Broker]]:
    """A broker that gives each client's messages back to it."""
    made = Broker(answer)
    async with serving(host, made.serve) as server:
        yield server, made


@contextlib.asynccontextmanager
async def web_server(host: str, answer: bytes) -> AsyncIterator[Server]:
    """A web server that gives every request the same answer, and keeps what came."""
    servers: list[Server] = []

    async def answering(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        fields = [line.partition(b":") for line in head.lower().split(b"\r\n")]
        (length,) = [int(value) for name, _, value in fields if name == b"content-length"] or [0]
        servers[0].received += head + await reader.readexactly(length)
        writer.write(answer)
        await writer.drain()

    async with serving(host, answering) as server:
        servers.append(server)
        yield server
