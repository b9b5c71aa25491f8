"""Whether this device has an owner, and what it has to know to be back at the cloud after a reboot."""

from __future__ import annotations

import json
from typing import Any

from qiot.device_info import DeviceInfo
from qiot.errors import NotSupportedError, StorageError
from qiot.hal.contract import Platform, Slot, Storage
from qiot.log import get_logger
from qiot.model import Grant, Secret

__all__ = ["Ownership", "storage_of"]

log = get_logger()


def storage_of(platform: Platform) -> Storage | None:
    """The platform's storage; None where it has none."""
    try:
        return platform.port(Storage)
    except NotSupportedError:
        return None


class Ownership:
    """The mark that a bind leaves in `Slot.BOUND`: of which identity, and where its cloud is.

    The mark holds endpoint and params of the grant that bound the device, never its value.

    Args:
        storage: Where the mark is; None where nothing survives.
    """

    def __init__(self, storage: Storage | None) -> None:
        self._storage = storage

    async def load(self, identity: DeviceInfo) -> Grant | None:
        """The grant that bound this very identity, without its value; None where it has no owner.

        A mark that cannot be read is a warning, and counts as none.
        """
        try:
            data = None if self._storage is None else await self._storage.load(Slot.BOUND)
            mark = None if data is None else json.loads(data)
        except (StorageError, ValueError, RecursionError) as error:
            log.warning(f"it is not known whether the device was bound: {error}")
            return None
        if not isinstance(mark, dict) or {**mark, **_names(identity)} != mark:
            return None
        endpoint, params = mark.get("endpoint"), mark.get("params")
        return Grant(
            cloud=identity.cloud.value,
            value=Secret(b""),
            endpoint=endpoint if isinstance(endpoint, str) else None,
            params=_texts(params) if isinstance(params, dict) else {},
        )

    async def save(self, identity: DeviceInfo, grant: Grant | None) -> None:
        """The device is bound; a mark that cannot be written is a warning."""
        mark: dict[str, Any] = dict(_names(identity))
        if grant is not None and grant.endpoint is not None:
            mark["endpoint"] = grant.endpoint
        if grant is not None and grant.params:
            mark["params"] = dict(grant.params)
        try:
            if self._storage is not None:
                await self._storage.save(Slot.BOUND, json.dumps(mark).encode())
        except StorageError as error:
            log.warning(f"bound, but the next start will not know it: {error}")

    async def erase(self) -> None:
        """The device has no owner any more. Idempotent.

        Raises:
            StorageError: The mark is still there.
        """
        if self._storage is not None:
            await self._storage.erase(Slot.BOUND)


def _names(identity: DeviceInfo) -> dict[str, str]:
    return {"product_id": identity.product_id, "device_name": identity.device_name}


def _texts(params: dict[str, Any]) -> dict[str, str]:
    return {name: value for name, value in params.items() if isinstance(value, str)}
