"""The four fakes that the contract had to carry before it was called a contract."""

from __future__ import annotations

import asyncio

from qiot.errors import CloudError, JoinError
from qiot.model import Credentials, Offer, Outcome, Peer, Reason, Secret, Step
from tests.session.fakes import PHONE, TOKEN, FakeBinder, FakeLink, FakePlatform, offer


async def test_a_token_that_comes_late_after_the_join(run):
    session = run()
    await session.start()
    await session.listening()
    session.platform.air.heard.put_nowait(offer(token=False))
    await session.until(Step.AWAITING_GRANT, Outcome.STARTED)
    assert session.binder.bound == []
    # The token comes over the network, from an address that the air method never saw.
    session.platform.air.heard.put_nowait(Offer(Peer("soft_ap", "192.168.1.7:8266"), grant=TOKEN))
    result = await session.result()
    assert result.step is Step.BOUND
    assert session.binder.bound == [TOKEN]
    assert session.platform.wifi.kept == b"home"


async def test_a_chip_that_enters_at_bound_with_its_own_link(run):
    platform = FakePlatform(chip={"smart_config": Step.BOUND})
    session = run(platform)
    await session.start()
    await session.listening()
    link = FakeLink()
    platform.air.heard.put_nowait(Offer(PHONE, reached=Step.BOUND, link=link))
    result = await session.result()
    assert result.step is Step.BOUND
    assert result.link is link
    assert link.connected, "the link is the application's now"
    assert platform.wifi.joined == []
    assert session.binder.links == []
    await link.close()


async def test_a_chip_that_has_joined_by_itself_goes_on_with_registering(run):
    binder = FakeBinder()
    binder.has_secret = False
    session = run(FakePlatform(chip={"smart_config": Step.JOINING}), binder)
    await session.start()
    await session.listening()
    session.platform.air.heard.put_nowait(Offer(PHONE, grant=TOKEN, reached=Step.JOINING))
    result = await session.result()
    assert result.step is Step.BOUND
    assert session.platform.wifi.joined == []
    assert len(session.saved) == 1


async def test_a_refused_join_and_a_second_try_on_a_live_ble_link(run):
    session = run(methods="bt_combo")
    phone = Peer("bt_combo", "aa:bb:cc:dd:ee:ff", link=1)
    session.platform.wifi.failures = [JoinError("4-way handshake", reason=Reason.WRONG_PASSWORD)]
    await session.start()
    await session.listening()
    session.platform.ble.heard.put_nowait(offer(phone))
    await session.listening(2)
    told = [news for news in session.platform.ble.told if getattr(news, "failure", None)]
    assert [(news.step, news.failure.reason) for news in told] == [(Step.JOINING, Reason.WRONG_PASSWORD)]
    assert session.platform.ble.listening, "the link has to stay"
    better = Credentials(b"home", Secret("right-password"))
    session.platform.ble.heard.put_nowait(Offer(phone, better, TOKEN))
    result = await session.result()
    assert result.step is Step.BOUND
    assert session.platform.wifi.joined[-1] == better


async def test_a_grant_minted_by_the_device(run):
    session = run(binder=FakeBinder("minted"))
    await session.start()
    await session.listening()
    session.platform.air.heard.put_nowait(offer(token=False))
    result = await session.result()
    assert result.step is Step.BOUND
    assert [grant.value for grant in session.binder.bound] == [Secret("minted on the device")]


async def test_no_grant_is_needed(run):
    session = run(binder=FakeBinder("none"))
    await session.start()
    await session.listening()
    session.platform.air.heard.put_nowait(offer(token=False))
    assert (await session.result()).step is Step.BOUND


async def test_a_refused_minted_grant_is_not_minted_for_ever(run):
    binder = FakeBinder("minted")
    binder.bind_errors = [CloudError("code 5", reason=Reason.TOKEN_REFUSED, code=5)]
    session = run(binder=binder, grant_timeout=0.05, retry_window=0.05)
    await session.start()
    await session.listening()
    session.platform.air.heard.put_nowait(offer(token=False))
    result = await session.result()
    assert result.failure is not None
    assert (result.failure.reason, result.failure.code) == (Reason.TOKEN_REFUSED, 5)
    assert len(binder.bound) == 1
    assert all(not link.connected for link in binder.links)


async def test_nothing_is_left_after_a_stop(run):
    session = run()
    session.platform.wifi.may_join.clear()
    await session.start()
    await session.listening()
    session.platform.air.heard.put_nowait(offer())
    await session.until(Step.JOINING, Outcome.STARTED)
    await session.close()
    assert not session.platform.air.listening
    assert session.platform.wifi.settled[-1] is False
    others = [task for task in asyncio.all_tasks() if "qiot" in task.get_name()]
    assert others == []
