"""What links that stay, phones that come back, and what a grant says beside its value mean for a session."""

from __future__ import annotations

import asyncio

import attrs
import pytest

from qiot.errors import CloudError, HalError, JoinError, NotSupportedError
from qiot.hal.contract import Slot
from qiot.model import Event, Grant, Network, Offer, Outcome, Peer, Reason, Secret, Security, Step
from qiot.protocols.base import Answer, Ask
from tests.session.fakes import HOME, FakePlatform, offer

PHONE = Peer("bt_combo", "aa:bb:cc:dd:ee:ff", link=1)
BACK = attrs.evolve(PHONE, link=2)
OTHER = Peer("bt_combo", "11:22:33:44:55:66", link=1)
PLACE = {"country": "JP", "tz": "Asia/Tokyo", "areaCode": "81", "userId": "us1", "bid": "b1"}
GRANT = Grant("rlink", Secret("b1"), endpoint="mqtt.example:1884", params=PLACE)


def ours(peer: Peer = PHONE, **changes) -> Offer:
    return attrs.evolve(Offer(peer, HOME, GRANT), **changes)


async def listening(run, **settings):
    session = run(methods="bt_combo", **settings)
    await session.start()
    await session.listening()
    return session


def say(session, heard) -> None:
    session.platform.ble.heard.put_nowait(heard)


async def settled(session) -> None:
    """Everything said so far has been taken in."""
    mark = Peer("bt_combo", "mark")
    before = len(session.platform.ble.told)
    say(session, Ask("identity", mark))
    async with asyncio.timeout(10):
        while not any(  # noqa: ASYNC110 - what is told is a list
            getattr(each, "peer", None) == mark for each in session.platform.ble.told[before:]
        ):
            await asyncio.sleep(0)


def failures(session) -> list[tuple[Peer, Reason]]:
    told = session.platform.ble.told
    return [
        (each.peer, each.failure.reason)
        for each in told
        if isinstance(each, Event) and each.outcome is Outcome.FAILED and each.failure
    ]


# --- where the phone says the cloud is ------------------------------------------------------------------


async def test_the_grant_reaches_register_and_connect_and_the_bind_gives_its_number_back(run):
    session = await listening(run)
    session.binder.has_secret = False
    say(session, ours())
    assert (await session.result()).step is Step.BOUND
    assert session.binder.registered_at == ["mqtt.example:1884"]
    assert session.binder.places == ["mqtt.example:1884"]
    event = await session.until(Step.BINDING, Outcome.OK)
    assert event.detail["msg_id"] == "1813440145827258368"
    assert event in session.platform.ble.told


async def test_a_grant_that_came_before_the_credentials_says_it_too(run):
    session = await listening(run)
    say(session, Offer(PHONE, grant=GRANT))
    say(session, Offer(PHONE, HOME))
    assert (await session.result()).step is Step.BOUND
    assert session.binder.places == ["mqtt.example:1884"]
    assert session.platform.wifi.countries == ["JP"]


async def test_after_a_reboot_place_and_country_are_known_still(run):
    platform = FakePlatform()
    session = run(platform, methods="bt_combo")
    await session.start()
    await session.listening()
    say(session, ours())
    assert (await session.result()).step is Step.BOUND
    assert b"b1" in platform.storage.slots[Slot.BOUND]
    await session.close()
    platform.wifi.countries.clear()
    again = run(platform, methods="bt_combo")
    await again.start(resume=True)
    result = await again.result()
    assert (result.step, result.method) == (Step.BOUND, "resume")
    assert result.params == PLACE
    assert again.binder.places == ["mqtt.example:1884"]
    assert again.binder.resumed_links == again.binder.links
    assert platform.wifi.countries == ["JP"]


# --- country, time zone ---------------------------------------------------------------------------------


async def test_the_country_is_set_before_the_join_and_holds_for_later_scans(run):
    session = await listening(run)
    wifi = session.platform.wifi
    wifi.around = [Network(b"home", b"\1\2\3\4\5\6", 13, -40, Security.WPA2)]
    wifi.failures = [JoinError("no", reason=Reason.WRONG_PASSWORD)]
    say(session, ours(grant=attrs.evolve(GRANT, params=PLACE | {"country": "jp"})))
    await session.listening(2)
    assert wifi.verbs == ["country JP", "join"]
    say(session, Ask("scan", PHONE))
    await settled(session)
    say(session, ours(credentials=attrs.evolve(HOME, password=Secret("right-password"))))
    assert (await session.result()).step is Step.BOUND
    assert wifi.verbs == ["country JP", "join", "scan", "join"]


