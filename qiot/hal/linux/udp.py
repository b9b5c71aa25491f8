"""UDP on the host's sockets, IPv4.

No SO_REUSEADDR and no SO_REUSEPORT: with either of them a second program would take the port over in silence.
The receive queue is bounded, and what the kernel had to drop before it is counted too.
"""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import struct
from collections import deque
from collections.abc import Sequence
from typing import Final

from qiot.errors import MediumError
from qiot.hal.contract import Datagram, Endpoint, Udp
from qiot.model import Reason

__all__ = ["QUEUE_MAX", "SocketUdp"]

QUEUE_MAX: Final = 256
"""Datagrams that wait to be read; further ones are dropped and counted."""

_DATAGRAM_MAX: Final = 65535
_BATCH: Final = 64
_PORT_MAX: Final = 65535
_SO_RXQ_OVFL: Final = 40  # Linux, asm-generic/socket.h; the socket module has no name for it
_COUNTER: Final = struct.Struct("=I")

_PASSING: Final = frozenset(
    {
        errno.ECONNREFUSED,
        errno.EHOSTUNREACH,
        errno.ENETUNREACH,
        errno.EHOSTDOWN,
        errno.ENETDOWN,
        errno.ENONET,
        errno.EPROTO,
        errno.ENOPROTOOPT,
        errno.EOPNOTSUPP,
        errno.EMSGSIZE,
        errno.EINTR,
        errno.ENOBUFS,
        errno.ENOMEM,
    }
)
"""What a receive reports of a datagram sent earlier (ip(7), udp(7)), or what passes: the socket is good."""


class SocketUdp(Udp):
    """The host's UDP sockets."""

    def __init__(self) -> None:
        self._endpoints: set[_SocketEndpoint] = set()
        self._closed = False

    async def open(
        self,
        host: str,
        port: int,
        *,
        interface: str | None = None,
        broadcast: bool = False,
        groups: Sequence[str] = (),
    ) -> Endpoint:
        """Bind a socket; `host` and `groups` are IPv4 addresses, names are not looked up."""
        if self._closed:
            raise MediumError("UDP: the platform is closed")
        where = f"{host}:{port}"
        _check_address(host, port, "listen on")
        try:
            opened = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        except OSError as error:
            raise _refused(f"no socket for UDP {where}", error) from None
        try:
            if broadcast:
                opened.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
            opened.setsockopt(socket.SOL_SOCKET, _SO_RXQ_OVFL, 1)
            if interface is not None:
                _bind_to_interface(opened, interface)
            _bind(opened, host, port)
            for group in groups:
                _join_group(opened, group, host, interface)
            return _SocketEndpoint(opened, self._endpoints)
        except OSError as error:
            opened.close()
            raise _refused(f"UDP {where}", error) from None
        except BaseException:
            opened.close()
            raise

    async def close(self) -> None:
        """Close every endpoint, and open no more. Idempotent."""
        self._closed = True
        for endpoint in tuple(self._endpoints):
            await endpoint.close()


