"""The network to join after a reboot, where wpa_supplicant does not store it."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

from qiot.atomic_file import write_atomic
from qiot.errors import StorageError
from qiot.hal.linux.backends import Target
from qiot.log import get_logger
from qiot.model import SSID_MAX, Secret, Security

__all__ = ["Kept"]

log = get_logger()


class Kept:
    """One network in a file that only its owner can read.

    Args:
        path: The file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    async def read(self) -> Target | None:
        """The network, or None; a damaged file counts as none and is logged."""
        return await asyncio.to_thread(self._read)

    async def write(self, target: Target) -> None:
        """Store it in place of the one before, without what held for the try only.

        Raises:
            StorageError: The one before is still stored.
        """
        content = {
            "ssid": target.ssid.hex(),
            "password": target.password.reveal().hex(),
            "security": target.security.value,
            "hidden": target.hidden,
        }
        try:
            await asyncio.to_thread(self._write, json.dumps(content).encode())
        except OSError as error:
            raise self._failed(error) from None

    async def forget(self) -> None:
        """Store none. Idempotent.

        Raises:
            StorageError: It is still stored.
        """
        try:
            await asyncio.to_thread(self._path.unlink, missing_ok=True)
        except OSError as error:
            raise self._failed(error) from None

    def _write(self, content: bytes) -> None:
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_atomic(self._path, content, 0o600)

    def _read(self) -> Target | None:
        try:
            content = json.loads(self._path.read_bytes())
            ssid, password = bytes.fromhex(content["ssid"]), bytes.fromhex(content["password"])
            security, hidden = Security(content["security"]), content["hidden"] is True
        except FileNotFoundError:
            return None
        except OSError as error:
            raise self._failed(error) from None
        except (ValueError, TypeError, KeyError):
            log.warning(f"{self._path} is damaged: no network is kept")
            return None
        if not 1 <= len(ssid) <= SSID_MAX:
            return None
        return Target(ssid=ssid, password=Secret(password), security=security, hidden=hidden)

    def _failed(self, error: OSError) -> StorageError:
        return StorageError(f"{self._path}: {error.strerror or error}", code=error.errno)
