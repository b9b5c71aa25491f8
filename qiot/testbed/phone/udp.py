"""The phone's UDP socket."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
import sys
from collections.abc import AsyncIterator, Sequence
from typing import Any, Final, cast

from qiot.errors import MediumError
from qiot.model import Reason

__all__ = ["PhoneSocket", "open_ear", "open_socket"]

_QUEUE_MAX: Final = 256
_IP_RECVERR: Final = 11
_MSG_ERRQUEUE: Final = 0x2000


class PhoneSocket(asyncio.DatagramProtocol):
    """One open socket that talks to one device and hears everybody, as the device may broadcast.

    Args:
        sock: Bound, non-blocking.
        device: The device's IPv4 address and port.
    """

    def __init__(self, sock: socket.socket, device: tuple[str, int]) -> None:
        self.device = device
        self.local_port: int = sock.getsockname()[1]
        self.dropped = 0
        self._sock = sock
        self._inbox: asyncio.Queue[tuple[bytes, str] | OSError] = asyncio.Queue(_QUEUE_MAX)
        self._transport: asyncio.DatagramTransport | None = None
        self._closed = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Asyncio's."""
        # A cast, because asyncio's own datagram transport is no subclass of it before Python 3.12.
        self._transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: tuple[str | Any, int]) -> None:
        """Asyncio's."""
        self._put((data, f"{addr[0]}:{addr[1]}"))

    def error_received(self, exc: Exception) -> None:
        """Asyncio's: what ICMP or the local stack says of an earlier datagram."""
        if isinstance(exc, OSError):
            self._empty_error_queue()
            self._put(exc)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        """Asyncio's."""
        self._closed.set()

    def _put(self, item: tuple[bytes, str] | OSError) -> None:
        try:
            self._inbox.put_nowait(item)
        except asyncio.QueueFull:
            self.dropped += 1

    def _empty_error_queue(self) -> None:
        # The kernel reports the socket as ready for as long as its error queue holds anything.
        with contextlib.suppress(OSError):
            while True:
                self._sock.recvmsg(1024, 1024, _MSG_ERRQUEUE)

    def send(self, data: bytes) -> None:
        """Send to the device; where the system refuses, `receive` gives its error."""
        self.send_to(data, self.device)

    def send_to(self, data: bytes, address: tuple[str, int]) -> None:
        """Send to an IPv4 address and port, likewise."""
        if self._transport is not None:
            self._transport.sendto(data, address)

    async def receive(self) -> tuple[bytes, str] | OSError:
        """The next datagram with its sender's host:port, or what the network says of one that was sent."""
        return await self._inbox.get()

    async def close(self) -> None:
        """Close, and wait until the socket is given back."""
        if self._transport is not None:
            self._transport.abort()
            await self._closed.wait()


def _bind(device: tuple[str, int], local_port: int | None) -> socket.socket:
    """Bind to the device's port number as the mini program does, or to any where that is taken.

    A device on this machine needs the number itself, so nothing but an explicit `local_port` takes it there.
    """
    wanted = local_port if local_port is not None else (0 if device[0].startswith("127.") else device[1])
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        sock.setblocking(False)
        if sys.platform == "linux":
            # Without it Linux tells only connected sockets of ICMP's "port unreachable".
            sock.setsockopt(socket.IPPROTO_IP, _IP_RECVERR, 1)
        try:
            sock.bind(("0.0.0.0", wanted))  # noqa: S104 - broadcasts are wanted, and the route is not known yet
        except OSError as error:
            if error.errno not in {errno.EADDRINUSE, errno.EACCES}:
                raise
            sock.bind(("0.0.0.0", 0))  # noqa: S104
    except BaseException:
        sock.close()
        raise
    return sock


@contextlib.asynccontextmanager
async def open_socket(host: str, port: int, local_port: int | None = None) -> AsyncIterator[PhoneSocket]:
    """Open the phone's socket; nothing of it is left afterwards.

    Args:
        host: The device's name or IPv4 address.
        port: The device's UDP port.
        local_port: The phone's own port; None for the same number as `port`, on loopback for any.

    Raises:
        MediumError: The name is not known (DNS), or the socket cannot be opened (code: errno).
    """
    loop = asyncio.get_running_loop()
    try:
        found = await loop.getaddrinfo(host, port, family=socket.AF_INET, type=socket.SOCK_DGRAM)
    except (OSError, UnicodeError) as error:
        raise MediumError(
            f"the device's address {host!r} is not known: {error}",
            reason=Reason.DNS,
            hint="Write the device's IPv4 address after --host.",
        ) from error
    device = (str(found[0][4][0]), port)
    try:
        sock = _bind(device, local_port)
    except OSError as error:
        raise MediumError(f"cannot open a UDP socket: {error}", code=error.errno) from error
    async with _attached(sock, device) as phone:
        yield phone


@contextlib.asynccontextmanager
async def open_ear(host: str, ports: Sequence[int]) -> AsyncIterator[PhoneSocket]:
    """Open a socket on the first free one of some ports, which hears broadcasts, too.

    Args:
        host: The phone's IPv4 address; on loopback nothing but this is listened on.
        ports: UDP ports, in this order.

    Raises:
        MediumError: None of them is free (PORT_BUSY), or another error of the system (code: errno).
    """
    local = host if host.startswith("127.") else "0.0.0.0"  # noqa: S104 - devices broadcast their answer
    for port in ports:
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            sock.setblocking(False)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
            sock.bind((local, port))
        except OSError as error:
            sock.close()
            if error.errno == errno.EADDRINUSE:
                continue
            raise MediumError(f"cannot listen on UDP port {port}: {error}", code=error.errno) from error
        except BaseException:
            sock.close()
            raise
        async with _attached(sock, ("255.255.255.255", port)) as phone:
            yield phone
        return
    raise MediumError(
        f"UDP port {', '.join(map(str, ports))} is taken, and devices answer there",
        reason=Reason.PORT_BUSY,
        code=errno.EADDRINUSE,
        hint="Stop the other program on it; ss -lunp shows which it is.",
    )


@contextlib.asynccontextmanager
async def _attached(sock: socket.socket, device: tuple[str, int]) -> AsyncIterator[PhoneSocket]:
    phone = PhoneSocket(sock, device)
    try:
        await asyncio.get_running_loop().create_datagram_endpoint(lambda: phone, sock=sock)
        yield phone
    finally:
        await phone.close()
        sock.close()
