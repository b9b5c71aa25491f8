"""Slots as files: each holds its slot's octets and nothing else, so the error log is the C SDK's image."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from qiot.atomic_file import remove_leftovers, sync_folder, write_atomic
from qiot.errors import StorageError
from qiot.finishing import finish
from qiot.hal.contract import Slot, Storage

__all__ = ["FileStorage", "default_folder"]

T = TypeVar("T")


def default_folder() -> Path:
    """/var/lib/qiot for root, else qiot in $XDG_STATE_HOME, which is ~/.local/state where it is not set.

    An $XDG_STATE_HOME that is not absolute counts as not set (XDG Base Directory Specification).
    """
    if os.geteuid() == 0:
        return Path("/var/lib/qiot")
    state = Path(os.environ.get("XDG_STATE_HOME", ""))
    if not state.is_absolute():
        state = Path.home() / ".local" / "state"
    return state / "qiot"


class FileStorage(Storage):
    """Slots in a folder, which the first save creates with mode 0700.

    Args:
        folder: Where the files are.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._turn = asyncio.Lock()

    async def load(self, slot: Slot) -> bytes | None:
        """What was saved."""
        return await self._in_thread(self._load, slot)

    async def save(self, slot: Slot, data: bytes) -> None:
        """Replace the slot's file. A cancellation waits for the disk: the save is whole or did not happen."""
        await self._in_thread(self._save, slot, data)

    async def erase(self, slot: Slot) -> None:
        """Remove the slot's file, and what killed saves left of it."""
        await self._in_thread(self._erase, slot)

    async def clean_up(self) -> None:
        """Remove what killed saves left behind."""
        for slot in Slot:
            await self._in_thread(remove_leftovers, self._path(slot))

    async def _in_thread(self, work: Callable[..., T], *arguments: object) -> T:
        async with self._turn:
            # A thread cannot be cancelled. Left alone, it could rename an older save over a newer one.
            return await finish(asyncio.to_thread(work, *arguments))

    def _path(self, slot: Slot) -> Path:
        return self._folder / slot.value

    def _load(self, slot: Slot) -> bytes | None:
        path = self._path(slot)
        try:
            return path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise _failed(f"{path} cannot be read", error) from None

    def _save(self, slot: Slot, data: bytes) -> None:
        path = self._path(slot)
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            write_atomic(path, data)
        except OSError as error:
            raise _failed(f"{path} cannot be written", error) from None

    def _erase(self, slot: Slot) -> None:
        path = self._path(slot)
        try:
            remove_leftovers(path)
            path.unlink()
            sync_folder(self._folder)
        except FileNotFoundError:
            return
        except OSError as error:
            raise _failed(f"{path} cannot be removed", error) from None


def _failed(what: str, error: OSError) -> StorageError:
    return StorageError(f"{what}: {error.strerror or error}", code=error.errno)
