"""One adapter of BlueZ: whether it can be a peripheral, and its switches while we use it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from dbus_fast import Variant, unpack_variants

from qiot.errors import HalError, NotSupportedError
from qiot.hal.linux.bluez.names import (
    ADAPTER,
    BLUEZ,
    DEVICE,
    GATT_MANAGER,
    OBJECT_MANAGER,
    ROOT,
    adapter_path,
)
from qiot.hal.linux.bus import Bus, BusError
from qiot.hal.linux.undo import Change, UndoLog
from qiot.log import get_logger

__all__ = ["SWITCHES", "Adapter", "find_adapter"]

log = get_logger()

SWITCHES: Final = "bluetooth switches"
"""Kind of the change that is written down before the adapter's switches are touched."""
_WANTED: Final[Mapping[str, bool]] = {"Powered": True, "Pairable": False}
_PERIPHERAL: Final = "peripheral"
_SERVICE_HINT: Final = (
    "Install and start it (apt install bluez; systemctl start bluetooth), or use a dongle without it: "
    "--hal bumble:usb:0."
)


async def find_adapter(bus: Bus, wanted: str) -> str:
    """The adapter "hci0" that is wanted, or the first one where `wanted` is empty.

    Raises:
        NotSupportedError: BlueZ does not run, there is no such adapter, or it cannot be a peripheral.
    """
    try:
        objects = await managed_objects(bus) if await bus.has_owner(BLUEZ) else None
    except BusError as error:
        raise NotSupportedError(f"Bluetooth: BlueZ does not answer: {error}", hint=_SERVICE_HINT) from None
    except HalError as error:
        raise NotSupportedError(f"Bluetooth: {error}", hint=error.hint) from None
    if objects is None:
        raise NotSupportedError("Bluetooth: BlueZ does not run", hint=_SERVICE_HINT)
    adapters = sorted(path.rpartition("/")[2] for path, each in objects.items() if ADAPTER in each)
    if not adapters or (wanted and wanted not in adapters):
        here = f"; here are {', '.join(adapters)}" if adapters else ""
        raise NotSupportedError(
            f"Bluetooth: there is no adapter{f' {wanted}' if wanted else ''}{here}",
            hint="Plug in a dongle that can be a peripheral, such as a CSR8510 or an RTL8761B.",
        )
    name = wanted or adapters[0]
    found = objects[adapter_path(name)]
    roles = found[ADAPTER].get("Roles", [_PERIPHERAL])
    if GATT_MANAGER not in found or _PERIPHERAL not in roles:
        raise NotSupportedError(
            f"Bluetooth: {name} cannot be a peripheral",
            hint="It needs Bluetooth 4.0 or newer and LE switched on.",
        )
    return name


async def managed_objects(bus: Bus) -> dict[str, dict[str, dict[str, Any]]]:
    """Everything that BlueZ has, by object and interface, without D-Bus's type marks."""
    body = await bus.call(BLUEZ, "/", OBJECT_MANAGER, "GetManagedObjects")
    return dict(unpack_variants(body[0]))


class Adapter:
    """The switches of one adapter.

    Args:
        bus: The system bus.
        name: "hci0".
        undo: Where changes are written down.
    """

    def __init__(self, bus: Bus, name: str, undo: UndoLog) -> None:
        self._bus = bus
        self._undo = undo
        self._change: Change | None = None
        self.name = name
        self.path = adapter_path(name)

    async def address(self) -> str:
        """Its address."""
        return str(await self._bus.get(BLUEZ, self.path, ADAPTER, "Address"))

    async def take(self) -> None:
        """Power it, and let nobody pair, until `give_back`."""
        before = await self._bus.get_all(BLUEZ, self.path, ADAPTER)
        facts = {name: "yes" if before.get(name) else "no" for name in _WANTED}
        self._change = await self._undo.note(SWITCHES, adapter=self.name, **facts)
        await set_switches(self._bus, self.path, _WANTED)

    async def give_back(self) -> None:
        """Put the switches back. Idempotent; where BlueZ is gone, the next `recover` does it."""
        change, self._change = self._change, None
        if change is None:
            return
        try:
            await undo_switches(self._bus, change)
        except HalError as error:
            log.warning(f"{self.name} keeps its switches until the next run: {error}")
        else:
            await self._undo.forget(change)

    async def connected(self) -> set[str]:
        """Objects of the devices that are connected to it."""
        objects = await managed_objects(self._bus)
        return {
            path
            for path, each in objects.items()
            if path.startswith(self.path + "/") and each.get(DEVICE, {}).get("Connected")
        }


async def set_switches(bus: Bus, path: str, wanted: Mapping[str, bool]) -> None:
    """Set those that are not as wanted.

    Raises:
        HalError: BlueZ refuses, as where the radio is blocked.
    """
    now = await bus.get_all(BLUEZ, path, ADAPTER)
    for name, value in wanted.items():
        if now.get(name) is value:
            continue
        try:
            await bus.set(BLUEZ, path, ADAPTER, name, Variant("b", value))
        except BusError as error:
            raise HalError(
                f"{path.removeprefix(ROOT + '/')}: {name} cannot be set: {error}",
                reason=error.reason,
                hint="Is the radio blocked? rfkill unblock bluetooth.",
            ) from None


async def undo_switches(bus: Bus, change: Change) -> None:
    """Put back what `take` changed; nothing happens where the adapter is gone."""
    path = adapter_path(change.facts["adapter"])
    names = reversed([name for name in _WANTED if name in change.facts])
    wanted = {name: change.facts[name] == "yes" for name in names}
    if ADAPTER not in (await managed_objects(bus)).get(path, {}):
        log.debug(f"{path} is not there any more")
        return
    await set_switches(bus, path, wanted)
