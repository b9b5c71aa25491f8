"""TCP and TLS on the event loop: every step has a limit and can be cancelled.

Sockets are non-blocking; whoever needs one waits until the loop says that it is ready. asyncio's own
transports are not used, because paho wants a socket, TLS-PSK wants a real `SSLSocket`, and closing one is
final at once. Only names are looked up in a thread of the loop's executor: a resolver that hangs keeps that
thread, not the caller, until it gives up.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import ipaddress
import os
import socket
import ssl
from collections.abc import AsyncGenerator, Callable
from functools import partial
from typing import Any, Final, TypeVar

from qiot.cloud.tls import client_context
from qiot.errors import CloudError
from qiot.hal.contract import Tls
from qiot.model import Reason

__all__ = ["at_most", "connect", "receive", "send"]

_CHUNK: Final = 16384
_ResultT = TypeVar("_ResultT")


@contextlib.asynccontextmanager
async def at_most(deadline: float, reason: Reason, text: str) -> AsyncGenerator[None]:
    """Turn running past `deadline` (the loop's time) into a `CloudError` of `reason`."""
    try:
        async with asyncio.timeout_at(deadline):
            yield
    except TimeoutError:
        raise CloudError(text, reason=reason, code=errno.ETIMEDOUT) from None


async def connect(host: str, port: int, tls: Tls | None, deadline: float) -> socket.socket:
    """Resolve, connect and shake hands.

    Args:
        host: Name or address.
        port: TCP port.
        tls: How to secure it, or None for plain TCP.
        deadline: The loop's time by which everything has to be done.

    Returns:
        A non-blocking socket that the caller closes; an `ssl.SSLSocket` where `tls` is given.

    Raises:
        CloudError: DNS, TCP or TLS, with the system's number. Nothing is left open, as after a cancellation.
        ConfigurationError: A file that `tls` names cannot be used; nothing was sent.
        NotSupportedError: This Python has no TLS-PSK.
    """
    context = None if tls is None else client_context(tls)
    addresses = await _resolve(host, port, deadline)
    sock = await _connect_any(addresses, f"{host}:{port}", deadline)
    if context is None:
        return sock
    return await _shake_hands(sock, context, host, f"{host}:{port}", deadline)


async def receive(sock: socket.socket) -> bytes:
    """The next octets; empty at the end.

    Raises:
        OSError: The connection broke.
    """
    return await _when_ready(sock, lambda: sock.recv(_CHUNK))


async def send(sock: socket.socket, data: bytes) -> None:
    """Send all octets.

    Raises:
        OSError: The connection broke.
    """
    left = memoryview(data)
    while left:
        left = left[await _when_ready(sock, partial(sock.send, left), writes=True) :]


async def _resolve(host: str, port: int, deadline: float) -> list[tuple[Any, ...]]:
    with contextlib.suppress(ValueError):
        version = ipaddress.ip_address(host).version
        return [(socket.AF_INET6 if version == 6 else socket.AF_INET, (host, port))]  # noqa: PLR2004 - IPv6
    loop = asyncio.get_running_loop()
    async with at_most(deadline, Reason.DNS, f"{host} was not resolved in time"):
        try:
            found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (socket.gaierror, UnicodeError) as error:
            code = error.errno if isinstance(error, socket.gaierror) else None
            text = getattr(error, "strerror", None) or "not a host name"
            raise CloudError(f"{host}: {text}", reason=Reason.DNS, code=code) from None
    return [(family, address) for family, _, _, _, address in found]


async def _connect_any(addresses: list[tuple[Any, ...]], name: str, deadline: float) -> socket.socket:
    loop = asyncio.get_running_loop()
    refusal = CloudError(f"{name} has no address", reason=Reason.DNS)
    for index, (family, address) in enumerate(addresses):
        # A dead address (often IPv6) gets its share of the time only.
        share = (deadline - loop.time()) / (len(addresses) - index)
        sock: socket.socket | None = None
        try:
            async with at_most(
                loop.time() + share, Reason.TCP, f"{name} ({address[0]}) did not answer in time"
            ):
                sock = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                await loop.sock_connect(sock, address)
        except CloudError as error:
            refusal = error
        except OSError as error:
            text = f"{name} ({address[0]}): {os.strerror(error.errno) if error.errno else error}"
            refusal = CloudError(text, reason=Reason.TCP, code=error.errno)
        except BaseException:
            if sock is not None:
                sock.close()
            raise
        else:
            return sock
        if sock is not None:
            sock.close()
    raise refusal


async def _shake_hands(
    sock: socket.socket, context: ssl.SSLContext, host: str, name: str, deadline: float
) -> ssl.SSLSocket:
    try:
        secured = context.wrap_socket(sock, server_hostname=host, do_handshake_on_connect=False)
    except (OSError, ValueError) as error:
        sock.close()
        raise CloudError(f"{name}: {error}", reason=Reason.TLS) from None
    try:
        async with at_most(deadline, Reason.TLS, f"{name} did not finish the TLS handshake in time"):
            await _when_ready(secured, secured.do_handshake)
    except ssl.SSLCertVerificationError as error:
        secured.close()
        text = f"{name}: certificate not accepted: {error.verify_message}"
        raise CloudError(text, reason=Reason.TLS, code=error.verify_code) from None
    except OSError as error:
        secured.close()
        text = getattr(error, "reason", None) or error.strerror or type(error).__name__
        code = None if isinstance(error, ssl.SSLError) else error.errno
        raise CloudError(f"{name}: TLS handshake: {text}", reason=Reason.TLS, code=code) from None
    except BaseException:
        secured.close()
        raise
    return secured


async def _when_ready(
    sock: socket.socket, action: Callable[[], _ResultT], *, writes: bool = False
) -> _ResultT:
    """Try `action` until the socket no longer says that it would block."""
    while True:
        try:
            return action()
        except ssl.SSLWantReadError:
            await _ready(sock, write=False)
        except ssl.SSLWantWriteError:
            await _ready(sock, write=True)
        except (BlockingIOError, InterruptedError):
            await _ready(sock, write=writes)


async def _ready(sock: socket.socket, *, write: bool) -> None:
    loop = asyncio.get_running_loop()
    add, remove = (loop.add_writer, loop.remove_writer) if write else (loop.add_reader, loop.remove_reader)
    ready: asyncio.Future[None] = loop.create_future()
    descriptor = sock.fileno()
    add(descriptor, _wake, ready)
    try:
        await ready
    finally:
        remove(descriptor)


def _wake(ready: asyncio.Future[None]) -> None:
    if not ready.done():
        ready.set_result(None)
