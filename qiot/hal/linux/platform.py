"""The Linux platform as a whole: which ports this host has, and who runs them."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import cast

import attrs

from qiot.errors import ConfigurationError, MediumError, NotSupportedError
from qiot.hal.contract import BtCombo, Capabilities, Combination, Gatt, Platform, PortT, Role, Storage, Udp
from qiot.hal.linux.bluetooth import Bluetooth
from qiot.hal.linux.storage import FileStorage, default_folder
from qiot.hal.linux.udp import SocketUdp
from qiot.hal.linux.wireless import MANAGERS, Wireless
from qiot.hal.registry import PlatformSpec

__all__ = ["LinuxPlatform"]


class LinuxPlatform(Platform):
    """A Linux host: `linux:IFACE`, or `linux` for its first wireless interface.

    Options:
        `state=DIR`: The folder of what survives a reboot (default: /var/lib/qiot for root, else the user's).
        `country=CC`: The country whose radio rules hold, two letters of ISO 3166-1.
        `ap_sta=yes|no`: Whether access point and station run together; without it the driver is asked.
        `manager=networkmanager|wpa_supplicant`: Who runs the interface; without it, who does is found out.
        `bt=hciN|no`: The Bluetooth adapter; without it, BlueZ's first one.

    Raises:
        ConfigurationError: An unknown option or value.
        MediumError: There is no such interface.
    """

    def __init__(self, spec: PlatformSpec) -> None:
        spec.expect("state", "country", "ap_sta", "manager", "bt")
        interface = spec.argument or _first_wireless()
        if spec.argument:
            _check_interface(spec.argument)
        folder = Path(spec.options["state"]) if spec.options.get("state") else default_folder()
        self._udp = SocketUdp()
        self._storage = FileStorage(folder)
        self._ports: dict[type, object] = {Udp: self._udp, Storage: self._storage}
        self._wireless: Wireless | None = None
        country, ap_sta = _country(spec.options.get("country")), _yes_or_no(spec.options, "ap_sta")
        manager = _manager(spec.options.get("manager"))
        if interface:
            self._wireless = Wireless(interface, folder, country=country, ap_sta=ap_sta, manager=manager)
            self._ports.update(self._wireless.ports)
        adapter = _adapter(spec.options.get("bt"))
        self._bluetooth = None if adapter is None else Bluetooth(adapter, folder)

    async def capabilities(self) -> Capabilities:
        """What the radio and the programs of this host can do, as they say now."""
        found = Capabilities() if self._wireless is None else await self._wireless.capabilities()
        if self._bluetooth is not None and await self._bluetooth.can_serve():
            ble = frozenset({Role.BLE})
            beside = [attrs.evolve(each, roles=each.roles | ble) for each in found.combinations]
            combinations = (*found.combinations, *beside, Combination(ble))
            found = attrs.evolve(found, combinations=combinations)
        return found

    def port(self, kind: type[PortT]) -> PortT:
        """`Udp`, `Storage`, `Gatt`, `BtCombo`; with a wireless interface the others.

        Raises:
            NotSupportedError: This host has it not; for Bluetooth that is known after `capabilities`.
        """
        if kind in self._ports:
            return cast(PortT, self._ports[kind])
        if kind in (Gatt, BtCombo):
            if self._bluetooth is None:
                raise NotSupportedError(
                    f"{kind.__name__}: Bluetooth is switched off by bt=no", hint="Leave bt=no out."
                )
            return cast(PortT, self._bluetooth.gatt if kind is Gatt else self._bluetooth.btcombo)
        if self._wireless is None:
            raise NotSupportedError(
                f"{kind.__name__}: this machine has no wireless interface",
                hint="Plug one in and name it, as in --hal linux:wlan0; or use --hal mock.",
            )
        raise NotSupportedError(
            f"{kind.__name__}: the linux platform has no such port in this version",
            hint="Use --method soft_ap, smart_config, airkiss or simple_config.",
        )

    async def recover(self) -> None:
        """Remove what killed saves left, and put back what a killed process changed on the interface."""
        await self._storage.clean_up()
        if self._wireless is not None:
            await self._wireless.recover()
        if self._bluetooth is not None:
            await self._bluetooth.recover()

    async def close(self) -> None:
        """Take the access point down, undo a try that was not settled, close every endpoint."""
        async with AsyncExitStack() as stack:
            stack.push_async_callback(self._udp.close)
            if self._wireless is not None:
                stack.push_async_callback(self._wireless.close)
            if self._bluetooth is not None:
                stack.push_async_callback(self._bluetooth.close)


def _first_wireless() -> str:
    found = [name for _, name in socket.if_nameindex() if Path("/sys/class/net", name, "phy80211").exists()]
    return min(found, default="")


def _check_interface(name: str) -> None:
    present = [interface for _, interface in socket.if_nameindex()]
    if name not in present:
        raise MediumError(
            f"there is no network interface {name!r}",
            hint=f"Here are: {', '.join(sorted(present)) or 'none'}.",
        )


def _country(given: str | None) -> str | None:
    if given is None or given == "00" or (len(given) == 2 and given.isascii() and given.isalpha()):  # noqa: PLR2004
        return given and given.upper()
    raise ConfigurationError(
        f"--hal linux: country={given!r} is no country", hint="Give two letters of ISO 3166-1, such as DE."
    )


def _adapter(given: str | None) -> str | None:
    """A name such as "hci0", an empty one for any, None for no Bluetooth."""
    if given in (None, "no"):
        return None if given else ""
    if given.startswith("hci") and given[3:].isdecimal():
        return given
    raise ConfigurationError(
        f"--hal linux: bt={given!r} is no Bluetooth adapter", hint="Write bt=hci0, or bt=no for none."
    )


def _yes_or_no(given: Mapping[str, str], key: str) -> bool | None:
    value = given.get(key)
    if value in (None, "yes", "no"):
        return None if value is None else value == "yes"
    raise ConfigurationError(f"--hal linux: {key}={value!r} is neither yes nor no")


def _manager(given: str | None) -> str | None:
    if given is None or given in MANAGERS:
        return given
    raise ConfigurationError(
        f"--hal linux: there is no manager {given!r}", hint=f"Known are {', '.join(MANAGERS)}."
    )
