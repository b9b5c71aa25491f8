"""At most so many virtual machines at a time on one computer, over everybody's runs of the lab."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import tempfile
from collections.abc import AsyncIterator, Callable
from pathlib import Path

__all__ = ["slot"]

_POLL = 0.5


@contextlib.asynccontextmanager
async def slot(count: int, say: Callable[[str], None], folder: Path | None = None) -> AsyncIterator[int]:
    """Wait for one of `count` places and hold it.

    The place is a lock on a file in /tmp, so it is free again however its holder died. The yielded descriptor
    may be inherited by the virtual machine, which then keeps the place as long as it lives.

    Args:
        count: how many virtual machines this computer runs at a time, 1 or more.
        say: told once, when all places are taken.
        folder: where the lock files are; the system's folder for temporary files when None.
    """
    folder = folder or Path(tempfile.gettempdir())
    descriptor = _take(folder, count)
    if descriptor is None:
        say(f"waiting: all {count} places for virtual machines on this computer are taken")
    while descriptor is None:
        await asyncio.sleep(_POLL)
        descriptor = _take(folder, count)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _take(folder: Path, count: int) -> int | None:
    for number in range(count):
        descriptor = _open(folder / f"qiot-lab-vm-{number}.lock")
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
        else:
            return descriptor
    return None


def _open(path: Path) -> int:
    """Open without O_CREAT first: in a sticky folder that is refused for a file of another user."""
    flags = os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW
    try:
        return os.open(path, flags)
    except FileNotFoundError:
        descriptor = os.open(path, flags | os.O_CREAT, 0o666)
        with contextlib.suppress(PermissionError):
            os.fchmod(descriptor, 0o666)  # the umask must not keep other users out
        return descriptor