class _SocketEndpoint(Endpoint):
    """One bound socket, read by the running loop as soon as something is there."""

    def __init__(self, bound: socket.socket, register: set[_SocketEndpoint]) -> None:
        self._socket = bound
        self._local: tuple[str, int] = bound.getsockname()[:2]
        self._loop = asyncio.get_running_loop()
        self._inbox: deque[Datagram] = deque()
        self._arrived = asyncio.Event()
        self._writable: asyncio.Future[None] | None = None
        self._sending = asyncio.Lock()
        self._dropped_here = 0
        self._dropped_by_kernel = 0
        self._gone: MediumError | None = None
        self._register = register
        self._loop.add_reader(bound, self._drain)
        register.add(self)

    @property
    def local(self) -> tuple[str, int]:
        """Where it is bound, also after `close`."""
        return self._local

    @property
    def dropped(self) -> int:
        """Dropped because the queue was full, here or in the kernel (which tells with the next datagram)."""
        return self._dropped_here + self._dropped_by_kernel

    async def receive(self) -> Datagram:
        """The next datagram, oldest first."""
        while not self._inbox:
            if self._gone is not None:
                raise _again(self._gone)
            self._arrived.clear()
            await self._arrived.wait()
        return self._inbox.popleft()

    async def send(self, data: bytes, host: str, port: int) -> None:
        """Send one datagram; waits where the system has no room for it."""
        _check_address(host, port, "send to")
        async with self._sending:
            while True:
                if self._gone is not None:
                    raise _again(self._gone)
                try:
                    self._socket.sendto(data, (host, port))
                except BlockingIOError:
                    await self._wait_writable()
                except OSError as error:
                    raise _refused(f"UDP to {host}:{port}, {len(data)} octets", error) from None
                else:
                    return

    async def close(self) -> None:
        """Close, and wake who waits."""
        self._end(MediumError(f"UDP {self._local[0]}:{self._local[1]} is closed"))
        self._inbox.clear()

    def _end(self, why: MediumError) -> None:
        if self._gone is None:
            self._gone = why
            self._loop.remove_reader(self._socket)
            self._loop.remove_writer(self._socket)
            self._socket.close()
            self._register.discard(self)
            self._arrived.set()
            if self._writable is not None and not self._writable.done():
                self._writable.set_result(None)

    async def _wait_writable(self) -> None:
        descriptor = self._socket.fileno()
        self._writable = self._loop.create_future()
        self._loop.add_writer(descriptor, _set_done, self._writable)
        try:
            await self._writable
        finally:
            if self._gone is None:
                self._loop.remove_writer(descriptor)
            self._writable = None

    def _drain(self) -> None:
        for _ in range(_BATCH):
            try:
                data, notes, _, sender = self._socket.recvmsg(_DATAGRAM_MAX, socket.CMSG_SPACE(_COUNTER.size))
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno in _PASSING:
                    continue
                self._end(_refused(f"UDP {self._local[0]}:{self._local[1]}", error))
                return
            for level, kind, value in notes:
                if (level, kind) == (socket.SOL_SOCKET, _SO_RXQ_OVFL):
                    (self._dropped_by_kernel,) = _COUNTER.unpack(value)
            if len(self._inbox) < QUEUE_MAX:
                self._inbox.append(Datagram(data=data, host=sender[0], port=sender[1]))
                self._arrived.set()
            else:
                self._dropped_here += 1


def _set_done(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


def _again(error: MediumError) -> MediumError:
    """A fresh error with the same content: one exception object must not collect several tracebacks."""
    return MediumError(str(error), reason=error.reason, code=error.code, hint=error.hint)


def _check_address(host: str, port: int, purpose: str) -> None:
    try:
        socket.inet_pton(socket.AF_INET, host)
    except (OSError, ValueError):
        raise MediumError(
            f"UDP cannot {purpose} {host!r}: no IPv4 address",
            code=errno.EINVAL,
            hint="Give it as 192.168.4.1.",
        ) from None
    if not 0 <= port <= _PORT_MAX:
        raise MediumError(
            f"UDP cannot {purpose} port {port}", code=errno.EINVAL, hint=f"Ports go from 0 to {_PORT_MAX}."
        )


def _bind(bound: socket.socket, host: str, port: int) -> None:
    try:
        bound.bind((host, port))
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise MediumError(
                f"UDP port {port} on {host} is in use",
                reason=Reason.PORT_BUSY,
                code=error.errno,
                hint=f"Stop the other program (`ss -lunp sport = :{port}` shows it) or choose another port.",
            ) from None
        if error.errno == errno.EADDRNOTAVAIL:
            raise MediumError(
                f"UDP {host}:{port}: no interface has the address {host}",
                code=error.errno,
                hint="Give the interface this address first, or use 0.0.0.0.",
            ) from None
        raise _refused(
            f"UDP {host}:{port}", error, hint="Ports below 1024 need CAP_NET_BIND_SERVICE."
        ) from None


def _bind_to_interface(bound: socket.socket, interface: str) -> None:
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, interface.encode() + b"\0")
    except OSError as error:
        hint = "Binding to an interface needs CAP_NET_RAW." if error.errno == errno.EPERM else ""
        raise _refused(f"UDP on the interface {interface!r}", error, hint=hint) from None


def _join_group(bound: socket.socket, group: str, host: str, interface: str | None) -> None:
    _check_address(group, 0, "join")
    try:
        index = 0 if interface is None else socket.if_nametoindex(interface)
        # struct ip_mreqn (ip(7)): group, local address, interface index.
        request = struct.pack("4s4si", socket.inet_aton(group), socket.inet_aton(host), index)
        bound.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, request)
        bound.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, request)
    except OSError as error:
        raise _refused(f"UDP multicast group {group}", error) from None


def _refused(what: str, error: OSError, *, hint: str = "") -> MediumError:
    denied = error.errno in {errno.EPERM, errno.EACCES}
    return MediumError(
        f"{what}: {os.strerror(error.errno) if error.errno else error}",
        reason=Reason.NO_PERMISSION if denied else Reason.MEDIUM,
        code=error.errno,
        hint=hint if denied else "",
    )
