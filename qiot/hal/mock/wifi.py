"""The station of the mock: joins are tries in the simulated world, and what is settled is kept in storage."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Final

from qiot.errors import HalError, JoinError, StorageError
from qiot.hal.contract import Slot, Storage, Wifi, WifiStatus
from qiot.hal.mock.radio import Radio
from qiot.log import get_logger
from qiot.model import Credentials, IpConfig, Network, Reason, Secret
from qiot.sim.wifi import AccessPoint

__all__ = ["MockWifi"]

log = get_logger()

_COUNTRY: Final = re.compile(r"[A-Za-z]{2}|00")


class MockWifi(Wifi):
    """The station side of the mock's radio.

    Args:
        radio: The radio.
        storage: Where the settled network is kept.
    """

    def __init__(self, radio: Radio, storage: Storage) -> None:
        self._radio = radio
        self._storage = storage
        self._last_scan: Sequence[Network] = ()
        self._tried: Credentials | None = None
        self._earlier: AccessPoint | None = None

    async def address(self) -> str:
        """The simulated station's MAC address."""
        return self._radio.station.mac.hex(":").upper()

    async def set_country(self, code: str) -> None:
        """Keep to a country's rules: in some, channels 12 to 14 are neither scanned nor joined.

        Raises:
            HalError: CONFIGURATION: no two letters.
        """
        if not _COUNTRY.fullmatch(code):
            raise HalError(
                f"{code!r} is no country",
                reason=Reason.CONFIGURATION,
                hint="Give two letters of ISO 3166-1, such as DE.",
            )
        self._radio.station.country = code.upper()

    async def scan(self) -> Sequence[Network]:
        """The access points in reach, the strongest first, without the device's own."""
        if self._radio.can_scan:
            self._last_scan = await self._radio.station.scan(without=self._radio.access_point)
        return self._last_scan

    async def join(self, credentials: Credentials, timeout: float) -> IpConfig:
        """Join as a try. Where tries follow each other, `settle` keeps the last one or undoes all of them.

        Raises:
            JoinError: With its reason.
            HalError: The caller's mistake: no SSID, a join at the same time, or the access point is up and
                the radio cannot be both.
        """
        if not credentials.ssid:
            raise HalError("a join needs the network's name")
        with self._radio.joining():
            before = self._radio.station.access_point
            ip = await self._radio.station.join(credentials, timeout)
            if self._tried is None:
                self._earlier = before
            self._tried = credentials
        return ip

    async def rejoin(self, timeout: float) -> IpConfig:
        """Join the settled network, where the station is not in it.

        Raises:
            JoinError: NO_SAVED_NETWORK, or why it did not work.
            StorageError: What was saved is damaged.
        """
        saved = await self._load()
        if saved is None:
            raise JoinError("no network was saved", reason=Reason.NO_SAVED_NETWORK)
        joined, ip = self._radio.station.access_point, self._radio.station.ip
        if joined is not None and ip is not None and joined.ssid == saved.ssid:
            return ip
        with self._radio.joining():
            return await self._radio.station.join(saved, timeout)

    async def settle(self, *, keep: bool) -> None:
        """Save the network of the last join, or go back to where the station was before the first try."""
        if self._tried is None:
            return
        if keep:
            await self._save(self._tried)
        else:
            self._radio.return_to(self._earlier)
        self._tried = self._earlier = None

    async def forget(self) -> None:
        """Erase the saved network and leave the air."""
        await self._storage.erase(Slot.NETWORK)
        self._radio.return_to(None)
        self._tried = self._earlier = None

    async def status(self) -> WifiStatus:
        """Where the station is; a saved network that cannot be read counts as none."""
        joined, ip = self._radio.station.access_point, self._radio.station.ip
        try:
            saved = await self._load()
        except StorageError as error:
            log.warning(f"saved network not usable: {error}")
            saved = None
        return WifiStatus(
            connected=ip is not None,
            ssid=None if joined is None else joined.ssid,
            ip=ip,
            saved=None if saved is None else saved.ssid,
        )

    async def _save(self, credentials: Credentials) -> None:
        ssid = credentials.ssid or b""
        # Passwords are octets: what is no UTF-8 goes through JSON as lone surrogates and comes back the same.
        password = credentials.password.reveal().decode("utf-8", "surrogateescape")
        await self._storage.save(
            Slot.NETWORK, json.dumps({"ssid": ssid.hex(), "password": password}).encode()
        )

    async def _load(self) -> Credentials | None:
        content = await self._storage.load(Slot.NETWORK)
        if content is None:
            return None
        try:
            fields = json.loads(content)
            return Credentials(
                ssid=bytes.fromhex(fields["ssid"]),
                password=Secret(fields["password"].encode("utf-8", "surrogateescape")),
            )
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            # The parser's own error carries the content, the password too: it is not chained.
            raise StorageError("the saved network is damaged", hint="Provision the device again.") from None
