"""Deliberate faults: verbs that hang, leak, lie, raise the wrong error or cannot be cancelled."""

from __future__ import annotations

import asyncio
import errno
import itertools
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import attrs

from qiot.errors import HalError, JoinError, NotSupportedError
from qiot.hal.contract import (
    Capabilities,
    Combination,
    Role,
    SoftAp,
    Udp,
    Wifi,
    WifiStatus,
)
from qiot.hal.mock import MockPlatform
from qiot.model import IpConfig
from tests.conformance.fault import KEPT, fault, patch

# --- verbs that do not end, or do not let others run -------------------------------------------------------


@fault("Wifi.status_can_be_asked_at_any_time", "Wifi.status hangs", patience=0.05)
def a_verb_hangs(platform: MockPlatform) -> None:
    async def status(_: object) -> None:
        await asyncio.Event().wait()

    patch(platform.port(Wifi), "status", status)


@fault("Wifi.status_can_be_asked_at_any_time", "Wifi.status hangs", patience=0.05)
def a_verb_hangs_and_cannot_be_cancelled(platform: MockPlatform) -> None:
    async def status(_: object) -> None:
        while True:
            try:
                await asyncio.sleep(3600)
            except asyncio.CancelledError:
                continue

    patch(platform.port(Wifi), "status", status)


@fault("Platform.close_is_idempotent", "Platform.close hangs", patience=0.02)
def close_hangs(platform: MockPlatform) -> None:
    async def close(_: object) -> None:
        await asyncio.Event().wait()

    patch(platform, "close", close)


@fault("Wifi.status_can_be_asked_at_any_time", "blocked the event loop", patience=0.3)
def a_verb_blocks_the_loop(platform: MockPlatform) -> None:
    async def status(real: Any) -> WifiStatus:
        time.sleep(2.2)  # noqa: ASYNC251 - that is the fault
        return await real()

    patch(platform.port(Wifi), "status", status)


@fault("Wifi.status_can_be_asked_at_any_time", "blocks the event loop for over 2 s at", patience=0.1)
def a_verb_blocks_the_loop_for_good(platform: MockPlatform) -> None:
    async def status(_: object) -> None:
        try:
            time.sleep(3600)  # noqa: ASYNC251
        except Exception:  # noqa: BLE001 - as careless code does
            return

    patch(platform.port(Wifi), "status", status)


@fault("Wifi.a_join_ends_at_its_time_out", "Wifi.join hangs", patience=0.05)
def a_join_ignores_its_time_out(platform: MockPlatform) -> None:
    async def join(real: Any, credentials: Any, timeout: float) -> IpConfig:
        if credentials.ssid == b"Silent":
            await asyncio.sleep(3600)
        return await real(credentials, timeout)

    patch(platform.port(Wifi), "join", join)


# --- leaks -------------------------------------------------------------------------------------------------


def leak(platform: MockPlatform, what: Callable[[], object]) -> None:
    async def scan(real: Any) -> Any:
        KEPT.append(what())
        return await real()

    patch(platform.port(Wifi), "scan", scan)


@fault("Wifi.a_scan_tells_what_is_around", "left behind after close: the task")
def a_task_leaks(platform: MockPlatform) -> None:
    leak(platform, lambda: asyncio.ensure_future(asyncio.sleep(3600)))


@fault("Wifi.a_scan_tells_what_is_around", "left behind after close: the thread forgotten")
def a_thread_leaks(platform: MockPlatform) -> None:
    leak(
        platform,
        lambda: threading.Thread(target=time.sleep, args=(4,), name="forgotten", daemon=True).start(),
    )


@fault("Wifi.a_scan_tells_what_is_around", "left behind after close: the thread asyncio_0")
def work_in_a_thread_goes_on(platform: MockPlatform) -> None:
    leak(platform, lambda: asyncio.get_running_loop().run_in_executor(None, time.sleep, 2))


@fault("Wifi.a_scan_tells_what_is_around", "left behind after close: the descriptor of /dev/null")
def a_descriptor_leaks(platform: MockPlatform) -> None:
    leak(platform, lambda: os.open(os.devnull, os.O_RDONLY))


@fault("Wifi.a_scan_tells_what_is_around", "left behind after close: the descriptor of socket:")
def a_socket_leaks(platform: MockPlatform) -> None:
    leak(platform, lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM))


@fault("Wifi.a_scan_tells_what_is_around", "left behind after close: the child process")
def a_child_process_leaks(platform: MockPlatform) -> None:
    leak(platform, lambda: subprocess.Popen(["sleep", "60"]))


