"""What survives a reboot."""

from __future__ import annotations

import abc
import enum

__all__ = ["Slot", "Storage"]


class Slot(enum.StrEnum):
    """A named place in storage."""

    IDENTITY = "identity"
    ERRORS = "errors"
    NETWORK = "network"
    BOUND = "bound"


class Storage(abc.ABC):
    """Named slots; a save is whole or did not happen, and only the owner can read it (0600)."""

    @abc.abstractmethod
    async def load(self, slot: Slot) -> bytes | None:
        """What was saved, or None.

        Raises:
            StorageError: It is there and cannot be read.
        """

    @abc.abstractmethod
    async def save(self, slot: Slot, data: bytes) -> None:
        """Replace the slot's content.

        Raises:
            StorageError: Not saved; the old content is untouched.
        """

    @abc.abstractmethod
    async def erase(self, slot: Slot) -> None:
        """Forget the slot. Idempotent."""
