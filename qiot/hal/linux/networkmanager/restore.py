"""Putting back what a try or an access point displaced; shared by the verbs and by the undo list."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Mapping
from typing import Final

import attrs

from qiot.errors import HalError
from qiot.finishing import finish
from qiot.hal.linux.bus import BusError
from qiot.hal.linux.networkmanager.association import look
from qiot.hal.linux.networkmanager.manager import Device, Manager
from qiot.hal.linux.networkmanager.profiles import Profile
from qiot.hal.linux.undo import Change, UndoLog
from qiot.log import get_logger

__all__ = ["Displacement", "clean_up"]

log = get_logger()

_CLEAN_UP_LIMIT: Final = 30.0
"""Seconds that putting back may take."""


@attrs.frozen
class Displacement:
    """A profile of ours on an interface, and what was there before it.

    Attributes:
        interface: Name of the interface.
        uuid: Our profile; "" where the earlier network only had to make room.
        earlier: UUID of the profile that was active before; "" for none.
        frequency: MHz where the earlier network was; 0 where that is not known.
        autoconnect: False where NetworkManager was not to join networks by itself.
    """

    interface: str
    uuid: str
    earlier: str = ""
    frequency: int = 0
    autoconnect: bool = True

    @classmethod
    async def before(cls, manager: Manager, device: Device, interface: str, uuid: str) -> Displacement:
        """What is on the device now, and will be displaced by our profile."""
        earlier = await manager.active_uuid(device)
        return cls(
            interface,
            uuid,
            earlier=earlier,
            frequency=await manager.frequency(device) if earlier else 0,
            autoconnect=device.autoconnect,
        )

    @classmethod
    def of(cls, change: Change) -> Displacement:
        """As it was noted."""
        facts = change.facts
        return cls(
            facts["interface"],
            facts["uuid"],
            earlier=facts["earlier"],
            frequency=int(facts["frequency"]),
            autoconnect=facts["autoconnect"] == "yes",
        )

    def facts(self) -> Mapping[str, str]:
        """For the undo list."""
        return {
            "interface": self.interface,
            "uuid": self.uuid,
            "earlier": self.earlier,
            "frequency": str(self.frequency),
            "autoconnect": "yes" if self.autoconnect else "no",
        }

    async def note(self, undo: UndoLog, kind: str) -> Change:
        """Write it down, before it is done."""
        return await undo.note(kind, **self.facts())

    async def put_back(self, manager: Manager) -> None:
        """Remove our profile and begin to join the earlier network; nothing where the user has moved on."""
        device = await manager.device(self.interface)
        profile = await manager.find_profile(self.uuid) if self.uuid else ""
        if device is None:
            if profile:
                await manager.delete(profile)
            return
        active = await manager.active_uuid(device)
        if active in ("", self.uuid):
            earlier = await self._earlier(manager)
            if device.autoconnect != self.autoconnect and earlier is None:
                await manager.set_autoconnect(device, allowed=self.autoconnect)
            if active:
                await manager.deactivate(device.active)
            if earlier is not None:
                await self._join(manager, device, earlier)
        if profile:
            await manager.delete(profile)

    async def _earlier(self, manager: Manager) -> Profile | None:
        if not self.earlier:
            return None
        path = await manager.find_profile(self.earlier)
        profile = await manager.profile(path) if path else None
        if profile is None:
            log.warning(f"{self.interface}: the earlier profile {self.earlier} is not there any more")
        return profile

    async def _join(self, manager: Manager, device: Device, profile: Profile) -> None:
        if self.frequency:
            await manager.wait_idle(self.interface)
            await look(manager.bus, self.interface, profile.ssid, self.frequency)
        try:
            await manager.activate(profile.path, device)
        except BusError as error:
            log.warning(f"{self.interface}: the earlier network cannot be joined: {error}")


async def clean_up(work: Coroutine[None, None, None]) -> None:
    """Do it to its end within its own time limit, also where the caller is cancelled meanwhile."""
    await finish(_bounded(work))


async def _bounded(work: Coroutine[None, None, None]) -> None:
    try:
        async with asyncio.timeout(_CLEAN_UP_LIMIT):
            await work
    except TimeoutError:
        raise HalError(f"cleaning up took longer than {_CLEAN_UP_LIMIT:g} s") from None
