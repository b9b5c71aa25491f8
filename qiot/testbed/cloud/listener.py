"""One port for plain and TLS: accept, look at the first byte, shake hands where it is a TLS record, serve.

A TLS client speaks first, and its first byte is 0x16 (handshake record, RFC 8446 section 5.1); neither an
MQTT CONNECT (0x10) nor an HTTP request begins with it.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
import ssl
import struct
from collections.abc import Awaitable, Callable
from typing import Final

from qiot.errors import MediumError
from qiot.model import Reason
from qiot.testbed.cloud.faults import Do, Faults, Point
from qiot.testbed.cloud.journal import Journal, Kind

__all__ = ["Listener"]

_TLS_RECORD: Final = b"\x16"
_FIRST_BYTE: Final = 60.0
"""Seconds in which a client has to begin."""
_HANDSHAKE: Final = 10.0
"""Seconds for a TLS handshake."""
_SHUTDOWN: Final = 1.0
"""Seconds for a TLS or TCP connection to end in good order."""
_GARBAGE: Final = bytes(range(0xF0, 0x100)) * 4
_RESET: Final = struct.pack("ii", 1, 0)
"""SO_LINGER on, 0 s: close sends a reset."""

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Listener:
    """A listening port whose connections are plain or TLS.

    Args:
        serve: Serves one connection; closing it is done here.
        faults: What goes wrong with connections and handshakes.
        journal: Where handshakes that fail are written down.
        tcp: The fault point of accepted connections.
        tls: The fault point of handshakes.
        context: TLS for the server's side; None closes what begins as TLS.
    """

    def __init__(
        self,
        serve: Serve,
        faults: Faults,
        journal: Journal,
        *,
        tcp: Point,
        tls: Point,
        context: ssl.SSLContext | None,
    ) -> None:
        self._serve = serve
        self._faults = faults
        self._journal = journal
        self._tcp = tcp
        self._tls = tls
        self._context = context
        self._socket: socket.socket | None = None
        self._accepting: asyncio.Task[None] | None = None
        self._connections: set[asyncio.Task[None]] = set()

    @property
    def port(self) -> int:
        """The port it listens on."""
        assert self._socket is not None, "not started"  # noqa: S101 - a fault of the caller
        port: int = self._socket.getsockname()[1]
        return port

    async def start(self, host: str, port: int) -> None:
        """Listen; port 0 takes any free one.

        Raises:
            MediumError: PORT_BUSY, NO_PERMISSION or MEDIUM; nothing is left open.
        """
        loop = asyncio.get_running_loop()
        try:
            found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
            family, kind, protocol, _, address = found[0]
            self._socket = socket.socket(family, kind, protocol)
            self._socket.setblocking(False)
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self._socket.bind(address)
            self._socket.listen(128)
        except OSError as error:
            await self.close()
            raise _port_error(host, port, error) from error
        self._accepting = asyncio.create_task(self._accept(self._socket))

    async def close(self) -> None:
        """Stop listening and end all connections. Idempotent."""
        tasks = [*self._connections, *([self._accepting] if self._accepting is not None else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._accepting = None
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    async def _accept(self, listening: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                accepted, _ = await loop.sock_accept(listening)
            except OSError as error:
                # Out of descriptors, or the client has left already: the port must go on.
                self._journal.note(Kind.ERROR, f"accept failed: {error.strerror}")
                await asyncio.sleep(0.05)
                continue
            task = asyncio.create_task(self._connection(accepted))
            self._connections.add(task)
            task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._connections.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None:
            self._journal.note(Kind.ERROR, f"{self._tcp}: {type(error).__name__} in a connection")

    async def _connection(self, accepted: socket.socket) -> None:
        with contextlib.closing(accepted):
            accepted.setblocking(False)
            if not await self._let_in(accepted, self._tcp):
                return
            try:
                async with asyncio.timeout(_FIRST_BYTE):
                    begins_tls = await _first_byte(accepted) == _TLS_RECORD
            except (OSError, TimeoutError):
                return
            if not begins_tls:
                await self._stream(accepted, None)
            elif self._context is None:
                self._journal.note(Kind.TLS, "a client wants TLS, which is off: start with --tls-dir")
                await _discard(accepted)
            elif await self._let_in(accepted, self._tls):
                await self._stream(accepted, self._context)

    async def _let_in(self, accepted: socket.socket, point: Point) -> bool:
        """Do what the fault wants with the raw connection; False where that was all."""
        fault = await self._faults.take(point)
        loop = asyncio.get_running_loop()
        with contextlib.suppress(OSError):
            match fault.do:
                case Do.REFUSE:
                    accepted.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
                case Do.HANG | Do.DROP:
                    while await loop.sock_recv(accepted, 65536):
                        pass
                case Do.MALFORMED:
                    await loop.sock_sendall(accepted, _GARBAGE)
                    await _discard(accepted)
                case _:
                    return True
        return False

    async def _stream(self, accepted: socket.socket, context: ssl.SSLContext | None) -> None:
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader()
        protocol = asyncio.StreamReaderProtocol(reader)
        try:
            transport, _ = await loop.connect_accepted_socket(
                lambda: protocol,
                accepted,
                ssl=context,
                ssl_handshake_timeout=_HANDSHAKE if context else None,
                ssl_shutdown_timeout=_SHUTDOWN if context else None,
            )
        except (OSError, TimeoutError) as error:
            self._journal.note(Kind.TLS, f"handshake failed: {getattr(error, 'reason', None) or error}")
            return
        writer = asyncio.StreamWriter(transport, protocol, reader, loop)
        try:
            await self._serve(reader, writer)
            await _linger(reader, writer)
            writer.close()
        except BaseException:
            transport.abort()
            raise
        finally:
            with contextlib.suppress(OSError, TimeoutError):
                async with asyncio.timeout(_SHUTDOWN):
                    await writer.wait_closed()
            transport.abort()


async def _first_byte(accepted: socket.socket) -> bytes:
    """The first byte, left in the socket; empty where the client has left."""
    loop = asyncio.get_running_loop()
    readable = asyncio.Event()
    loop.add_reader(accepted, readable.set)
    try:
        await readable.wait()
    finally:
        loop.remove_reader(accepted)
    return accepted.recv(1, socket.MSG_PEEK)


async def _discard(accepted: socket.socket) -> None:
    """End our side and give the client time to end its own."""
    loop = asyncio.get_running_loop()
    with contextlib.suppress(OSError, TimeoutError):
        accepted.shutdown(socket.SHUT_WR)
        async with asyncio.timeout(_SHUTDOWN):
            while await loop.sock_recv(accepted, 65536):
                pass


async def _linger(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """The same for a stream: closing it with unread octets would lose the answer (RFC 9112, 9.6)."""
    if not writer.can_write_eof():
        return
    with contextlib.suppress(OSError, TimeoutError):
        writer.write_eof()
        async with asyncio.timeout(_SHUTDOWN):
            while await reader.read(65536):
                pass


def _port_error(host: str, port: int, error: OSError) -> MediumError:
    if error.errno == errno.EADDRINUSE:
        return MediumError(
            f"TCP port {port} on {host} is in use",
            reason=Reason.PORT_BUSY,
            code=error.errno,
            hint="Stop the other program (ss -ltnp shows it), or choose another port; 0 takes any.",
        )
    if error.errno in {errno.EACCES, errno.EPERM}:
        return MediumError(
            f"TCP port {port} on {host} needs more rights",
            reason=Reason.NO_PERMISSION,
            code=error.errno,
            hint="Choose a port from 1024 up.",
        )
    return MediumError(f"cannot listen on {host}:{port}: {error.strerror or error}", code=error.errno)
