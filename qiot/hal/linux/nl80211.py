"""The kernel's wireless side: radios, their interfaces, channels, scans, and the country."""

from __future__ import annotations

import asyncio
import contextlib
import errno
from collections.abc import AsyncIterator, Sequence
from typing import Any, Final

import attrs

from qiot.errors import HalError, MediumError
from qiot.hal.linux.links import Links
from qiot.hal.linux.netlink import WIRELESS, Family, Netlink, find_family
from qiot.hal.linux.nl80211_answers import (
    Bss,
    ModeLimit,
    RadioChannel,
    Wiphy,
    WirelessInterface,
    decode,
    mode_number,
    read_bss,
    read_interface,
    read_wiphy,
)
from qiot.hal.linux.nl80211_messages import message_class
from qiot.hal.linux.refusals import index_of, refusals
from qiot.model import Band, Reason
from qiot.protocols.air.elements import ssid_of

__all__ = ["Bss", "ModeLimit", "Nl80211", "RadioChannel", "Wiphy", "WirelessInterface"]

# Commands: enum nl80211_commands of linux/nl80211.h.
_GET_WIPHY: Final = 1
_SET_WIPHY: Final = 2
_GET_INTERFACE: Final = 5
_SET_INTERFACE: Final = 6
_NEW_INTERFACE: Final = 7
_DEL_INTERFACE: Final = 8
_GET_STATION: Final = 17
_REQ_SET_REG: Final = 27
_GET_REG: Final = 31
_GET_SCAN: Final = 32
_TRIGGER_SCAN: Final = 33
_NEW_SCAN_RESULTS: Final = 34
_SCAN_ABORTED: Final = 35
_REG_CHANGE: Final = 36
_START_P2P_DEVICE: Final = 89
_STOP_P2P_DEVICE: Final = 90
_ABORT_SCAN: Final = 114
_SCAN_ENDS: Final = frozenset({_NEW_SCAN_RESULTS, _SCAN_ABORTED})

_SCAN_FLUSH: Final = 0x02
_WIDTH_20_NO_HT: Final = 0
_P2P_DEVICE: Final = "p2p device"
_STATION: Final = "managed"

_FAMILY: Final = "nl80211"
_OLD: Final = 10.0
"""Seconds before a scan began, after which what was seen last then is left out. The kernel keeps 30 s."""
_POLL: Final = 0.5
"""Seconds after which is looked again where news of the kernel may be lost or never come."""
_COUNTRY_LIMIT: Final = 3.0
_INTERSECTION: Final = "98"
"""What the kernel calls the rules that several countries have in common."""
_ATTEMPTS: Final = 3


