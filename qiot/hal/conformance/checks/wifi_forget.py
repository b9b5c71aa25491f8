"""Wifi: the stored network can be forgotten, and nothing of it comes back."""

from __future__ import annotations

from qiot.errors import JoinError, NotSupportedError
from qiot.hal.conformance.bench import Bench
from qiot.hal.conformance.check import Broken, check, expect, not_claimed
from qiot.hal.conformance.checks import station
from qiot.hal.contract import Wifi, WifiStatus
from qiot.model import Reason, show_ssid


@check(Wifi, "forget", disturbs=True, seconds=300)
async def what_is_forgotten_stays_forgotten(bench: Bench) -> None:
    """The station leaves it and does not know it any more, at once and after a restart; idempotent."""
    wifi, home = bench.port(Wifi), station.home(bench)
    await _forget(bench, wifi)
    others = (await station.status(bench, wifi)).saved  # somebody else's, which has to stay
    if others == home.ssid:
        not_claimed(f"{show_ssid(home.ssid)} is configured on this system by somebody else, and stays")
    await station.join(bench, wifi, home)
    await bench.call("Wifi.settle", wifi.settle(keep=True))
    for _ in range(2):
        await _forget(bench, wifi)
        await _is_forgotten(bench, wifi, others, "after forget")
    await bench.reopen()
    wifi = bench.port(Wifi)
    await _is_forgotten(bench, wifi, others, "after forget and a restart")
    if others is None:
        seconds = bench.environment.join_seconds
        reasons = (Reason.NO_SAVED_NETWORK,)
        await bench.refused("Wifi.rejoin", wifi.rejoin(seconds), JoinError, reasons=reasons, seconds=seconds)


async def _forget(bench: Bench, wifi: Wifi) -> None:
    error = await bench.attempted("Wifi.forget", wifi.forget())
    if error is not None:
        expect(isinstance(error, NotSupportedError), f"Wifi.forget raised {type(error).__name__} ({error})")
        expect(error.hint, f"Wifi.forget raised {type(error).__name__} ({error}) without a hint")
        not_claimed(str(error))


async def _is_forgotten(bench: Bench, wifi: Wifi, others: bytes | None, when: str) -> None:
    """The radio may take a moment to leave; what is saved is said at once."""
    home = station.home(bench)
    saved = (await station.status(bench, wifi)).saved
    expect(
        saved == others,
        f"{station.name(saved)} is saved {when}, before the join it was {station.name(others)}",
    )
    now: WifiStatus | None = None

    async def has_left() -> bool:
        nonlocal now
        now = await station.status(bench, wifi)
        return not now.connected or now.ssid != home.ssid

    try:
        await bench.until(has_left, "", seconds=bench.environment.shows_within)
    except Broken:
        raise Broken(f"the station is still in {show_ssid(home.ssid)} {when}: {now}") from None
