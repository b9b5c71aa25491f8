"""The station: finding the network is done here by the kernel's scan, joining it by the backend."""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Mapping, Sequence
from typing import Final

from qiot.errors import HalError, JoinError
from qiot.hal.contract import Wifi, WifiStatus
from qiot.hal.linux.backends import StationBackend, Target
from qiot.hal.linux.neighbourhood import Neighbourhood
from qiot.hal.linux.radio import Radio
from qiot.hal.linux.soft_ap import LinuxSoftAp
from qiot.model import Band, Credentials, IpConfig, Network, Reason, Secret, Security, show_ssid

__all__ = ["LinuxWifi"]

_PASSPHRASE: Final = range(8, 64)
_PSK_DIGITS: Final = 64
_TAKEN: Final = frozenset({Security.OPEN, Security.WPA, Security.WPA2, Security.WPA3, Security.WPA2_WPA3})


class LinuxWifi(Wifi):
    """The station of one interface.

    Args:
        radio: Its radio.
        backend: Gives who runs the station here.
        neighbourhood: What the radio hears.
        soft_ap: The access point on the same radio.
    """

    def __init__(
        self,
        radio: Radio,
        backend: Callable[[], Awaitable[StationBackend]],
        neighbourhood: Neighbourhood,
        soft_ap: LinuxSoftAp,
    ) -> None:
        self._radio = radio
        self._backend = backend
        self._neighbourhood = neighbourhood
        self._soft_ap = soft_ap
        self._at_work = ""

    async def set_country(self, code: str) -> None:
        """Tell the kernel the country; it holds for every radio of this machine."""
        await self._radio.nl80211.set_country(code)

    async def address(self) -> str:
        """The interface's MAC address, as the kernel has it now."""
        return (await self._radio.nl80211.interface(self._radio.interface)).mac.hex(":").upper()

    async def scan(self) -> Sequence[Network]:
        """What is around; where the radio cannot scan now, as many access points cannot, the last scan."""
        return await self._neighbourhood.scan_or_recall()

    async def join(self, credentials: Credentials, timeout: float) -> IpConfig:
        """Find the network and join it as a try.

        Raises:
            JoinError: With its reason.
            HalError: The caller's mistake: no SSID, another verb at work, or the access point is up and the
                radio cannot be both.
        """
        if not credentials.ssid:
            raise HalError("a join needs the network's name")
        with self._working("a join"):
            clock = asyncio.get_running_loop().time
            deadline = clock() + timeout
            async with self._soft_ap.room():
                backend = await self._backend()
                target = await self._find(credentials, deadline)
                await self._soft_ap.go_to(target.frequency)
                return await backend.join(target, max(deadline - clock(), 0.0))

    async def rejoin(self, timeout: float) -> IpConfig:
        """Be in the stored network again."""
        with self._working("a join"):
            async with self._soft_ap.room():
                return await (await self._backend()).rejoin(timeout)

    async def settle(self, *, keep: bool) -> None:
        """Keep the last join, or undo it."""
        with self._working("settling a join"):
            await (await self._backend()).settle(keep=keep)
            if not keep:
                await self._soft_ap.resume()

    async def forget(self) -> None:
        """Remove the network that was settled; what is not ours stays."""
        with self._working("forgetting the network"):
            await (await self._backend()).forget()

    async def status(self) -> WifiStatus:
        """Where the station is now."""
        return await (await self._backend()).status()

    async def _find(self, credentials: Credentials, deadline: float) -> Target:
        """Look for the network until it is seen, everywhere was looked, or the time is over.

        Raises:
            JoinError: NO_SUCH_AP, JOIN_TIMEOUT where nothing could be looked at, or as `_choose`.
        """
        ssid = credentials.ssid or b""
        looked = False
        try:
            async with (
                asyncio.timeout_at(deadline),
                contextlib.aclosing(self._looks(ssid, credentials.channel)) as looks,
            ):
                async for networks, by_name in looks:
                    looked = True
                    network = _choose(credentials, networks)
                    if network is not None:
                        return await self._target(credentials, network, hidden=by_name)
        except TimeoutError:
            pass
        raise JoinError(
            f"{show_ssid(ssid)} is not in reach", reason=Reason.NO_SUCH_AP if looked else Reason.JOIN_TIMEOUT
        )

    async def _target(self, credentials: Credentials, network: Network, *, hidden: bool) -> Target:
        frequencies = await self._frequencies(network.channel)
        return Target(
            ssid=network.ssid,
            password=credentials.password,
            security=network.security,
            hidden=hidden,
            bssid=network.bssid if network.bssid == credentials.bssid else None,
            frequency=frequencies.get(network.band),
        )

    async def _frequencies(self, number: int | None) -> Mapping[Band, int]:
        """MHz of the channel of this number in each band where it may be used."""
        channels = (await self._radio.nl80211.wiphy(self._radio.interface)).channels
        return {each.band: each.frequency for each in channels if each.number == number and not each.disabled}

    async def _looks(
        self, ssid: bytes, channel: int | None
    ) -> AsyncGenerator[tuple[Sequence[Network], bool], None]:
        """What is seen where the hint says, in the last scan, everywhere; at last by asking for the name."""
        hears = self._neighbourhood
        # A scan takes the radio off its channel, and a phone in our access point would wait in vain.
        known = hears.recall(within=math.inf) if self._soft_ap.is_up else ()
        if known:
            yield known, False
        if hinted := [*(await self._frequencies(channel)).values()]:
            yield await hears.look_at(hinted, urgent=True), False
        if not known and (known := hears.recall()):
            yield known, False
        for name in (None, ssid):
            async with contextlib.aclosing(hears.sweep(name, urgent=True)) as bands:
                async for networks in bands:
                    yield networks, name is not None

    @contextlib.contextmanager
    def _working(self, verb: str) -> Iterator[None]:
        if self._at_work:
            raise HalError(f"{verb} is refused: {self._at_work} is not finished")
        self._at_work = verb
        try:
            yield
        finally:
            self._at_work = ""


