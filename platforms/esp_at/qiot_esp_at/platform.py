"""The platform: one module on one serial port."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Final, cast

from qiot.errors import ConfigurationError, HalError, NotSupportedError
from qiot.hal.contract import (
    Capabilities,
    ChipSoftAp,
    Combination,
    Platform,
    PortT,
    Role,
    SmartConfig,
    Storage,
    Transport,
    Wifi,
)
from qiot.hal.linux.storage import FileStorage, default_folder
from qiot.hal.registry import PlatformSpec
from qiot.log import get_logger
from qiot.model import CloudLink, Step
from qiot_esp_at.identity import Identity
from qiot_esp_at.methods import ModuleMethod, ModuleSmartConfig, ModuleSoftAp
from qiot_esp_at.modem import Modem, ModuleError
from qiot_esp_at.transport import ModuleLink, ModuleTransport
from qiot_esp_at.wifi import ModuleWifi

__all__ = ["EspAtPlatform"]

log = get_logger()

_BAUD: Final = 115200
_BAUDS: Final = range(9600, 4_000_001)


class EspAtPlatform(Platform):
    """An ESP8266 with Tencent's AT firmware: `esp-at:/dev/ttyUSB0`.

    Options:
        `baud=N`: Bits per second, 115200 without it.
        `device_info=FILE`: The identity to give to the module; without it, the one it has.
        `state=DIR`: The folder of what survives a reboot of the host.

    Raises:
        ConfigurationError: No port is named, or an option cannot be used.
    """

    def __init__(self, spec: PlatformSpec) -> None:
        spec.expect("baud", "device_info", "state")
        if not spec.argument:
            raise ConfigurationError(
                "--hal esp-at: no port is named", hint="Write --hal esp-at:/dev/ttyUSB0."
            )
        folder = Path(spec.options["state"]) if spec.options.get("state") else default_folder()
        path = Path(spec.options["device_info"]) if spec.options.get("device_info") else None
        self._modem = Modem(spec.argument, _baud(spec.options.get("baud")))
        identity = Identity(self._modem, path)
        storage = FileStorage(folder)
        self._wifi = ModuleWifi(self._modem, folder / f"network-{Path(spec.argument).name}.json")
        self._methods: tuple[ModuleMethod, ...] = (
            ModuleSmartConfig(self._modem, identity, self._link),
            ModuleSoftAp(self._modem, identity, self._link),
        )
        self._ports: dict[type, object] = {
            Storage: storage,
            Wifi: self._wifi,
            Transport: ModuleTransport(self._modem, identity),
            SmartConfig: self._methods[0],
            ChipSoftAp: self._methods[1],
        }

    async def capabilities(self) -> Capabilities:
        """A station, and two methods that the module runs to the end; a module has to answer."""
        await self._modem.open()
        with suppress(ModuleError):  # what it is called changes nothing
            for line in await self._modem.ask("AT+GMR"):
                log.info(f"module: {line}")
        return Capabilities(
            combinations=(Combination(frozenset({Role.STATION})),),
            chip={method.method: Step.BOUND for method in self._methods},
        )

    def port(self, kind: type[PortT]) -> PortT:
        """`Storage`, `Wifi`, `Transport`, `SmartConfig`, `ChipSoftAp`."""
        if kind not in self._ports:
            raise NotSupportedError(
                f"{kind.__name__}: the module has no such port",
                hint="Use --method smart_config or soft_ap: the module runs them by itself.",
            )
        return cast(PortT, self._ports[kind])

    async def recover(self) -> None:
        """End what a killed process left the module at: a payload, a method that listens, a try to join."""
        for method in self._methods:
            await self._modem.open()
            try:
                await self._modem.stop(method.stop_command)
            except HalError as error:
                log.debug(f"nothing to stop: {error}")
        await self._wifi.recover()

    async def close(self) -> None:
        """Stop the methods, undo a try that was not settled, and close the port."""
        try:
            for method in self._methods:
                await method.stop()
            await self._wifi.close()
        finally:
            self._modem.close()

    def _link(self) -> CloudLink:
        return ModuleLink(self._modem)


def _baud(given: str | None) -> int:
    if given is None:
        return _BAUD
    if not given.isdecimal() or int(given) not in _BAUDS:
        raise ConfigurationError(f"--hal esp-at: baud={given!r} is no rate from 9600 to 4000000")
    return int(given)
