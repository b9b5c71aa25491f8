"""A join that fails: the phone hears why, and the next try needs no restart."""

from __future__ import annotations

import asyncio

import pytest

from qiot.hal.contract import Slot, Storage, Wifi
from qiot.model import Outcome, Reason, Step
from qiot.testbed.phone import SoftApPhone
from tests.end_to_end.support import (
    HOME,
    PASSWORD,
    bound_by,
    end_of,
    mock,
    new_token,
    place,
    settle_in,
    until,
)

TEST2 = "L4WG9V9M2M/TEST2"


@pytest.mark.parametrize("ap_sta", ["yes", "no"])
async def test_the_phone_hears_it_and_tries_again(cloud, device, phone, ap_sta):
    here = await cloud()
    platform = mock(ap_sta=ap_sta)
    wifi = device(here, platform)
    await wifi.start()
    speaker, bystander = await phone(wifi), await phone(wifi)
    speaker.join(old := new_token(here), password="wrong-password")
    assert await speaker.error() == ("Current_Error", "WIFI AP STA error! (12, 202)")
    speaker.join(token := new_token(here))
    assert (await end_of(wifi)).step is Step.BOUND
    assert bound_by(here, token) == TEST2
    assert bound_by(here, old) is None
    assert (await platform.port(Wifi).status()).saved == HOME.encode()
    assert bystander.everything == [], "answers go to the sender's address only"


async def test_the_phone_may_come_back_from_another_port(cloud, device, phone):
    here = await cloud()
    wifi = device(here, mock())
    await wifi.start()
    before = await phone(wifi)
    before.join(new_token(here), password="wrong-password")
    await until(wifi, Step.LISTENING, Outcome.STARTED, 2)
    after = await phone(wifi)
    after.join(token := new_token(here))
    # On one radio the phone had lost the access point: what it may have missed is history for its new try.
    assert await after.error() == ("Previous_Error", "WIFI AP STA error! (12, 202)")
    assert (await end_of(wifi)).step is Step.BOUND
    assert bound_by(here, token) == TEST2


async def test_the_truth_comes_first_where_the_access_point_stays(cloud, device, phone):
    here = await cloud()
    wifi = device(here, mock(ap_sta="yes"))
    await wifi.start()
    speaker = await phone(wifi)
    speaker.join(new_token(here), password="wrong-password")
    assert await speaker.error() == ("Current_Error", "WIFI AP STA error! (12, 202)")
    assert not [data for data in speaker.everything if b'"productId"' in data], "nothing was promised before"
    speaker.join(new_token(here))
    assert (await speaker.info())["deviceName"] == "TEST2"
    assert (await end_of(wifi)).step is Step.BOUND


async def test_a_join_longer_than_the_phones_patience_is_answered_before_its_end(cloud, device, phone):
    here = await cloud()
    wifi = device(here, mock(ap_sta="yes", home=Reason.JOIN_TIMEOUT), answer_within=0.05)
    await wifi.start()
    speaker = await phone(wifi)
    speaker.join(new_token(here))
    assert (await speaker.info())["deviceName"] == "TEST2"
    assert wifi.step is Step.JOINING


@pytest.mark.parametrize(
    ("reason", "number"),
    [
        (Reason.NO_SUCH_AP, 201),
        (Reason.WRONG_PASSWORD, 202),
        (Reason.ASSOCIATION_REFUSED, 203),
        (Reason.HANDSHAKE_TIMEOUT, 204),
        (Reason.DHCP, 210),
        (Reason.JOIN_TIMEOUT, 211),
        (Reason.UNSUPPORTED_SECURITY, 212),
        (Reason.JOIN_OTHER, 213),
    ],
)
async def test_every_failure_has_its_number_and_is_no_end(cloud, device, phone, reason, number):
    here = await cloud()
    wifi = device(here, mock(ap_sta="yes", home=reason, times=1), join_timeout=0.3)
    await wifi.start()
    speaker = await phone(wifi)
    speaker.join(new_token(here))
    assert await speaker.error() == ("Current_Error", f"WIFI AP STA error! (12, {number})")
    failed = await until(wifi, Step.JOINING, Outcome.FAILED)
    assert failed.failure.reason is reason
    assert failed.failure.hint
    speaker.join(token := new_token(here), password=PASSWORD)
    assert (await end_of(wifi)).step is Step.BOUND
    assert bound_by(here, token) == TEST2


@pytest.mark.parametrize("ap_sta", ["yes", "no"])
async def test_the_earlier_network_stays_when_a_new_try_fails(cloud, device, phone, tmp_path, ap_sta):
    here = await cloud()
    platform = mock(ap_sta=ap_sta, state=str(tmp_path / "state"))
    await settle_in(platform, "Old", "old-password")
    before = await platform.port(Storage).load(Slot.NETWORK)
    wifi = device(here, platform)
    await wifi.start()
    speaker = await phone(wifi)
    speaker.join(new_token(here), password="wrong-password")
    await speaker.error()
    await wifi.stop()
    status = await platform.port(Wifi).status()
    assert (status.ssid, status.saved) == (b"Old", b"Old")
    assert await platform.port(Storage).load(Slot.NETWORK) == before


async def test_a_network_that_joins_is_not_kept_when_the_cloud_refuses(cloud, device, phone, tmp_path):
    here = await cloud(mode={"connack": {"do": "code", "code": 4}})
    platform = mock(state=str(tmp_path / "state"))
    await settle_in(platform, "Old", "old-password")
    wifi = device(here, platform, retry_window=0.05)
    await wifi.start()
    (await phone(wifi)).join(new_token(here))
    assert (await end_of(wifi)).failure.reason is Reason.MQTT_REFUSED
    status = await platform.port(Wifi).status()
    assert (status.ssid, status.saved) == (b"Old", b"Old")


@pytest.mark.parametrize("ap_sta", ["yes", "no"])
async def test_the_mini_program_fails_with_the_text_and_binds_with_the_next_try(cloud, device, ap_sta):
    here = await cloud()
    wifi = device(here, mock(ap_sta=ap_sta))
    await wifi.start()
    told: list[object] = []

    async def mini_program(password: str):
        phone = SoftApPhone(
            *place(wifi),
            ssid=HOME,
            password=password,
            app_url=f"{here.http_url}/app",
            resend_interval=0.2,
            poll_interval=0.05,
            on_event=told.append,
        )
        return await phone.run()

    first = await mini_program("wrong-password")
    assert not first.bound
    assert "WIFI AP STA error! (12, 202)" in first.error
    second = await mini_program(PASSWORD)
    assert second.bound, second.error
    assert (await end_of(wifi)).step is Step.BOUND
    assert "wrong-password" not in str(told)


async def test_the_same_wrong_password_again_is_told_again(cloud, device, phone):
    here = await cloud()
    wifi = device(here, mock(ap_sta="yes"))
    await wifi.start()
    speaker = await phone(wifi)
    token = new_token(here)
    for _ in range(3):
        speaker.join(token, password="wrong-password")
        assert await speaker.error() == ("Current_Error", "WIFI AP STA error! (12, 202)")
    async with asyncio.timeout(10):
        speaker.join(token)
        assert (await end_of(wifi)).step is Step.BOUND
