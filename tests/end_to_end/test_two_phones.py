"""Several phones at once: the protocol cannot tell them apart, so none may shut another one out."""

from __future__ import annotations

import asyncio

import pytest

from qiot.hal.contract import Wifi
from qiot.model import Outcome, Reason, Step
from qiot.testbed.phone import SoftApPhone
from tests.end_to_end.support import (
    HOME,
    PASSWORD,
    bound_by,
    connects,
    end_of,
    mock,
    new_token,
    place,
    quick_binder,
    until,
)

TEST2 = "L4WG9V9M2M/TEST2"


@pytest.mark.parametrize("ap_sta", ["yes", "no"])
@pytest.mark.parametrize(
    ("ssid", "password"),
    [("Nowhere", "some-password"), (HOME, "wrong-password"), ("Old", "not-its-password")],
)
async def test_a_spoofed_offer_before_the_real_one(cloud, device, phone, written, ap_sta, ssid, password):
    here = await cloud()
    platform = mock(ap_sta=ap_sta, join_delay="0.4")  # the real phone speaks while the spoofed join goes on
    wifi = device(here, platform)
    await wifi.start()
    spoofer, real = await phone(wifi), await phone(wifi)
    spoofer.join(stolen := new_token(here), ssid=ssid, password=password)
    first = await until(wifi, Step.JOINING, Outcome.STARTED)
    real.join(token := new_token(here))
    assert (await end_of(wifi)).step is Step.BOUND
    assert first.peer.address.endswith(f":{spoofer.port}"), "the spoofed one was tried first"
    assert bound_by(here, token) == TEST2
    assert bound_by(here, stolen) is None
    assert (await platform.port(Wifi).status()).saved == HOME.encode()
    assert (await real.info())["deviceName"] == "TEST2"
    assert not [data for data in real.everything if b"Current_Error" in data], "the error is the spoofer's"
    named = [line for line in written.getvalue().splitlines() if line.startswith("WRN") and "first" in line]
    assert any(f":{spoofer.port}>" in line and f":{real.port}>" in line for line in named)


async def test_the_mini_programs_phone_survives_a_spoofer(cloud, device, phone):
    here = await cloud()
    wifi = device(here, mock())
    await wifi.start()
    spoofer = await phone(wifi)
    spoofer.join(new_token(here), ssid="Nowhere")
    await until(wifi, Step.JOINING, Outcome.STARTED)
    host, port = place(wifi)
    real = SoftApPhone(
        host,
        port,
        ssid=HOME,
        password=PASSWORD,
        app_url=f"{here.http_url}/app",
        resend_interval=0.2,
        poll_interval=0.05,
    )
    result = await real.run()
    assert result.bound, result.error
    assert result.device_name == "TEST2"


async def test_a_token_alone_of_a_spoofer_is_not_taken(cloud, device, phone):
    here = await cloud(mode={"connack": {"do": "delay", "seconds": 0.2}})
    wifi = device(here)
    await wifi.start()
    spoofer, real = await phone(wifi), await phone(wifi)
    stolen, token = new_token(here), new_token(here)
    spoofer.send({"cmdType": 0, "token": stolen})
    await spoofer.info()
    real.join(token)
    await until(wifi, Step.CONNECTING, Outcome.STARTED)
    for _ in range(20):
        spoofer.send({"cmdType": 0, "token": stolen})
    await spoofer.info()
    assert (await end_of(wifi)).step is Step.BOUND
    assert bound_by(here, token) == TEST2
    assert bound_by(here, stolen) is None


async def test_a_newer_token_of_the_real_phone_is_taken(cloud, device, phone):
    here = await cloud(mode={"connack": {"do": "delay", "seconds": 0.2}})
    wifi = device(here)
    await wifi.start()
    real = await phone(wifi)
    old, token = new_token(here), new_token(here)
    real.join(old)
    await until(wifi, Step.CONNECTING, Outcome.STARTED)
    real.send({"cmdType": 0, "token": token})
    assert (await end_of(wifi)).step is Step.BOUND
    assert bound_by(here, token) == TEST2
    assert bound_by(here, old) is None


