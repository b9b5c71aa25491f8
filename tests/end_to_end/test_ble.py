"""The whole way over Bluetooth: phone, GATT on bumble, codec, join, bind on the local cloud, and back."""

from __future__ import annotations

import asyncio

import pytest

from qiot.hal.contract import Wifi
from qiot.model import Outcome, Reason, Step
from tests.end_to_end.ble import PROTOCOLS, ble_phone, codec_of
from tests.end_to_end.support import HOME, PASSWORD, PATIENCE, bound_by, end_of, mock, new_token

TEST2 = "L4WG9V9M2M/TEST2"

pytestmark = pytest.mark.parametrize("method", sorted(PROTOCOLS))


async def test_a_phone_binds_the_device_and_hears_of_it(cloud, device, method):
    here = await cloud()
    platform = mock()
    wifi = device(here, platform)
    await wifi.start(method)
    token = new_token(here)
    async with asyncio.timeout(PATIENCE), ble_phone(platform) as phone:
        last = await phone.provision(method, codec_of(method, token))
        assert last.failure is None, last
        assert last.what == "bound", phone.learned
    assert (await end_of(wifi)).step is Step.BOUND
    assert bound_by(here, token) == TEST2
    assert (await platform.port(Wifi).status()).saved == HOME.encode()


async def test_a_wrong_password_and_another_try_on_the_same_link(cloud, device, method):
    here = await cloud()
    platform = mock()
    wifi = device(here, platform)
    await wifi.start(method)
    token = new_token(here)
    async with asyncio.timeout(PATIENCE), ble_phone(platform) as phone:
        last = await phone.provision(
            method, codec_of(method, token, passwords=["not-the-password", PASSWORD])
        )
        assert (last.what, last.failure) == ("bound", None), phone.learned
    assert (await end_of(wifi)).step is Step.BOUND
    failed = [event for event in wifi.history if event.outcome is Outcome.FAILED]
    assert [event.failure.reason for event in failed] == [Reason.WRONG_PASSWORD]
    assert {event.peer for event in wifi.history if event.step is Step.JOINING} == {failed[0].peer}
