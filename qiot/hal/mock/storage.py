"""Storage of the mock: in memory, or the files that the linux platform writes too."""

from __future__ import annotations

from pathlib import Path

from qiot.hal.contract import Slot, Storage
from qiot.hal.linux.storage import FileStorage

__all__ = ["MemoryStorage", "make_storage"]


class MemoryStorage(Storage):
    """Slots that live as long as the platform."""

    def __init__(self) -> None:
        self._slots: dict[Slot, bytes] = {}

    async def load(self, slot: Slot) -> bytes | None:
        """What was saved."""
        return self._slots.get(slot)

    async def save(self, slot: Slot, data: bytes) -> None:
        """Keep a copy."""
        self._slots[slot] = bytes(data)

    async def erase(self, slot: Slot) -> None:
        """Forget it."""
        self._slots.pop(slot, None)


def make_storage(folder: Path | None) -> Storage:
    """Files in `folder`, or memory without one."""
    return MemoryStorage() if folder is None else FileStorage(folder)
