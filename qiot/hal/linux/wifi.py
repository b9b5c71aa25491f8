"""The station: finding the network is done here by the kernel's scan, joining it by the backend."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final

from qiot.errors import HalError, JoinError, MediumError
from qiot.hal.contract import Wifi, WifiStatus
from qiot.hal.linux.backends import StationBackend, Target
from qiot.hal.linux.radio import Radio
from qiot.hal.linux.scan import networks_of
from qiot.hal.linux.soft_ap import LinuxSoftAp
from qiot.log import get_logger
from qiot.model import Credentials, IpConfig, Network, Reason, Secret, Security, show_ssid

__all__ = ["LinuxWifi"]

log = get_logger()

_SCAN_LIMIT: Final = 15.0
"""Seconds for one scan over all bands, with the wait for a scan of somebody else."""
_FRESH: Final = 15.0
"""Seconds in which a scan is still good enough to join by."""
_LOOKS_BY_NAME: Final = 2
"""Scans that ask for the name, after which a network counts as not there: one may miss beacon and answer."""
_ANY: Final = b""
"""SSID of a probe request that every access point answers, unless it hides."""
_PASSPHRASE: Final = range(8, 64)
_PSK_DIGITS: Final = 64
_TAKEN: Final = frozenset({Security.OPEN, Security.WPA, Security.WPA2, Security.WPA3, Security.WPA2_WPA3})


class LinuxWifi(Wifi):
    """The station of one interface.

    Args:
        radio: Its radio.
        backend: Gives who runs the station here.
        soft_ap: The access point on the same radio.
    """

    def __init__(
        self,
        radio: Radio,
        backend: Callable[[], Awaitable[StationBackend]],
        soft_ap: LinuxSoftAp,
    ) -> None:
        self._radio = radio
        self._backend = backend
        self._soft_ap = soft_ap
        self._last_scan: Sequence[Network] = ()
        self._scanned_at = float("-inf")
        self._at_work = ""

    async def set_country(self, code: str) -> None:
        """Tell the kernel the country; it holds for every radio of this machine."""
        await self._radio.nl80211.set_country(code)

    async def scan(self) -> Sequence[Network]:
        """What is around; where the radio cannot scan now, as many access points cannot, the last scan."""
        try:
            return await self._scan((_ANY,))
        except MediumError as error:
            if not self._last_scan or error.reason is Reason.NO_PERMISSION:
                raise
            log.debug(f"no scan now, the last one holds: {error}")
            return self._last_scan

    async def remember_networks(self) -> None:
        """Scan before the radio cannot any more; a radio that does not scan now keeps what it knows."""
        try:
            await self._scan((_ANY,))
        except MediumError as error:
            log.debug(f"no scan before the access point starts: {error}")

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
            await self._soft_ap.make_room(None)
            backend = await self._backend()
            try:
                async with asyncio.timeout_at(deadline):
                    target = await self._find(credentials)
                    await self._soft_ap.make_room(target.frequency)
            except TimeoutError:
                raise JoinError(
                    f"{show_ssid(credentials.ssid)} was not found within {timeout:g} s",
                    reason=Reason.JOIN_TIMEOUT,
                ) from None
            return await backend.join(target, max(deadline - clock(), 0.0))

    async def rejoin(self, timeout: float) -> IpConfig:
        """Be in the stored network again."""
        with self._working("a join"):
            return await (await self._backend()).rejoin(timeout)

    async def settle(self, *, keep: bool) -> None:
        """Keep the last join, or undo it."""
        with self._working("settling a join"):
            await (await self._backend()).settle(keep=keep)
            if not keep:
                await self._soft_ap.resume()

    async def status(self) -> WifiStatus:
        """Where the station is now."""
        return await (await self._backend()).status()

    async def _scan(self, ssids: Sequence[bytes], frequencies: Sequence[int] = ()) -> Sequence[Network]:
        interface = self._radio.interface
        await self._radio.links.up(interface)
        seen = await self._radio.nl80211.scan(
            interface, ssids=ssids, frequencies=frequencies, timeout=_SCAN_LIMIT
        )
        own = await self._radio.own_addresses()
        found = [each for each in networks_of(seen) if each.bssid not in own]
        if not frequencies:
            self._last_scan, self._scanned_at = found, asyncio.get_running_loop().time()
        return found

    async def _find(self, credentials: Credentials) -> Target:
        """Look where the hint says, in the last scan, everywhere, and then for a network that hides."""
        ssid = credentials.ssid or b""
        channels = (await self._radio.nl80211.wiphy(self._radio.interface)).channels
        hinted = [each.frequency for each in channels if each.number == credentials.channel]
        looks: list[Callable[[], Awaitable[Sequence[Network]]]] = []
        if hinted:
            looks.append(lambda: self._scan((_ANY,), hinted))
        if asyncio.get_running_loop().time() - self._scanned_at < _FRESH:
            looks.append(self._known)
        looks.append(lambda: self._scan((_ANY,)))
        hidden_from = len(looks)
        looks += [lambda: self._scan((ssid, _ANY))] * _LOOKS_BY_NAME
        for index, look in enumerate(looks):
            network = _choose(credentials, await look())
            if network is not None:
                return Target(
                    ssid=ssid,
                    password=credentials.password,
                    security=network.security,
                    hidden=index >= hidden_from,
                    bssid=network.bssid if network.bssid == credentials.bssid else None,
                    frequency=next(
                        (
                            e.frequency
                            for e in channels
                            if (e.number, e.band) == (network.channel, network.band)
                        ),
                        None,
                    ),
                )
        raise JoinError(f"{show_ssid(ssid)} is not in reach", reason=Reason.NO_SUCH_AP)

    async def _known(self) -> Sequence[Network]:
        return self._last_scan

    @contextmanager
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
