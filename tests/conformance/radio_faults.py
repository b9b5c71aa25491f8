"""Deliberate faults: the access point, the station, the platform as a whole."""

from __future__ import annotations

from typing import Any

from qiot.errors import HalError, JoinError
from qiot.hal.contract import (
    Slot,
    SoftAp,
    Wifi,
)
from qiot.hal.mock import MockPlatform
from qiot.model import IpConfig, Reason, Secret
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