@pytest.mark.parametrize("error", [NotSupportedError("cannot"), HalError("refused", code=22)])
async def test_a_platform_that_cannot_set_it_is_a_warning(run, error):
    session = await listening(run)
    session.platform.wifi.country_errors = [error]
    say(session, ours())
    assert (await session.result()).step is Step.BOUND
    warning = await session.until(Step.JOINING, Outcome.PROGRESS)
    assert warning.failure.reason is error.reason
    assert failures(session) == []


@pytest.mark.parametrize("country", ["J", "JPN", "1J", "J ", "日本", "j\n"])
async def test_a_country_that_is_none_is_refused(run, country):
    session = await listening(run)
    bad = attrs.evolve(GRANT, params=PLACE | {"country": country})
    say(session, ours(grant=bad))
    await settled(session)
    assert failures(session) == [(PHONE, Reason.BAD_FIELD)]
    assert session.platform.wifi.joined == session.platform.wifi.countries == []
    say(session, ours())
    assert (await session.result()).step is Step.BOUND


async def test_what_the_phone_says_reaches_the_application(run):
    session = await listening(run)
    say(session, ours())
    result = await session.result()
    assert result.params == PLACE
    event = await session.until(Step.BOUND, Outcome.OK)
    assert event.detail == {name: PLACE[name] for name in ("tz", "country", "areaCode", "userId")}


async def test_a_goal_of_joined_has_them_too(run):
    session = await listening(run, goal=Step.JOINED)
    say(session, ours())
    result = await session.result()
    assert (result.step, result.params["tz"]) == (Step.JOINED, "Asia/Tokyo")
    assert Slot.BOUND not in session.platform.storage.slots


# --- a wrong password on a link that stays --------------------------------------------------------------


async def test_an_echo_of_a_failed_offer_is_told_the_failure_again(run):
    session = await listening(run)
    session.platform.wifi.failures = [JoinError("no", reason=Reason.WRONG_PASSWORD)]
    say(session, ours())
    await session.listening(2)
    assert failures(session) == [(PHONE, Reason.WRONG_PASSWORD)]
    say(session, ours())
    await settled(session)
    assert failures(session) == [(PHONE, Reason.WRONG_PASSWORD)] * 2
    assert len(session.platform.wifi.joined) == 1, "an echo is no new try"
    say(session, ours(credentials=attrs.evolve(HOME, password=Secret("right-password"))))
    assert (await session.result()).step is Step.BOUND


async def test_an_echo_while_the_failed_try_is_undone_is_none_the_less_one(run):
    session = await listening(run)
    wifi = session.platform.wifi
    wifi.failures = [JoinError("no", reason=Reason.WRONG_PASSWORD)]
    undoing, may_end = asyncio.Event(), asyncio.Event()
    settle = wifi.settle

    async def slow(*, keep: bool) -> None:
        undoing.set()
        await may_end.wait()
        await settle(keep=keep)

    wifi.settle = slow
    say(session, ours())
    await undoing.wait()
    say(session, ours())
    await settled(session)
    may_end.set()
    await session.listening(2)
    assert failures(session) == [(PHONE, Reason.WRONG_PASSWORD)] * 2
    assert len(wifi.joined) == 1


async def test_the_same_offer_is_tried_again_when_it_is_no_echo_any_more(run):
    session = await listening(run)
    session.platform.wifi.failures = [JoinError("no", reason=Reason.WRONG_PASSWORD)]
    say(session, ours())
    await session.listening(2)
    tried, ended = session.session._tries._last
    session.session._tries._last = (tried, ended - 2.6)
    say(session, ours())
    assert (await session.result()).step is Step.BOUND


# --- links that break -----------------------------------------------------------------------------------


