"""Replacing a file as a whole: after a kill or a power cut, the old content is there or the new one."""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
from pathlib import Path

__all__ = ["remove_leftovers", "sync_folder", "write_atomic"]


def write_atomic(path: Path, data: bytes, mode: int = 0o600) -> None:
    """Replace the content of `path`: temporary file beside it, fsync, rename, fsync of the folder.

    It blocks: call it in a thread where a loop runs. A symbolic link is followed, so that the link stays one.
    What killed writers left behind is removed; another writer at work at the same time is not disturbed, and
    the last rename wins.

    Args:
        path: The file; its folder exists.
        data: The new content.
        mode: Permission bits that the file gets, whatever the umask.

    Raises:
        OSError: Not replaced, and the temporary file is gone. (Where the fsync of the folder itself fails,
            the new content is in place, but may not survive a power cut.)
    """
    path = Path(os.path.realpath(path))
    remove_leftovers(path)
    descriptor, temporary = _create_locked(path)
    try:
        try:
            os.fchmod(descriptor, mode)
            _write_all(descriptor, data)
            os.fsync(descriptor)
            temporary.replace(path)
        except BaseException:
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)
            raise
    finally:
        os.close(descriptor)
    sync_folder(path.parent)


def remove_leftovers(path: Path) -> None:
    """Remove temporary files of `path` whose writer is gone; what cannot be removed stays."""
    path = Path(os.path.realpath(path))
    for leftover in path.parent.glob(f".{_glob_escaped(path.name)}.*.tmp"):
        with contextlib.suppress(OSError):
            descriptor = os.open(leftover, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
            try:
                # A living writer holds the lock; the system takes it from a killed one.
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                leftover.unlink()
            finally:
                os.close(descriptor)


def sync_folder(folder: Path) -> None:
    """Make renames and removals in `folder` last.

    Raises:
        OSError: They may not survive a power cut.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _create_locked(path: Path) -> tuple[int, Path]:
    while True:
        temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}.tmp")
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            # In the moment before the lock, another writer's clean-up took it for a leftover.
            os.close(descriptor)
            continue
        except OSError:
            return descriptor, temporary  # No locks on this file system: then no clean-up can take it either.
        if os.fstat(descriptor).st_nlink:
            return descriptor, temporary
        os.close(descriptor)


def _write_all(descriptor: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def _glob_escaped(name: str) -> str:
    return "".join(f"[{char}]" if char in "*?[" else char for char in name)
