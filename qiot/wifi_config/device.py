"""This device as phones may know it: identity, owner, version, and the methods' own options."""

from __future__ import annotations

from collections.abc import Mapping

from qiot.cloud.binder import Binder
from qiot.device_info import DeviceInfo
from qiot.hal.contract import ListenContext
from qiot.model import CloudLink, Grant, Secret
from qiot.wifi_config.ownership import Ownership

__all__ = ["Device"]


class Device:
    """What listeners may say of this device, and who owns it.

    Args:
        identity: The identity.
        ownership: The mark of the bind.
        binder: The cloud; None where there is none.
        version: The firmware's version.
        options: The methods' own options.
        keys: The methods' own secrets.

    Attributes:
        identity: The identity; registration may complete it.
        link: The connection to the cloud, once it is bound.
    """

    def __init__(
        self,
        identity: DeviceInfo,
        ownership: Ownership,
        binder: Binder | None,
        *,
        version: str = "",
        options: Mapping[str, str] | None = None,
        keys: Mapping[str, Secret] | None = None,
    ) -> None:
        self.identity = identity
        self.link: CloudLink | None = None
        self._ownership = ownership
        self._binder = binder
        self._version = version
        self._options = dict(options or {})
        self._keys = dict(keys or {})

    async def context(self) -> ListenContext:
        """What methods that begin to listen now may say."""
        return ListenContext(
            product_id=self.identity.product_id,
            device_name=self.identity.device_name,
            secret=self.identity.device_secret,
            bound=await self.bound_by() is not None,
            version=self._version,
            options=self._options,
            keys=self._keys,
        )

    def describe(self) -> Mapping[str, str]:
        """The answer to `Ask("identity")`: `product_id`, `device_name`, `version`; no secret."""
        return {
            "product_id": self.identity.product_id,
            "device_name": self.identity.device_name,
            "version": self._version,
        }

    async def bound_by(self) -> Grant | None:
        """The grant that bound this very identity, without its value; None where it has no owner."""
        return await self._ownership.load(self.identity)

    async def note_bound(self, grant: Grant | None) -> None:
        """It has an owner now; a mark that cannot be written is a warning."""
        await self._ownership.save(self.identity, grant)

    async def forget_owner(self, *, clean: bool) -> None:
        """Erase the mark of the bind, and tell the cloud where there is a connection.

        Args:
            clean: The cloud is to forget the device's data, too.

        Raises:
            StorageError: The mark is still there.
            CloudError: The cloud was not told; the mark is gone.
        """
        await self._ownership.erase()
        if self._binder is not None and self.link is not None and self.link.connected:
            await self._binder.unbind(self.link, clean=clean)
