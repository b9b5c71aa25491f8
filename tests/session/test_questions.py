"""What a phone may ask of a device, and have it do, beside offering credentials."""

from __future__ import annotations

import asyncio
import json

import pytest

from qiot.errors import CloudError, HalError, StorageError
from qiot.hal.contract import Slot
from qiot.model import Grant, Network, Offer, Outcome, Peer, Reason, Secret, Security, Step
from qiot.protocols.base import Answer, Ask
from tests.session.fakes import FakePlatform, offer

PHONE = Peer("bt_combo", "aa:bb:cc:dd:ee:ff", link=1)
OTHER = Peer("bt_combo", "11:22:33:44:55:66", link=1)
NEAR = Network(b"near", b"\1\2\3\4\5\6", 6, -40, Security.WPA2)
FAR = Network(b"far", b"\1\2\3\4\5\7", 11, -80, Security.OPEN)
MARK = {"product_id": "L4WG9V9M2M", "device_name": "TEST2"}


async def listening(run, platform=None, **settings):
    session = run(platform, methods="bt_combo", **settings)
    await session.start()
    await session.listening()
    return session


async def answer(session, ask: Ask) -> Answer:
    """Ask, and give the answer to that peer."""
    ble = session.platform.ble
    before = len(ble.told)
    ble.heard.put_nowait(ask)
    async with asyncio.timeout(10):
        while True:
            for news in ble.told[before:]:
                if isinstance(news, Answer) and (news.what, news.peer) == (ask.what, ask.peer):
                    return news
            await asyncio.sleep(0)


# --- scan -----------------------------------------------------------------------------------------------


async def test_a_scan_gives_the_strongest_first(run):
    session = await listening(run)
    session.platform.wifi.around = [FAR, NEAR]
    found = await answer(session, Ask("scan", PHONE))
    assert found.networks == [NEAR, FAR]
    assert found.failure is None


async def test_one_scan_serves_all_who_ask_meanwhile_and_the_method_goes_on_hearing(run):
    session = await listening(run)
    wifi = session.platform.wifi
    wifi.around = [NEAR]
    wifi.may_scan.clear()
    for peer in (PHONE, OTHER, PHONE):
        session.platform.ble.heard.put_nowait(Ask("scan", peer))
    assert (await answer(session, Ask("identity", OTHER))).values["device_name"] == "TEST2"
    wifi.may_scan.set()
    async with asyncio.timeout(10):
        while sum(getattr(each, "what", "") == "scan" for each in session.platform.ble.told) < 2:  # noqa: ASYNC110 - a list
            await asyncio.sleep(0)
    assert wifi.scans == 1


async def test_what_was_seen_before_will_do(run):
    session = await listening(run)
    wifi = session.platform.wifi
    wifi.around = [NEAR]
    assert (await answer(session, Ask("scan", PHONE, cached=True))).networks == [NEAR]  # nothing seen yet
    wifi.around = [FAR]
    assert (await answer(session, Ask("scan", PHONE, cached=True))).networks == [NEAR]
    assert (await answer(session, Ask("scan", PHONE))).networks == [FAR]
    assert wifi.scans == 2


async def test_a_scan_while_a_network_is_joined_tells_what_was_seen(run):
    session = await listening(run)
    wifi = session.platform.wifi
    wifi.around = [NEAR]
    await answer(session, Ask("scan", PHONE))
    wifi.may_join.clear()
    session.platform.ble.heard.put_nowait(offer(PHONE))
    await session.until(Step.JOINING, Outcome.STARTED)
    assert (await answer(session, Ask("scan", OTHER))).networks == [NEAR]
    assert wifi.scans == 1
    wifi.may_join.set()


async def test_a_scan_that_fails_says_why_and_the_next_works(run):
    session = await listening(run)
    wifi = session.platform.wifi
    wifi.scan_errors = [HalError("the radio is gone", code=19)]
    failed = await answer(session, Ask("scan", PHONE))
    assert (failed.failure.reason, failed.failure.code) == (Reason.PLATFORM, 19)
    wifi.around = [NEAR]
    assert (await answer(session, Ask("scan", PHONE))).networks == [NEAR]


async def test_a_flood_of_questions_is_bounded_and_ends_with_the_session(run):
    session = await listening(run)
    session.platform.wifi.may_scan.clear()
    for number in range(100):
        session.platform.ble.heard.put_nowait(Ask("scan", Peer("bt_combo", str(number))))
    await answer(session, Ask("identity", PHONE))
    assert len(session.session._questions._waiting) == 16
    await session.close()
    assert not [task for task in asyncio.all_tasks() if "answer" in task.get_name()]


# --- unbind, reset --------------------------------------------------------------------------------------


def owned() -> FakePlatform:
    platform = FakePlatform()
    platform.storage.slots[Slot.BOUND] = json.dumps(MARK).encode()
    platform.wifi.kept = platform.wifi.current = b"home"
    return platform


