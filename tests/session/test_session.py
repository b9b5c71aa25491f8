"""The session's policy: arbitration, tries, time-outs, errors told, everything undone."""

from __future__ import annotations

import attrs
import pytest

from qiot.errors import CloudError, HalError, JoinError, StorageError
from qiot.hal.contract import Slot
from qiot.model import Credentials, Failure, Grant, Offer, Outcome, Peer, Reason, Secret, Step
from qiot.protocols.base import Answer, Ask, Refused
from tests.session.fakes import HOME, OTHER, PHONE, TOKEN, FakeBinder, FakePlatform, offer


def told_errors(listener) -> list[bytes]:
    return [line for news in listener.told if isinstance(news, Answer) for line in news.lines]


async def test_an_equal_offer_again_restarts_nothing(run):
    session = run()
    session.platform.wifi.may_join.clear()
    await session.start()
    await session.listening()
    session.platform.air.heard.put_nowait(offer())
    await session.until(Step.JOINING, Outcome.STARTED)
    session.platform.air.heard.put_nowait(offer())
    again = await session.until(Step.LISTENING, Outcome.OK, 2)
    assert again.detail["again"] is True
    session.platform.wifi.may_join.set()
    assert (await session.result()).step is Step.BOUND
    assert len(session.platform.wifi.joined) == 1


async def test_a_new_offer_of_the_active_peer_takes_over(run):
    session = run()
    session.platform.wifi.may_join.clear()
    await session.start()
    await session.listening()
    session.platform.air.heard.put_nowait(offer(ssid=b"wrong"))
    await session.until(Step.JOINING, Outcome.STARTED)
    session.platform.air.heard.put_nowait(offer(ssid=b"right"))
    await session.until(Step.JOINING, Outcome.STARTED, 2)
    session.platform.wifi.may_join.set()
    assert (await session.result()).step is Step.BOUND
    assert session.platform.wifi.kept == b"right"
    assert session.platform.wifi.settled[0] is False, "the first try is undone before the second"


async def test_the_other_phone_is_tried_when_the_first_ones_join_fails(run):
    session = run()
    session.platform.wifi.failures = [JoinError("no", reason=Reason.NO_SUCH_AP)]
    session.platform.wifi.may_join.clear()
    await session.start()
    await session.listening()
    session.platform.air.heard.put_nowait(offer(OTHER, ssid=b"spoofed"))
    await session.until(Step.JOINING, Outcome.STARTED)
    mine = Offer(PHONE, HOME, Grant("tencent", Secret("b" * 32)))
    session.platform.air.heard.put_nowait(mine)
    session.platform.air.heard.put_nowait(Refused(PHONE, Failure(Step.LISTENING, Reason.BAD_MESSAGE)))
    await session.until(Step.LISTENING, Outcome.PROGRESS)
    session.platform.wifi.may_join.set()
    assert (await session.result()).step is Step.BOUND
    assert session.platform.wifi.kept == b"home"
    assert session.binder.bound == [mine.grant]


async def test_a_token_of_somebody_else_is_not_taken(run):
    session = run(grant_timeout=0.2, retry_window=0.05)
    await session.start()
    await session.listening()
    session.platform.air.heard.put_nowait(offer(token=False))
    await session.until(Step.AWAITING_GRANT, Outcome.STARTED)
    session.platform.air.heard.put_nowait(Offer(OTHER, grant=TOKEN))
    result = await session.result()
    assert result.failure.reason is Reason.GRANT_TIMEOUT
    assert session.binder.bound == []
    assert session.platform.wifi.kept is None


async def test_registration_is_tried_again_and_its_identity_saved(run):
    binder = FakeBinder()
    binder.has_secret = False
    binder.register_errors = [CloudError("hang", reason=Reason.CLOUD_TIMEOUT)]
    session = run(binder=binder)
    await session.start()
    await session.listening()
    session.platform.air.heard.put_nowait(offer())
    assert (await session.result()).step is Step.BOUND
    assert len(session.saved) == 1
    outcomes = [event.outcome for event in session.session.events.history if event.step is Step.REGISTERING]
    assert outcomes == [Outcome.STARTED, Outcome.RETRY, Outcome.OK]


async def test_what_the_cloud_refused_for_good_is_not_tried_again(run):
    binder = FakeBinder()
    binder.connect_errors = [CloudError("4", reason=Reason.MQTT_REFUSED, code=4, permanent=True)] * 3
    session = run(binder=binder, retry_window=0.05)
    await session.start()
    await session.listening()
    session.platform.air.heard.put_nowait(offer())
    result = await session.result()
    assert (result.failure.step, result.failure.reason, result.failure.code) == (
        Step.CONNECTING,
        Reason.MQTT_REFUSED,
        4,
    )
    assert len(binder.connect_errors) == 2
    assert session.platform.wifi.kept is None
    image = session.platform.storage.slots[Slot.ERRORS]
    assert image[:4] == bytes.fromhex("efbe0df0")
    assert told_errors(session.platform.air) == [
        b'{"cmdType":2,"deviceReply":"Current_Error","log":"MQTT connect error! (1, -116)"}\r\n'
    ]


