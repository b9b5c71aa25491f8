"""At most so many virtual machines at a time on one computer, over everybody's runs of the lab, in turn."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

from lab.host.trouble import CannotRunError

__all__ = ["machine_count", "slot"]

_POLL = 0.5
_VARIABLE = "QIOT_LAB_MACHINES"
_PREFIX = "qiot-lab-"


def machine_count() -> int:
    """How many machines this computer runs at a time: QIOT_LAB_MACHINES, or its cores.

    Raises:
        CannotRunError: the variable is no number from 1.
    """
    text = os.environ.get(_VARIABLE)
    if text is None:
        return len(os.sched_getaffinity(0))
    if not text.isdecimal() or int(text) < 1:
        raise CannotRunError(f"{_VARIABLE} is {text!r}; it must be a number from 1.")
    return int(text)


@contextlib.asynccontextmanager
async def slot(count: int, say: Callable[[str], None], folder: Path | None = None) -> AsyncIterator[int]:
    """Wait for one of `count` places and hold it.

    A place is a lock on a file in /tmp, so it is free again however its holder died. The yielded descriptor
    may be inherited by the virtual machine, which then keeps the place as long as it lives. Whoever waits
    holds a ticket, a locked file too, and the oldest ticket goes first; but nobody waits for who may not take
    a place anyway, because there are too many machines for him.

    Args:
        count: how many virtual machines this computer runs at a time, 1 or more.
        say: told once, when one has to wait.
        folder: where the lock files are; the system's folder for temporary files when None.
    """
    folder = folder or Path(tempfile.gettempdir())
    with _ticket(folder, count) as own:
        descriptor = _take(folder, count, own)
        if descriptor is None:
            before = len(_older(folder, own))
            say(f"waiting: {count} virtual machines run on this computer, and {before} wait before this one")
        while descriptor is None:
            await asyncio.sleep(_POLL)
            descriptor = _take(folder, count, own)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _ticket(folder: Path, count: int) -> Iterator[Path]:
    now = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
    path = folder / f"{_PREFIX}wait-{now:020d}-{os.getpid()}-{count}"
    descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_CREAT | os.O_EXCL, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield path
    finally:
        path.unlink(missing_ok=True)
        os.close(descriptor)


def _older(folder: Path, own: Path) -> list[Path]:
    """The tickets before `own` whose holders live; the others are thrown away where that is allowed."""
    found = []
    for path in sorted(folder.glob(f"{_PREFIX}wait-*")):
        if path.name >= own.name:
            break
        with contextlib.suppress(FileNotFoundError):
            if _locked(path):
                found.append(path)
            else:
                with contextlib.suppress(PermissionError):
                    path.unlink()
    return found


def _locked(path: Path) -> bool:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def _take(folder: Path, count: int, own: Path) -> int | None:
    others = max((int(path.name.rpartition("-")[2]) for path in _older(folder, own)), default=0)
    for number in range(others, count):
        descriptor = _open(folder / f"{_PREFIX}vm-{number}.lock")
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
