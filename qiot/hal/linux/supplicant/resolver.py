"""Who keeps this host's list of DNS servers, and the way back to it."""

from __future__ import annotations

import asyncio
import contextlib
import os
from pathlib import Path
from typing import Final

from qiot.atomic_file import write_atomic
from qiot.errors import NotSupportedError
from qiot.hal.linux.programs import find_program
from qiot.log import get_logger

__all__ = ["keeper", "read", "restore"]

log = get_logger()

_FILE: Final = Path("/etc/resolv.conf")
_RESOLVED: Final = Path("/run/systemd/resolve")
_MODE: Final = 0o644
_LIMIT: Final = 10.0


def keeper() -> str:
    """How to give it servers: "resolvectl", "resolvconf", "file", or "nobody" where it must be left alone."""
    target = Path(os.path.realpath(_FILE))
    if _RESOLVED in target.parents:
        return "resolvectl" if _is_there("resolvectl") else "nobody"
    if _is_there("resolvconf"):
        return "resolvconf"
    # A link leads to a program's own file.
    return "nobody" if _FILE.is_symlink() else "file"


def read() -> str | None:
    """The file as it is, for `restore`; None where there is none."""
    try:
        return _FILE.read_bytes().decode(errors="surrogateescape")
    except OSError:
        return None


async def restore(how: str, interface: str, content: str | None) -> None:
    """Take back what was told for an interface.

    Args:
        how: What `keeper` gave.
        interface: The interface.
        content: What `read` gave.
    """
    match how:
        case "resolvconf":
            await _run("resolvconf", "-d", f"{interface}.qiot")
        case "resolvectl":
            await _run("resolvectl", "revert", interface)
        case "file":
            await asyncio.to_thread(_write, content)
        case _:
            pass


def _write(content: str | None) -> None:
    try:
        if content is None:
            _FILE.unlink(missing_ok=True)
        elif content != read():
            write_atomic(_FILE, content.encode(errors="surrogateescape"), _MODE)
    except OSError as error:
        # A mounted file can be written, but not replaced.
        with contextlib.suppress(OSError):
            _FILE.write_bytes((content or "").encode(errors="surrogateescape"))
            return
        log.warning(f"{_FILE} keeps the DNS servers of a network that was left: {error.strerror}")


def _is_there(program: str) -> bool:
    try:
        find_program(program)
    except NotSupportedError:
        return False
    return True


async def _run(*command: str) -> None:
    with contextlib.suppress(OSError, TimeoutError):
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
        )
        try:
            async with asyncio.timeout(_LIMIT):
                await process.wait()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
