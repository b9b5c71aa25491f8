"""Ending a run in the middle of every step: by stop, cancellation, total time-out or an exception."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import attrs
import pytest

from qiot.api import State, WifiConfig
from qiot.errors import ConfigurationError, QiotError
from qiot.hal.contract import Slot, Storage, Wifi
from qiot.hal.mock import MockPlatform
from qiot.hal.registry import parse_spec
from qiot.model import Outcome, Reason, Step
from qiot.testbed.cloud.journal import Kind
from tests.end_to_end.support import (
    IDENTITY,
    NEW_DEVICE,
    PATIENCE,
    at,
    connects,
    device_tasks,
    end_of,
    is_free,
    mock,
    new_token,
    place,
    settings,
    settle_in,
    until,
)

_FAULTS = {
    "registering": {"dynreg": "hang"},
    "connecting": {"connack": "hang"},
    "connecting TLS": {"mqtt_tls": "hang"},
    "binding": {"bind_reply": "drop"},
}
STEPS = ["listening", "joining", "registering", "connecting", "connecting TLS", "awaiting grant", "binding"]


class Stage:
    """A device with a network stored, which hangs in one step once a phone has led it there."""

    def __init__(self, name: str, cloud, device, phone, folder: Path) -> None:
        self.name = name
        self.step = Step(name.removesuffix(" TLS"))
        self._make_cloud, self._make_device, self._make_phone = cloud, device, phone
        self._folder = folder

    async def start(self, **settings) -> None:
        """Start, and let the phone or the script begin."""
        new, secure = self.name == "registering", self.name == "connecting TLS"
        self.cloud = await self._make_cloud(
            [NEW_DEVICE] if new else None,
            tls_dir=self._folder / "tls" if secure else None,
            mode=_FAULTS.get(self.name, {}),
        )
        self.platform = self._platform()
        await settle_in(self.platform, "Old", "old-password")
        info = attrs.evolve(IDENTITY, device_secret=None) if new else IDENTITY
        self.wifi = self._make_device(at(self.cloud, secure=secure), self.platform, info, **settings)
        if self.name == "awaiting grant":
            await self.wifi.start("smart_config")
            return
        await self.wifi.start()
        if self.step is not Step.LISTENING:
            (await self._make_phone(self.wifi)).join(new_token(self.cloud))

    def _platform(self) -> MockPlatform:
        if self.name != "awaiting grant":
            return mock(ap_sta="yes", home=Reason.JOIN_TIMEOUT if self.step is Step.JOINING else None)
        networks, offers = self._folder / "networks.json", self._folder / "offers.json"
        home = {"ssid": "Home", "password": "home-password"}
        networks.write_text(json.dumps([home, {"ssid": "Old", "password": "old-password"}]))
        offers.write_text(json.dumps([{"method": "smart_config", **home}]))
        return MockPlatform(parse_spec(f"mock,networks={networks},offers={offers}"))

    async def reached(self) -> None:
        await until(self.wifi, self.step, Outcome.STARTED)

    async def assert_undone(self) -> None:
        """Nothing of the run is left, and the device is where it was."""
        assert device_tasks() == []
        if self.name != "awaiting grant":
            assert is_free(*place(self.wifi))
        status = await self.platform.port(Wifi).status()
        assert (status.ssid, status.saved) == (b"Old", b"Old")
        assert {each.ssid for each in self.platform.world.wifi.access_points} == {b"Home", b"Old"}
        assert self.wifi.link is None
        if self.step in (Step.AWAITING_GRANT, Step.BINDING):
            await gone(self.cloud)
        assert self.wifi.query_state() is State.FAILED
        assert self.wifi.step is Step.FAILED


async def gone(cloud) -> None:
    """Return when the cloud has seen the device leave."""
    await cloud.wait_for(lambda record: record.kind is Kind.DISCONNECT, timeout=3)


@pytest.fixture
def stage(request, cloud, device, phone, tmp_path) -> Stage:
    return Stage(request.param, cloud, device, phone, tmp_path)


@pytest.mark.parametrize("stage", STEPS, indirect=True)
async def test_stop_undoes_the_run_in_every_step(stage):
    await stage.start()
    await stage.reached()
    await stage.wifi.stop()
    await stage.assert_undone()
    failure = (await end_of(stage.wifi)).failure
    assert (failure.step, failure.reason) == (stage.step, Reason.STOPPED)


@pytest.mark.parametrize("stage", STEPS, indirect=True)
async def test_the_total_time_out_names_the_step(stage):
    await stage.start(timeout=1.0)
    result = await end_of(stage.wifi)
    assert (result.failure.step, result.failure.reason) == (stage.step, Reason.TIMEOUT)
    assert result.failure.hint or result.failure.reason.hint
    await stage.wifi.linger()
    await stage.assert_undone()


async def _program_that_breaks(stage: Stage) -> None:
    await stage.start()
    async with stage.wifi:
        await stage.reached()
        raise ZeroDivisionError


@pytest.mark.parametrize("stage", ["listening", "joining", "binding"], indirect=True)
async def test_an_exception_in_the_program_undoes_the_run(stage):
    with pytest.raises(ZeroDivisionError):
        await _program_that_breaks(stage)
    assert device_tasks() == []
    assert is_free(*place(stage.wifi))
    assert (await stage.wifi.wait()).failure.reason is Reason.STOPPED


@pytest.mark.parametrize("stage", ["listening", "joining", "connecting", "binding"], indirect=True)
async def test_after_a_stop_the_next_start_works_on_the_same_port(stage, phone):
    await stage.start()
    await stage.reached()
    _, port = place(stage.wifi)
    await stage.wifi.aclose()
    stage.cloud.set_mode({})
    await settle_in(platform := mock(ap_sta="yes"), "Old", "old-password")
    again = WifiConfig(IDENTITY, hal=platform, cloud=at(stage.cloud), settings=settings(udp_port=port))
    try:
        await again.start()
        assert place(again)[1] == port
        (await phone(again)).join(token := new_token(stage.cloud))
        assert (await end_of(again)).step is Step.BOUND
        assert stage.cloud.registry.token(token).state == 2
    finally:
        await again.aclose()
        await platform.close()


async def test_the_same_object_starts_again_after_a_stop(cloud, device, phone):
    here = await cloud()
    wifi = device(here)
    for _ in range(3):
        await wifi.start()
        await wifi.stop()
        assert wifi.query_state() is State.FAILED
    await wifi.start()
    assert wifi.query_state() is State.GOING_ON
    (await phone(wifi)).join(new_token(here))
    assert (await end_of(wifi)).step is Step.BOUND


async def test_stop_during_the_grace_keeps_what_was_reached(cloud, device, phone):
    here = await cloud()
    platform = mock(ap_sta="yes")
    wifi = device(here, platform, grace=PATIENCE)
    await wifi.start()
    (await phone(wifi)).join(new_token(here))
    assert (await end_of(wifi)).step is Step.BOUND
    await wifi.stop()
    assert device_tasks() == []
    assert is_free(*place(wifi))
    assert wifi.link.connected
    assert wifi.query_state() is State.SUCCESS
    assert (await platform.port(Wifi).status()).saved == b"Home"


async def test_the_grace_ends_by_itself_and_keeps_the_connection(cloud, device, phone):
    here = await cloud()
    wifi = device(here)
    await wifi.start()
    speaker = await phone(wifi)
    speaker.join(token := new_token(here))
    assert (await end_of(wifi)).step is Step.BOUND
    speaker.join(token)
    await speaker.info()
    await wifi.linger()
    assert is_free(*place(wifi))
    assert wifi.link.connected


async def test_closing_twice_and_stopping_again_is_nothing(cloud, device):
    wifi = device(await cloud())
    await wifi.start()
    await wifi.aclose()
    await wifi.aclose()
    await wifi.stop()
    assert wifi.query_state() is State.FAILED


async def test_closing_what_was_never_started(device):
    wifi = device()
    await wifi.stop()
    await wifi.aclose()
    assert wifi.query_state() is State.FAILED
    with pytest.raises(ConfigurationError, match="nothing was started"):
        await wifi.wait()


async def test_a_second_start_during_a_run_is_refused_and_harms_nothing(cloud, device, phone):
    here = await cloud()
    wifi = device(here)
    await wifi.start()
    with pytest.raises(ConfigurationError, match="on already"):
        await wifi.start()
    (await phone(wifi)).join(new_token(here))
    assert (await end_of(wifi)).step is Step.BOUND


@pytest.mark.parametrize("passes", [0, 1, 2, 3, 5])
async def test_cancelling_start_ends_the_run(device, passes):
    platform = mock(start_delay="60")
    wifi = device(hal=platform)
    starting = asyncio.create_task(wifi.start())
    for _ in range(passes):
        await asyncio.sleep(0)
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    assert device_tasks() == []
    assert {each.ssid for each in platform.world.wifi.access_points} == {b"Home", b"Old"}
    assert wifi.query_state() is State.FAILED


@pytest.mark.parametrize("passes", [1, 2, 3, 5])
async def test_stop_while_start_is_at_work_ends_both(device, passes):
    wifi = device(hal=mock(start_delay="60"))
    starting = asyncio.create_task(wifi.start())
    for _ in range(passes):
        await asyncio.sleep(0)
    await wifi.stop()
    async with asyncio.timeout(5):
        with pytest.raises(QiotError) as caught:
            await starting
    assert caught.value.reason is Reason.STOPPED
    assert (await end_of(wifi)).failure.reason is Reason.STOPPED


async def test_a_stopped_run_wakes_everybody_who_waits(cloud, device):
    wifi = device(await cloud())
    await wifi.start()
    waiting = [asyncio.create_task(wifi.wait()) for _ in range(3)]
    watching = asyncio.create_task(_all_events(wifi))
    await asyncio.sleep(0)
    await wifi.stop()
    async with asyncio.timeout(PATIENCE):
        assert {(await each).failure.reason for each in waiting} == {Reason.STOPPED}
        assert (await watching)[-1].step is Step.FAILED


async def _all_events(wifi):
    return [event async for event in wifi.events()]


async def test_an_old_connection_does_not_outlive_the_next_start(cloud, device, phone):
    here = await cloud()
    wifi = device(here)
    await wifi.start()
    (await phone(wifi)).join(new_token(here))
    link = (await end_of(wifi)).link
    await wifi.stop()
    await wifi.start()
    await wifi.aclose()
    assert connects(here) == 1
    assert not link.connected


async def test_a_network_that_cannot_be_saved_fails_typed(cloud, device, phone, tmp_path):
    here = await cloud()
    platform = mock(ap_sta="yes", state=str(tmp_path / "state"))
    await _block(platform, tmp_path, Slot.NETWORK)
    wifi = device(here, platform)
    await wifi.start()
    (await phone(wifi)).join(new_token(here))
    assert (await end_of(wifi)).failure.reason is Reason.STORAGE
    await gone(here)
    assert (await platform.port(Wifi).status()).ssid is None, "the join is undone"


async def test_a_mark_that_cannot_be_saved_is_a_warning(cloud, device, phone, tmp_path, written):
    here = await cloud()
    platform = mock(ap_sta="yes", state=str(tmp_path / "state"))
    await _block(platform, tmp_path, Slot.BOUND)
    wifi = device(here, platform)
    await wifi.start()
    (await phone(wifi)).join(new_token(here))
    result = await end_of(wifi)
    assert result.step is Step.BOUND, "the cloud has bound it and the network is stored"
    assert result.link.connected
    warnings = [line for line in written.getvalue().splitlines() if line.startswith("WRN")]
    assert any(str(tmp_path / "state" / "bound") in line for line in warnings)


async def _block(platform: MockPlatform, folder: Path, slot: Slot) -> None:
    """Put a folder where the slot's file would be."""
    await platform.port(Storage).save(Slot.IDENTITY, b"makes the folder")
    (folder / "state" / slot.value).mkdir()
