"""What of the station survives a restart of the host's program: the settled network, and a try's way back."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import attrs

from qiot.atomic_file import write_atomic
from qiot.errors import StorageError
from qiot.log import get_logger
from qiot.model import SSID_MAX, Credentials, Secret

__all__ = ["Kept", "Record"]

log = get_logger()

T = TypeVar("T")


@attrs.frozen
class Record:
    """What is written down.

    Attributes:
        network: The settled network, or None.
        tried_from: Where the station was when a try began that has not ended: "network", "flash" for what the
            module's own flash keeps, "nowhere"; None where there is no try.
    """

    network: Credentials | None = None
    tried_from: str | None = None


class Kept:
    """One file that only its owner can read.

    Args:
        path: The file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    async def read(self) -> Record:
        """What was written; a damaged file counts as nothing and is logged."""
        return await self._in_thread(self._read)

    async def write(self, record: Record) -> None:
        """Replace it.

        Raises:
            StorageError: What was written before is untouched.
        """
        await self._in_thread(self._write, record)

    async def _in_thread(self, work: Callable[..., T], *arguments: object) -> T:
        try:
            return await asyncio.to_thread(work, *arguments)
        except OSError as error:
            raise StorageError(
                f"{self._path}: {error.strerror}", code=error.errno, hint="Choose another folder: state=DIR."
            ) from None

    def _read(self) -> Record:
        try:
            fields = json.loads(self._path.read_bytes())
            network, tried_from = fields["network"], fields["tried_from"]
            if network is None:
                return Record(None, tried_from)
            ssid, password = (bytes.fromhex(network[name]) for name in ("ssid", "password"))
            return Record(Credentials(ssid[:SSID_MAX], Secret(password)), tried_from)
        except FileNotFoundError:
            return Record()
        except (ValueError, TypeError, KeyError):
            log.warning(f"{self._path} is damaged: the network in it is forgotten")
            return Record()

    def _write(self, record: Record) -> None:
        network = record.network
        fields = {
            "network": None
            if network is None
            else {"ssid": (network.ssid or b"").hex(), "password": network.password.reveal().hex()},
            "tried_from": record.tried_from,
        }
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_atomic(self._path, json.dumps(fields).encode())