class Nl80211:
    """Requests to nl80211. Errors have the kernel's errno as their code.

    Every verb may raise MediumError, with NO_PERMISSION where we may not, or with MEDIUM where there is no
    such interface or it is not wireless, and NotSupportedError where the driver refuses.
    """

    def __init__(self) -> None:
        self._netlink = Netlink(WIRELESS)
        self._links = Links()
        self._family: Family | None = None
        self._own_scans = 0

    async def wiphy(self, interface: str) -> Wiphy:
        """The radio of an interface."""
        index = (await self.interface(interface)).wiphy
        with refusals(f"the radio of {interface}", interface):
            answers = await self._ask(_message(_GET_WIPHY, WIPHY=index, SPLIT_DUMP=None), dump=True)
            return read_wiphy(interface, [each for each in answers if each.get_attr("WIPHY") == index])

    async def interfaces(self, wiphy: int | None = None) -> Sequence[WirelessInterface]:
        """Every interface, or those of one radio; of a joined station the name may be missing here."""
        with refusals("the wireless interfaces"):
            answers = await self._ask(_message(_GET_INTERFACE), dump=True)
        # Some have no network interface, such as "p2p device".
        found = [read_interface(each) for each in answers if each.get_attr("INTERFACE_NAME")]
        return [each for each in found if wiphy in {None, each.wiphy}]

    async def p2p_devices(self, wiphy: int) -> Sequence[int]:
        """The kernel's numbers of a radio's Wi-Fi Direct devices, which have no network interface."""
        with refusals("the wireless interfaces"):
            answers = await self._ask(_message(_GET_INTERFACE), dump=True)
        return [
            each.get_attr("WIRELESS_DEVICE")
            for each in answers
            if read_interface(each).mode == _P2P_DEVICE and each.get_attr("WIPHY") == wiphy
        ]

    async def start_p2p_device(self, number: int) -> None:
        """Let a Wi-Fi Direct device work; nothing happens where it does, or is gone."""
        with refusals("Wi-Fi Direct", gone_is_fine=True):
            await self._ask(_message(_START_P2P_DEVICE, WIRELESS_DEVICE=number))

    async def stop_p2p_device(self, number: int) -> bool:
        """Stop a Wi-Fi Direct device, which counts as an interface that is up; False where it was not."""
        stopped = False
        with refusals("Wi-Fi Direct", gone_is_fine=True):
            try:
                await self._ask(_message(_STOP_P2P_DEVICE, WIRELESS_DEVICE=number))
                stopped = True
            except OSError as error:
                if error.errno != errno.ENETDOWN:
                    raise
        return stopped

    async def interface(self, name: str) -> WirelessInterface:
        """One interface."""
        with refusals(name, name):
            request = _message(_GET_INTERFACE, INTERFACE=index_of(name))
            own = read_interface((await self._ask(request))[0])
        if own.mode != _STATION or own.frequency is None or own.ssid is not None:
            return own
        # The kernel itself does not know the name where wpa_supplicant does authentication and association.
        joined = (each for each in await self.scan_results(name) if each.associated)
        return attrs.evolve(own, ssid=next((ssid_of(each.elements) for each in joined), None) or None)

    async def add_interface(self, wiphy: int, name: str, mode: str, *, mac: bytes | None = None) -> None:
        """Make an interface.

        Args:
            wiphy: The radio.
            name: At most 15 characters.
            mode: "managed", "ap" or "monitor".
            mac: Its address; None for the driver's choice.
        """
        facts: dict[str, Any] = {"WIPHY": wiphy, "INTERFACE_NAME": name, "MODE": mode_number(mode)}
        if mac is not None:
            facts["MAC"] = mac
        with refusals(f"a second interface {name} ({mode})"):
            await self._ask(_message(_NEW_INTERFACE, **facts))
        try:
            if mac is not None and (await self.interface(name)).mac != mac:
                await self._links.set_mac(name, mac)  # drivers without NL80211_FEATURE_MAC_ON_CREATE
        except BaseException:
            await self.remove_interface(name)
            raise

    async def remove_interface(self, name: str) -> None:
        """Remove an interface. Idempotent."""
        with refusals(f"removing {name}", gone_is_fine=True):
            await self._ask(_message(_DEL_INTERFACE, INTERFACE=index_of(name)))

    async def set_mode(self, name: str, mode: str) -> None:
        """Change what an interface is; most drivers want it down."""
        number = mode_number(mode)
        with refusals(f"{name} as {mode}", name):
            await self._ask(_message(_SET_INTERFACE, INTERFACE=index_of(name), MODE=number))

    async def set_frequency(self, name: str, frequency: int) -> int:
        """Tune a monitor interface to 20 MHz; gives the frequency read back.

        It differs where another interface of the radio holds a channel.

        Raises:
            MediumError: The radio is not on a channel that it knows: another interface is up and idle.
        """
        busy: OSError | None = None
        with refusals(f"{name} at {frequency} MHz", name):
            request = _message(
                _SET_WIPHY,
                INTERFACE=index_of(name),
                FREQUENCY=frequency,
                WIDTH=_WIDTH_20_NO_HT,
                CENTER=frequency,
            )
            try:
                await self._ask(request)
            except OSError as error:
                if error.errno != errno.EBUSY:
                    raise
                busy = error
        found = await self.frequency(name)
        if found is None:
            raise MediumError(
                f"{name} cannot be tuned to {frequency} MHz: the radio is in use",
                code=busy.errno if busy else None,
                hint="Another interface of the same radio is up: `ip link set IT down`.",
            )
        return found

    async def frequency(self, name: str) -> int | None:
        """MHz of the channel that an interface hears: its own, or that of another one of its radio."""
        own = await self.interface(name)
        if own.frequency is not None:
            return own.frequency
        others = (each.frequency for each in await self.interfaces(own.wiphy))
        return next((each for each in others if each is not None), None)

    async def stations(self, name: str) -> Sequence[bytes]:
        """MAC addresses of those who are associated with our access point."""
        with refusals(f"the stations of {name}", name):
            request = _message(_GET_STATION, INTERFACE=index_of(name))
            return [each.get_attr("MAC") for each in await self._ask(request, dump=True)]

    async def scan(
        self,
        name: str,
        *,
        ssids: Sequence[bytes] = (),
        frequencies: Sequence[int] = (),
        flush: bool = False,
        urgent: bool = False,
        timeout: float,
    ) -> Sequence[Bss]:
        """Scan; a scan of somebody else is waited for, and its results are taken where they cover ours.

        Args:
            name: An interface that is up.
            ssids: Names to ask for; an empty one asks everybody. None of them: only to listen.
            frequencies: MHz of the channels; none for all.
            flush: Forget what was seen before.
            urgent: End a scan of somebody else instead; one over all bands takes up to 13 s.
            timeout: Seconds.

        Raises:
            MediumError: TIMEOUT, or the radio cannot scan now; access points often cannot.
        """
        with refusals(f"scan by {name}", name, unsupported_passes=True):
            try:
                async with asyncio.timeout(timeout), self._listening("scan") as news:
                    began = asyncio.get_running_loop().time()
                    await self._run_scan(
                        name, news, list(ssids), list(frequencies), flush=flush, urgent=urgent
                    )
            except TimeoutError:
                raise MediumError(
                    f"{name} did not finish a scan within {timeout:g} s", reason=Reason.TIMEOUT
                ) from None
        oldest = asyncio.get_running_loop().time() - began + _OLD
        return [each for each in await self.scan_results(name) if each.age <= oldest or each.associated]

    async def end_scans(self, name: str) -> None:
        """End the scans of others on the radio of an interface, until cancelled.

        A scan of one channel is let be: it is over before anybody misses the radio. Where the driver cannot
        end a scan, nothing is ended.
        """
        with refusals(f"keeping {name} from scans", name):
            own, family = await self.interface(name), await self._find()
            end = _message(_ABORT_SCAN, INTERFACE=own.index)
            async with self._listening("scan") as news:
                begun: Any = None  # one may be on its way
                while True:
                    if not self._own_scans and (begun is None or len(_frequencies(begun)) > 1):
                        self._netlink.post(end, family.number)
                    begun = await self._news(news, frozenset({_TRIGGER_SCAN}), own.wiphy)

    async def scan_results(self, name: str) -> Sequence[Bss]:
        """What the kernel has seen in the last 30 s, without a scan."""
        with refusals(f"the scan of {name}", name):
            request = _message(_GET_SCAN, INTERFACE=index_of(name))
            answers = await self._ask(request, dump=True)
        return [read_bss(each.get_attr("BSS")) for each in answers if each.get_attr("BSS") is not None]

    async def country(self) -> str:
        """The country whose rules the kernel keeps, two characters; "00" where it knows none."""
        with refusals("the country"):
            answers = await self._ask(_message(_GET_REG))
            return str(answers[0].get_attr("COUNTRY"))

    async def set_country(self, code: str) -> None:
        """Tell the kernel the country; returns when its rules hold.

        Args:
            code: Two letters of ISO 3166-1, or "00".

        Raises:
            HalError: CONFIGURATION where it is no code; PLATFORM where the kernel keeps another.
        """
        wanted = code.upper()
        if len(wanted) != 2 or not ((wanted.isascii() and wanted.isalpha()) or wanted == "00"):  # noqa: PLR2004
            raise HalError(
                f"{code!r} is no country", reason=Reason.CONFIGURATION, hint='Give two letters, such as "DE".'
            )
        if await self.country() == wanted:
            return
        with refusals(f"the country {wanted}"):
            async with self._listening("regulatory") as news:
                await self._ask(_message(_REQ_SET_REG, COUNTRY=wanted))
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(_COUNTRY_LIMIT):
                        while await self.country() != wanted:
                            await self._news(news, frozenset({_REG_CHANGE}))
        found = await self.country()
        if found not in {wanted, _INTERSECTION}:
            raise HalError(
                f"the kernel did not take the country {wanted}, it keeps {found}",
                hint="Install its rules (apt install wireless-regdb), or the driver keeps its own.",
            )

    async def close(self) -> None:
        """Close the sockets. Idempotent; the next verb opens them again."""
        self._netlink.close()
        self._family = None
        await self._links.close()

    async def _run_scan(
        self,
        name: str,
        news: Netlink,
        ssids: list[bytes],
        frequencies: list[int],
        *,
        flush: bool,
        urgent: bool,
    ) -> None:
        """Scan, until one that covers what is wanted is done."""
        own = await self.interface(name)
        facts: dict[str, Any] = {"INTERFACE": own.index}
        if ssids:
            facts["SCAN_SSIDS"] = ssids
        if frequencies:
            facts["SCAN_FREQUENCIES"] = frequencies
        if flush:
            facts["SCAN_FLAGS"] = _SCAN_FLUSH
        wanted = set(frequencies) or await self._usual_frequencies(name)
        family = await self._find()
        aborted = 0
        while aborted < _ATTEMPTS:
            news.forget()
            self._own_scans += 1
            try:
                await self._ask(_message(_TRIGGER_SCAN, **facts))
                end = await self._ended(news, own)
                if end is None or _done(end):
                    return
            except OSError as error:
                if error.errno != errno.EBUSY:
                    raise
            else:
                aborted += 1
                continue
            finally:
                self._own_scans -= 1
            # A scan of somebody else runs on one of the radio's interfaces, or the radio is elsewhere.
            if urgent:
                self._netlink.post(_message(_ABORT_SCAN, INTERFACE=own.index), family.number)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_POLL):
                    end = await self._news(news, _SCAN_ENDS, own.wiphy)
                    if _done(end) and not flush and _covers(end, wanted, ssids):
                        return
        raise MediumError(f"{name}: somebody ends every scan", code=errno.EINTR)

    async def _ended(self, news: Netlink, own: WirelessInterface) -> Any:
        """The end of the scan that was just begun; a cancellation ends it."""
        try:
            return await self._news(news, _SCAN_ENDS, own.wiphy)
        except BaseException:
            family = await self._find()
            self._netlink.post(_message(_ABORT_SCAN, INTERFACE=own.index), family.number)
            raise

    async def _usual_frequencies(self, name: str) -> set[int]:
        """What a scan goes over that names none; other scans leave 6 GHz out in part."""
        channels = (await self.wiphy(name)).channels
        return {each.frequency for each in channels if not each.disabled and each.band is not Band.GHZ_6}

    async def _ask(self, message: Any, *, dump: bool = False) -> Sequence[Any]:
        family = await self._find()
        return [decode(packet.data) for packet in await self._netlink.ask(message, family.number, dump=dump)]

    async def _find(self) -> Family:
        if self._family is None:
            self._family = await find_family(self._netlink, _FAMILY)
        return self._family

    @contextlib.asynccontextmanager
    async def _listening(self, group: str) -> AsyncIterator[Netlink]:
        """A socket that hears a group."""
        family = await self._find()
        news = Netlink(WIRELESS, (family.groups[group],))
        news.open()
        try:
            yield news
        finally:
            news.close()

    async def _news(self, news: Netlink, commands: frozenset[int], wiphy: int | None = None) -> Any:
        """The next news of these kinds, of one radio; None where the kernel lost some."""
        family = await self._find()
        while True:
            try:
                packets = await news.heard()
            except OSError as error:
                if error.errno == errno.ENOBUFS:
                    return None
                raise
            for packet in packets:
                if packet.kind == family.number:
                    message = decode(packet.data)
                    if message["cmd"] in commands and wiphy in {None, message.get_attr("WIPHY")}:
                        return message


def _done(end: Any) -> bool:
    return end is not None and end["cmd"] == _NEW_SCAN_RESULTS


def _covers(end: Any, wanted: set[int], ssids: Sequence[bytes]) -> bool:
    """True where a scan went over all that is wanted."""
    return wanted <= set(_frequencies(end)) and set(ssids) <= set(end.get_attr("SCAN_SSIDS") or ())


def _frequencies(scan: Any) -> Sequence[int]:
    return scan.get_attr("SCAN_FREQUENCIES") or ()


def _message(command: int, **facts: Any) -> Any:
    """A message; each fact is an attribute of the message class, None for a flag."""
    message = message_class()()
    message["cmd"] = command
    message["attrs"] = list(facts.items())
    return message
