"""The station by NetworkManager: a try is a volatile profile, which settling turns into a stored one."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, ClassVar, Final

import attrs

from qiot.errors import HalError, JoinError, NotSupportedError
from qiot.hal.contract import WifiStatus
from qiot.hal.linux.backends import StationBackend, Target
from qiot.hal.linux.bus import Bus
from qiot.hal.linux.networkmanager.activation import Activation
from qiot.hal.linux.networkmanager.association import look
from qiot.hal.linux.networkmanager.failures import join_error
from qiot.hal.linux.networkmanager.manager import Device, Manager
from qiot.hal.linux.networkmanager.names import DeviceState
from qiot.hal.linux.networkmanager.profiles import Profile, Settings, kept, preferred, station_profile
from qiot.hal.linux.networkmanager.restore import Displacement, clean_up
from qiot.hal.linux.undo import Change
from qiot.log import get_logger
from qiot.model import IpConfig, Reason, Security, show_ssid

if TYPE_CHECKING:
    from qiot.hal.linux.radio import Radio

__all__ = ["NetworkManagerStation"]

log = get_logger()

_JOIN: Final = "networkmanager-join"
_PERMISSIONS: Final = ("network-control", "settings.modify.system")


@attrs.frozen
class _Try:
    """A join that has not been settled."""

    displacement: Displacement
    change: Change
    hidden: bool


class NetworkManagerStation(StationBackend):
    """The station of one interface.

    Args:
        radio: Its radio.
    """

    name: ClassVar[str] = "NetworkManager"

    def __init__(self, radio: Radio) -> None:
        self._interface = radio.interface
        self._undo = radio.undo
        self._manager = Manager(Bus())
        self._try: _Try | None = None
        self._undo.register(_JOIN, self._put_back)

    async def problem(self) -> NotSupportedError | None:
        """Whether NetworkManager runs, manages the interface, and lets us."""
        return await self._manager.problem(self._interface, *_PERMISSIONS)

    async def join(self, target: Target, timeout: float) -> IpConfig:
        """Join by a profile of its own; a profile that the user has for the same network is left alone."""
        profile_id = str(uuid.uuid4())
        settings = station_profile(target, self._interface, profile_id)
        try:
            return await self._join(target, settings, profile_id, timeout)
        except JoinError:
            await self._end_try()
            raise
        except HalError as error:
            await self._end_try()
            raise JoinError(
                f"{show_ssid(target.ssid)}: {error}",
                reason=error.reason if error.reason is Reason.NO_PERMISSION else None,
                code=error.code,
                hint=error.hint,
            ) from error
        except BaseException:
            await self._end_try()
            raise

    async def rejoin(self, timeout: float) -> IpConfig:
        """Be in the stored network that NetworkManager prefers, of those that are around."""
        await self._end_try()
        clock = asyncio.get_running_loop().time
        deadline = clock() + timeout
        try:
            async with asyncio.timeout_at(deadline):
                device = await self._manager.ready_device(self._interface)
                profile = await self._chosen(device)
                ip = await self._present(device, profile)
        except TimeoutError:
            raise _not_ready(timeout) from None
        if ip is not None:
            return ip
        return await self._activate(
            show_ssid(profile.ssid),
            device,
            lambda: self._begin(profile, device),
            max(deadline - clock(), 0.0),
            sae=profile.sae,
        )

    async def settle(self, *, keep: bool) -> None:
        """Write the profile to the disk, in front of all others; or remove it."""
        if self._try is None:
            return
        if not keep:
            await self._end_try()
            return
        await clean_up(self._keep(self._try))

    async def forget(self) -> None:
        """Delete the profiles that we have stored; NetworkManager leaves the one that is active."""
        await self._end_try()
        for each in await self._manager.profiles():
            if each.ours and each.station and each.saved and each.fits(self._interface):
                await self._manager.delete(each.path)

    async def status(self) -> WifiStatus:
        """Where the station is, and which network NetworkManager would join after a reboot."""
        profiles = await self._manager.profiles()
        saved = preferred(profiles, self._interface)
        device = await self._manager.device(self._interface)
        ip = ssid = None
        if device is not None and device.state == DeviceState.ACTIVATED:
            active = await self._manager.active_uuid(device)
            ssid = next((each.ssid for each in profiles if each.uuid == active and each.station), None)
            ip = None if ssid is None else await self._manager.ip_config(device)
        return WifiStatus(connected=ip is not None, ssid=ssid, ip=ip, saved=saved[0].ssid if saved else None)

    async def close(self) -> None:
        """Undo a try that was never settled, and close the connection to the bus."""
        try:
            await self._end_try()
        finally:
            await self._manager.bus.close()

    async def _join(self, target: Target, settings: Settings, profile_id: str, timeout: float) -> IpConfig:
        clock = asyncio.get_running_loop().time
        deadline = clock() + timeout
        try:
            async with asyncio.timeout_at(deadline):
                device = await self._manager.ready_device(self._interface)
                await self._begin_try(device, profile_id, hidden=target.hidden)
                if target.frequency is not None:
                    await look(self._manager.bus, self._interface, target.ssid, target.frequency)
        except TimeoutError:
            raise _not_ready(timeout) from None
        return await self._activate(
            show_ssid(target.ssid),
            device,
            lambda: self._manager.try_out(settings, device),
            max(deadline - clock(), 0.0),
            sae=target.security in {Security.WPA3, Security.WPA2_WPA3},
        )

    async def _activate(
        self, name: str, device: Device, begin: Callable[[], Awaitable[str]], timeout: float, *, sae: bool
    ) -> IpConfig:
        """Activate a profile and wait for its address."""
        activation = Activation(self._manager, device, self._interface, sae=sae)
        try:
            async with asyncio.timeout(timeout):
                up = await activation.run(begin)
                ip = await self._ip_config() if up else None
        except TimeoutError:
            raise join_error(name, activation, in_time=False) from None
        if ip is None:
            raise join_error(name, activation)
        return ip

    async def _begin_try(self, device: Device, profile_id: str, *, hidden: bool) -> None:
        """Write down what is there; of tries that follow each other, what was there before the first."""
        trial = self._try
        if trial is None:
            displacement = await Displacement.before(self._manager, device, self._interface, profile_id)
        else:
            displacement = attrs.evolve(trial.displacement, uuid=profile_id)
        change = await displacement.note(self._undo, _JOIN)
        self._try = _Try(displacement, change, hidden)
        if trial is not None:
            await self._undo.forget(trial.change)

    async def _ip_config(self) -> IpConfig | None:
        device = await self._manager.device(self._interface)
        return None if device is None else await self._manager.ip_config(device)

    async def _chosen(self, device: Device) -> Profile:
        """What NetworkManager joins after a reboot: the active one where it is stored, else what is around.

        Raises:
            JoinError: NO_SAVED_NETWORK.
        """
        saved = preferred(await self._manager.profiles(), self._interface)
        active = await self._manager.active_uuid(device)
        for wanted in (lambda each: each.uuid == active, lambda each: each.path in device.available):
            found = next(filter(wanted, saved), None)
            if found is not None:
                return found
        if not saved:
            raise JoinError("no network was saved", reason=Reason.NO_SAVED_NETWORK)
        return saved[0]

    async def _present(self, device: Device, profile: Profile) -> IpConfig | None:
        """The address, where it is in the network already."""
        if device.state != DeviceState.ACTIVATED or await self._manager.active_uuid(device) != profile.uuid:
            return None
        return await self._manager.ip_config(device)

    async def _begin(self, profile: Profile, device: Device) -> str:
        """Begin to join a stored network, where that is not under way."""
        if await self._manager.active_uuid(device) == profile.uuid:
            return device.active
        frequency = await self._manager.frequency_of(device, profile.ssid)
        if frequency:
            await look(self._manager.bus, self._interface, profile.ssid, frequency)
        return await self._manager.activate(profile.path, device)

    async def _keep(self, trial: _Try) -> None:
        manager, own = self._manager, trial.displacement.uuid
        path = await manager.find_profile(own)
        if not path:
            self._try = None
            await self._undo.forget(trial.change)
            raise HalError("the network that was tried has been left meanwhile", hint="Join it again.")
        profiles = await manager.profiles()
        ssid = next(each.ssid for each in profiles if each.uuid == own)
        replaced = [
            each
            for each in profiles
            if each.ours
            and each.station
            and each.ssid == ssid
            and each.uuid != own
            and each.fits(self._interface)
        ]
        others = [each.priority for each in preferred(profiles, self._interface) if each not in replaced]
        settings = await manager.settings(path)
        await manager.keep(path, kept(settings, hidden=trial.hidden, priority=max(others, default=-1)))
        self._try = None
        await self._undo.forget(trial.change)
        for each in replaced:
            await manager.delete(each.path)

    async def _end_try(self) -> None:
        """Forget the try and bring the earlier network back."""
        trial = self._try
        if trial is not None:
            await clean_up(self._undo_try(trial))

    async def _undo_try(self, trial: _Try) -> None:
        self._try = None
        try:
            await trial.displacement.put_back(self._manager)
        except HalError as error:
            # It stays on the list: the next `recover` does it.
            log.warning(f"{self._interface}: the try is not undone: {error}")
        else:
            await self._undo.forget(trial.change)

    async def _put_back(self, change: Change) -> None:
        manager = Manager(Bus())
        try:
            await Displacement.of(change).put_back(manager)
        finally:
            await manager.bus.close()


def _not_ready(timeout: float) -> JoinError:
    return JoinError(f"the radio was not ready within {timeout:g} s", reason=Reason.JOIN_TIMEOUT)
