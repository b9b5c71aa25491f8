"""A central's notifications of one characteristic, through the socket that BlueZ has the other end of."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable, Iterator

from qiot.errors import MediumError

__all__ = ["Notifier"]


class Notifier:
    """Our end of a socket for packets: each packet is one notification, and a full socket makes us wait.

    Args:
        on_end: Called when BlueZ closes its end: nobody listens any more.
    """

    def __init__(self, on_end: Callable[[], None]) -> None:
        self._ours, self._theirs = socket.socketpair(
            socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC
        )
        self._on_end = on_end
        self._closed = False
        asyncio.get_running_loop().add_reader(self._ours, self._readable)

    @contextlib.contextmanager
    def theirs(self) -> Iterator[int]:
        """The descriptor for BlueZ; our copy of it is closed at the end of the block."""
        try:
            yield self._theirs.fileno()
        finally:
            self._theirs.close()

    async def send(self, data: bytes) -> None:
        """One notification; waits for room.

        Raises:
            MediumError: Nobody listens any more.
        """
        try:
            await asyncio.get_running_loop().sock_sendall(self._ours, data)
        except OSError as error:
            raise MediumError(f"nobody listens any more: {error.strerror}", code=error.errno) from None

    def close(self) -> None:
        """End it. Idempotent; `on_end` is not called."""
        if not self._closed:
            self._closed = True
            asyncio.get_running_loop().remove_reader(self._ours)
            self._ours.close()
            self._theirs.close()

    def _readable(self) -> None:
        try:
            if self._ours.recv(1):  # BlueZ has nothing to say here
                return
        except BlockingIOError:
            return
        except OSError:
            pass
        self.close()
        self._on_end()