def _choose(credentials: Credentials, networks: Sequence[Network]) -> Network | None:
    """The access point to join, where one of the network is among those seen: the named, else the strongest.

    Raises:
        JoinError: UNSUPPORTED_SECURITY, or WRONG_PASSWORD where the password cannot be right.
    """
    fitting = [each for each in networks if each.ssid == credentials.ssid]
    if not fitting:
        return None
    name = show_ssid(credentials.ssid)
    usable = [each for each in fitting if each.security in _TAKEN]
    if not usable:
        raise JoinError(
            f"{name} is protected by {fitting[0].security}, which is not supported",
            reason=Reason.UNSUPPORTED_SECURITY,
        )
    named = [each for each in usable if each.bssid == credentials.bssid]
    best = max(named or usable, key=lambda each: each.signal)
    _check_password(name, credentials.password, best.security)
    return best


def _check_password(name: str, password: Secret, security: Security) -> None:
    if security is Security.OPEN:
        # A network of the same name without a password is somebody else's, or somebody's trap.
        problem = f"{name} is open, but a password was given" if password else ""
    elif not password:
        problem = f"{name} wants a password, and none was given"
    elif security is Security.WPA3 or len(password) in _PASSPHRASE or _is_psk(password):
        problem = ""  # SAE takes passwords of any length (IEEE 802.11, 12.4.3)
    else:
        problem = f"{name} takes passwords of 8 to 63 characters, this one has {len(password)}"
    if problem:
        raise JoinError(problem, reason=Reason.WRONG_PASSWORD)


def _is_psk(password: Secret) -> bool:
    digits = password.reveal()
    return len(digits) == _PSK_DIGITS and all(each in b"0123456789abcdefABCDEF" for each in digits)