async def test_after_a_cloud_failure_a_phone_may_start_again(run):
    binder = FakeBinder()
    binder.bind_errors = [CloudError("no", reason=Reason.TOKEN_REFUSED, code=3)]
    session = run(binder=binder)
    await session.start()
    await session.listening()
    session.platform.air.heard.put_nowait(offer())
    await session.listening(2)
    fresh = Grant("tencent", Secret("c" * 32))
    session.platform.air.heard.put_nowait(Offer(PHONE, HOME, fresh))
    assert (await session.result()).step is Step.BOUND
    assert binder.bound == [TOKEN, fresh]


async def test_a_lost_connection_is_made_again_and_the_token_kept(run):
    binder = FakeBinder()
    binder.bind_errors = [CloudError("gone", reason=Reason.MQTT_LOST)]
    session = run(binder=binder)
    await session.start()
    await session.listening()
    session.platform.air.heard.put_nowait(offer())
    assert (await session.result()).step is Step.BOUND
    assert binder.bound == [TOKEN, TOKEN]
    assert [link.connected for link in binder.links] == [False, True]


async def test_a_connection_lost_while_a_token_is_awaited(run):
    session = run()
    await session.start()
    await session.listening()
    session.platform.air.heard.put_nowait(offer(token=False))
    await session.until(Step.AWAITING_GRANT, Outcome.STARTED)
    session.binder.links[0].lose(Failure(Step.CONNECTING, Reason.MQTT_LOST, text="gone"))
    await session.until(Step.CONNECTING, Outcome.OK, 2)
    session.platform.air.heard.put_nowait(Offer(PHONE, grant=TOKEN))
    assert (await session.result()).step is Step.BOUND


async def test_a_cloud_that_always_hangs_up_has_refused(run):
    binder = FakeBinder()
    binder.bind_errors = [CloudError("gone", reason=Reason.MQTT_LOST)] * 9
    session = run(binder=binder, retry_window=0.05)
    await session.start()
    await session.listening()
    session.platform.air.heard.put_nowait(offer())
    result = await session.result()
    assert result.failure.reason is Reason.MQTT_LOST
    assert len(binder.bound) == 3


async def test_the_total_time_out_says_where_it_was(run):
    session = run(timeout=0.2)
    session.platform.wifi.may_join.clear()
    await session.start()
    await session.listening()
    session.platform.air.heard.put_nowait(offer())
    result = await session.result()
    assert (result.failure.step, result.failure.reason) == (Step.JOINING, Reason.TIMEOUT)
    assert not session.platform.air.listening


async def test_the_total_time_out_names_the_last_real_cause(run):
    session = run(timeout=0.3)
    session.platform.wifi.failures = [JoinError("no", reason=Reason.WRONG_PASSWORD)]
    await session.start()
    await session.listening()
    session.platform.air.heard.put_nowait(offer())
    result = await session.result()
    assert result.failure.reason is Reason.WRONG_PASSWORD


async def test_a_listener_that_ends_is_an_event_while_another_listens(run):
    session = run(methods="smart_config,bt_combo")
    await session.start()
    await session.listening()
    session.platform.air.heard.put_nowait(HalError("the dongle was pulled"))
    ended = await session.until(Step.LISTENING, Outcome.FAILED)
    assert "pulled" in ended.failure.text
    session.platform.ble.heard.put_nowait(offer(Peer("bt_combo", "aa:aa:aa:aa:aa:aa")))
    assert (await session.result()).step is Step.BOUND


async def test_the_last_listener_that_ends_ends_the_run(run):
    session = run()
    await session.start()
    await session.listening()
    session.platform.air.heard.put_nowait(HalError("the dongle was pulled"))
    result = await session.result()
    assert result.step is Step.FAILED
    assert "pulled" in result.failure.text


async def test_a_listener_that_breaks_is_told_apart_from_one_that_fails(run, caplog):
    session = run()
    await session.start()
    await session.listening()
    session.platform.air.heard.put_nowait(ZeroDivisionError("a fault of the adapter"))
    result = await session.result()
    assert result.failure.reason is Reason.METHOD_ENDED


async def test_an_identity_that_cannot_be_saved_ends_the_run(run):
    binder = FakeBinder()
    binder.has_secret = False
    session = run(binder=binder)

    async def full(identity) -> None:
        raise StorageError("disk full")

    session.session._save_identity = full
    await session.start()
    await session.listening()
    session.platform.air.heard.put_nowait(offer())
    result = await session.result()
    assert result.failure.reason is Reason.STORAGE
    assert session.platform.wifi.kept is None


