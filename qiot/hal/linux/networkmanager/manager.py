"""NetworkManager's verbs, as far as station and access point need them.

Objects are looked up anew each time: they do not outlive a restart of NetworkManager; UUIDs do.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Mapping
from typing import Any, Final

import attrs
from dbus_fast import Variant

from qiot.errors import HalError, NotSupportedError
from qiot.hal.linux.bus import Bus, BusError, Signals
from qiot.hal.linux.networkmanager.names import (
    ACCESS_POINT,
    ACTIVE,
    DEVICE,
    IP4,
    NM,
    NM_PATH,
    NOTHING,
    PROFILE,
    SETTINGS,
    SETTINGS_PATH,
    WIRELESS,
    ActiveState,
    DeviceState,
    UpdateFlag,
)
from qiot.hal.linux.networkmanager.profiles import Profile, Settings, without_marks
from qiot.log import get_logger
from qiot.model import IpConfig, Reason

__all__ = ["Device", "Manager"]

log = get_logger()

_OWNER_RULE: Final = (
    "sender='org.freedesktop.DBus',interface='org.freedesktop.DBus',member='NameOwnerChanged',arg0='{}'"
)
_NOT_RUNNING: Final = (".ServiceUnknown", ".NameHasNoOwner")
_GONE: Final = (
    ".UnknownMethod",
    ".UnknownObject",
    ".UnknownConnection",
    ".UnknownDevice",
    ".ConnectionNotActive",
)
"""How NetworkManager and D-Bus say that an object or an activation is not there any more."""
_MISSING: Final = ("", NOTHING)


@attrs.frozen
class Device:
    """A network device, as it was when it was asked.

    Attributes:
        path: Its object.
        state: What it is at.
        managed: False where NetworkManager leaves it alone.
        autoconnect: False where NetworkManager waits to be told what to join.
        active: Its active connection; "" for none.
        ip4: Its addresses; "" for none.
        available: Profiles whose network is around.
    """

    path: str
    state: int
    managed: bool
    autoconnect: bool
    active: str
    ip4: str
    available: tuple[str, ...] = ()


class Manager:
    """NetworkManager.

    Args:
        bus: The system bus.
    """

    def __init__(self, bus: Bus) -> None:
        self.bus = bus

    async def problem(self, interface: str, *permissions: str) -> NotSupportedError | None:
        """Why NetworkManager cannot be used on an interface now."""
        try:
            if not await self.bus.has_owner(NM):
                return NotSupportedError(
                    "NetworkManager does not run", hint="Start it: systemctl start NetworkManager."
                )
            device = await self.device(interface)
            granted = await self._call(NM_PATH, NM, "GetPermissions")
        except HalError as error:
            return NotSupportedError(f"NetworkManager: {error}", reason=error.reason, hint=error.hint)
        if device is None or not device.managed or device.state <= DeviceState.UNMANAGED:
            return NotSupportedError(
                f"NetworkManager does not manage {interface}",
                hint=f"Let it: nmcli device set {interface} managed yes.",
            )
        missing = [each for each in permissions if granted[0].get(f"{NM}.{each}") != "yes"]
        if missing:
            return NotSupportedError(
                f"NetworkManager does not allow us {', '.join(missing)}",
                reason=Reason.NO_PERMISSION,
                hint="Run as root, or allow it in polkit (org.freedesktop.NetworkManager.*).",
            )
        return None

    async def device(self, interface: str) -> Device | None:
        """The device of an interface; None where NetworkManager has none."""
        try:
            body = await self._call(NM_PATH, NM, "GetDeviceByIpIface", "s", interface)
            found = await self.bus.get_all(NM, body[0], DEVICE)
        except BusError as error:
            if error.name.endswith(_GONE):
                return None
            raise
        return Device(
            path=str(body[0]),
            state=int(found["State"]),
            managed=bool(found["Managed"]),
            autoconnect=bool(found["Autoconnect"]),
            active=_present(found["ActiveConnection"]),
            ip4=_present(found["Ip4Config"]),
            available=tuple(found["AvailableConnections"]),
        )

    async def ready_device(self, interface: str, *, alone: bool = False) -> Device:
        """Wait until a device can be used; it is for a moment not after it was made, or changed its mode.

        Args:
            interface: Its name.
            alone: Keep NetworkManager from joining networks with it by itself, from the first moment on.
        """
        async with self.signals() as signals:
            while True:
                device = await self.device(interface)
                if device is not None and alone and device.autoconnect:
                    await self.set_autoconnect(device, allowed=False)
                if device is not None and device.state >= DeviceState.DISCONNECTED:
                    return device
                await signals.next()

    @contextlib.asynccontextmanager
    async def signals(self, *rules: str) -> AsyncGenerator[Signals, None]:
        """What devices and activations go through, and whether NetworkManager itself comes or goes."""
        own = [f"sender='{NM}',interface='{each}',member='StateChanged'" for each in (DEVICE, ACTIVE)]
        added = f"sender='{NM}',interface='{NM}',member='DeviceAdded'"
        async with self.bus.signals(*own, added, _OWNER_RULE.format(NM), *rules) as signals:
            yield signals

    async def set_autoconnect(self, device: Device, *, allowed: bool) -> None:
        """Let NetworkManager join networks with a device by itself, or not."""
        await self.bus.set(NM, device.path, DEVICE, "Autoconnect", Variant("b", allowed))

    async def active_uuid(self, device: Device) -> str:
        """UUID of the profile that is active on a device, or becomes it; "" for none."""
        if not device.active:
            return ""
        try:
            found = await self.bus.get_all(NM, device.active, ACTIVE)
        except BusError as error:
            if error.name.endswith(_GONE):
                return ""
            raise
        return str(found["Uuid"]) if int(found["State"]) <= ActiveState.ACTIVATED else ""

    async def wait_idle(self, interface: str) -> None:
        """Return when nothing is active on a device, nor is being taken down."""
        async with self.signals() as signals:
            while True:
                device = await self.device(interface)
                if device is None or device.state <= DeviceState.DISCONNECTED:
                    return
                await signals.next()

    async def frequency(self, device: Device) -> int:
        """MHz of the access point that a device is joined to; 0 for none."""
        try:
            path = await self.bus.get(NM, device.path, WIRELESS, "ActiveAccessPoint")
            return int(await self.bus.get(NM, path, ACCESS_POINT, "Frequency")) if _present(path) else 0
        except BusError:
            return 0

    async def frequency_of(self, device: Device, ssid: bytes) -> int:
        """MHz of the strongest access point of a network that NetworkManager knows of; 0 for none."""
        paths = (await self._call(device.path, WIRELESS, "GetAllAccessPoints"))[0]
        found = await asyncio.gather(*(self._access_point(path) for path in paths))
        fitting = [each for each in found if bytes(each.get("Ssid", b"")) == ssid]
        best = max(fitting, key=lambda each: int(each["Strength"]), default=None)
        return 0 if best is None else int(best["Frequency"])

    async def _access_point(self, path: str) -> dict[str, Any]:
        try:
            return await self.bus.get_all(NM, path, ACCESS_POINT)
        except BusError:
            return {}  # it went out of reach just now

    async def is_up(self, active: str) -> bool:
        """True where an activation has come to its end."""
        try:
            return int(await self.bus.get(NM, active, ACTIVE, "State")) == ActiveState.ACTIVATED
        except BusError as error:
            if error.name.endswith(_GONE):
                return False
            raise

    async def ip_config(self, device: Device) -> IpConfig | None:
        """Its first IPv4 address."""
        if not device.ip4:
            return None
        found = await self.bus.get_all(NM, device.ip4, IP4)
        for each in found.get("AddressData", ()):
            return IpConfig(
                address=str(each["address"]),
                prefix=int(each["prefix"]),
                gateway=str(found.get("Gateway") or "") or None,
            )
        return None

    async def profiles(self) -> list[Profile]:
        """Every profile."""
        paths = (await self._call(SETTINGS_PATH, SETTINGS, "ListConnections"))[0]
        found = await asyncio.gather(*(self.profile(path) for path in paths))
        return [each for each in found if each is not None]

    async def profile(self, path: str) -> Profile | None:
        """A profile by its object; None where it is gone."""
        try:
            settings = await self.settings(path)
            flags = int(await self.bus.get(NM, path, PROFILE, "Flags"))
        except BusError as error:
            if error.name.endswith(_GONE):
                return None
            raise
        return Profile(path, without_marks(settings), flags)

    async def settings(self, path: str) -> Mapping[str, Mapping[str, Variant]]:
        """What a profile says, without secrets, with D-Bus's type marks."""
        settings: Mapping[str, Mapping[str, Variant]] = (await self._call(path, PROFILE, "GetSettings"))[0]
        return settings

    async def find_profile(self, uuid: str) -> str:
        """The object of a profile; "" where there is none."""
        try:
            return str((await self._call(SETTINGS_PATH, SETTINGS, "GetConnectionByUuid", "s", uuid))[0])
        except BusError as error:
            if error.name.endswith((*_GONE, ".InvalidConnection")):
                return ""
            raise

    async def try_out(self, settings: Settings, device: Device, *, while_connected: bool = False) -> str:
        """Activate a new profile that is deleted when it is not active any more; gives the activation.

        Args:
            settings: The profile.
            device: Where.
            while_connected: End it, too, when this connection to the bus ends, however that happens.
        """
        options = {
            "persist": Variant("s", "volatile"),
            "bind-activation": Variant("s", "dbus-client" if while_connected else "none"),
        }
        body = await self._call(
            NM_PATH,
            NM,
            "AddAndActivateConnection2",
            "a{sa{sv}}ooa{sv}",
            settings,
            device.path,
            NOTHING,
            options,
        )
        return str(body[1])

    async def activate(self, profile: str, device: Device) -> str:
        """Activate a profile in the place of what is active there; gives the activation."""
        body = await self._call(NM_PATH, NM, "ActivateConnection", "ooo", profile, device.path, NOTHING)
        return str(body[0])

    async def deactivate(self, active: str) -> None:
        """End an activation. Idempotent."""
        await self._call_if_there(NM_PATH, NM, "DeactivateConnection", "o", active)

    async def keep(self, profile: str, settings: Settings) -> None:
        """Change a profile and write it to the disk; what is active stays as it is."""
        flags = UpdateFlag.TO_DISK | UpdateFlag.NO_REAPPLY
        no_arguments: dict[str, Variant] = {}
        await self._call(profile, PROFILE, "Update2", "a{sa{sv}}ua{sv}", settings, int(flags), no_arguments)

    async def delete(self, profile: str) -> None:
        """Delete a profile. Idempotent."""
        await self._call_if_there(profile, PROFILE, "Delete")

    async def _call_if_there(
        self, path: str, interface: str, member: str, signature: str = "", *body: object
    ) -> None:
        try:
            await self._call(path, interface, member, signature, *body)
        except BusError as error:
            if not error.name.endswith(_GONE):
                raise

    async def _call(
        self, path: str, interface: str, member: str, signature: str = "", *body: object
    ) -> list[Any]:
        try:
            return await self.bus.call(NM, path, interface, member, signature, *body)
        except BusError as error:
            if error.name.endswith(_NOT_RUNNING):
                raise HalError(
                    "NetworkManager does not run", hint="Start it: systemctl start NetworkManager."
                ) from None
            raise


def _present(path: object) -> str:
    return "" if path in _MISSING else str(path)
