"""The whole way over Bluetooth: phone, GATT on bumble, codec, join, bind on the local cloud, and back."""

from __future__ import annotations

import asyncio

import pytest

from qiot.hal.contract import Wifi
from qiot.model import Outcome, Reason, Step
from qiot.testbed.ble_link import Wanted
from tests.end_to_end.ble import PROTOCOLS, ble_phone, codec_of
from tests.end_to_end.support import HOME, PASSWORD, PATIENCE, bound_by, end_of, mock, new_token, until

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


async def test_a_token_before_the_join_ends_and_after(cloud, device, method):
    """The token of one phone is there before the network is; the next device gets it long after."""
    here = await cloud()
    platform = mock(join_delay="0.3")
    wifi = device(here, platform, grant_timeout=PATIENCE)
    await wifi.start(method)
    token = new_token(here)
    async with asyncio.timeout(PATIENCE), ble_phone(platform) as phone:
        runner = phone.runner(method, codec_of(method, None))
        await runner.connect(Wanted(service=PROTOCOLS[method].service))
        assert (await runner.run()).failure is None
        await until(wifi, Step.AWAITING_GRANT, Outcome.STARTED)
        await phone.central.disconnect()
        await wifi.set_token(token)
        assert (await end_of(wifi)).step is Step.BOUND
    assert bound_by(here, token) == TEST2


async def test_a_link_that_is_lost_in_the_middle(cloud, device, method):
    here = await cloud()
    platform = mock(join_delay="0.3")
    wifi = device(here, platform)
    await wifi.start(method)
    token = new_token(here)
    async with asyncio.timeout(PATIENCE), ble_phone(platform) as phone:
        runner = phone.runner(method, codec_of(method, token), reconnects=1)
        await runner.connect(Wanted(service=PROTOCOLS[method].service))
        running = asyncio.create_task(runner.run())
        await until(wifi, Step.JOINING, Outcome.STARTED)
        await phone.central.disconnect()
        last = await running
        assert (last.what, last.failure) == ("bound", None), phone.learned
    assert (await end_of(wifi)).step is Step.BOUND
    assert bound_by(here, token) == TEST2


async def test_two_phones_at_once(cloud, device, method):
    """The first is served, the second waits, and each hears only of its own."""
    here = await cloud()
    platform = mock(join_delay="0.3")
    wifi = device(here, platform)
    await wifi.start(method)
    first, second = new_token(here), new_token(here)
    async with asyncio.timeout(PATIENCE), ble_phone(platform) as one, ble_phone(platform) as other:
        wanted = Wanted(service=PROTOCOLS[method].service)
        runner = one.runner(method, codec_of(method, first))
        await runner.connect(wanted)
        late = other.runner(method, codec_of(method, second, passwords=["another-password"]))
        await late.connect(wanted)
        waiting = asyncio.create_task(late.run())
        last = await runner.run()
        assert (last.what, last.failure) == ("bound", None), one.learned
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
    assert (await end_of(wifi)).step is Step.BOUND
    assert bound_by(here, first) == TEST2
    assert bound_by(here, second) is None
    assert not [item for item in other.learned if item.what == "bound"]
