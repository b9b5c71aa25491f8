"""The module's station (ESP-AT user guide for ESP8266, release 2.2, Wi-Fi AT commands).

The module's own flash keeps whatever the user stored there by hand: joins of ours are never stored in it
(AT+SYSSTORE=0), so that a reset brings it back. What is settled is kept by the host.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import Coroutine, Sequence
from pathlib import Path
from typing import Final, NoReturn

import attrs

from qiot.errors import HalError, JoinError, MediumError
from qiot.finishing import finish
from qiot.hal.contract import Wifi, WifiStatus
from qiot.log import get_logger
from qiot.model import SSID_MAX, Credentials, IpConfig, Network, Reason, Security, show_ssid
from qiot_esp_at.failures import join_reason
from qiot_esp_at.kept import Kept, Record
from qiot_esp_at.lines import quoted, unescaped
from qiot_esp_at.modem import Modem, ModuleError

__all__ = ["ModuleWifi"]

log = get_logger()

_SECURITY: Final = {
    0: Security.OPEN,
    1: Security.WEP,
    2: Security.WPA,
    3: Security.WPA2,
    4: Security.WPA2,
    5: Security.ENTERPRISE,
    6: Security.WPA3,
    7: Security.WPA2_WPA3,
}
"""AT+CWLAP's ecn."""
_SCAN_LIMIT: Final = 20.0
_RESTORE_LIMIT: Final = 30.0
_MODULE_LIMIT: Final = (3, 15)
"""Seconds for AT+CWJAP's own time-out: the least that it takes, and its default. It cannot be cut short."""
_TELLING: Final = 0.5
"""Seconds that are left to tell why a join took too long."""
_SLACK: Final = 5.0
_POLL: Final = 0.2
_COUNTRY: Final = re.compile(r"[A-Za-z]{2}|00")
_ACCESS_POINT: Final = re.compile(r'\((\d+),"((?:[^"\\]|\\.)*)",(-?\d+),"([0-9a-fA-F:]{17})",(\d+)')
_JOINED: Final = re.compile(r'"((?:[^"\\]|\\.)*)"')
_ADDRESS: Final = re.compile(r'(ip|gateway|netmask):"([\d.]+)"')
_NO_ADDRESS: Final = "0.0.0.0"  # noqa: S104 - what the module says without one


