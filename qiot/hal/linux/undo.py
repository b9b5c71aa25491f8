"""What has been changed on this system and must be put back, written down before it is changed.

A process that is killed leaves the list behind; `recover` of the next one works it off, the newest change
first. One process at a time may hold the list of an interface: the lock goes with the process, however it
ends.
"""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Final, TypeAlias

import attrs

from qiot.atomic_file import write_atomic
from qiot.errors import HalError, QiotError, StorageError
from qiot.finishing import finish
from qiot.log import get_logger

__all__ = ["Change", "Undo", "UndoLog"]

log = get_logger()

_LOCK_SUFFIX: Final = ".lock"


@attrs.frozen
class Change:
    """One change.

    Attributes:
        kind: Which `Undo` knows how to put it back.
        facts: What that needs to know; never a secret.
        number: Counts the changes of a list.
    """

    kind: str
    facts: Mapping[str, str] = attrs.field(hash=False)
    number: int = 0


Undo: TypeAlias = Callable[[Change], Awaitable[None]]
"""Puts a change back; nothing happens where it is not there any more, as after a reboot."""


class UndoLog:
    """The list of one interface.

    Args:
        path: The file; its folder is made with mode 0700 where it is missing.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._undos: dict[str, Undo] = {}
        self._changes: list[Change] | None = None
        self._lock: int | None = None
        self._turn = asyncio.Lock()

    def register(self, kind: str, undo: Undo) -> None:
        """Say how changes of a kind are put back."""
        self._undos[kind] = undo

    async def note(self, kind: str, **facts: str) -> Change:
        """Write down a change that comes next; it is on the disk when this returns.

        Raises:
            HalError: Another process works with this interface.
            StorageError: The list cannot be written; then the change must not be made.
        """
        if kind not in self._undos:
            raise ValueError(f"nobody knows how to undo {kind!r}")
        async with self._turn:
            changes = await self._open()
            number = max((each.number for each in changes), default=0) + 1
            change = Change(kind, facts, number)
            try:
                await self._write([*changes, change])
            except asyncio.CancelledError:
                await self._write([*changes])  # nobody learns its number, and it is not made
                raise
        return change

    async def forget(self, change: Change) -> None:
        """The change has been put back, or is meant to stay. Idempotent."""
        async with self._turn:
            changes = await self._open()
            if any(each.number == change.number for each in changes):
                await self._write([each for each in changes if each.number != change.number])

    async def recover(self) -> None:
        """Put back everything on the list, the newest first; what fails stays on it and is logged.

        Raises:
            HalError: Another process works with this interface.
            StorageError: The list cannot be read.
        """
        async with self._turn:
            left = [*await self._open()]
        for change in sorted(left, key=lambda each: -each.number):
            undo = self._undos.get(change.kind)
            if undo is None:
                log.warning(f"{self._path}: nobody here knows how to undo {change.kind!r}")
                continue
            log.info(f"undoing what an earlier run left: {change.kind} {dict(change.facts)}")
            try:
                await undo(change)
            except QiotError as error:
                log.warning(f"{change.kind} {dict(change.facts)} is still there: {error}")
            else:
                await self.forget(change)

    async def close(self) -> None:
        """Let another process have the interface. Idempotent."""
        async with self._turn:
            lock, self._lock, self._changes = self._lock, None, None
            if lock is not None:
                os.close(lock)

    async def _open(self) -> Sequence[Change]:
        if self._changes is None:
            self._changes = await asyncio.to_thread(self._lock_and_read)
        return self._changes

    async def _write(self, changes: list[Change]) -> None:
        content = json.dumps([attrs.asdict(each) for each in changes], indent=1).encode()
        try:
            await finish(self._replace(content, changes))
        except OSError as error:
            raise StorageError(
                f"{self._path} cannot be written: {error.strerror or error}", code=error.errno
            ) from None

    async def _replace(self, content: bytes, changes: list[Change]) -> None:
        """The list in memory is the list on the disk."""
        await asyncio.to_thread(write_atomic, self._path, content)
        self._changes = changes

    def _lock_and_read(self) -> list[Change]:
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            if self._lock is None:
                self._lock = _lock(self._path.with_name(self._path.name + _LOCK_SUFFIX))
            content = self._path.read_bytes()
        except FileNotFoundError:
            return []
        except OSError as error:
            raise StorageError(f"{self._path}: {error.strerror or error}", code=error.errno) from None
        try:
            return [
                Change(each["kind"], dict(each["facts"]), int(each["number"])) for each in json.loads(content)
            ]
        except (ValueError, TypeError, KeyError) as error:
            log.warning(f"{self._path} is damaged and starts anew: {error}")
            return []


def _lock(path: Path) -> int:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.read(descriptor, 20).decode(errors="replace").strip()
        os.close(descriptor)
        raise HalError(
            f"another qiot process{f' ({holder})' if holder else ''} works with this interface",
            hint="Stop it first, or choose another interface.",
        ) from None
    except OSError:
        os.close(descriptor)
        raise
    os.ftruncate(descriptor, 0)
    os.write(descriptor, str(os.getpid()).encode())
    return descriptor
