"""The wireless side of a Linux host: one radio, its ports, and who runs them, found out by asking."""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import attrs

from qiot.errors import HalError, NotSupportedError
from qiot.hal.contract import (
    AirKiss,
    Capabilities,
    Combination,
    Injector,
    Role,
    SimpleConfig,
    SmartConfig,
    Sniffer,
    SoftAp,
    Wifi,
)
from qiot.hal.linux.airkiss import LinuxAirKiss
from qiot.hal.linux.backends import AccessPointBackend, StationBackend
from qiot.hal.linux.injector import RadioInjector
from qiot.hal.linux.neighbourhood import Neighbourhood
from qiot.hal.linux.probe import probe
from qiot.hal.linux.radio import Radio
from qiot.hal.linux.simple_config import LinuxSimpleConfig
from qiot.hal.linux.smart_config import LinuxSmartConfig
from qiot.hal.linux.sniffer import RadioSniffer
from qiot.hal.linux.soft_ap import LinuxSoftAp
from qiot.hal.linux.wifi import LinuxWifi
from qiot.log import get_logger
from qiot.wifi_config.drivers.air import AirWatch

__all__ = ["MANAGERS", "Manager", "Wireless"]

log = get_logger()

MANAGERS: Final = ("networkmanager", "wpa_supplicant")
"""Who may run an interface, in the order in which they are asked."""


@attrs.frozen
class Manager:
    """Who may run an interface.

    Attributes:
        name: As in `MANAGERS`.
        station: Runs the station.
        access_point: Runs the access point.
    """

    name: str
    station: StationBackend
    access_point: AccessPointBackend


class Wireless:
    """One radio with its ports.

    Args:
        interface: Its interface.
        state: Folder of what survives the process.
        country: Two letters, or None to leave the kernel's.
        ap_sta: Access point and station together, or None to ask the driver.
        manager: One of `MANAGERS`, or None to ask them.

    Attributes:
        ports: Its ports by their kind.
    """

    def __init__(
        self, interface: str, state: Path, *, country: str | None, ap_sta: bool | None, manager: str | None
    ) -> None:
        self._radio = Radio(interface, state)
        self._country = country
        self._ap_sta = ap_sta
        self._wanted = MANAGERS if manager is None else (manager,)
        self._managers: Sequence[Manager] = ()
        self._chosen: Manager | None = None
        neighbourhood = Neighbourhood(self._radio)
        self._soft_ap = LinuxSoftAp(self._radio, self._access_point, self._beside_station, neighbourhood)
        self._wifi = LinuxWifi(self._radio, self._station, neighbourhood, self._soft_ap)
        self._sniffer = RadioSniffer(self._radio)
        self._watch = AirWatch(self._sniffer, self._wifi)
        self.ports: Mapping[type, object] = {
            Wifi: self._wifi,
            SoftAp: self._soft_ap,
            Sniffer: self._sniffer,
            Injector: RadioInjector(self._sniffer),
            SmartConfig: LinuxSmartConfig(self._watch),
            AirKiss: LinuxAirKiss(self._watch),
            SimpleConfig: LinuxSimpleConfig(self._watch),
        }

    async def capabilities(self) -> Capabilities:
        """What the driver can do, without the roles that nobody here can run."""
        found = await probe(self._radio, ap_sta=self._ap_sta)
        missing: set[Role] = set()
        try:
            manager = await self._manager()
        except HalError as error:
            log.warning(f"{self._radio.interface}: no station and no access point: {error}. {error.hint}")
            missing |= {Role.STATION, Role.ACCESS_POINT}
        else:
            problem = await manager.access_point.problem()
            if problem is not None:
                log.warning(f"{self._radio.interface}: no access point: {problem}. {problem.hint}")
                missing.add(Role.ACCESS_POINT)
        kept = [Combination(each.roles - missing, each.same_channel) for each in found.combinations]
        return attrs.evolve(found, combinations=tuple(dict.fromkeys(each for each in kept if each.roles)))

    async def recover(self) -> None:
        """Put back what a killed process changed; then the country's rules hold."""
        await self._make_managers()
        await self._radio.undo.recover()
        if self._country is not None:
            await self._wifi.set_country(self._country)

    async def close(self) -> None:
        """Stop everything and give the radio back."""
        failure: Exception | None = None
        for closing in (
            self._watch.shut,
            self._sniffer.stop,
            self._soft_ap.stop,
            *(each.station.close for each in self._managers),
            self._radio.close,
        ):
            try:
                await closing()
            except Exception as error:  # noqa: BLE001 - the rest is closed all the same
                failure = failure or error
        if failure is not None:
            raise failure

    async def _station(self) -> StationBackend:
        return (await self._manager()).station

    async def _access_point(self) -> AccessPointBackend:
        backend = (await self._manager()).access_point
        problem = await backend.problem()
        if problem is not None:
            raise problem
        return backend

    async def _beside_station(self) -> bool:
        found = await probe(self._radio, ap_sta=self._ap_sta)
        return found.together(Role.ACCESS_POINT, Role.STATION) is not None

    async def _manager(self) -> Manager:
        """Who runs this interface; asked once, as long as there is an answer.

        Raises:
            NotSupportedError: Nobody does; the text has every manager's own reason.
        """
        if self._chosen is None:
            problems: list[NotSupportedError] = []
            for each in await self._make_managers():
                if each.name not in self._wanted:
                    continue
                problem = await each.station.problem()
                if problem is None:
                    log.info(f"{self._radio.interface} is run by {each.name}")
                    self._chosen = each
                    return each
                problems.append(problem)
            raise NotSupportedError(
                "; ".join(str(each) for each in problems),
                hint=problems[-1].hint,
            )
        return self._chosen

    async def _make_managers(self) -> Sequence[Manager]:
        """All of them: each knows how to undo what an earlier run did by it."""
        if not self._managers:
            await asyncio.to_thread(_import_managers)
        if not self._managers:
            from qiot.hal.linux.hostapd import HostapdAccessPoint
            from qiot.hal.linux.networkmanager import NetworkManagerAccessPoint, NetworkManagerStation
            from qiot.hal.linux.supplicant import SupplicantStation

            radio = self._radio
            self._managers = (
                Manager("networkmanager", NetworkManagerStation(radio), NetworkManagerAccessPoint(radio)),
                Manager("wpa_supplicant", SupplicantStation(radio), HostapdAccessPoint(radio)),
            )
        return self._managers


def _import_managers() -> None:
    """For a thread: D-Bus takes a second on a small board."""
    for name in ("hostapd", "networkmanager", "supplicant"):
        importlib.import_module(f"qiot.hal.linux.{name}")
