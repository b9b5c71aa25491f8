"""Deliberate faults: each breaks one promise of a good mock platform, and names the check that sees it."""

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
from pathlib import Path
from typing import Any

import attrs

from qiot.errors import HalError, JoinError, MediumError, NotSupportedError
from qiot.hal.contract import (
    Capabilities,
    Combination,
    Datagram,
    Role,
    Slot,
    SoftAp,
    Storage,
    Udp,
    Wifi,
    WifiStatus,
)
from qiot.hal.mock import MockPlatform
from qiot.model import IpConfig, Reason, Secret
from qiot.sim.wifi import AccessPoint

__all__ = ["FAULTS", "KEPT", "Fault", "fault", "patch"]


class AnybodysAccessPoint(AccessPoint):
    """It takes every password."""

    def admits(self, password: Secret) -> bool:
        return True


@attrs.frozen
class Fault:
    """One broken promise.

    Attributes:
        name: What is wrong.
        check: The check that has to fail.
        why: Part of what it says.
        inject: Breaks a platform.
        ap_sta: Of the platform that is broken.
        full: Where that is the one with every port.
        patience: Factor on the time limits, small where the fault is a hang.
    """

    name: str
    check: str
    why: str
    inject: Callable[[Any], object]
    ap_sta: bool = False
    full: bool = False
    patience: float = 0.1


FAULTS: list[Fault] = []
KEPT: list[object] = []
"""What leaks is held here, so that the collector does not clean up after it."""


def fault(
    check: str, why: str, *, ap_sta: bool = False, full: bool = False, patience: float = 0.1
) -> Callable[[Callable[[Any], object]], Callable[[Any], object]]:
    def add(inject: Callable[[Any], object]) -> Callable[[Any], object]:
        FAULTS.append(Fault(inject.__name__, check, why, inject, ap_sta, full, patience))
        return inject

    return add


def patch(target: object, verb: str, run: Callable[..., Any]) -> None:
    """Put `run(real, *args)` in the place of a verb."""
    real = getattr(target, verb)
    setattr(target, verb, lambda *args, **kwargs: run(real, *args, **kwargs))


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


# --- Udp ---------------------------------------------------------------------------------------------------


def endpoints(platform: MockPlatform, change: Callable[[Any], None]) -> None:
    async def open_(real: Any, *args: Any, **kwargs: Any) -> Any:
        endpoint = await real(*args, **kwargs)
        change(endpoint)
        return endpoint

    patch(platform.port(Udp), "open", open_)


@fault("Udp.a_cancelled_receive_loses_nothing", "lost its datagram")
def a_cancelled_receive_loses_its_datagram(platform: MockPlatform) -> None:
    async def receive(real: Any) -> Datagram:
        datagram = await real()
        await asyncio.sleep(0)  # a cancellation here takes the datagram with it
        return datagram

    endpoints(platform, lambda endpoint: patch(endpoint, "receive", receive))


@fault("Udp.the_queue_is_bounded_and_drops_are_counted", "dropped says 0")
def drops_are_not_counted(platform: MockPlatform) -> None:
    def change(endpoint: Any) -> None:
        blind = type("Blind", (type(endpoint),), {"dropped": property(lambda _: 0)})
        endpoint.__class__ = blind

    endpoints(platform, change)


@fault("Udp.the_queue_is_bounded_and_drops_are_counted", "the queue has no bound")
def the_queue_has_no_bound(platform: MockPlatform) -> None:
    def change(endpoint: Any) -> None:
        waiting: asyncio.Queue[Datagram] = asyncio.Queue()

        async def pump(receive: Any) -> None:
            while True:
                waiting.put_nowait(await receive())

        pumping = asyncio.ensure_future(pump(endpoint.receive))
        patch(endpoint, "receive", lambda _: waiting.get())

        async def close(real: Any) -> None:
            pumping.cancel()
            await asyncio.gather(pumping, return_exceptions=True)
            await real()

        patch(endpoint, "close", close)

    endpoints(platform, change)


