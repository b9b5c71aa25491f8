"""One wireless interface and its radio: what all of its ports share."""

from __future__ import annotations

import errno
import re
from pathlib import Path
from typing import Final

from qiot.errors import HalError
from qiot.hal.linux.links import Links
from qiot.hal.linux.nl80211 import Nl80211
from qiot.hal.linux.programs import PROCESS, undo_process
from qiot.hal.linux.undo import Change, UndoLog

__all__ = ["Radio"]

_RUNTIME: Final = Path("/run/qiot")
_INTERFACE: Final = "interface"
_NAME_MAX: Final = 15
"""Longest interface name (IFNAMSIZ without its NUL, linux/if.h)."""
_SUFFIXES: Final = {"ap": "-ap", "monitor": "-mon", "managed": "-sta"}


class Radio:
    """One radio.

    Args:
        interface: The interface whose radio it is, such as "wlan0".
        state: Folder of what survives the process.

    Attributes:
        interface: Its name.
        state: Folder of what survives the process.
        nl80211: The kernel's wireless side.
        links: The kernel's network side.
        undo: What has to be put back.
        runtime: Folder for files of this run, which only root can read; gone after a reboot.
    """

    def __init__(self, interface: str, state: Path) -> None:
        self.interface = interface
        self.state = state
        self.nl80211 = Nl80211()
        self.links = Links()
        self.undo = UndoLog(state / f"undo-{_file_name(interface)}.json")
        self.runtime = _RUNTIME / _file_name(interface)
        self._virtual: dict[str, Change] = {}
        self.undo.register(PROCESS, undo_process)
        self.undo.register(_INTERFACE, self._undo_interface)

    def make_runtime(self) -> Path:
        """The folder for files of this run, made where it is missing.

        Raises:
            HalError: It cannot be made.
        """
        try:
            self.runtime.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise HalError(
                f"{self.runtime} cannot be made: {error.strerror}",
                code=error.errno,
                hint="Run as root." if error.errno == errno.EACCES else "",
            ) from None
        return self.runtime

    async def add_interface(self, mode: str) -> str:
        """Make a second interface on the radio; gives its name.

        Args:
            mode: "ap", "monitor" or "managed".

        Raises:
            HalError: The driver refused, or we may not.
        """
        suffix = _SUFFIXES[mode]
        name = self.interface[: _NAME_MAX - len(suffix)] + suffix
        change = await self.undo.note(_INTERFACE, name=name)
        self._virtual[name] = change
        try:
            own = await self.nl80211.interface(self.interface)
            await self.nl80211.remove_interface(name)
            mac = None if mode == "monitor" else _other_mac(own.mac)
            await self.nl80211.add_interface(own.wiphy, name, mode, mac=mac)
        except BaseException:
            await self.remove_interface(name)
            raise
        return name

    async def remove_interface(self, name: str) -> None:
        """Remove an interface of `add_interface`. Idempotent."""
        change = self._virtual.pop(name, None)
        if change is not None:
            await self.nl80211.remove_interface(name)
            await self.undo.forget(change)

    async def own_addresses(self) -> frozenset[bytes]:
        """The MAC addresses of the radio's interfaces, so that our own access point is no neighbour."""
        own = await self.nl80211.interface(self.interface)
        return frozenset(each.mac for each in await self.nl80211.interfaces(own.wiphy))

    async def close(self) -> None:
        """Remove every interface that was made, and let another process have the radio. Idempotent."""
        for name in list(self._virtual):
            await self.remove_interface(name)
        await self.undo.close()
        await self.nl80211.close()
        await self.links.close()

    async def _undo_interface(self, change: Change) -> None:
        await self.nl80211.remove_interface(change.facts["name"])


def _file_name(interface: str) -> str:
    return re.sub(r"[^\w.-]", "_", interface)


def _other_mac(mac: bytes) -> bytes:
    """A locally administered address (IEEE 802, 8.4) that differs from the radio's own."""
    return bytes((mac[0] ^ 0x02, *mac[1:5], mac[5] ^ 0x01))
