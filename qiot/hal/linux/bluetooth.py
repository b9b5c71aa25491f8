"""The Bluetooth side of a Linux host: BlueZ's adapter, loaded when it is asked for."""

from __future__ import annotations

import asyncio
import importlib
from pathlib import Path
from typing import TYPE_CHECKING

from qiot.errors import NotSupportedError
from qiot.hal.contract import Gatt
from qiot.hal.linux.dongles import hint_of
from qiot.log import get_logger

if TYPE_CHECKING:
    from qiot.hal.linux.bluez import BluezGatt
    from qiot.hal.linux.btcombo import LinuxBtCombo

__all__ = ["Bluetooth"]

log = get_logger()


class Bluetooth:
    """One adapter.

    Args:
        adapter: "hci0", or "" for the first one.
        state: Folder of what survives the process.
    """

    def __init__(self, adapter: str, state: Path) -> None:
        self._adapter = adapter
        self._state = state
        self._gatt: BluezGatt | None = None
        self._btcombo: LinuxBtCombo | None = None
        self._problem: NotSupportedError | None = None

    async def can_serve(self) -> bool:
        """True where there is an adapter that can be a peripheral; else it is logged why not."""
        await self._load()
        self._problem = await self._made().problem()
        if self._problem is None:
            return True
        plugged = await asyncio.to_thread(hint_of)
        text = f"{self._problem}. {self._problem.hint} {plugged}".rstrip()
        if self._adapter:
            log.warning(text)
        else:
            log.debug(text)
        return False

    @property
    def gatt(self) -> Gatt:
        """The GATT server.

        Raises:
            NotSupportedError: `can_serve` has found out that there is none.
        """
        if self._problem is not None:
            raise self._problem
        return self._made()

    @property
    def btcombo(self) -> LinuxBtCombo:
        """BT-Combo over it."""
        from qiot.hal.linux.btcombo import LinuxBtCombo

        if self._btcombo is None:
            self._btcombo = LinuxBtCombo(self.gatt)
        return self._btcombo

    async def recover(self) -> None:
        """Put back what a killed process left."""
        if self._gatt is None and not any(self._state.glob("undo-bluetooth*.json")):
            return  # without a second for D-Bus
        await self._load()
        await self._made().recover()

    async def close(self) -> None:
        """Stop, and give the adapter back. Idempotent."""
        if self._btcombo is not None:
            await self._btcombo.stop()
        if self._gatt is not None:
            await self._gatt.close()

    async def _load(self) -> None:
        """In a thread: D-Bus takes a second on a small board."""
        if self._gatt is None:
            await asyncio.to_thread(importlib.import_module, "qiot.hal.linux.bluez")

    def _made(self) -> BluezGatt:
        if self._gatt is None:
            from qiot.hal.linux.bluez import BluezGatt

            self._gatt = BluezGatt(self._state, self._adapter)
        return self._gatt