@fault("Udp.close_ends_every_receive_and_frees_the_port", "does not end a pending read", patience=0.05)
def close_does_not_end_a_receive(platform: MockPlatform) -> None:
    async def receive(real: Any) -> Datagram:
        try:
            return await real()
        except MediumError:
            await asyncio.Event().wait()
            raise

    endpoints(platform, lambda endpoint: patch(endpoint, "receive", receive))


def takes_ports_over(platform: MockPlatform, option: int) -> None:
    class Greedy(socket.socket):
        def bind(self, address: Any) -> None:
            self.setsockopt(socket.SOL_SOCKET, option, 1)
            super().bind(address)

    async def open_(real: Any, *args: Any, **kwargs: Any) -> Any:
        plain, socket.socket = socket.socket, Greedy  # type: ignore[misc,assignment]
        try:
            return await real(*args, **kwargs)
        finally:
            socket.socket = plain  # type: ignore[misc]

    patch(platform.port(Udp), "open", open_)


@fault("Udp.a_busy_port_is_never_silent", "worked, where MediumError PORT_BUSY was due")
def a_busy_port_is_shared_in_silence(platform: MockPlatform) -> None:
    takes_ports_over(platform, socket.SO_REUSEPORT)


@fault("Udp.a_port_of_another_program_is_busy_and_ours_is_not_taken", "Udp.open worked")
def a_port_of_another_program_is_taken_in_silence(platform: MockPlatform) -> None:
    takes_ports_over(platform, socket.SO_REUSEADDR)


# --- Storage -----------------------------------------------------------------------------------------------


@fault("Storage.saves_at_once_are_whole_and_the_last_wins", "torn")
def a_save_is_torn_for_readers(platform: MockPlatform) -> None:
    async def save(real: Any, slot: Slot, data: bytes) -> None:
        await real(slot, data[: len(data) // 2])
        await asyncio.sleep(0.01)
        await real(slot, data)

    patch(platform.port(Storage), "save", save)


@fault("Storage.a_cancelled_save_is_whole_or_did_not_happen", "cut off after")
def a_cancelled_save_is_torn(platform: MockPlatform) -> None:
    async def save(real: Any, slot: Slot, data: bytes) -> None:
        try:
            await real(slot, data)
        except asyncio.CancelledError:
            await real(slot, data[:10])
            raise

    patch(platform.port(Storage), "save", save)


@fault("Storage.only_the_owner_can_read_it", "it must be 0600")
def what_is_stored_is_world_readable(platform: MockPlatform) -> None:
    storage: Any = platform.port(Storage)

    async def save(real: Any, slot: Slot, data: bytes) -> None:
        await real(slot, data)
        folder = next(value for value in vars(storage).values() if isinstance(value, Path))
        for file in folder.iterdir():
            file.chmod(0o644)

    patch(storage, "save", save)


@fault("Storage.it_survives_a_restart", "what was saved is")
def what_is_stored_lives_in_memory_only(platform: MockPlatform) -> None:
    slots: dict[Slot, bytes] = {}
    storage = platform.port(Storage)

    async def save(_: Any, slot: Slot, data: bytes) -> None:
        slots[slot] = bytes(data)

    async def load(_: Any, slot: Slot) -> bytes | None:
        return slots.get(slot)

    async def erase(_: Any, slot: Slot) -> None:
        slots.pop(slot, None)

    for verb, run in (("save", save), ("load", load), ("erase", erase)):
        patch(storage, verb, run)


@fault("Storage.erase_is_idempotent_and_hits_one_slot", "erasing one slot changed another")
def erase_takes_everything(platform: MockPlatform) -> None:
    async def erase(real: Any, _: Slot) -> None:
        for slot in Slot:
            await real(slot)

    patch(platform.port(Storage), "erase", erase)
