"""Recover: what a killed process left behind is undone by the next one."""

from __future__ import annotations

import contextlib

from qiot.hal.conformance.bench import Bench
from qiot.hal.conformance.check import NotClaimed, check, expect, not_claimed
from qiot.hal.conformance.checks import station
from qiot.hal.contract import Platform, Role, SoftAp, Wifi, WifiStatus
from qiot.model import show_ssid


@check(Platform, "recover", disturbs=True, seconds=300)
async def it_takes_down_the_access_point_of_a_killed_process(bench: Bench) -> None:
    """As seen from outside, where the environment can look; and the next access point starts."""
    await _killed(bench, Role.ACCESS_POINT)
    await _recover(bench)
    spec = bench.environment.access_point

    async def is_down() -> bool:
        return not await bench.environment.access_point_visible(spec.ssid)

    why = f"the access point {show_ssid(spec.ssid)} of a killed process is still on the air after recover"
    with contextlib.suppress(NotClaimed):
        await bench.until(is_down, why, seconds=bench.environment.shows_within)
    soft_ap = bench.port(SoftAp)
    there = await bench.call("SoftAp.stations", soft_ap.stations())
    expect(not there, f"there are stations after recover: {there}")
    await bench.call("SoftAp.start", soft_ap.start(spec))
    await bench.call("SoftAp.stop", soft_ap.stop())


@check(Platform, "recover", disturbs=True, seconds=300)
async def it_undoes_the_join_of_a_killed_process(bench: Bench) -> None:
    """The earlier network is back and what is saved, and the next join works."""
    await _claims(bench, Role.STATION)
    home = station.home(bench)
    if bench.environment.second is None:
        not_claimed("no environment: there is no second network (second)")
    before = await station.earlier(bench, bench.port(Wifi))
    await _killed(bench, Role.STATION)
    await _recover(bench)
    await _is_back(bench, before, "the join of a killed process is not undone")
    await station.join(bench, bench.port(Wifi), home)


@check(Platform, "recover", disturbs=True, seconds=300)
async def it_leaves_what_is_kept_as_it_is(bench: Bench) -> None:
    """A network that was settled is nothing to recover from."""
    await _claims(bench, Role.STATION)
    before = await station.earlier(bench, bench.port(Wifi))
    await bench.reopen()
    await _recover(bench)
    await _is_back(bench, before, "recover lost the network that was kept")


async def _is_back(bench: Bench, before: WifiStatus, why: str) -> None:
    """It is saved, and by rejoin at the latest the station is there."""
    wifi = bench.port(Wifi)
    saved = (await station.status(bench, wifi)).saved
    is_saved = f"{station.name(saved)} is saved, it was {station.name(before.saved)}"
    expect(saved == before.saved, f"{why}: {is_saved}")
    seconds = bench.environment.join_seconds
    await bench.call("Wifi.rejoin", wifi.rejoin(seconds), seconds=seconds)
    now = await station.status(bench, wifi)
    is_there = now.connected and now.ssid == before.ssid
    expect(is_there, f"{why}: it was in {station.name(before.ssid)}, it is {now}")


async def _claims(bench: Bench, role: Role) -> None:
    if role not in (await bench.capabilities()).roles:
        not_claimed(f"the {role} role is not claimed")


async def _killed(bench: Bench, role: Role) -> None:
    """Somebody else holds the role and is killed; ours does not hold the hardware meanwhile."""
    await _claims(bench, role)
    await bench.close(bench.platform)
    await bench.environment.killed(role)
    await bench.open()


async def _recover(bench: Bench) -> None:
    """Twice, as nothing says that the first was not killed, too."""
    for _ in range(2):
        await bench.call("Platform.recover", bench.platform.recover())
