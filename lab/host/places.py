"""Where the lab keeps things: the checkout it belongs to and the cache that all checkouts share."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from lab.host.trouble import CannotRunError

__all__ = ["CHECKOUT", "cache_folder", "locked", "require_visible"]

CHECKOUT = Path(__file__).resolve().parent.parent.parent

# The guest mounts file systems of its own over these, so nothing of the host's is seen there.
_HIDDEN = ("/run", "/var/run", "/dev", "/proc", "/sys", "/out")


def cache_folder() -> Path:
    """The cache: QIOT_LAB_CACHE, or qiot-lab in the user's cache folder. Created when missing."""
    chosen = os.environ.get("QIOT_LAB_CACHE")
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    folder = Path(chosen) if chosen else Path(base).expanduser() / "qiot-lab"
    folder = folder.absolute()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CannotRunError(f"The cache {folder} cannot be made ({error}). Set QIOT_LAB_CACHE.") from error
    require_visible(folder, "the cache (QIOT_LAB_CACHE)")
    return folder


def require_visible(path: Path, what: str) -> None:
    """Refuse a path that the guest, which shares the root file system, would not see.

    Raises:
        CannotRunError: `path` lies where the guest mounts a file system of its own.
    """
    real = path.resolve()
    for hidden in _HIDDEN:
        if real.is_relative_to(hidden):
            raise CannotRunError(
                f"{real}: {what} lies under {hidden}, which the guest does not share. Move it."
            )


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock file `path`: two runs must not fill the same part of the cache at once."""
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