@fault("Wifi.a_scan_tells_what_is_around", "left behind after close: the child process")
def a_child_that_ended_is_not_waited_for(platform: MockPlatform) -> None:
    leak(platform, lambda: subprocess.Popen([sys.executable, "-c", ""]))


@fault("Wifi.a_scan_tells_what_is_around", "left behind after close: the network interface mon0")
def a_network_interface_leaks(platform: MockPlatform) -> None:
    real = socket.if_nameindex
    leak(platform, lambda: setattr(socket, "if_nameindex", lambda: [*real(), (4711, "mon0")]))


# --- lies --------------------------------------------------------------------------------------------------


def claims(platform: MockPlatform, *more: frozenset[Role], without: frozenset[Role] = frozenset()) -> None:
    async def capabilities(real: Any) -> Capabilities:
        found = await real()
        kept = tuple(each for each in found.combinations if not each.roles & without)
        return attrs.evolve(found, combinations=(*kept, *(Combination(roles) for roles in more)))

    patch(platform, "capabilities", capabilities)


@fault("Platform.what_is_claimed_is_there", "camera is claimed, but there is no Camera")
def it_claims_a_camera_and_has_none(platform: MockPlatform) -> None:
    claims(platform, frozenset({Role.CAMERA}))


@fault("Platform.what_is_not_claimed_is_refused", "SoftAp.start, where access point is not claimed, worked")
def it_does_not_claim_what_it_has(platform: MockPlatform) -> None:
    claims(platform, without=frozenset({Role.ACCESS_POINT}))


@fault("Platform.station_and_access_point_hold_at_once", "Wifi.join raised HalError")
def it_claims_both_and_refuses_the_join(platform: MockPlatform) -> None:
    claims(platform, frozenset({Role.STATION, Role.ACCESS_POINT}))


@fault("Platform.station_and_access_point_hold_at_once", "the access point is gone after a join", ap_sta=True)
def it_claims_both_and_a_join_takes_the_access_point_down(platform: MockPlatform) -> None:
    async def join(real: Any, *args: Any) -> IpConfig:
        await platform.port(SoftAp).stop()
        return await real(*args)

    patch(platform.port(Wifi), "join", join)


@fault("Platform.an_access_point_beside_a_joined_station", "the earlier network is not back", ap_sta=True)
def it_claims_both_and_the_access_point_takes_the_station_down(platform: MockPlatform) -> None:
    async def start(real: Any, spec: Any) -> None:
        await real(spec)
        platform._radio.station.leave()

    patch(platform.port(SoftAp), "start", start)


@fault("Platform.capabilities_are_well_formed", "they changed")
def its_capabilities_change(platform: MockPlatform) -> None:
    asked = itertools.count()

    async def capabilities(real: Any) -> Capabilities:
        return await real() if next(asked) else Capabilities()

    patch(platform, "capabilities", capabilities)


@fault("Platform.a_port_is_the_same_object_each_time", "another object each time")
def a_port_is_another_object_each_time(platform: MockPlatform) -> None:
    def port(real: Any, kind: type) -> Any:
        found = real(kind)
        if kind is Udp:
            copy = object.__new__(type(found))
            copy.__dict__.update(found.__dict__)
            return copy
        return found

    patch(platform, "port", port)


@fault("Platform.what_is_not_there_says_so_with_a_hint", "raised KeyError")
def an_unknown_port_is_a_key_error(platform: MockPlatform) -> None:
    patch(platform, "port", lambda _, kind: platform._ports[kind])


@fault("Platform.what_is_not_there_says_so_with_a_hint", "without a hint")
def an_unknown_port_gives_no_hint(platform: MockPlatform) -> None:
    def port(real: Any, kind: type) -> Any:
        try:
            return real(kind)
        except NotSupportedError as error:
            error.hint = ""
            raise

    patch(platform, "port", port)


@fault("Wifi.a_join_gives_an_address", "but status says")
def status_does_not_know_of_the_join(platform: MockPlatform) -> None:
    async def status(_: object) -> WifiStatus:
        return WifiStatus(connected=False)

    patch(platform.port(Wifi), "status", status)


@fault("Wifi.a_scan_tells_what_is_around", "not the strongest first")
def a_scan_is_not_sorted(platform: MockPlatform) -> None:
    async def scan(real: Any) -> Any:
        return list(reversed(await real()))

    patch(platform.port(Wifi), "scan", scan)


@fault("Wifi.a_scan_under_the_access_point_gives_the_last_one", "none under it")
def a_scan_under_the_access_point_is_empty(platform: MockPlatform) -> None:
    async def scan(real: Any) -> Any:
        return await real() if platform._radio.can_scan else ()

    patch(platform.port(Wifi), "scan", scan)


