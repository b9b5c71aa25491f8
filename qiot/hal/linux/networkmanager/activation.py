"""One activation of a profile, watched until it is up or has failed."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Final

from qiot.errors import HalError
from qiot.hal.linux.bus import Signal
from qiot.hal.linux.networkmanager.association import SUPPLICANT_RULE, Association, supplicant_path
from qiot.hal.linux.networkmanager.manager import Device, Manager
from qiot.hal.linux.networkmanager.names import ACTIVE, DEVICE, NM, ActiveState, DeviceReason, DeviceState

__all__ = ["Activation"]

_LAST_WORD: Final = 1.0
"""Seconds in which the device says why, after its activation has ended."""


class Activation:
    """An activation on a device.

    Args:
        manager: NetworkManager.
        device: The device.
        interface: Its name.
        sae: True where the network takes SAE.

    Attributes:
        association: What wpa_supplicant said of it.
        state: The device's state.
        device_reason: NMDeviceStateReason of its failure; None where it has not failed.
        active_reason: NMActiveConnectionStateReason of its end.
        asks_for_password: True where NetworkManager found the password to be wrong, and wants another one.
    """

    def __init__(self, manager: Manager, device: Device, interface: str, *, sae: bool = False) -> None:
        self._manager = manager
        self._device = device
        self._interface = interface
        self._active = ""
        self._supplicant = ""
        self.association = Association(sae=sae)
        self.state = DeviceState.DISCONNECTED
        self.device_reason: int | None = None
        self.active_reason: int | None = None
        self.asks_for_password = False

    async def run(self, begin: Callable[[], Awaitable[str]]) -> bool:
        """Begin it, and return when it is decided: True where it is up, False where it failed.

        Args:
            begin: Begins it, and gives the object of the activation.

        Raises:
            HalError: NetworkManager or the bus went away.
        """
        self._supplicant = await supplicant_path(self._manager.bus, self._interface)
        async with self._manager.signals(SUPPLICANT_RULE) as signals:
            signals.clear()
            self._active = await begin()
            decided: bool | None = True if await self._manager.is_up(self._active) else None
            while decided is None:
                decided = await self._take(await signals.next())
            if not decided:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(_LAST_WORD):
                        while self.device_reason is None and not self._given_up:
                            await self._take(await signals.next())
            return decided

    @property
    def _given_up(self) -> bool:
        """True where wpa_supplicant or NetworkManager have said enough to call it a failure."""
        return self.asks_for_password or self.association.wrong_sae_password or self.association.refused

    async def _take(self, signal: Signal) -> bool | None:
        """None where it is not decided yet."""
        if signal.interface == DEVICE and signal.path == self._device.path:
            return self._take_device(*map(int, signal.body[:3]))
        if signal.interface == ACTIVE and signal.path == self._active:
            state, reason = map(int, signal.body[:2])
            if state == ActiveState.ACTIVATED:
                return True
            if state == ActiveState.DEACTIVATED:
                self.active_reason = reason
                return False
        elif signal.member == "NameOwnerChanged" and signal.body[0] == NM:
            raise HalError(
                "NetworkManager ended meanwhile", hint="Look at its log: journalctl -u NetworkManager."
            )
        elif signal.member == "PropertiesChanged":
            if signal.path != self._supplicant:
                # wpa_supplicant got the interface anew, as after it was an access point.
                self._supplicant = await supplicant_path(self._manager.bus, self._interface)
            if signal.path == self._supplicant:
                self.association.hear(signal)
                return False if self._given_up else None
        return None

    def _take_device(self, state: int, _earlier: int, reason: int) -> bool | None:
        if state == DeviceState.FAILED:
            self.device_reason = reason
            return False
        self.state = DeviceState(state)
        if state == DeviceState.NEED_AUTH and reason == DeviceReason.SUPPLICANT_DISCONNECT:
            # It would ask the user for another password now, where there is a desktop.
            self.asks_for_password = True
            return False
        return None