class ModuleWifi(Wifi):
    """The station.

    Args:
        modem: The module.
        path: The host's file for the settled network.
    """

    def __init__(self, modem: Modem, path: Path) -> None:
        self._modem = modem
        self._kept = Kept(path)
        self._tried: Credentials | None = None
        self._at_work = False

    async def set_country(self, code: str) -> None:
        """AT+CWCOUNTRY: channels 1 to 13, the access point's country first."""
        if not _COUNTRY.fullmatch(code):
            raise HalError(
                f"{code!r} is no country",
                reason=Reason.CONFIGURATION,
                hint="Two letters, such as DE; 00 for the world.",
            )
        await self._station()
        await self._modem.ask(f"AT+CWCOUNTRY=0,{quoted('01' if code == '00' else code.upper())},1,13")

    async def scan(self) -> Sequence[Network]:
        """AT+CWLAP."""
        await self._station()
        found = []
        for line in await self._modem.ask("AT+CWLAP", timeout=_SCAN_LIMIT):
            match = _ACCESS_POINT.search(line)
            if match is not None:
                network = Network(
                    ssid=unescaped(match[2]).encode()[:SSID_MAX],
                    bssid=bytes.fromhex(match[4].replace(":", "")),
                    channel=int(match[5]),
                    signal=min(max(int(match[3]), -100), 0),
                    security=_SECURITY.get(int(match[1]), Security.UNKNOWN),
                )
                found.append(network)
        return sorted(found, key=lambda network: -network.signal)

    async def join(self, credentials: Credentials, timeout: float) -> IpConfig:
        """AT+CWJAP, without storing it in the module."""
        if not credentials.ssid:
            raise HalError("a join needs the network's name")
        if self._at_work:
            raise HalError("a join is refused: another one is not finished")
        self._at_work = True
        try:
            try:
                ip = await self._in_time(timeout, self._try(credentials, _now() + timeout))
            except BaseException:
                await finish(self._go_back())
                raise
            self._tried = credentials
            return ip
        finally:
            self._at_work = False

    async def rejoin(self, timeout: float) -> IpConfig:
        """Be in the settled network; where none was settled here, in the module's own."""
        return await self._in_time(timeout, self._rejoin(_now() + timeout))

    async def settle(self, *, keep: bool) -> None:
        """Keep the last join in the host's file, or go back."""
        if not keep:
            await finish(self._undo())
        elif self._tried is not None:
            await finish(self._keep(self._tried))

    async def forget(self) -> None:
        """Forget the settled network and leave it. What the module's own flash keeps is the user's."""
        await finish(self._forget())

    async def status(self) -> WifiStatus:
        """AT+CWJAP? and AT+CIPSTA?."""
        await self._modem.open()
        ssid = await self._ssid()
        ip = await self._ip() if ssid is not None else None
        network = (await self._kept.read()).network
        return WifiStatus(connected=ip is not None, ssid=ssid, ip=ip, saved=network.ssid if network else None)

    async def recover(self) -> None:
        """Undo a try that a killed process left."""
        if (await self._kept.read()).tried_from is not None:
            await finish(self._undo())

    async def close(self) -> None:
        """Undo a try that was not settled."""
        if self._tried is not None:
            await finish(self._go_back())

    async def _in_time(self, timeout: float, work: Coroutine[None, None, IpConfig]) -> IpConfig:
        try:
            async with asyncio.timeout(timeout):
                return await work
        except TimeoutError:
            raise JoinError("the module did not join in time", reason=Reason.JOIN_TIMEOUT) from None

    async def _try(self, credentials: Credentials, end: float) -> IpConfig:
        await self._station()
        record = await self._kept.read()
        if record.tried_from is None:
            joined = await self._ssid()
            network = record.network
            origin = "nowhere" if joined is None else "flash"
            if network is not None and joined == network.ssid:
                origin = "network"
            await self._kept.write(attrs.evolve(record, tried_from=origin))
        await self._join(credentials, end)
        return await self._address()

    async def _rejoin(self, end: float) -> IpConfig:
        await self._station()
        network = (await self._kept.read()).network
        joined = await self._ssid()
        if network is None and joined is None:
            raise JoinError("no network was saved", reason=Reason.NO_SAVED_NETWORK)
        if network is not None and joined != network.ssid:
            await self._join(network, end)
        return await self._address()

    async def _keep(self, network: Credentials) -> None:
        await self._kept.write(Record(Credentials(network.ssid, network.password)))
        self._tried = None

    async def _forget(self) -> None:
        await self._station()
        await self._undo()
        network = (await self._kept.read()).network
        if network is None:
            return
        await self._kept.write(Record())
        if await self._ssid() == network.ssid:
            await self._modem.ask("AT+CWQAP")

    async def _go_back(self) -> None:
        """`_undo`; why the join failed must not be hidden by what goes wrong here."""
        try:
            await self._undo()
        except HalError as error:
            log.warning(f"the earlier network is not back: {error}")

    async def _undo(self) -> None:
        """Be where the station was before the try: in the settled network, the module's own, or none."""
        self._tried = None
        record = await self._kept.read()
        if record.tried_from is None:
            return
        try:
            async with asyncio.timeout(_RESTORE_LIMIT):
                if record.tried_from == "network" and record.network is not None:
                    await self._join(record.network, _now() + _RESTORE_LIMIT)
                elif record.tried_from == "flash":
                    await self._modem.reset()
                else:
                    await self._modem.ask("AT+CWQAP")
        except (HalError, TimeoutError) as error:
            if isinstance(error, MediumError) and error.reason is not Reason.TIMEOUT:
                raise  # the cable is out: `recover` does it later
            await self._modem.reset()  # whatever it does, it then does by itself
        await self._kept.write(attrs.evolve(record, tried_from=None))

    async def _station(self) -> None:
        await self._modem.open()
        await self._modem.ask("AT+CWMODE=1")
        with contextlib.suppress(ModuleError):  # firmware that has no such command stores nothing by itself
            await self._modem.ask("AT+SYSSTORE=0")

    async def _join(self, credentials: Credentials, end: float) -> None:
        ssid, password = credentials.ssid or b"", credentials.password.reveal()
        words = [quoted(_text(ssid, "name")), quoted(_text(password, "password"))]
        near = await self._in_reach(ssid, credentials.bssid)
        words.append(quoted(credentials.bssid.hex(":")) if near and credentials.bssid is not None else "")
        # With a password, no open network of that name is taken (pci_en); of the others, the strongest.
        left = end - _now() - _TELLING
        limit = min(max(round(left), _MODULE_LIMIT[0]), _MODULE_LIMIT[1])
        words += ["1" if password else "0", "", "", "1", str(limit)]
        codes: list[int] = []
        associated = asyncio.Event()
        with (
            self._modem.hearing(
                "+CWJAP:", lambda line: codes.append(int(line)) if line.isdecimal() else None
            ),
            self._modem.hearing("WIFI CONNECTED", lambda _: associated.set()),
        ):
            try:
                await self._modem.say("AT+CWJAP=" + ",".join(words), timeout=limit + _SLACK)
            except ModuleError as error:
                await self._explain(
                    credentials, codes[-1] if codes else None, error, dhcp=associated.is_set()
                )
            except MediumError as error:
                if (
                    error.reason is not Reason.TIMEOUT or await self._ssid() != ssid
                ):  # its OK may have got lost
                    raise

    async def _explain(
        self, credentials: Credentials, code: int | None, error: ModuleError, *, dhcp: bool
    ) -> NoReturn:
        """The module's number says little; a scan says whether there is a lock that needs a key."""
        reason = join_reason(code)
        if dhcp and reason is not Reason.WRONG_PASSWORD:
            reason = Reason.DHCP
        elif reason is not Reason.WRONG_PASSWORD:
            kinds = {each.security for each in await self.scan() if each.ssid == credentials.ssid}
            locked = Security.OPEN not in kinds
            if kinds and locked is not bool(credentials.password.reveal()):
                reason = Reason.WRONG_PASSWORD
        name = show_ssid(credentials.ssid)
        raise JoinError(f"the module did not join {name}: {error}", reason=reason, code=code) from None

    async def _in_reach(self, ssid: bytes, bssid: bytes | None) -> bool:
        """A wrong hint must do no harm, and the module takes it for an order."""
        if bssid is None:
            return False
        return any(each.ssid == ssid and each.bssid == bssid for each in await self.scan())

    async def _address(self) -> IpConfig:
        while True:
            ip = await self._ip()
            if ip is not None:
                return ip
            await asyncio.sleep(_POLL)  # the module may say WIFI GOT IP in a line that gets lost

    async def _ip(self) -> IpConfig | None:
        found = dict(
            match for line in await self._modem.ask("AT+CIPSTA?") for match in _ADDRESS.findall(line)
        )
        address = found.get("ip", _NO_ADDRESS)
        if address == _NO_ADDRESS:
            return None
        prefix = sum(int(part).bit_count() for part in found.get("netmask", "255.255.255.0").split("."))
        gateway = found.get("gateway", _NO_ADDRESS)
        return IpConfig(address, prefix, None if gateway == _NO_ADDRESS else gateway)

    async def _ssid(self) -> bytes | None:
        for line in await self._modem.ask("AT+CWJAP?"):
            match = _JOINED.match(line)
            if match is not None:
                return unescaped(match[1]).encode()
        return None


def _now() -> float:
    return asyncio.get_running_loop().time()


def _text(value: bytes, name: str) -> str:
    """The module takes text only.

    Raises:
        JoinError: The value is none.
    """
    try:
        text = value.decode()
    except UnicodeDecodeError:
        text = "\n"
    if not text.isprintable():
        raise JoinError(f"the module takes no {name} that is not printable UTF-8", reason=Reason.JOIN_OTHER)
    return text
