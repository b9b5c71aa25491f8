"""Advertises what is served: by the kernel where we may, else by BlueZ."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from dbus_fast import Variant

from qiot.errors import HalError, MediumError, NotSupportedError
from qiot.hal.contract import GattProfile
from qiot.hal.linux.bluez.adapter import Adapter
from qiot.hal.linux.bluez.advertisement import properties_of
from qiot.hal.linux.bluez.application import ADVERTISEMENT_PATH
from qiot.hal.linux.bluez.management import Management
from qiot.hal.linux.bluez.names import ADVERTISING_MANAGER, BLUEZ
from qiot.hal.linux.bus import Bus
from qiot.hal.linux.undo import Change, UndoLog
from qiot.log import get_logger
from qiot.model import Reason

__all__ = ["INSTANCE", "Advertiser", "undo_instance"]

log = get_logger()

INSTANCE: Final = "bluetooth advertisement"
"""Kind of the change that is written down before the kernel advertises for us."""


class Advertiser:
    """The advertisements of one start.

    Args:
        bus: The system bus.
        adapter: Who advertises.
        undo: Where changes are written down.
        profiles: What is served; those without an advertisement are not advertised.
    """

    def __init__(self, bus: Bus, adapter: Adapter, undo: UndoLog, profiles: Sequence[GattProfile]) -> None:
        self._bus = bus
        self._adapter = adapter
        self._undo = undo
        self._profiles = [each for each in profiles if each.advertising or each.scan_response]
        self._management: Management | None = None
        self._instances: list[tuple[int, Change]] = []
        self._registered = False

    async def prepare(self) -> Mapping[str, Variant] | None:
        """Choose the way: properties for BlueZ to read, or None where the kernel advertises.

        Raises:
            NotSupportedError: We may not use the kernel, and BlueZ cannot say this.
        """
        management = Management(_index(self._adapter))
        try:
            management.open()
        except MediumError as error:
            if error.reason is not Reason.NO_PERMISSION:
                log.debug(f"{error}")
        else:
            self._management = management
            return None
        if len(self._profiles) > 1:
            raise NotSupportedError(
                "several Bluetooth advertisements need root", hint="Listen by one Bluetooth method."
            )
        return properties_of(self._profiles[0]) if self._profiles else None

    async def start(self) -> None:
        """Advertise.

        Raises:
            HalError: It was refused; `stop` undoes what was done before.
        """
        if self._management is None:
            if self._profiles:
                self._registered = True
                await self._bus.call(
                    BLUEZ,
                    self._adapter.path,
                    ADVERTISING_MANAGER,
                    "RegisterAdvertisement",
                    "oa{sv}",
                    ADVERTISEMENT_PATH,
                    {},
                )
            return
        for profile in self._profiles:
            instance = await self._management.free_instance()
            change = await self._undo.note(INSTANCE, adapter=self._adapter.name, instance=str(instance))
            self._instances.append((instance, change))
            await self._management.advertise(instance, profile.advertising, profile.scan_response)

    async def stop(self) -> None:
        """Stop advertising. Idempotent."""
        if self._registered:
            self._registered = False
            try:
                await self._bus.call(
                    BLUEZ,
                    self._adapter.path,
                    ADVERTISING_MANAGER,
                    "UnregisterAdvertisement",
                    "o",
                    ADVERTISEMENT_PATH,
                )
            except HalError as error:
                log.debug(f"no advertisement to take back: {error}")
        management, self._management = self._management, None
        if management is None:
            return
        try:
            while self._instances:
                instance, change = self._instances[-1]
                await management.remove(instance)
                await self._undo.forget(change)
                self._instances.pop()
        finally:
            management.close()


async def undo_instance(change: Change) -> None:
    """Take back an advertisement that a killed process left with the kernel."""
    management = Management(_number(change.facts["adapter"]))
    try:
        await management.remove(int(change.facts["instance"]))
    finally:
        management.close()


def _index(adapter: Adapter) -> int:
    return _number(adapter.name)


def _number(name: str) -> int:
    return int(name.removeprefix("hci"))