async def test_a_phone_that_is_back_on_a_new_link_is_told_there(run):
    session = await listening(run)
    session.platform.wifi.may_join.clear()
    say(session, ours())
    await session.until(Step.JOINING, Outcome.STARTED)
    say(session, ours(BACK))  # it does not know whether it was heard
    await settled(session)
    assert len(session.platform.wifi.joined) == 1, "the join goes on"
    session.platform.wifi.may_join.set()
    assert (await session.result()).step is Step.BOUND
    told = [each for each in session.platform.ble.told if isinstance(each, Event)]
    assert [each.peer for each in told if each.step is Step.BINDING] == [BACK, BACK]
    assert [each.peer for each in told if each.step is Step.BOUND] == [BACK]


async def test_without_a_word_of_the_phone_the_attempt_goes_on_for_its_old_link(run):
    session = await listening(run)
    say(session, ours())
    assert (await session.result()).step is Step.BOUND
    say(session, ours(BACK))
    await settled(session)
    told = [each for each in session.platform.ble.told if isinstance(each, Event)]
    assert [each.peer for each in told if each.step is Step.BOUND] == [PHONE, BACK]


async def test_something_new_from_the_same_phone_on_a_new_link_takes_the_place(run):
    session = await listening(run)
    session.platform.wifi.may_join.clear()
    say(session, ours())
    await session.platform.wifi.joining.wait()
    better = attrs.evolve(HOME, password=Secret("right-password"))
    say(session, ours(BACK, credentials=better))
    await session.until(Step.JOINING, Outcome.STARTED, 2)
    session.platform.wifi.may_join.set()
    assert (await session.result()).step is Step.BOUND
    assert session.platform.wifi.joined == [HOME, better]


async def test_a_token_from_a_new_link_binds_what_the_old_one_made_join(run):
    session = await listening(run)
    say(session, Offer(PHONE, HOME))
    await session.until(Step.AWAITING_GRANT, Outcome.STARTED)
    say(session, Offer(BACK, grant=GRANT))
    assert (await session.result()).step is Step.BOUND
    assert session.binder.bound == [GRANT]


async def test_an_echo_on_a_new_link_is_told_there(run):
    session = await listening(run)
    session.platform.wifi.failures = [JoinError("no", reason=Reason.WRONG_PASSWORD)]
    say(session, ours())
    await session.listening(2)
    say(session, ours(BACK))
    await settled(session)
    assert failures(session) == [(PHONE, Reason.WRONG_PASSWORD), (BACK, Reason.WRONG_PASSWORD)]


# --- two phones -----------------------------------------------------------------------------------------


async def test_the_second_phone_waits_and_is_next(run):
    session = await listening(run)
    session.platform.wifi.failures = [JoinError("no", reason=Reason.WRONG_PASSWORD)]
    session.platform.wifi.may_join.clear()
    say(session, ours())
    await session.platform.wifi.joining.wait()
    theirs = attrs.evolve(HOME, ssid=b"theirs")
    say(session, ours(OTHER, credentials=theirs))
    await settled(session)
    say(session, ours(attrs.evolve(OTHER, link=2), credentials=theirs))  # comes back while it waits
    await settled(session)
    assert session.platform.wifi.joined == [HOME]
    session.platform.wifi.may_join.set()
    assert (await session.result()).step is Step.BOUND
    assert session.platform.wifi.joined == [HOME, theirs]
    assert failures(session) == [(PHONE, Reason.WRONG_PASSWORD)]
    bound = [each for each in session.platform.ble.told if getattr(each, "step", None) is Step.BOUND]
    assert [each.peer for each in bound] == [attrs.evolve(OTHER, link=2)]


async def test_a_refused_bind_is_told_and_the_same_phone_may_try_again(run):
    session = await listening(run)
    session.binder.bind_errors = [CloudError("bound", reason=Reason.TOKEN_REFUSED, code=17032)]
    say(session, ours())
    await session.listening(2)
    event = await session.until(Step.BINDING, Outcome.FAILED)
    assert (event.peer, event.failure.code) == (PHONE, 17032)
    fresh = attrs.evolve(GRANT, params=PLACE | {"bid": "b2"})
    say(session, ours(grant=fresh))
    assert (await session.result()).step is Step.BOUND
    assert session.binder.bound == [GRANT, fresh]


async def test_the_tencent_way_is_as_it_was(run):
    session = await listening(run)
    say(session, offer(PHONE))
    result = await session.result()
    assert (result.step, result.params) == (Step.BOUND, {})
    assert session.platform.wifi.countries == []
    assert not [each for each in session.platform.ble.told if isinstance(each, Answer) and each.failure]