async def test_a_phone_that_starts_over_in_the_middle_of_a_join(cloud, device, phone):
    here = await cloud()
    # Home hangs once, until the join's time-out: only the new offer can end that.
    platform = mock(ap_sta="yes", home=Reason.JOIN_TIMEOUT, times=1)
    wifi = device(here, platform)
    await wifi.start()
    speaker = await phone(wifi)
    old, token = new_token(here), new_token(here)
    speaker.join(old)
    await until(wifi, Step.JOINING, Outcome.STARTED)
    speaker.join(token, ssid="Old", password="old-password")
    assert (await end_of(wifi)).step is Step.BOUND
    assert bound_by(here, token) == TEST2
    assert bound_by(here, old) is None
    assert (await platform.port(Wifi).status()).saved == b"Old"
    assert (await speaker.info())["deviceName"] == "TEST2"


async def test_a_phone_that_only_resends_restarts_nothing(cloud, device, phone):
    here = await cloud(mode={"bind_reply": {"do": "delay", "seconds": 0.2}})
    wifi = device(here)
    await wifi.start()
    speaker = await phone(wifi)
    token = new_token(here)
    for _ in range(10):
        speaker.join(token)
    await until(wifi, Step.BINDING, Outcome.STARTED)
    speaker.join(token)
    assert (await end_of(wifi)).step is Step.BOUND
    starts = [
        event for event in wifi.history if (event.step, event.outcome) == (Step.JOINING, Outcome.STARTED)
    ]
    assert len(starts) == 1
    assert connects(here) == 1


async def test_nine_phones_and_the_last_is_the_real_one(cloud, device, phone):
    here = await cloud()
    platform = mock(ap_sta="yes")
    wifi = device(here, platform)
    await wifi.start()
    phones = [await phone(wifi) for _ in range(9)]
    for number, each in enumerate(phones[:-1]):
        each.join(new_token(here), ssid=f"Nowhere-{number}")
        if number == 0:  # one is tried, eight wait
            await until(wifi, Step.JOINING, Outcome.STARTED)
    phones[-1].join(token := new_token(here))
    assert (await end_of(wifi)).step is Step.BOUND
    assert bound_by(here, token) == TEST2
    joins = [
        event for event in wifi.history if (event.step, event.outcome) == (Step.JOINING, Outcome.STARTED)
    ]
    assert [event.detail["ssid"] for event in joins] == [*(f"Nowhere-{number}" for number in range(8)), HOME]
    for each in phones[:-1]:
        assert await each.error() == ("Current_Error", "WIFI AP STA error! (12, 201)")


async def test_forty_phones_while_one_joins_are_bounded(cloud, device, phone):
    here = await cloud()
    platform = mock(ap_sta="yes", home=Reason.JOIN_TIMEOUT, times=1)
    wifi = device(here, platform, join_timeout=0.5)
    await wifi.start()
    real = await phone(wifi)
    real.join(new_token(here))
    await until(wifi, Step.JOINING, Outcome.STARTED)
    crowd = [await phone(wifi) for _ in range(40)]
    for each in crowd:
        each.join("a" * 32, ssid="Nowhere")
    assert await real.error() == ("Current_Error", "WIFI AP STA error! (12, 211)")
    real.join(token := new_token(here))
    result = await end_of(wifi)
    assert result.step is Step.BOUND
    assert bound_by(here, token) == TEST2
    joins = [
        event for event in wifi.history if (event.step, event.outcome) == (Step.JOINING, Outcome.STARTED)
    ]
    assert len(joins) <= 10


async def test_two_devices_one_phone_each(cloud, device, phone):
    here = await cloud()
    other = await cloud()
    both = [device(each, binder=quick_binder(each)) for each in (here, other)]
    await asyncio.gather(*(each.start() for each in both))
    tokens = [new_token(here), new_token(other)]
    for wifi, token in zip(both, tokens, strict=True):
        (await phone(wifi)).join(token)
    assert [(await end_of(each)).step for each in both] == [Step.BOUND, Step.BOUND]
    assert [bound_by(here, tokens[0]), bound_by(other, tokens[1])] == [TEST2, TEST2]
