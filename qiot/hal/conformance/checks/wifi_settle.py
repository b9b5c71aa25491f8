"""Wifi: what is kept survives a restart, what is not kept is undone."""

from __future__ import annotations

from qiot.hal.conformance.bench import Bench
from qiot.hal.conformance.check import check, expect, not_claimed
from qiot.hal.conformance.checks import station
from qiot.hal.contract import Wifi
from qiot.model import show_ssid


@check(Wifi, "settle", disturbs=True)
async def without_a_try_nothing_happens(bench: Bench) -> None:
    """Neither by keeping nor by undoing."""
    wifi = bench.port(Wifi)
    before = await station.status(bench, wifi)
    for keep in (True, False):
        await bench.call("Wifi.settle", wifi.settle(keep=keep))
        after = await station.status(bench, wifi)
        expect(station.same(after, before), f"settle(keep={keep}) without a try changed {before} to {after}")


@check(Wifi, "settle", disturbs=True, seconds=300)
async def what_is_kept_survives_a_restart(bench: Bench) -> None:
    """A fresh platform knows it, and rejoin goes there."""
    wifi, home = bench.port(Wifi), station.home(bench)
    await station.join(bench, wifi, home)
    await bench.call("Wifi.settle", wifi.settle(keep=True))
    saved = (await station.status(bench, wifi)).saved
    expect(saved == home.ssid, f"{show_ssid(home.ssid)} was kept, status says {show_ssid(saved)}")
    await bench.reopen()
    wifi = bench.port(Wifi)
    saved = (await station.status(bench, wifi)).saved
    expect(saved == home.ssid, f"{show_ssid(home.ssid)} was kept; after a restart it is {show_ssid(saved)}")
    seconds = bench.environment.join_seconds
    for _ in range(2):
        ip = await bench.call("Wifi.rejoin", wifi.rejoin(seconds), seconds=seconds)
        now = await station.status(bench, wifi)
        where = now.connected and now.ssid == home.ssid and now.ip == ip
        expect(where, f"rejoin gave {ip.address}, but the status is {now}")
    await bench.call("Wifi.settle", wifi.settle(keep=False))
    now = await station.status(bench, wifi)
    expect(now.connected, "settle(keep=False) after a rejoin left the network: a rejoin is no try")


@check(Wifi, "settle", disturbs=True, seconds=300)
async def what_is_not_kept_is_undone(bench: Bench) -> None:
    """The earlier network comes back, at once and after a restart."""
    wifi, home = bench.port(Wifi), station.home(bench)
    if bench.environment.second is None:
        not_claimed("no environment: there is no second network (second)")
    before = await station.earlier(bench, wifi)
    await station.join(bench, wifi, home)
    await bench.call("Wifi.settle", wifi.settle(keep=False))
    await station.back(bench, wifi, before)
    await bench.reopen()
    saved = (await station.status(bench, bench.port(Wifi))).saved
    expect(saved == before.saved, f"after a restart {show_ssid(saved)} is saved, which was not kept")


@check(Wifi, "settle", disturbs=True, seconds=300)
async def a_try_that_is_never_settled_is_not_kept(bench: Bench) -> None:
    """As after a power cut in the middle: the earlier network is what is saved."""
    wifi, home = bench.port(Wifi), station.home(bench)
    if bench.environment.second is None:
        not_claimed("no environment: there is no second network (second)")
    before = await station.earlier(bench, wifi)
    await station.join(bench, wifi, home)
    await bench.reopen()
    saved = (await station.status(bench, bench.port(Wifi))).saved
    expect(saved == before.saved, f"after a restart {show_ssid(saved)} is saved, which was not kept")


@check(Wifi, "settle", disturbs=True, seconds=300)
async def several_tries_are_undone_together(bench: Bench) -> None:
    """A try that follows another is undone to where the first began."""
    wifi, home = bench.port(Wifi), station.home(bench)
    before = await station.earlier(bench, wifi)
    for _ in range(2):
        await station.join(bench, wifi, home)
    await bench.call("Wifi.settle", wifi.settle(keep=False))
    await station.back(bench, wifi, before)
