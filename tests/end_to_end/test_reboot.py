"""What survives the process: network, bind, secret and errors; and what happens when it is damaged."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from qiot.hal.contract import Slot, Storage, Wifi
from qiot.hal.mock import MockPlatform
from qiot.model import Outcome, Reason, Step
from tests.end_to_end.support import (
    CERT_DEVICE,
    DEVICE,
    NEW_DEVICE,
    at,
    bound_by,
    connects,
    end_of,
    is_free,
    mock,
    new_token,
    place,
    quick_binder,
    until,
)

TEST2 = "L4WG9V9M2M/TEST2"


@pytest.fixture
def boot(tmp_path) -> Callable[..., MockPlatform]:
    """The platform as it is after a boot: radio empty, state folder as it was left."""

    def make(**options) -> MockPlatform:
        return mock(ap_sta="yes", state=str(tmp_path / "state"), **options)

    return make


async def bind_once(here, device, phone, platform, info=None) -> None:
    wifi = device(here, platform, **({"info": info} if info else {}))
    await wifi.start()
    (await phone(wifi)).join(token := new_token(here))
    assert (await end_of(wifi)).step is Step.BOUND
    assert bound_by(here, token) == TEST2
    await wifi.aclose()
    await platform.close()


async def test_a_bound_device_comes_back_without_a_phone(cloud, device, phone, boot, identity_file):
    here = await cloud([NEW_DEVICE])
    path = identity_file(NEW_DEVICE)
    first = device(here, platform := boot(), path)
    assert not await first.provisioned()
    await first.aclose()
    await bind_once(here, device, phone, platform, path)
    again = device(here, platform := boot(), path)
    assert await again.provisioned()
    await again.start(resume=True)
    result = await end_of(again)
    assert (result.step, result.method) == (Step.BOUND, "resume")
    assert result.link.connected
    assert (await platform.port(Wifi).status()).ssid == b"Home"
    assert connects(here) == 2
    assert not [event for event in again.history if event.step is Step.LISTENING], "no door was opened"
    async with again.thing() as thing:
        await thing.report({"power_switch": 1})
    assert here.registry.device("L4WG9V9M2M", "TEST2").reported == {"power_switch": 1}


async def test_forget_makes_the_next_start_wait_for_a_phone(cloud, device, phone, boot):
    here = await cloud()
    await bind_once(here, device, phone, boot())
    wifi = device(here, boot())
    assert await wifi.provisioned()
    await wifi.forget()
    await wifi.forget()
    assert not await wifi.provisioned()
    await wifi.start(resume=await wifi.provisioned())
    assert wifi.step is Step.LISTENING
    (await phone(wifi)).join(new_token(here))
    assert (await end_of(wifi)).step is Step.BOUND
    assert await wifi.provisioned()


async def test_another_identity_on_the_same_state_is_not_provisioned(
    cloud, device, phone, boot, identity_file
):
    here = await cloud()
    await bind_once(here, device, phone, boot())
    other = device(here, boot(), identity_file(DEVICE | {"deviceName": "TEST3"}))
    assert not await other.provisioned()


async def test_a_changed_wifi_password_leads_back_to_the_phone(cloud, device, phone, boot):
    here = await cloud()
    await bind_once(here, device, phone, boot())
    wifi = device(here, boot(home=Reason.WRONG_PASSWORD, times=1))
    await wifi.start(resume=True)
    failed = await until(wifi, Step.JOINING, Outcome.FAILED)
    assert failed.failure.reason is Reason.WRONG_PASSWORD
    speaker = await phone(wifi)
    speaker.join(token := new_token(here))
    assert (await end_of(wifi)).step is Step.BOUND
    assert bound_by(here, token) == TEST2


async def test_a_router_that_is_late_is_waited_for(cloud, device, phone, boot):
    here = await cloud()
    await bind_once(here, device, phone, boot())
    wifi = device(here, boot(home=Reason.NO_SUCH_AP, times=3))
    await wifi.start(resume=True)
    assert (await end_of(wifi)).method == "resume"
    failed = [
        event for event in wifi.history if (event.step, event.outcome) == (Step.JOINING, Outcome.FAILED)
    ]
    assert len(failed) == 3


async def test_a_cloud_that_is_late_is_waited_for(cloud, device, phone, boot):
    here = await cloud(mode={})
    await bind_once(here, device, phone, boot())
    here.set_mode({"mqtt_tcp": {"do": "refuse", "times": 2}})
    wifi = device(here, boot(), binder=quick_binder(here))
    await wifi.start(resume=True)
    assert (await end_of(wifi)).method == "resume"


async def test_a_device_secret_that_the_cloud_no_longer_takes_leads_back_to_the_phone(
    cloud, device, phone, boot
):
    here = await cloud()
    await bind_once(here, device, phone, boot())
    here.set_mode({"connack": {"do": "code", "code": 5, "times": 1}})
    wifi = device(here, boot(), binder=quick_binder(here))
    await wifi.start(resume=True)
    assert wifi.step is Step.LISTENING
    (await phone(wifi)).join(new_token(here))
    assert (await end_of(wifi)).step is Step.BOUND


async def test_a_stop_during_the_resume_leaves_nothing(cloud, device, phone, boot):
    here = await cloud()
    await bind_once(here, device, phone, boot())
    here.set_mode({"connack": "hang"})
    wifi = device(here, boot())
    starting = asyncio.create_task(wifi.start(resume=True))
    await here.wait_for(lambda record: record.text == "connack: hang")
    await wifi.stop()
    (error,) = await asyncio.gather(starting, return_exceptions=True)
    assert error.reason is Reason.STOPPED
    assert await wifi.provisioned(), "it may resume at the next boot"


async def test_previous_errors_are_told_in_the_run_after_a_failed_run(cloud, device, phone, boot):
    here = await cloud(mode={"connack": {"do": "code", "code": 4}})
    wifi = device(here, boot(), retry_window=0.05)
    await wifi.start()
    speaker = await phone(wifi)
    port = place(wifi)[1]
    speaker.join(new_token(here), password="wrong-password")
    await speaker.error()
    speaker.join(new_token(here))
    assert await speaker.error() == ("Current_Error", "MQTT connect error! (1, -116)")
    assert (await end_of(wifi)).failure.code == 4
    await wifi.aclose()
    assert is_free("127.0.0.1", port)
    here.set_mode({})
    again = device(here, boot())
    await again.start()
    speaker = await phone(again)
    speaker.join(new_token(here))
    told = [await speaker.error() for _ in range(2)]
    assert told == [
        ("Previous_Error", "WIFI AP STA error! (12, 202)"),
        ("Previous_Error", "MQTT connect error! (1, -116)"),
    ]
    assert (await end_of(again)).step is Step.BOUND
    third = device(here, boot())
    await third.start()
    speaker = await phone(third)
    speaker.join(new_token(here))
    assert (await end_of(third)).step is Step.BOUND
    assert not [data for data in speaker.everything if b"Error" in data], "told once"


@pytest.mark.parametrize("slot", [Slot.NETWORK, Slot.BOUND, Slot.ERRORS])
@pytest.mark.parametrize("damage", ["cut", "bit", "empty", "not ours"])
async def test_damaged_state_never_locks_the_device_up(cloud, device, phone, boot, tmp_path, slot, damage):
    here = await cloud()
    platform = boot()
    await platform.port(Storage).save(Slot.ERRORS, bytes.fromhex("efbe0df0 01000000 00001800 07000000"))
    await bind_once(here, device, phone, platform)
    _damage(tmp_path / "state" / slot.value, damage)
    wifi = device(here, boot())
    provisioned = await wifi.provisioned()
    assert provisioned is (slot is not Slot.BOUND)
    await wifi.start(resume=provisioned)
    if wifi.step is Step.LISTENING:
        (await phone(wifi)).join(new_token(here))
    assert (await end_of(wifi)).step is Step.BOUND


def _damage(path: Path, damage: str) -> None:
    content = path.read_bytes() if path.exists() else b"nothing was saved here"
    match damage:
        case "cut":
            content = content[: len(content) // 2]
        case "bit":
            content = content[:-3] + bytes([content[-3] ^ 1]) + content[-2:]
        case "empty":
            content = b""
        case _:
            content = b"\x00\xff not ours"
    path.write_bytes(content)


async def test_state_files_are_the_owners_only(cloud, device, phone, boot, tmp_path):
    here = await cloud()
    await bind_once(here, device, phone, boot())
    state = tmp_path / "state"
    assert state.stat().st_mode & 0o777 == 0o700
    modes = {each.name: each.stat().st_mode & 0o777 for each in state.iterdir()}
    assert modes == {"network": 0o600, "bound": 0o600}


async def test_a_certificate_device_comes_back_too(cloud, device, phone, boot, identity_file, tmp_path):
    here = await cloud([CERT_DEVICE], tls_dir=tmp_path / "tls")
    path = identity_file(CERT_DEVICE)
    wifi = device(at(here, secure=True), boot(), path)
    await wifi.start()
    (await phone(wifi)).join(new_token(here))
    assert (await end_of(wifi)).step is Step.BOUND
    await wifi.aclose()
    again = device(at(here, secure=True), boot(), path)
    assert await again.provisioned()
    await again.start(resume=True)
    assert (await end_of(again)).method == "resume"
