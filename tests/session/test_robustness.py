"""What adapters and phones may do wrong, and what may happen at the worst moment."""

from __future__ import annotations

import asyncio

import pytest

from qiot.errors import CloudError, HalError, JoinError
from qiot.model import Credentials, Failure, Grant, IpConfig, Offer, Outcome, Peer, Reason, Secret, Step
from qiot.wifi_config.listeners import Listeners
from tests.session.fakes import HOME, PHONE, TOKEN, FakeBinder, FakeLink, FakeListener, FakePlatform, offer


async def test_a_chip_that_joined_has_its_doors_opened_for_the_token(run):
    session = run(FakePlatform(chip={"smart_config": Step.JOINING}))
    opened = asyncio.Event()

    async def open_doors() -> None:
        opened.set()

    session.session.after_join = open_doors
    await session.start()
    await session.listening()
    session.platform.air.heard.put_nowait(Offer(PHONE, reached=Step.JOINING))
    await session.until(Step.AWAITING_GRANT, Outcome.STARTED)
    assert opened.is_set()


async def test_a_chip_that_joined_has_reached_the_goal_where_that_is_enough(run):
    session = run(FakePlatform(chip={"smart_config": Step.JOINING}), goal=Step.JOINED)
    await session.start()
    await session.listening()
    session.platform.air.heard.put_nowait(Offer(PHONE, reached=Step.JOINING))
    assert (await session.result()).step is Step.JOINED
    assert session.binder.links == []


async def test_a_new_offer_while_a_failed_try_closes_its_connection(run):
    binder = FakeBinder()
    binder.bind_errors = [CloudError("no", reason=Reason.TOKEN_REFUSED, code=3)]
    session = run(binder=binder)
    closing, may_close = asyncio.Event(), asyncio.Event()

    class SlowLink(FakeLink):
        async def close(self) -> None:
            closing.set()
            await may_close.wait()
            await super().close()

    async def connect(_grant: Grant | None) -> FakeLink:
        binder.links.append(SlowLink() if not binder.links else FakeLink())
        return binder.links[-1]

    binder.connect = connect
    await session.start()
    await session.listening()
    session.platform.air.heard.put_nowait(offer())
    await closing.wait()
    fresh = Offer(PHONE, HOME, Grant("tencent", Secret("d" * 32)))
    session.platform.air.heard.put_nowait(fresh)
    may_close.set()
    assert (await session.result()).step is Step.BOUND
    assert binder.bound[-1] == fresh.grant


async def test_resends_of_the_newer_offer_interrupt_nothing_again(run):
    session = run()
    wifi = session.platform.wifi
    wifi.may_join.clear()
    joining, undoing, may_undo = asyncio.Event(), asyncio.Event(), asyncio.Event()
    cancelled = []

    async def slow_join(credentials, timeout):
        wifi.joined.append(credentials)
        joining.set()
        try:
            await wifi.may_join.wait()
        except asyncio.CancelledError:
            undoing.set()
            try:
                await may_undo.wait()
            except asyncio.CancelledError:
                cancelled.append(credentials)
            raise
        wifi.current = credentials.ssid
        return IpConfig("192.168.1.23")

    wifi.join = slow_join
    await session.start()
    await session.listening()
    session.platform.air.heard.put_nowait(offer(ssid=b"one"))
    await joining.wait()
    for _ in range(3):
        session.platform.air.heard.put_nowait(offer(ssid=b"two"))
    await undoing.wait()
    may_undo.set()
    await session.until(Step.JOINING, Outcome.STARTED, 2)
    wifi.may_join.set()
    assert (await session.result()).step is Step.BOUND
    assert cancelled == []
    assert [each.ssid for each in wifi.joined] == [b"one", b"two"]


@pytest.mark.parametrize("error", [OSError("the driver is gone"), TimeoutError(), ZeroDivisionError()])
async def test_an_adapter_that_breaks_ends_the_run_in_order(run, error):
    session = run()

    async def broken(credentials, timeout):
        raise error

    session.platform.wifi.join = broken
    await session.start()
    await session.listening()
    session.platform.air.heard.put_nowait(offer())
    result = await session.result()
    assert (result.failure.step, result.failure.reason) == (Step.JOINING, Reason.INTERNAL)
    assert session.platform.wifi.settled[-1] is False
    assert not session.platform.air.listening


async def test_a_listener_that_breaks_while_it_reports_costs_nothing(run):
    session = run(methods="smart_config,bt_combo")

    async def broken(*news: object) -> None:
        raise OSError("the dongle is gone")

    session.platform.ble.tell = broken
    session.platform.ble.drain = broken
    await session.start()
    await session.listening()
    session.platform.air.heard.put_nowait(offer())
    assert (await session.result()).step is Step.BOUND


async def test_a_newer_token_is_tried_when_the_older_one_is_refused(run):
    binder = FakeBinder()
    session = run(binder=binder)
    newer = Grant("tencent", Secret("n" * 32))
    binding, may_answer = asyncio.Event(), asyncio.Event()

    async def bind(link, grant, journal) -> dict[str, str]:
        binder.bound.append(grant)
        if grant == TOKEN:
            binding.set()
            await may_answer.wait()
            raise CloudError("expired", reason=Reason.TOKEN_REFUSED, code=5)
        return {}

    binder.bind = bind
    await session.start()
    await session.listening()
    session.platform.air.heard.put_nowait(offer())
    await binding.wait()
    session.platform.air.heard.put_nowait(Offer(PHONE, grant=newer))
    await session.until(Step.LISTENING, Outcome.OK, 2)
    may_answer.set()
    assert (await session.result()).step is Step.BOUND
    assert binder.bound == [TOKEN, newer]