# --- errors ------------------------------------------------------------------------------------------------


@fault("Wifi.a_cancelled_scan_leaves_nothing", "OSError")
def a_scan_raises_os_error(platform: MockPlatform) -> None:
    async def scan(_: object) -> None:
        raise OSError(errno.EBUSY, "busy")

    patch(platform.port(Wifi), "scan", scan)


def joins_fail_as(platform: MockPlatform, make: Callable[[JoinError], Exception]) -> None:
    async def join(real: Any, *args: Any) -> IpConfig:
        try:
            return await real(*args)
        except JoinError as error:
            raise make(error) from None

    patch(platform.port(Wifi), "join", join)


@fault("Wifi.a_wrong_password_is_told_and_the_earlier_network_is_back", "KeyError")
def a_wrong_password_is_a_key_error(platform: MockPlatform) -> None:
    joins_fail_as(platform, lambda _: KeyError("psk"))


@fault("Wifi.a_wrong_password_is_told_and_the_earlier_network_is_back", "JOIN_OTHER")
def a_wrong_password_has_no_reason(platform: MockPlatform) -> None:
    joins_fail_as(platform, lambda error: JoinError(str(error)))


@fault(
    "Wifi.a_network_that_is_not_there_is_told_and_the_earlier_network_is_back", "where JoinError NO_SUCH_AP"
)
def no_such_network_is_no_join_error(platform: MockPlatform) -> None:
    joins_fail_as(platform, lambda error: HalError(str(error)))


@fault("Wifi.a_wrong_password_is_told_and_the_earlier_network_is_back", "shows the password")
def an_error_shows_the_password(platform: MockPlatform) -> None:
    async def join(real: Any, credentials: Any, timeout: float) -> IpConfig:
        try:
            return await real(credentials, timeout)
        except JoinError as error:
            raise JoinError(
                f"{credentials.password.reveal().decode()} is wrong", reason=error.reason
            ) from None

    patch(platform.port(Wifi), "join", join)


@fault(
    "SoftAp.an_impossible_spec_is_refused_and_leaves_nothing", "worked, where HalError CONFIGURATION was due"
)
def an_impossible_access_point_is_not_refused(platform: MockPlatform) -> None:
    async def start(real: Any, spec: Any) -> None:
        try:
            spec.check()
        except HalError:
            return
        await real(spec)

    patch(platform.port(SoftAp), "start", start)


# --- cancellation ------------------------------------------------------------------------------------------


@fault("Wifi.a_cancelled_join_brings_the_earlier_network_back", "swallowed its cancellation")
def a_join_swallows_its_cancellation(platform: MockPlatform) -> None:
    async def join(real: Any, *args: Any) -> IpConfig | None:
        try:
            return await real(*args)
        except asyncio.CancelledError:
            return None

    patch(platform.port(Wifi), "join", join)


@fault("Wifi.a_cancelled_join_brings_the_earlier_network_back", "raised JoinError")
def a_cancelled_join_is_a_join_error(platform: MockPlatform) -> None:
    async def join(real: Any, *args: Any) -> IpConfig:
        try:
            return await real(*args)
        except asyncio.CancelledError:
            raise JoinError("cut off") from None

    patch(platform.port(Wifi), "join", join)


@fault("Wifi.a_cancelled_join_brings_the_earlier_network_back", "the earlier network is not back")
def a_cancelled_join_forgets_the_earlier_network(platform: MockPlatform) -> None:
    async def join(real: Any, *args: Any) -> IpConfig:
        try:
            return await real(*args)
        except asyncio.CancelledError:
            platform._radio.station.leave()
            raise

    patch(platform.port(Wifi), "join", join)


@fault("Wifi.a_cancelled_scan_leaves_nothing", "the task")
def a_cancelled_scan_goes_on(platform: MockPlatform) -> None:
    async def scan(real: Any) -> Any:
        async def slowly() -> Any:
            await asyncio.sleep(1.5)
            return await real()

        return await asyncio.shield(asyncio.ensure_future(slowly()))

    patch(platform.port(Wifi), "scan", scan)


@fault("SoftAp.a_cancelled_start_leaves_nothing", "still on the air after its start was cancelled")
def a_cancelled_start_leaves_the_access_point_up(platform: MockPlatform) -> None:
    async def start(real: Any, spec: Any) -> None:
        try:
            await real(spec)
        except asyncio.CancelledError:
            await real(spec)
            raise

    patch(platform.port(SoftAp), "start", start)
