"""The station steps aside while its interface is an access point, and comes back."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from qiot.errors import MediumError
from qiot.hal.linux.radio import Radio
from qiot.hal.linux.supplicant.control import Control
from qiot.hal.linux.supplicant.daemon import Daemon
from qiot.hal.linux.supplicant.dhcp import Dhcp
from qiot.hal.linux.supplicant.networks import reassociate
from qiot.hal.linux.undo import Change
from qiot.log import get_logger

__all__ = ["Aside"]

log = get_logger()

_ASIDE: Final = "station-aside"
_LENT: Final = "interface-lent"
_JOINED: Final = "COMPLETED"
_IDLE: Final = frozenset({"DISCONNECTED", "INACTIVE", "INTERFACE_DISABLED"})


class Aside:
    """The station of one radio's own interface, as the access point sees it.

    Args:
        radio: The radio.
    """

    def __init__(self, radio: Radio) -> None:
        self._radio = radio
        self._daemon = Daemon(radio)
        self._dhcp = Dhcp(radio)
        self._change: Change | None = None
        self._lent: Change | None = None
        radio.undo.register(_ASIDE, self._restore)
        radio.undo.register(_LENT, self._take_back)

    async def step(self, *, wholly: bool) -> None:
        """Let wpa_supplicant leave its network.

        Args:
            wholly: Take its address away too: the interface becomes the access point's.
        """
        if self._change is not None:
            return
        control = await self._daemon.find()
        path = ""
        if control is not None and (await control.fields("STATUS")).get("wpa_state") not in _IDLE:
            path = str(control.path)
        self._change = await self._radio.undo.note(_ASIDE, path=path)
        if control is not None:
            await control.ask("DISCONNECT")
        self._daemon.let_go()
        if wholly:
            await self._dhcp.leave()
            self._lent = await self._radio.undo.note(_LENT)

    async def come_back(self) -> None:
        """Begin to be in the earlier network again. Idempotent."""
        if self._lent is not None:
            await self._take_back(self._lent)
            lent, self._lent = self._lent, None
            await self._radio.undo.forget(lent)
        await self._dhcp.restore()
        if self._change is not None:
            await self._restore(self._change)
            change, self._change = self._change, None
            await self._radio.undo.forget(change)

    async def _take_back(self, _change: Change) -> None:
        """Make the interface a station's again; nothing where it is.

        hostapd does so when it ends, but not when it is killed, also by the pipe to a reader that was. And
        wpa_supplicant, which has never let go of the interface, does not look.
        """
        interface = self._radio.interface
        if (await self._radio.nl80211.interface(interface)).mode != "ap":
            return
        await self._radio.links.down(interface)
        try:
            await self._radio.nl80211.set_mode(interface, "managed")
        finally:
            await self._radio.links.up(interface)

    async def _restore(self, change: Change) -> None:
        if change.facts["path"]:
            await _go_on(Control(Path(change.facts["path"])))


async def _go_on(control: Control) -> None:
    """Let wpa_supplicant join what it may; nothing where it has ended or is in a network."""
    try:
        if (await control.fields("STATUS")).get("wpa_state") == _JOINED:
            return
        for line in (await control.ask("LIST_NETWORKS")).splitlines():
            # It may have been refused while the access point held the radio on another channel.
            if "[TEMP-DISABLED]" in line:
                await control.ask(f"ENABLE_NETWORK {line.split()[0]} no-connect")
        await reassociate(control)
    except MediumError as error:
        log.debug(f"the station has no wpa_supplicant any more: {error}")
    finally:
        control.close()
