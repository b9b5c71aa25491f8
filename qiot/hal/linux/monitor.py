"""A monitor interface on a radio that others may use, and giving everything back as it was."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

from qiot.errors import HalError, NotSupportedError
from qiot.finishing import finish
from qiot.hal.linux.nl80211 import WirelessInterface
from qiot.hal.linux.radio import Radio
from qiot.hal.linux.undo import Change
from qiot.log import get_logger
from qiot.model import Reason

__all__ = ["Monitor"]

log = get_logger()

_DOWN: Final = "interface down"
_MODE: Final = "interface mode"
_P2P: Final = "Wi-Fi Direct stopped"
_MONITOR: Final = "monitor"
_UP: Final = "up"


class Monitor:
    """A monitor interface of one radio.

    It is a second one beside the radio's own, where the driver has room for it; else the own one changes its
    mode, if nobody uses it. The channel can be chosen as long as nothing else of the radio is up, so what is
    up and idle is taken down meanwhile.

    Args:
        radio: The radio.
    """

    def __init__(self, radio: Radio) -> None:
        self._radio = radio
        self._name = ""
        self._changes: list[Change] = []
        radio.undo.register(_DOWN, self._undo_down)
        radio.undo.register(_MODE, self._undo_mode)
        radio.undo.register(_P2P, self._undo_p2p)

    async def take(self) -> str:
        """Make it, up; gives its name.

        Raises:
            NotSupportedError: The radio has no monitor mode.
            HalError: We may not, or the radio is in use and the driver makes no second interface.
        """
        try:
            self._name = await self._make()
            await self._radio.links.up(self._name)
        except BaseException:
            await self.give_back()
            raise
        return self._name

    async def take_down_idle(self) -> bool:
        """Take down what is up, and neither joined nor an access point; True where nothing else is left up.

        Raises:
            HalError: We may not.
        """
        own = await self._radio.nl80211.interface(self._radio.interface)
        others = [each for each in await self._radio.nl80211.interfaces(own.wiphy) if each.mode != _MONITOR]
        if any(_in_use(each) for each in others):
            return False
        for each in others:
            if await self._radio.links.is_up(each.name):
                if not any(known.facts.get("name") == each.name for known in self._changes):
                    self._changes.append(await self._radio.undo.note(_DOWN, name=each.name))
                await self._radio.links.down(each.name)
        for number in await self._radio.nl80211.p2p_devices(own.wiphy):
            # wpa_supplicant makes one, without an interface; while it works, the radio counts as in use.
            change = await self._radio.undo.note(_P2P, number=str(number))
            self._changes.append(change)
            if not await self._radio.nl80211.stop_p2p_device(number):
                self._changes.remove(change)
                await self._radio.undo.forget(change)
        return True

    async def give_back(self) -> None:
        """Remove it, and let the others be as they were. Idempotent; a cancellation waits for it."""
        await finish(self._give_back())

    async def _make(self) -> str:
        radio = self._radio
        own = await radio.nl80211.interface(radio.interface)
        if _MONITOR not in (await radio.nl80211.wiphy(own.name)).modes:
            raise NotSupportedError(
                f"{own.name} has no monitor mode",
                hint="Use an adapter whose driver has it: `iw phy` lists monitor among the interface modes.",
            )
        up = await radio.links.is_up(own.name)
        free = await self.take_down_idle()
        if own.mode != _MONITOR:  # else somebody has set it up for us
            try:
                return await radio.add_interface(_MONITOR)
            except HalError as error:
                if error.reason is Reason.NO_PERMISSION or not free:
                    raise
                log.debug(f"no second interface, so {own.name} itself listens: {error}")
        state = _UP if up else ""
        self._changes.append(await radio.undo.note(_MODE, name=own.name, mode=own.mode, state=state))
        if own.mode != _MONITOR:
            await radio.links.down(own.name)
            await radio.nl80211.set_mode(own.name, _MONITOR)
        return own.name

    async def _give_back(self) -> None:
        name, self._name = self._name, ""
        await self._radio.remove_interface(name)
        undos: dict[str, Callable[[Change], Awaitable[None]]] = {
            _DOWN: self._undo_down,
            _MODE: self._undo_mode,
            _P2P: self._undo_p2p,
        }
        failure: HalError | None = None
        left: list[Change] = []
        for change in reversed(self._changes):
            try:
                await undos[change.kind](change)
                await self._radio.undo.forget(change)
            except HalError as error:
                failure = failure or error
                left.insert(0, change)
        self._changes = left
        if failure is not None:
            raise failure

    async def _undo_down(self, change: Change) -> None:
        name = change.facts["name"]
        if await self._radio.links.exists(name):
            await self._radio.links.up(name)

    async def _undo_mode(self, change: Change) -> None:
        name = change.facts["name"]
        if not await self._radio.links.exists(name):
            return
        if (await self._radio.nl80211.interface(name)).mode != change.facts["mode"]:
            await self._radio.links.down(name)
            await self._radio.nl80211.set_mode(name, change.facts["mode"])
        if change.facts["state"] == _UP:
            await self._radio.links.up(name)
        else:
            await self._radio.links.down(name)

    async def _undo_p2p(self, change: Change) -> None:
        await self._radio.nl80211.start_p2p_device(int(change.facts["number"]))


def _in_use(interface: WirelessInterface) -> bool:
    """Joined, about to be, or an access point: it has a channel."""
    return interface.frequency is not None
