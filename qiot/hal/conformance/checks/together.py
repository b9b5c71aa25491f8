"""Station and access point on one radio: what is claimed to hold at once does, and scans under it."""

from __future__ import annotations

import contextlib

from qiot.errors import HalError
from qiot.hal.conformance.bench import Bench
from qiot.hal.conformance.check import Broken, NotClaimed, check, expect, not_claimed
from qiot.hal.conformance.checks import station
from qiot.hal.contract import Platform, Role, SoftAp, Wifi


async def _claims_both(bench: Bench) -> bool:
    found = await bench.capabilities()
    return found.together(Role.STATION, Role.ACCESS_POINT) is not None


async def _on_the_air(bench: Bench) -> bool | None:
    """What is seen from outside; None where nobody can look."""
    with contextlib.suppress(NotClaimed):
        return await bench.environment.access_point_visible(bench.environment.access_point.ssid)
    return None


async def _stays_up(bench: Bench, when: str) -> None:
    async def is_up() -> bool:
        return await _on_the_air(bench) is not False

    await bench.until(is_up, f"the access point is gone {when}", seconds=bench.environment.shows_within)


@check(Platform, "capabilities", disturbs=True, seconds=300)
async def station_and_access_point_hold_at_once(bench: Bench) -> None:
    """Where it is claimed: a join under the access point works, and both are there afterwards."""
    if not await _claims_both(bench):
        not_claimed("station and access point at once are not claimed")
    wifi, soft_ap = bench.port(Wifi), bench.port(SoftAp)
    home = station.home(bench)
    await bench.call("SoftAp.start", soft_ap.start(bench.environment.access_point))
    ip = await station.join(bench, wifi, home)
    await _stays_up(bench, "after a join, though both are claimed at once")
    now = await station.status(bench, wifi)
    expect(now.connected and now.ip == ip, f"the station is gone under the access point: {now}")
    await bench.call("Wifi.settle", wifi.settle(keep=False))
    await _stays_up(bench, "after settle(keep=False)")
    await bench.call("SoftAp.stop", soft_ap.stop())


@check(Platform, "capabilities", disturbs=True, seconds=300)
async def an_access_point_beside_a_joined_station(bench: Bench) -> None:
    """Where it is claimed: the station stays in its network while the access point starts and stops."""
    if not await _claims_both(bench):
        not_claimed("station and access point at once are not claimed")
    wifi, soft_ap = bench.port(Wifi), bench.port(SoftAp)
    before = await station.earlier(bench, wifi)
    await bench.call("SoftAp.start", soft_ap.start(bench.environment.access_point))
    await station.back(bench, wifi, before)
    await bench.call("SoftAp.stop", soft_ap.stop())
    await station.back(bench, wifi, before)


@check(Wifi, "join", disturbs=True, seconds=300)
async def a_join_under_the_access_point_is_refused_where_both_are_not_claimed(bench: Bench) -> None:
    """A typed error, and the access point is still up: it would be the phone's only way to be told."""
    if await _claims_both(bench):
        not_claimed("station and access point at once are claimed")
    wifi, soft_ap = bench.port(Wifi), bench.port(SoftAp)
    home = station.home(bench)
    await bench.call("SoftAp.start", soft_ap.start(bench.environment.access_point))
    seconds = bench.environment.join_seconds
    await bench.refused("Wifi.join", wifi.join(home, seconds), HalError, seconds=seconds)
    await _stays_up(bench, "after a join that was refused")
    await bench.call("SoftAp.stop", soft_ap.stop())
    await station.join(bench, wifi, home)


@check(Wifi, "scan", disturbs=True)
async def a_scan_under_the_access_point_gives_the_last_one(bench: Bench) -> None:
    """Or a fresh one, where the radio can: no error, no empty list, and not our own access point."""
    wifi, soft_ap = bench.port(Wifi), bench.port(SoftAp)
    before = {each.ssid for each in await bench.call("Wifi.scan", wifi.scan())}
    await bench.call("SoftAp.start", soft_ap.start(bench.environment.access_point))
    during = {each.ssid for each in await bench.call("Wifi.scan", wifi.scan())}
    await bench.call("SoftAp.stop", soft_ap.stop())
    expect(
        bench.environment.access_point.ssid not in during, "the scan shows the platform's own access point"
    )
    if not before:
        not_claimed("no network is around, so that no scan can be told from none")
    expect(during, f"{len(before)} networks were seen before the access point, none under it")
    home = bench.environment.home
    if home is not None and home.ssid in before:
        expect(home.ssid in during, "a network seen before the access point is not in the scan under it")


@check(Wifi, "rejoin", disturbs=True, seconds=300)
async def after_the_access_point_the_stored_network_comes_back(bench: Bench) -> None:
    """By rejoin, at the latest."""
    wifi, soft_ap = bench.port(Wifi), bench.port(SoftAp)
    before = await station.earlier(bench, wifi)
    await bench.call("SoftAp.start", soft_ap.start(bench.environment.access_point))
    await bench.call("SoftAp.stop", soft_ap.stop())
    seconds = bench.environment.join_seconds
    await bench.call("Wifi.rejoin", wifi.rejoin(seconds), seconds=seconds)
    now = await station.status(bench, wifi)
    if not now.connected or now.ssid != before.ssid:
        raise Broken(f"rejoin after the access point did not bring {before.ssid!r} back: {now}")
