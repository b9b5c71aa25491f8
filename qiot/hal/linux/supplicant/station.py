"""The station of one interface by wpa_supplicant: joins are tries, and the earlier network is remembered."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import ClassVar, Final, NoReturn

from qiot.errors import HalError, JoinError, NotSupportedError
from qiot.finishing import finish
from qiot.hal.contract import WifiStatus
from qiot.hal.linux.backends import StationBackend, Target
from qiot.hal.linux.radio import Radio
from qiot.hal.linux.supplicant import events
from qiot.hal.linux.supplicant.control import Control, News
from qiot.hal.linux.supplicant.daemon import Daemon
from qiot.hal.linux.supplicant.dhcp import Dhcp
from qiot.hal.linux.supplicant.kept import Kept
from qiot.hal.linux.supplicant.networks import STATION, Networks, restore, unescape
from qiot.hal.linux.supplicant.verdict import Verdict
from qiot.hal.linux.undo import Change
from qiot.log import get_logger
from qiot.model import IpConfig, Reason, show_ssid

__all__ = ["SupplicantStation"]

log = get_logger()

_TELLING: Final = 0.05
"""Part of a time limit that is left to tell why it was too short."""
_TELLING_MAX: Final = 0.5
_COMPLETED: Final = "COMPLETED"
_NOISE: Final = frozenset({"CTRL-EVENT-BSS-ADDED", "CTRL-EVENT-BSS-REMOVED", "CTRL-EVENT-SCAN-STARTED"})


class SupplicantStation(StationBackend):
    """The station by wpa_supplicant's control interface, the system's or one of our own.

    Args:
        radio: Its radio.
    """

    name: ClassVar[str] = "wpa_supplicant"

    def __init__(self, radio: Radio) -> None:
        self._radio = radio
        self._daemon = Daemon(radio)
        self._dhcp = Dhcp(radio)
        self._kept = Kept(radio.state / f"network-{radio.interface}.json")
        self._change: Change | None = None
        self._tried: tuple[int, Target] | None = None
        radio.undo.register(STATION, restore)

    async def problem(self) -> NotSupportedError | None:
        """Why it cannot be used: no wpa_supplicant, or none that we may ask, or no DHCP client."""
        return await self._daemon.problem() or await self._dhcp.problem()

    async def join(self, target: Target, timeout: float) -> IpConfig:
        """Join as a try."""
        verdict = Verdict(show_ssid(target.ssid))
        try:
            return await self._in_time(timeout, verdict, self._try(target, verdict))
        except BaseException:
            await finish(self._undo_try())
            raise

    async def rejoin(self, timeout: float) -> IpConfig:
        """Be in the network that is kept here, or in one that wpa_supplicant knows."""
        control = await self._daemon.find()
        if control is not None and await self._is_joined(control):
            found = await self._dhcp.config()
            if found is not None:
                return found
        target = await self._kept.read()
        if target is not None:
            found = await self.join(target, timeout)
            await finish(self._keep_try())
            return found
        first = await Networks(control).first() if control is not None else None
        if control is None or first is None:
            raise JoinError("no network is stored", reason=Reason.NO_SAVED_NETWORK)
        verdict = Verdict(show_ssid(first.ssid))
        found = await self._in_time(timeout, verdict, self._go_on(control, verdict))
        await self._dhcp.keep()
        return found

    async def settle(self, *, keep: bool) -> None:
        """Keep the last join, in wpa_supplicant's configuration or here, or undo it."""
        if not keep:
            await finish(self._undo_try())
        elif self._tried is not None:
            await finish(self._keep_try())

    async def forget(self) -> None:
        """Remove what is kept here and what was settled in wpa_supplicant, which goes on with the rest."""
        await finish(self._forget())

    async def status(self) -> WifiStatus:
        """Where the station is, by wpa_supplicant and the kernel."""
        control = await self._daemon.find()
        kept = await self._kept.read()
        if control is None:
            return WifiStatus(connected=False, saved=kept.ssid if kept else None)
        ip = ssid = None
        fields = await control.fields("STATUS")
        if fields.get("wpa_state") == _COMPLETED:
            ssid, ip = unescape(fields.get("ssid", "")), await self._dhcp.config()
        saved = kept.ssid if kept else await self._known(control)
        return WifiStatus(connected=ip is not None, ssid=ssid, ip=ip, saved=saved)

    async def close(self) -> None:
        """Undo a try that was not settled; end a wpa_supplicant of ours that keeps no network."""
        try:
            await finish(self._undo_try())
        finally:
            await self._daemon.stop()
            self._daemon.let_go()

    async def _in_time(
        self, timeout: float, verdict: Verdict, work: Coroutine[None, None, IpConfig]
    ) -> IpConfig:
        """Do it a little quicker than the caller waits, so that the reason is told and not a time-out."""
        limit = max(timeout - min(timeout * _TELLING, _TELLING_MAX), 0.0)
        try:
            async with asyncio.timeout(limit):
                return await work
        except TimeoutError:
            raise verdict.out_of_time() from None
        except JoinError:
            raise
        except HalError as error:
            general = {Reason.MEDIUM, Reason.PLATFORM, Reason.TIMEOUT}
            reason = Reason.JOIN_OTHER if error.reason in general else error.reason
            raise JoinError(str(error), reason=reason, code=error.code, hint=error.hint) from None

    async def _try(self, target: Target, verdict: Verdict) -> IpConfig:
        control = await self._daemon.control()
        networks = Networks(control)
        if self._change is None:
            self._change = await self._radio.undo.note(STATION, **await networks.facts())
        await networks.remove(await networks.ours(settled=False))
        verdict.number = await networks.add(target)
        self._tried = (verdict.number, target)
        await self._dhcp.leave()
        await control.ask("BSSID_IGNORE clear")  # what a try before was refused says nothing of this one
        look = f"SCAN scan_id={verdict.number}"
        if target.frequency is not None:
            look += f" freq={target.frequency}"
        async with control.attached() as news:
            if target.frequency is not None:
                await control.ask(look)  # the network is looked for where it is, and only then everywhere
            await control.do(f"SELECT_NETWORK {verdict.number}", "the join")
            return await self._follow(control, news, verdict, look)

    async def _go_on(self, control: Control, verdict: Verdict) -> IpConfig:
        """Join one of the networks that wpa_supplicant knows."""
        async with control.attached() as news:
            if await self._is_joined(control):
                return await self._dhcp.get()
            await control.do("REASSOCIATE", "the join")
            return await self._follow(control, news, verdict, "SCAN")

    async def _follow(self, control: Control, news: News, verdict: Verdict, look: str) -> IpConfig:
        """Wait until it is joined, then for the address, while it is watched that it stays joined."""
        while not verdict.connected:
            await self._hear(control, news, verdict, look)
        watching = asyncio.ensure_future(self._watch(control, news, verdict, look))
        getting = asyncio.ensure_future(self._dhcp.get())
        try:
            await asyncio.wait({watching, getting}, return_when=asyncio.FIRST_COMPLETED)
            return await (getting if getting.done() else watching)
        finally:
            for task in (watching, getting):
                task.cancel()
            await asyncio.gather(watching, getting, return_exceptions=True)

    async def _watch(self, control: Control, news: News, verdict: Verdict, look: str) -> NoReturn:
        while True:
            await self._hear(control, news, verdict, look)

    async def _hear(self, control: Control, news: News, verdict: Verdict, look: str) -> None:
        event = await news.next()
        if event.name not in _NOISE:
            log.debug(f"wpa_supplicant: {event.text}")
        verdict.hear(event)
        if event.name in {events.NOT_FOUND, events.DISCONNECTED} and not verdict.connected:
            await control.ask(look)  # by itself it looks again after 5 s; busy is fine, it looks then

    async def _keep_try(self) -> None:
        if self._tried is None or self._change is None:
            return
        number, target = self._tried
        control = await self._daemon.control()
        networks = Networks(control)
        enabled = [int(each) for each in self._change.facts["enabled"].split()]
        if number not in await networks.ours(settled=False):  # it was started anew, and has forgotten the try
            enabled = [each.number for each in await networks.listed() if each.enabled]
            number = await networks.add(target)
            await control.ask(f"SELECT_NETWORK {number}")
        await networks.settle(number, enabled)
        if not self._daemon.is_ours and await control.ask("SAVE_CONFIG") == "OK":
            await self._kept.forget()
        else:
            await self._kept.write(target)
        await self._dhcp.keep()
        await self._daemon.keep()
        change, self._change, self._tried = self._change, None, None
        await self._radio.undo.forget(change)

    async def _forget(self) -> None:
        await self._undo_try()
        await self._kept.forget()
        control = await self._daemon.find()
        if control is None:
            return
        networks = Networks(control)
        settled = await networks.ours(settled=True)
        if not settled:
            return
        await networks.remove(settled)
        if not self._daemon.is_ours:
            await control.ask("SAVE_CONFIG")
        await control.ask("REASSOCIATE" if await networks.first() is not None else "DISCONNECT")

    async def _undo_try(self) -> None:
        await self._dhcp.restore()
        if self._change is not None:
            await restore(self._change)
            change, self._change, self._tried = self._change, None, None
            await self._radio.undo.forget(change)

    async def _known(self, control: Control) -> bytes | None:
        """What wpa_supplicant would join after a reboot, as long as a try is not settled."""
        if self._daemon.is_ours:
            return None
        among = self._change.facts["enabled"].split() if self._change is not None else None
        found = await Networks(control).first(among)
        return found.ssid if found is not None else None

    async def _is_joined(self, control: Control) -> bool:
        return (await control.fields("STATUS")).get("wpa_state") == _COMPLETED
