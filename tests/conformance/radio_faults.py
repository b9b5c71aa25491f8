"""Deliberate faults: the access point, the station, the platform as a whole."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import attrs

from qiot.errors import HalError, JoinError
from qiot.hal.contract import (
    Slot,
    SoftAp,
    Storage,
    Wifi,
)
from qiot.hal.mock import MockPlatform
from qiot.model import Band, IpConfig, Network, Reason, Secret, Security
from qiot.sim.wifi import AccessPoint
from tests.conformance.fault import fault, patch


class AnybodysAccessPoint(AccessPoint):
    """It takes every password."""

    def admits(self, password: Secret) -> bool:
        return True


# --- the access point --------------------------------------------------------------------------------------


@fault("SoftAp.it_is_on_the_air_from_start_to_stop", "is not on the air after start")
def start_returns_without_an_access_point(platform: MockPlatform) -> None:
    async def start(_: Any, spec: Any) -> None:
        spec.check()

    patch(platform.port(SoftAp), "start", start)


@fault("SoftAp.it_is_on_the_air_from_start_to_stop", "still on the air after stop")
def stop_leaves_the_access_point_up(platform: MockPlatform) -> None:
    async def stop(_: Any) -> None:
        return

    patch(platform.port(SoftAp), "stop", stop)


@fault("SoftAp.a_second_start_is_refused_and_harms_nothing", "still on the air after stop")
def a_failed_start_leaves_the_access_point_up(platform: MockPlatform) -> None:
    soft_ap = platform.port(SoftAp)

    async def start(real: Any, spec: Any) -> None:
        try:
            await real(spec)
        except HalError:
            platform._radio.access_point = None  # forgotten, still up
            raise

    patch(soft_ap, "start", start)


@fault("SoftAp.closing_the_platform_takes_it_down", "still on the air after close")
def close_leaves_the_access_point_up(platform: MockPlatform) -> None:
    async def close(_: Any) -> None:
        await platform._udp.close()

    patch(platform, "close", close)


@fault("SoftAp.stop_is_idempotent_and_safe_without_a_start", "SoftAp.stop raised HalError")
def a_second_stop_is_an_error(platform: MockPlatform) -> None:
    async def stop(real: Any) -> None:
        if platform._radio.access_point is None:
            raise HalError("the access point is not up")
        await real()

    patch(platform.port(SoftAp), "stop", stop)


@fault("SoftAp.a_wrong_password_does_not_open_it", "was let in")
def the_access_point_takes_every_password(platform: MockPlatform) -> None:
    async def start(real: Any, spec: Any) -> None:
        await real(spec)
        access_point = platform._radio.access_point
        assert access_point is not None
        platform.world.wifi.remove(access_point)
        anybodys = AnybodysAccessPoint(spec.ssid, spec.password, channel=spec.channel)
        platform.world.wifi.add(anybodys)
        platform._radio.access_point = anybodys

    patch(platform.port(SoftAp), "start", start)


@fault("SoftAp.a_phone_joins_and_gets_an_address", "is not among the stations")
def the_access_point_does_not_see_its_stations(platform: MockPlatform) -> None:
    async def stations(_: Any) -> tuple[()]:
        return ()

    patch(platform.port(SoftAp), "stations", stations)


@fault("SoftAp.stop_is_idempotent_and_safe_without_a_start", "SoftAp.stations gave NoneType")
def stations_gives_nothing(platform: MockPlatform) -> None:
    async def stations(_: Any) -> None:
        return

    patch(platform.port(SoftAp), "stations", stations)


# --- the station -------------------------------------------------------------------------------------------


@fault("Wifi.a_wrong_password_is_told_and_the_earlier_network_is_back", "the earlier network is not back")
def a_failed_join_forgets_the_earlier_network(platform: MockPlatform) -> None:
    async def join(real: Any, *args: Any) -> IpConfig:
        try:
            return await real(*args)
        except JoinError:
            platform._radio.station.leave()
            raise

    patch(platform.port(Wifi), "join", join)


@fault("Wifi.what_is_kept_survives_a_restart", "was kept, status says")
def what_is_kept_is_not_saved(platform: MockPlatform) -> None:
    async def settle(real: Any, *, keep: bool) -> None:
        if not keep:
            await real(keep=keep)

    patch(platform.port(Wifi), "settle", settle)


@fault("Wifi.what_is_kept_survives_a_restart", "after a restart it is")
def what_is_kept_lives_in_memory_only(platform: MockPlatform) -> None:
    wifi: Any = platform.port(Wifi)

    async def settle(real: Any, *, keep: bool) -> None:
        await real(keep=keep)
        if keep:
            content = await wifi._storage.load(Slot.NETWORK)
            await wifi._storage.erase(Slot.NETWORK)

            async def load(*_: Any) -> bytes:
                return content

            wifi._storage = type("Memory", (), {"load": load})()

    patch(wifi, "settle", settle)


@fault("Wifi.what_is_not_kept_is_undone", "the earlier network is not back")
def what_is_not_kept_stays(platform: MockPlatform) -> None:
    async def settle(real: Any, *, keep: bool) -> None:
        if keep:
            await real(keep=keep)

    patch(platform.port(Wifi), "settle", settle)


@fault("Wifi.a_join_gives_an_address", "a join that was not settled is saved")
def a_join_is_saved_at_once(platform: MockPlatform) -> None:
    wifi: Any = platform.port(Wifi)

    async def join(real: Any, credentials: Any, timeout: float) -> IpConfig:
        ip = await real(credentials, timeout)
        await wifi._save(credentials)
        return ip

    patch(wifi, "join", join)


@fault("Wifi.without_a_saved_network_rejoin_says_so", "NO_SAVED_NETWORK was due")
def rejoin_without_a_network_has_another_reason(platform: MockPlatform) -> None:
    async def rejoin(_: Any, __: float) -> IpConfig:
        raise JoinError("nothing there", reason=Reason.NO_SUCH_AP)

    patch(platform.port(Wifi), "rejoin", rejoin)


# --- the platform as a whole -------------------------------------------------------------------------------


@fault("Platform.recover_is_harmless_and_idempotent", "Platform.recover raised")
def a_second_recover_is_an_error(platform: MockPlatform) -> None:
    done: list[bool] = []

    async def recover(_: Any) -> None:
        if done:
            raise HalError("nothing to recover")
        done.append(True)

    patch(platform, "recover", recover)


@fault("Platform.close_is_idempotent", "RuntimeError")
def a_second_close_is_an_error(platform: MockPlatform) -> None:
    done: list[bool] = []

    async def close(real: Any) -> None:
        if done:
            raise RuntimeError("closed twice")
        done.append(True)
        await real()

    patch(platform, "close", close)


@fault("Platform.it_leaves_what_is_kept_as_it_is", "recover lost the network that was kept")
def recover_takes_the_network(platform: MockPlatform) -> None:
    async def recover(_: Any) -> None:
        await platform.port(Storage).erase(Slot.NETWORK)

    patch(platform, "recover", recover)


# --- what is forgotten -------------------------------------------------------------------------------------

FORGET = "Wifi.what_is_forgotten_stays_forgotten"


@fault(FORGET, "Home is saved after forget, before the join it was none")
def forget_does_nothing(platform: MockPlatform) -> None:
    async def forget(_: Any) -> None:
        return

    patch(platform.port(Wifi), "forget", forget)


@fault(FORGET, "the station is still in Home after forget")
def forget_stays_in_the_network(platform: MockPlatform) -> None:
    async def forget(_: Any) -> None:
        await platform.port(Storage).erase(Slot.NETWORK)

    patch(platform.port(Wifi), "forget", forget)


@fault(FORGET, "Home is saved after forget and a restart")
def forget_does_so_in_memory_only(platform: MockPlatform) -> None:
    forgotten = False

    async def forget(_: Any) -> None:
        nonlocal forgotten
        forgotten = True
        platform._radio.return_to(None)

    async def settle(real: Any, *, keep: bool) -> None:
        nonlocal forgotten
        forgotten = False
        await real(keep=keep)

    async def status(real: Any) -> Any:
        now = await real()
        return attrs.evolve(now, saved=None) if forgotten else now

    for verb, run in (("forget", forget), ("settle", settle), ("status", status)):
        patch(platform.port(Wifi), verb, run)


@fault(FORGET, "Wifi.forget raised HalError")
def forget_is_not_idempotent(platform: MockPlatform) -> None:
    async def forget(real: Any) -> None:
        if (await platform.port(Wifi).status()).saved is None:
            raise HalError("nothing is stored")
        await real()

    patch(platform.port(Wifi), "forget", forget)


# --- what a scan tells -------------------------------------------------------------------------------------


def networks(platform: MockPlatform, change: Callable[[Network], Network]) -> None:
    async def scan(real: Any) -> list[Network]:
        return [change(each) for each in await real()]

    patch(platform.port(Wifi), "scan", scan)


@fault("Wifi.a_scan_tells_how_networks_protect_themselves", "Home is open in the scan")
def a_scan_takes_every_network_for_open(platform: MockPlatform) -> None:
    networks(platform, lambda each: attrs.evolve(each, security=Security.OPEN))


@fault(
    "Wifi.a_scan_tells_how_networks_protect_themselves", "Modern is wpa2 in the scan, it is unknown or wpa3"
)
def a_scan_does_not_know_wpa3(platform: MockPlatform) -> None:
    older = {Security.WPA3: Security.WPA2}
    networks(platform, lambda each: attrs.evolve(each, security=older.get(each.security, each.security)))


@fault("Wifi.a_scan_tells_what_is_around", "'[WPA2-PSK-CCMP][ESS]' is none of Security")
def a_scan_gives_the_programs_words(platform: MockPlatform) -> None:
    networks(platform, lambda each: attrs.evolve(each, security=cast(Security, "[WPA2-PSK-CCMP][ESS]")))


@fault("Wifi.a_scan_tells_what_is_around", "there is no channel 2462 in 5 GHz")
def a_scan_gives_frequencies_as_channels(platform: MockPlatform) -> None:
    networks(platform, lambda each: attrs.evolve(each, channel=2462, band=Band.GHZ_5))


@fault("Wifi.the_address_is_one_or_empty", "is no AA:BB:CC:DD:EE:FF")
def the_address_is_in_octets(platform: MockPlatform) -> None:
    async def address(_: Any) -> bytes:
        return b"\x02\x00\x5e\x00\x53\x01"

    patch(platform.port(Wifi), "address", address)


@fault("Wifi.a_country_is_taken_or_refused_with_a_hint", "RuntimeError (iw: not found), which is no typed")
def a_country_ends_in_an_untyped_error(platform: MockPlatform) -> None:
    async def set_country(real: Any, code: str) -> None:
        if code == "DE":
            raise RuntimeError("iw: not found")
        await real(code)

    patch(platform.port(Wifi), "set_country", set_country)
