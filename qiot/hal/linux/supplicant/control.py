"""The control interface of wpa_supplicant and hostapd: datagrams over a Unix socket (their wpa_ctrl.c).

A request has one answer. What happens by itself is told to those who have sent ATTACH; that is done from a
socket of its own, so that no answer is taken for news.

Our ends have abstract names that the kernel chooses (unix(7), autobind): they leave no file behind, however
this process ends. They are connected, so that nobody else can send to them.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

from qiot.errors import HalError, MediumError
from qiot.hal.linux.supplicant.events import Event, read_event
from qiot.model import Reason

__all__ = ["Control", "News"]

_ANSWER_MAX: Final = 65536
_LIMIT: Final = 10.0
"""Seconds for an answer; a busy daemon takes one or two, as while a driver is reconfigured."""
_ALIVE: Final = 2.0
"""Seconds of silence after which a daemon is asked whether it is there: a killed one says nothing."""
_GONE: Final = frozenset({errno.ENOENT, errno.ECONNREFUSED, errno.ENOTCONN, errno.ECONNRESET, errno.EPIPE})
_OK: Final = b"OK"


class Control:
    """Requests to the daemon behind one socket; it is opened when it is needed.

    Args:
        path: The daemon's socket.
        name: What it is called in messages.
    """

    def __init__(self, path: Path, name: str = "wpa_supplicant") -> None:
        self.path = path
        self.name = name
        self._socket: socket.socket | None = None
        self._turn = asyncio.Lock()

    async def ask(self, command: str) -> str:
        """Send a request; gives its answer without the last line end.

        Args:
            command: One line, never logged.

        Raises:
            HalError: The daemon is gone, does not answer, or we may not ask it (NO_PERMISSION).
        """
        if "\n" in command or "\0" in command:
            raise ValueError("a request is one line")
        async with self._turn:
            try:
                async with asyncio.timeout(_LIMIT):
                    return (await self._exchange(command.encode())).decode(errors="replace").rstrip("\n")
            except TimeoutError:
                raise MediumError(
                    f"{self.name} did not answer within {_LIMIT:g} s", reason=Reason.TIMEOUT
                ) from None
            except OSError as error:
                raise self._refused(error) from None

    async def do(self, command: str, what: str) -> None:
        """Send a request whose answer is OK.

        Args:
            command: One line.
            what: What it is, for the error; without secrets.

        Raises:
            HalError: The daemon refuses, or as `ask`.
        """
        answer = await self.ask(command)
        if answer.encode() != _OK:
            raise HalError(f"{self.name} refuses {what}: {answer[:60]}")

    async def fields(self, command: str) -> dict[str, str]:
        """Send a request whose answer is lines of name=value."""
        lines = (await self.ask(command)).splitlines()
        return dict(line.split("=", 1) for line in lines if "=" in line)

    async def alive(self) -> bool:
        """True where somebody answers.

        Raises:
            HalError: NO_PERMISSION.
        """
        try:
            return await self.ask("PING") == "PONG"
        except MediumError as error:
            if error.reason is Reason.NO_PERMISSION:
                raise
            return False

    @contextlib.asynccontextmanager
    async def attached(self) -> AsyncIterator[News]:
        """Hear what happens from now on."""
        news = await self._attach()
        try:
            yield news
        finally:
            news.close()

    def close(self) -> None:
        """Close the socket. Idempotent; the next request opens it again."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    async def _attach(self) -> News:
        end: socket.socket | None = None
        try:
            async with asyncio.timeout(_LIMIT):
                end = _connect(self.path)
                end.send(b"ATTACH")
                answer, early = await _answer_and_news(end)
        except BaseException as error:
            if end is not None:
                end.close()
            if isinstance(error, TimeoutError):
                raise MediumError(f"{self.name} did not answer", reason=Reason.TIMEOUT) from None
            if isinstance(error, OSError):
                raise self._refused(error) from None
            raise
        if answer != _OK:
            end.close()
            raise HalError(f"{self.name} does not tell what happens: {answer[:40]!r}")
        return News(self, end, early)

    async def _exchange(self, command: bytes) -> bytes:
        loop = asyncio.get_running_loop()
        again = self._socket is not None
        try:
            if self._socket is None:
                self._socket = _connect(self.path)
            try:
                self._socket.send(command)
            except OSError as error:
                if not again or error.errno not in _GONE:
                    raise
                self.close()  # the daemon has been started anew since the last request
                self._socket = _connect(self.path)
                self._socket.send(command)
            answer = await loop.sock_recv(self._socket, _ANSWER_MAX)
        except BaseException:
            self.close()  # a late answer must not be taken for the next one's
            raise
        return answer

    def _refused(self, error: OSError) -> MediumError:
        if error.errno in {errno.EACCES, errno.EPERM}:
            return MediumError(
                f"{self.name} may not be asked by this user: {self.path}",
                reason=Reason.NO_PERMISSION,
                code=error.errno,
                hint="Run as root, or as a member of the group that owns the socket (ctrl_interface_group).",
            )
        if error.errno in _GONE:
            return MediumError(
                f"{self.name} has ended",
                code=error.errno,
                hint=f"Look at its log; {self.path} was its socket.",
            )
        return MediumError(f"{self.name}: {error.strerror or error}", code=error.errno)


class News:
    """What a daemon tells by itself."""

    def __init__(self, control: Control, end: socket.socket, early: list[bytes]) -> None:
        self._control = control
        self._end = end
        self._early = early

    async def next(self) -> Event:
        """The next event.

        Raises:
            MediumError: The daemon is gone.
        """
        loop = asyncio.get_running_loop()
        if self._early:
            return read_event(self._early.pop(0))
        while True:
            try:
                async with asyncio.timeout(_ALIVE):
                    told = await loop.sock_recv(self._end, _ANSWER_MAX)
                if told.startswith(b"<"):  # else the answer to our PING
                    return read_event(told)
            except TimeoutError:
                self._ask_whether_alive()
            except OSError as error:
                raise MediumError(f"{self._control.name} has ended", code=error.errno) from None

    def close(self) -> None:
        """Hear no more. Idempotent."""
        with contextlib.suppress(OSError):  # the daemon is gone, or does not read: it drops us by itself
            self._end.send(b"DETACH")
        self._end.close()

    def _ask_whether_alive(self) -> None:
        # A daemon started anew does not know us: our end stays connected to the old one.
        try:
            self._end.send(b"PING")
        except OSError as error:
            raise MediumError(
                f"{self._control.name} has ended",
                code=error.errno,
                hint="It was stopped or started anew meanwhile; try again.",
            ) from None


async def _answer_and_news(end: socket.socket) -> tuple[bytes, list[bytes]]:
    """The answer to ATTACH, and what was told before it."""
    early: list[bytes] = []
    while (data := await asyncio.get_running_loop().sock_recv(end, _ANSWER_MAX)).startswith(b"<"):
        early.append(data)
    return data.strip(), early


def _connect(path: Path) -> socket.socket:
    end = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
    try:
        end.bind("")
        end.connect(os.fspath(path))
    except BaseException:
        end.close()
        raise
    return end
