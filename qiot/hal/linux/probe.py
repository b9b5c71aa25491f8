"""What a radio can be, alone and at the same time, as its driver tells it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Final

from qiot.hal.contract import Capabilities, Combination, Role
from qiot.hal.linux.nl80211 import ModeLimit, Wiphy
from qiot.hal.linux.radio import Radio
from qiot.log import get_logger

__all__ = ["capabilities_of", "probe"]

log = get_logger()

_STATUS: Final = Path("/proc/self/status")
_EFFECTIVE: Final = "CapEff:"
# linux/capability.h
_NET_ADMIN: Final = 12
_NET_RAW: Final = 13

_MANAGED, _AP, _MONITOR = "managed", "ap", "monitor"
_AIR: Final = frozenset({Role.SNIFF, Role.INJECT})


async def probe(radio: Radio, *, ap_sta: bool | None) -> Capabilities:
    """Ask the driver of a radio, and what this process may do.

    Args:
        radio: The radio.
        ap_sta: Access point and station at once: True or False whatever the driver says, None to believe it.

    Raises:
        HalError: There is no such interface, or it is not wireless.
    """
    found = capabilities_of(await radio.nl80211.wiphy(radio.interface), ap_sta=ap_sta)
    rights = _rights()
    if not rights >> _NET_ADMIN & 1:
        log.warning(f"{radio.interface}: no role without CAP_NET_ADMIN. Run as root or give it.")
        return Capabilities()
    if not rights >> _NET_RAW & 1:
        log.warning(f"{radio.interface}: no sniffer without CAP_NET_RAW. Run as root or give it.")
        return _without(found, _AIR)
    return found


def capabilities_of(wiphy: Wiphy, *, ap_sta: bool | None) -> Capabilities:
    """The roles of a radio.

    A monitor interface that the kernel makes by itself goes beside anything, and hears the channel where the
    others are.
    """
    station = {Role.STATION} if _MANAGED in wiphy.modes else set[Role]()
    access_point = {Role.ACCESS_POINT} if _AP in wiphy.modes else set[Role]()
    air = set(_AIR) if _MONITOR in wiphy.modes else set[Role]()
    alone = [Combination(frozenset({role})) for role in (Role.SNIFF, Role.INJECT) if role in air]
    combinations = [Combination(frozenset(roles)) for roles in (station, access_point) if roles] + alone
    if air:
        combinations.append(Combination(frozenset(air)))
    beside = bool(air) and (_MONITOR in wiphy.software_modes)
    for mode, roles in ((_MANAGED, station), (_AP, access_point)):
        if roles and air and (beside or _room(wiphy.limits, (mode, _MONITOR))):
            combinations.append(Combination(frozenset(roles | air), same_channel=True))
    if station and access_point and ap_sta is not False:
        fitting = _room(wiphy.limits, (_MANAGED, _AP))
        if fitting or ap_sta:
            same_channel = max((each.channels for each in fitting), default=1) == 1
            both = station | access_point
            combinations.append(Combination(frozenset(both), same_channel=same_channel))
            if beside or (air and _room(wiphy.limits, (_MANAGED, _AP, _MONITOR))):
                combinations.append(Combination(frozenset(both | air), same_channel=True))
    return Capabilities(combinations=tuple(combinations))


def _room(limits: Iterable[ModeLimit], modes: tuple[str, ...]) -> list[ModeLimit]:
    """The driver's limits within which one interface of each mode fits."""
    return [each for each in limits if each.total >= len(modes) and _fits(each, modes, ())]


def _fits(limit: ModeLimit, modes: tuple[str, ...], taken: tuple[int, ...]) -> bool:
    if not modes:
        return True
    first, *rest = modes
    return any(
        first in allowed and taken.count(group) < most and _fits(limit, tuple(rest), (*taken, group))
        for group, (allowed, most) in enumerate(limit.groups)
    )


def _without(found: Capabilities, roles: frozenset[Role]) -> Capabilities:
    kept = (Combination(each.roles - roles, each.same_channel) for each in found.combinations)
    return Capabilities(combinations=tuple(dict.fromkeys(each for each in kept if each.roles)))


def _rights() -> int:
    """The capabilities that this process has in effect, one bit for each (capabilities(7))."""
    for line in _STATUS.read_text().splitlines():
        if line.startswith(_EFFECTIVE):
            return int(line.removeprefix(_EFFECTIVE), 16)
    return 0
