"""The folder of one machine: what it is given, what it writes, kept for whoever looks for a fault."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from lab.host.places import cache_folder

__all__ = ["run_folder"]

_KEPT_SECONDS = 24 * 3600.0


@contextlib.contextmanager
def run_folder(name: str) -> Iterator[Path]:
    """An empty folder in the cache; folders of runs that ended more than a day ago go away."""
    store = cache_folder() / "runs"
    store.mkdir(exist_ok=True)
    for old in store.iterdir():
        if time.time() - old.stat().st_mtime > _KEPT_SECONDS and not _in_use(old):
            shutil.rmtree(old, ignore_errors=True)
    folder = Path(tempfile.mkdtemp(dir=store, prefix=f"{time.strftime('%d-%H%M%S')}-{name}-"))
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield folder
    finally:
        os.close(descriptor)


def _in_use(folder: Path) -> bool:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False
