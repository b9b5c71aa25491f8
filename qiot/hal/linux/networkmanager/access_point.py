"""The access point by NetworkManager: a volatile profile in mode "ap" whose addresses are shared.

NetworkManager runs dnsmasq for it, and ends the activation by itself when our connection to the bus ends.
"""

from __future__ import annotations

import asyncio
import ipaddress
import sys
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Final

import attrs

from qiot.errors import HalError, NotSupportedError
from qiot.hal.contract import SoftApSpec
from qiot.hal.linux.backends import AccessPointBackend
from qiot.hal.linux.bus import Bus
from qiot.hal.linux.networkmanager.activation import Activation
from qiot.hal.linux.networkmanager.manager import Manager
from qiot.hal.linux.networkmanager.names import DeviceReason
from qiot.hal.linux.networkmanager.profiles import access_point_profile
from qiot.hal.linux.networkmanager.restore import Displacement, clean_up
from qiot.hal.linux.programs import find_program
from qiot.hal.linux.undo import Change
from qiot.log import get_logger

if TYPE_CHECKING:
    from qiot.hal.linux.radio import Radio

__all__ = ["NetworkManagerAccessPoint"]

log = get_logger()

_ACCESS_POINT: Final = "networkmanager-access-point"
_PERMISSIONS: Final = (
    "network-control",
    "settings.modify.system",
    "wifi.share.open",
    "wifi.share.protected",
)
_START_LIMIT: Final = 45.0
"""Seconds until it must be up; NetworkManager itself gives the radio 25 of them."""
_DNSMASQ_LIMIT: Final = 10.0
_POLL: Final = 0.05
_UDP_SOCKETS: Final = Path("/proc/net/udp")
_DNS_PORT: Final = 53


@attrs.frozen
class _Displaced:
    """What an access point that is up, or on its way, has taken the place of."""

    displacement: Displacement
    change: Change


class NetworkManagerAccessPoint(AccessPointBackend):
    """The access point of one radio.

    Args:
        radio: The radio.
    """

    name: ClassVar[str] = "NetworkManager"

    def __init__(self, radio: Radio) -> None:
        self._interface = radio.interface
        self._undo = radio.undo
        self._manager = Manager(Bus())
        self._displaced: list[_Displaced] = []
        self._undo.register(_ACCESS_POINT, self._put_back)

    async def problem(self) -> NotSupportedError | None:
        """Whether NetworkManager runs, manages the interface, lets us, and has dnsmasq."""
        try:
            find_program("dnsmasq")
        except NotSupportedError as error:
            return error
        bus = Bus()  # of its own: a start may be at work with the other, or another probe
        try:
            return await Manager(bus).problem(self._interface, *_PERMISSIONS)
        finally:
            await bus.close()

    async def start(self, spec: SoftApSpec, interface: str, frequency: int) -> None:
        """Bring it up; it ends with this process, however that ends."""
        if self._displaced:
            raise HalError("the access point is up already", hint="Stop it before the next start.")
        try:
            async with asyncio.timeout(_START_LIMIT):
                await self._start(spec, interface, frequency)
        except TimeoutError:
            await self.stop()
            raise HalError(
                f"the access point was not up within {_START_LIMIT:g} s",
                hint="Look at NetworkManager's log: journalctl -u NetworkManager.",
            ) from None
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Take it down, and begin to join the network that it displaced."""
        await clean_up(self._stop())

    async def _start(self, spec: SoftApSpec, interface: str, frequency: int) -> None:
        manager, profile_id = self._manager, str(uuid.uuid4())
        own = interface == self._interface
        device = await manager.ready_device(interface, alone=not own)
        if own:
            displacement = await Displacement.before(manager, device, interface, profile_id)
        else:
            await self._make_room(frequency)
            displacement = Displacement(interface, profile_id, autoconnect=False)
        await self._note(displacement)
        settings = access_point_profile(spec, interface, frequency, profile_id)
        activation = Activation(manager, device, interface)
        if not await activation.run(lambda: manager.try_out(settings, device, while_connected=True)):
            raise _start_error(activation)
        await _dnsmasq_ready(spec.address)

    async def _make_room(self, frequency: int) -> None:
        """Let the station leave a network on another channel: one radio has one channel."""
        station = await self._manager.device(self._interface)
        if station is None or await self._manager.frequency(station) in (0, frequency):
            return
        await self._note(await Displacement.before(self._manager, station, self._interface, ""))
        log.info(f"{self._interface} leaves its network for the access point on {frequency} MHz")
        await self._manager.deactivate(station.active)
        await self._manager.wait_idle(self._interface)

    async def _note(self, displacement: Displacement) -> None:
        change = await displacement.note(self._undo, _ACCESS_POINT)
        self._displaced.append(_Displaced(displacement, change))

    async def _stop(self) -> None:
        try:
            while self._displaced:
                last = self._displaced[-1]
                await last.displacement.put_back(self._manager)
                await self._undo.forget(last.change)
                self._displaced.pop()
        finally:
            self._displaced.clear()
            await self._manager.bus.close()

    async def _put_back(self, change: Change) -> None:
        manager = Manager(Bus())
        try:
            await Displacement.of(change).put_back(manager)
        finally:
            await manager.bus.close()


async def _dnsmasq_ready(address: str) -> None:
    """Wait for dnsmasq: NetworkManager calls the access point up as soon as it has started it.

    Raises:
        HalError: It does not come.
    """
    wanted = f"{_as_in_proc(address)}:{_DNS_PORT:04X}"
    try:
        async with asyncio.timeout(_DNSMASQ_LIMIT):
            # The kernel does not tell when a socket is bound.
            while wanted not in await asyncio.to_thread(_UDP_SOCKETS.read_text):  # noqa: ASYNC110
                await asyncio.sleep(_POLL)
    except TimeoutError:
        raise _no_dhcp(None) from None


def _as_in_proc(address: str) -> str:
    """An IPv4 address as in proc(5): a number in the machine's own byte order, in hexadecimal digits."""
    return f"{int.from_bytes(ipaddress.IPv4Address(address).packed, sys.byteorder):08X}"


def _start_error(activation: Activation) -> HalError:
    code = activation.device_reason
    if code in {DeviceReason.SHARED_START_FAILED, DeviceReason.SHARED_FAILED}:
        return _no_dhcp(code)
    return HalError(
        f"NetworkManager could not start the access point (reason {code})",
        code=code,
        hint="Look at NetworkManager's log: journalctl -u NetworkManager.",
    )


def _no_dhcp(code: int | None) -> HalError:
    return HalError(
        "NetworkManager's dnsmasq does not serve the access point",
        code=code,
        hint="See that no other program has UDP port 53 or 67 of every address (ss -lunp).",
    )