async def test_errors_of_an_earlier_run_are_told_once_as_previous(run):
    platform = FakePlatform()
    session = run(platform, retry_window=0.05)
    session.binder.bind_errors = [CloudError("no", reason=Reason.TOKEN_REFUSED, code=7)]
    await session.start()
    await session.listening()
    platform.air.heard.put_nowait(offer())
    assert not (await session.result()).successful
    platform.air.told.clear()

    second = run(platform)
    await second.start()
    await second.listening()
    platform.air.heard.put_nowait(Ask("errors", PHONE))
    platform.air.heard.put_nowait(offer())
    assert (await second.result()).successful
    assert told_errors(platform.air) == [
        b'{"cmdType":2,"deviceReply":"Previous_Error","log":"MQTT Token reply error! (24, 7)"}\r\n'
    ]
    assert Slot.ERRORS not in platform.storage.slots


async def test_an_error_that_nobody_heard_does_not_abort_the_next_try(run):
    session = run()
    session.platform.wifi.failures = [JoinError("no", reason=Reason.WRONG_PASSWORD)]
    await session.start()
    await session.listening()
    session.errors.note(Failure(Step.LISTENING, Reason.MEDIUM, 5), "smart_config")
    session.platform.air.heard.put_nowait(offer())
    await session.until(Step.LISTENING, Outcome.OK)
    assert b"Previous_Error" in told_errors(session.platform.air)[0]


async def test_resume_needs_no_phone(run):
    platform = FakePlatform()
    platform.wifi.kept = b"home"
    session = run(platform)
    await session.start(resume=True)
    result = await session.result()
    assert result.step is Step.BOUND
    assert result.link is session.binder.links[0]
    assert platform.wifi.joined == []


async def test_resume_tries_again_when_the_router_is_late(run):
    platform = FakePlatform()
    platform.wifi.kept = b"home"
    binder = FakeBinder()
    binder.connect_errors = [CloudError("no route", reason=Reason.TCP)]
    session = run(platform, binder)
    await session.start(resume=True)
    assert (await session.result()).step is Step.BOUND


async def test_resume_listens_where_only_a_phone_can_help(run):
    session = run()

    async def nothing_stored(timeout: float):
        raise JoinError("nothing stored", reason=Reason.NO_SAVED_NETWORK)

    session.platform.wifi.rejoin = nothing_stored
    await session.start(resume=True)
    await session.listening()
    session.platform.air.heard.put_nowait(offer())
    assert (await session.result()).step is Step.BOUND


async def test_the_goal_may_be_to_be_joined(run):
    session = run(goal=Step.JOINED)
    await session.start()
    await session.listening()
    session.platform.air.heard.put_nowait(offer(token=False))
    result = await session.result()
    assert result.step is Step.JOINED
    assert session.platform.wifi.kept == b"home"
    assert session.binder.links == []


async def test_an_offer_without_a_network_fails_typed(run):
    session = run(timeout=0.3)
    await session.start()
    await session.listening()
    nameless = attrs.evolve(HOME, ssid=None)
    session.platform.air.heard.put_nowait(Offer(PHONE, nameless, TOKEN))
    result = await session.result()
    assert (result.failure.step, result.failure.reason) == (Step.JOINING, Reason.NO_SUCH_AP)


@pytest.mark.parametrize("count", [8, 40])
async def test_candidates_are_bounded(run, count):
    session = run()
    session.platform.wifi.may_join.clear()
    await session.start()
    await session.listening()
    for number in range(count):
        peer = Peer("smart_config", f"phone {number}")
        session.platform.air.heard.put_nowait(Offer(peer, Credentials(b"x", Secret("password")), TOKEN))
    await session.until(Step.JOINING, Outcome.STARTED)
    session.platform.wifi.may_join.set()
    assert (await session.result()).step is Step.BOUND
    assert len(session.session._offers._candidates) <= 8
    assert len(session.session._offers._grants) <= 8


async def test_the_log_is_given_to_who_asks(run):
    session = run()
    await session.start()
    await session.listening()
    session.dev_log.push("something happened")
    session.platform.air.heard.put_nowait(Ask("log", PHONE))
    session.platform.air.heard.put_nowait(Refused(PHONE, Failure(Step.LISTENING, Reason.BAD_MESSAGE)))
    await session.until(Step.LISTENING, Outcome.PROGRESS)
    answers = [news for news in session.platform.air.told if isinstance(news, Answer) and news.what == "log"]
    assert answers[0].lines[0].endswith(b"something happened\r\n")
