"""Who the module is at the cloud: what the device_info.json says, given to the module and read back."""

from __future__ import annotations

import asyncio
import functools
import operator
import re
from pathlib import Path
from typing import Final

from qiot.device_info import DeviceInfo, load_device_info
from qiot.errors import ConfigurationError, HalError, MediumError
from qiot.model import Reason, Secret
from qiot_esp_at.modem import Modem, ModuleError, command

__all__ = ["Identity", "checksum"]

_DEFAULT_REGION: Final = "china"
"""What the module takes for granted, as ap-guangzhou."""
_TLS_WITH_KEY: Final = 1
"""The only connection that the ESP8266's firmware knows."""
_TRIES: Final = 2
_REGISTER_LIMIT: Final = 30.0
_READ_BACK: Final = re.compile(r'1\s*,\s*"([^"]*)"\s*,\s*"([^"]*)"\s*,\s*(\d+)')


class Identity:
    """Gives a module its identity.

    Args:
        modem: The module.
        path: device_info.json, or None where the module has its identity from before.
    """

    def __init__(self, modem: Modem, path: Path | None) -> None:
        self._modem = modem
        self._path = path

    async def give(self) -> None:
        """Make sure that the module is the device of the file; it keeps what a registration gives.

        Raises:
            ConfigurationError: The file cannot be used.
            HalError: The module refused it, could not register, or read back something else.
        """
        if self._path is None:
            return
        info = await asyncio.to_thread(load_device_info, self._path)
        if info.device_secret is None:
            await self._register(info)
            return
        wanted = (info.product_id, info.device_name, checksum(info.device_secret))
        words = (info.product_id, info.device_name, info.device_secret.text(), *_region(info))
        for _ in range(_TRIES):  # the line may garble it, or what the module says to it
            if await self._read_back() == wanted:
                return
            try:
                await self._modem.say(command("TCDEVINFOSET", _TLS_WITH_KEY, *words), result=True)
            except MediumError as error:
                if error.reason is not Reason.TIMEOUT:
                    raise
        if await self._read_back() != wanted:
            raise HalError(
                f"{self._modem.device}: the module has not taken the identity as it was given",
                hint="The line garbles what goes over it: try a lower baud=.",
            )

    async def _register(self, info: DeviceInfo) -> None:
        if info.product_secret is None:
            raise ConfigurationError(f"{self._path} has neither a device secret nor a product secret")
        found = await self._read_back()
        if found is not None and found[:2] == (info.product_id, info.device_name) and found[2]:
            return  # registered by the module before
        words = (info.product_id, info.product_secret.text(), info.device_name, *_region(info))
        await self._modem.say(command("TCPRDINFOSET", _TLS_WITH_KEY, *words), result=True)
        try:
            await self._modem.say("AT+TCDEVREG", result=True, timeout=_REGISTER_LIMIT)
        except ModuleError as error:
            raise HalError(
                f"the module could not register: {error}",
                reason=Reason.REGISTRATION_REFUSED,
                code=error.code,
                hint="It has to be in a network for that; or write deviceSecret into the file.",
            ) from None

    async def _read_back(self) -> tuple[str, str, int] | None:
        """Product, device and checksum of its secret, as the module has them."""
        for line in await self._modem.ask("AT+TCDEVINFOSET?"):
            match = _READ_BACK.search(line)
            if match is not None:
                return match[1], match[2], int(match[3])
        return None


def checksum(secret: Secret) -> int:
    """The XOR of a secret's octets, which is all that the module tells of it."""
    return functools.reduce(operator.xor, secret.reveal(), 0)


def _region(info: DeviceInfo) -> tuple[str, ...]:
    region = info.region or _DEFAULT_REGION
    return () if region == _DEFAULT_REGION else (region,)