async def test_an_access_point_that_did_not_stop_is_stopped_again():
    from qiot.hal.contract import SoftApSpec
    from qiot.wifi_config.radio import Radio

    platform = FakePlatform()
    radio = Radio(platform, await platform.capabilities(), SoftApSpec(b"x"))
    await radio.open_access_point()
    plain, failures = platform.soft_ap.stop, [HalError("busy")]

    async def stop() -> None:
        if failures:
            raise failures.pop()
        await plain()

    platform.soft_ap.stop = stop
    with pytest.raises(HalError):
        await radio.close_access_point()
    await radio.close_access_point()
    assert platform.soft_ap.spec is None


async def test_a_close_that_is_cancelled_can_be_repeated():
    stopping, may_stop = asyncio.Event(), asyncio.Event()

    class SlowListener(FakeListener):
        async def stop(self) -> None:
            stopping.set()
            await may_stop.wait()
            await super().stop()

    async def nothing(*_: object) -> None:
        return

    listener = SlowListener()
    listeners = Listeners(None, nothing, nothing)
    await listeners.open("slow", listener)
    closing = asyncio.create_task(listeners.close("slow"))
    await stopping.wait()
    closing.cancel()
    await asyncio.wait({closing})
    may_stop.set()
    await listeners.close_all()
    assert not listener.listening
    assert listeners.names == frozenset()


async def test_a_method_that_cannot_start_leaves_the_others(run):
    platform = FakePlatform(chip={"smart_config": Step.LISTENING})

    async def refused(spec) -> None:
        raise HalError("no regulatory domain")

    platform.soft_ap.start = refused
    session = run(platform, methods="soft_ap,smart_config")
    await session.start()
    failed = await session.until(Step.LISTENING, Outcome.FAILED)
    assert "regulatory" in failed.failure.text
    await session.listening()
    platform.air.heard.put_nowait(offer())
    assert (await session.result()).step is Step.BOUND


async def test_links_of_chips_that_were_never_tried_are_closed(run):
    session = run()
    session.platform.wifi.may_join.clear()
    await session.start()
    await session.listening()
    session.platform.air.heard.put_nowait(offer())
    await session.until(Step.JOINING, Outcome.STARTED)
    links = [FakeLink(), FakeLink()]
    other = Peer("smart_config", "another chip")
    for link in links:
        bound = Offer(other, Credentials(b"x", Secret("")), TOKEN, reached=Step.BOUND, link=link)
        session.platform.air.heard.put_nowait(bound)
    session.platform.air.heard.put_nowait(offer())
    await session.until(Step.LISTENING, Outcome.OK, 2)
    assert [link.connected for link in links] == [False, True], "replaced by its newer one"
    await session.close()
    assert [link.connected for link in links] == [False, False]


async def test_strangers_do_not_push_out_what_the_owner_has_to_know(run):
    session = run()
    session.errors.note(Failure(Step.JOINING, Reason.WRONG_PASSWORD), "soft_ap")
    for number in range(100):
        stranger = Peer("soft_ap", f"192.168.4.9:{number}")
        session.errors.note(Failure(Step.LISTENING, Reason.BAD_MESSAGE), "soft_ap", stranger)
    lines = session.errors.take(PHONE)
    assert len(lines) == 1
    assert b"(12, 202)" in lines[0]


async def test_a_failed_run_undoes_the_join_even_when_it_is_stopped_meanwhile(run):
    session = run(retry_window=0.05)
    session.binder.connect_errors = [CloudError("5", reason=Reason.MQTT_REFUSED, code=5, permanent=True)]
    session.platform.wifi.failures = []
    await session.start()
    await session.listening()
    session.platform.air.heard.put_nowait(offer())
    assert (await session.result()).step is Step.FAILED
    assert session.platform.wifi.current is None
    assert session.platform.wifi.settled[-1] is False


async def test_what_is_kept_is_never_undone_by_closing(run):
    session = run()
    await session.start()
    await session.listening()
    session.platform.air.heard.put_nowait(offer())
    assert (await session.result()).step is Step.BOUND
    await session.close()
    assert session.platform.wifi.settled == [True]
    assert session.platform.wifi.current == b"home"


async def test_a_join_that_is_refused_while_a_newer_offer_comes(run):
    session = run()
    wifi = session.platform.wifi
    wifi.may_join.clear()
    plain = wifi.join

    async def join(credentials, timeout):
        ip = await plain(credentials, timeout)
        if credentials.ssid == b"one":
            raise JoinError("no", reason=Reason.NO_SUCH_AP)
        return ip

    wifi.join = join
    await session.start()
    await session.listening()
    session.platform.air.heard.put_nowait(offer(ssid=b"one"))
    await session.until(Step.JOINING, Outcome.STARTED)
    wifi.may_join.set()
    session.platform.air.heard.put_nowait(offer(ssid=b"two"))
    assert (await session.result()).step is Step.BOUND
    assert wifi.kept == b"two"