async def test_unbind_forgets_the_owner_and_keeps_the_network(run):
    session = await listening(run, owned())
    assert session.platform.ble.context.bound
    done = await answer(session, Ask("unbind", PHONE))
    assert done == Answer("unbind", PHONE)
    assert Slot.BOUND not in session.platform.storage.slots
    assert session.platform.wifi.kept == b"home"


async def test_reset_forgets_the_network_too(run):
    session = await listening(run, owned())
    assert await answer(session, Ask("reset", PHONE)) == Answer("reset", PHONE)
    assert Slot.BOUND not in session.platform.storage.slots
    assert session.platform.wifi.kept is None


async def test_a_reset_that_cannot_be_done_says_why(run):
    platform = owned()
    platform.wifi.forget_errors = [HalError("still there", reason=Reason.NOT_SUPPORTED)]
    session = await listening(run, platform)
    failed = await answer(session, Ask("reset", PHONE))
    assert failed.failure.reason is Reason.NOT_SUPPORTED


async def test_an_unbind_that_cannot_be_done_says_why(run):
    platform = owned()

    async def broken(_slot) -> None:
        raise StorageError("disk is gone", code=5)

    platform.storage.erase = broken
    session = await listening(run, platform)
    failed = await answer(session, Ask("unbind", PHONE))
    assert (failed.failure.reason, failed.failure.code) == (Reason.STORAGE, 5)


@pytest.mark.parametrize("what", ["unbind", "reset"])
async def test_nobody_is_forgotten_while_an_offer_is_tried(run, what):
    session = await listening(run, owned())
    session.platform.wifi.may_join.clear()
    session.platform.ble.heard.put_nowait(offer(PHONE))
    await session.until(Step.JOINING, Outcome.STARTED)
    failed = await answer(session, Ask(what, OTHER))
    assert failed.failure is not None
    assert Slot.BOUND in session.platform.storage.slots
    session.platform.wifi.may_join.set()
    assert (await session.result()).step is Step.BOUND


@pytest.mark.parametrize("errors", [[], [CloudError("gone", reason=Reason.MQTT_LOST)]])
async def test_the_cloud_is_told_over_the_open_connection(run, errors):
    session = await listening(run)
    session.binder.unbind_errors = errors
    session.platform.ble.heard.put_nowait(offer(PHONE))
    assert (await session.result()).step is Step.BOUND
    assert Slot.BOUND in session.platform.storage.slots
    done = await answer(session, Ask("reset", PHONE))
    assert done.failure is None, "a cloud that was not told is no reason to keep the owner"
    assert session.binder.unbound == [True]
    assert Slot.BOUND not in session.platform.storage.slots


# --- what methods may say -------------------------------------------------------------------------------


async def test_a_method_knows_secret_owner_version_options_and_keys(run):
    session = run(
        methods="bt_combo",
        session={"version": "2.3", "options": {"style": "sentino"}, "keys": {"pin": Secret("1234")}},
    )
    await session.start()
    await session.listening()
    context = session.platform.ble.context
    assert (context.product_id, context.device_name) == ("L4WG9V9M2M", "TEST2")
    assert context.secret == Secret("MLvMHde65nKPk0Lx+ZThaA==")
    assert not context.bound
    assert context.version == "2.3"
    assert context.options == {"style": "sentino"}
    assert context.keys == {"pin": Secret("1234")}
    assert (await answer(session, Ask("identity", PHONE))).values["version"] == "2.3"


@pytest.mark.parametrize(
    "mark", [b"", b"no JSON", b"[]", b'{"product_id": "other", "device_name": "TEST2"}', b"[" * 100000]
)
async def test_a_mark_of_somebody_else_is_none(run, mark):
    platform = FakePlatform()
    platform.storage.slots[Slot.BOUND] = mark
    session = await listening(run, platform)
    assert not session.platform.ble.context.bound


async def test_a_product_without_wifi_is_bound_by_the_phone_alone(run):
    platform = FakePlatform()
    session = await listening(run, platform)
    grant = Grant("rlink", Secret("bid-1"), params={"bid": "bid-1", "userId": "us1"})
    platform.ble.heard.put_nowait(Offer(PHONE, grant=grant, reached=Step.BINDING))
    result = await session.result()
    assert (result.step, result.link, result.method) == (Step.BOUND, None, "bt_combo")
    assert result.params == {"bid": "bid-1", "userId": "us1"}
    assert platform.wifi.joined == session.binder.links == session.binder.bound == []
    assert json.loads(platform.storage.slots[Slot.BOUND])["params"] == {"bid": "bid-1", "userId": "us1"}
    told = [each for each in platform.ble.told if getattr(each, "step", None) is Step.BOUND]
    assert [each.peer for each in told] == [PHONE]
    # A phone that did not hear it says the same again, and is told again.
    platform.ble.heard.put_nowait(Offer(PHONE, grant=grant, reached=Step.BINDING))
    await answer(session, Ask("identity", PHONE))
    assert len([each for each in platform.ble.told if getattr(each, "step", None) is Step.BOUND]) == 2
