"""Listener: a method at work. The same checks for each of the contract's listeners."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

from qiot.hal.conformance.bench import CUTS, Bench
from qiot.hal.conformance.check import Broken, NotClaimed, check, expect, not_claimed
from qiot.hal.contract import (
    AirKiss,
    BtCombo,
    ChipSoftAp,
    ListenContext,
    Listener,
    SimpleConfig,
    SmartConfig,
)
from qiot.model import Credentials, Event, Failure, Offer, Outcome, Reason, Step
from qiot.protocols.base import Heard

__all__ = ["LISTENERS"]

LISTENERS: Final[tuple[type[Listener], ...]] = (SmartConfig, AirKiss, SimpleConfig, BtCombo, ChipSoftAp)
_CONTEXT: Final = ListenContext(product_id="CONFORMANC", device_name="conformance")
_HEARS: Final = 60.0
"""Seconds in which a method's own repeats bring the credentials over."""


def _listener(bench: Bench) -> Listener:
    found: object = bench.port(bench.kind)
    if not isinstance(found, Listener):
        raise Broken(f"port({bench.kind.__name__}) is no Listener")
    return found


async def _start(bench: Bench, listener: Listener) -> None:
    await bench.call("Listener.start", listener.start(_CONTEXT))


async def _stop(bench: Bench, listener: Listener) -> None:
    await bench.call("Listener.stop", listener.stop())


async def _pending(bench: Bench, listener: Listener) -> asyncio.Future[Sequence[Heard]]:
    """A read that waits; signs of life and strangers' offers are read away."""
    for _ in range(50):
        waiting = asyncio.ensure_future(listener.read())
        await asyncio.wait({waiting}, timeout=0.1)
        if not waiting.done():
            return waiting
        await bench.call("Listener.read", waiting)
    raise NotClaimed("there is always something to hear here, so that no read has to wait")


async def _offer(bench: Bench) -> Credentials:
    kind: type[Listener] = bench.kind
    if kind not in bench.environment.offered:
        not_claimed(f"the environment does not speak {kind.__name__} (offered)")
    return await bench.environment.offer(kind)


def _is_of(heard: Heard, credentials: Credentials) -> bool:
    if not isinstance(heard, Offer) or heard.credentials is None:
        return False
    ssid = heard.credentials.ssid
    return ssid in {None, credentials.ssid} and heard.credentials.password == credentials.password


async def _hear(bench: Bench, listener: Listener, credentials: Credentials, hanging: str) -> Offer:
    end = asyncio.get_running_loop().time() + _HEARS * bench.patience
    while asyncio.get_running_loop().time() < end:
        heard = await bench.call("Listener.read", listener.read(), seconds=_HEARS, hanging=hanging)
        expect(heard, "a read gave nothing")
        for each in heard:
            if isinstance(each, Offer) and _is_of(each, credentials):
                return each
    raise Broken(hanging)


@check(Listener, "stop", disturbs=True)
async def stop_is_idempotent_and_safe_without_a_start(bench: Bench) -> None:
    """However often, before and after; and it starts again."""
    listener = _listener(bench)
    for _ in range(2):
        await _stop(bench, listener)
    for _ in range(2):
        await _start(bench, listener)
        for _ in range(2):
            await _stop(bench, listener)


@check(Listener, "start", disturbs=True)
async def a_cancelled_start_leaves_nothing(bench: Bench) -> None:
    """Wherever it is cut off; stop is safe after it, and the next start works."""
    listener = _listener(bench)
    for after in bench.environment.cancel_after:
        await bench.cancelled("Listener.start", listener.start(_CONTEXT), after)
        await _stop(bench, listener)
    await _start(bench, listener)
    await _stop(bench, listener)


@check(Listener, "stop", disturbs=True)
async def stop_ends_a_pending_read(bench: Bench) -> None:
    """HalError; and a read after it, too."""
    listener = _listener(bench)
    await _start(bench, listener)
    waiting = await _pending(bench, listener)
    await _stop(bench, listener)
    await bench.ends("Listener.stop", waiting)
    await bench.refused("Listener.read", listener.read())


@check(Listener, "stop", disturbs=True)
async def closing_the_platform_ends_a_pending_read(bench: Bench) -> None:
    """HalError."""
    listener = _listener(bench)
    await _start(bench, listener)
    waiting = await _pending(bench, listener)
    await bench.close(bench.platform)
    await bench.ends("Platform.close", waiting)


@check(Listener, "read", disturbs=True, seconds=300)
async def what_a_phone_sends_is_heard(bench: Bench) -> None:
    """The credentials to the octet, and no later step than the capabilities say."""
    listener = _listener(bench)
    furthest = max((step.rank for step in (await bench.capabilities()).chip.values()), default=0)
    await _start(bench, listener)
    sent = await _offer(bench)
    offer = await _hear(bench, listener, sent, "what a phone sent was not heard")
    bound = max(furthest, Step.LISTENING.rank)
    expect(offer.reached.rank <= bound, f"it has reached {offer.reached}, which no method here claims")
    await _stop(bench, listener)


@check(Listener, "read", disturbs=True, seconds=300)
async def a_cancelled_read_loses_nothing(bench: Bench) -> None:
    """Wherever it is cut off: the next read gives the offer."""
    listener = _listener(bench)
    await _start(bench, listener)
    for turns in range(CUTS):
        waiting = asyncio.ensure_future(listener.read())
        await asyncio.sleep(0)
        sent = await _offer(bench)
        for _ in range(turns):
            await asyncio.sleep(0)
        waiting.cancel()
        (result,) = await asyncio.gather(waiting, return_exceptions=True)
        if isinstance(result, BaseException) or not any(_is_of(each, sent) for each in result):
            lost = f"a read that was cut off after {turns} turns lost an offer"
            await _hear(bench, listener, sent, lost)


@check(Listener, "tell, drain", disturbs=True)
async def it_can_be_told_every_step(bench: Bench) -> None:
    """Good and bad news return at once, and the repeats that follow come to an end."""
    listener = _listener(bench)
    await _start(bench, listener)
    refused = Failure(step=Step.JOINING, reason=Reason.WRONG_PASSWORD)
    news = [
        Event(seq=1, t=0.0, attempt=1, step=Step.JOINING, outcome=Outcome.STARTED),
        Event(seq=2, t=1.0, attempt=1, step=Step.JOINING, outcome=Outcome.FAILED, failure=refused),
        Event(seq=3, t=2.0, attempt=2, step=Step.JOINING, outcome=Outcome.OK),
    ]
    for each in news:
        await bench.call("Listener.tell", listener.tell(each))
    await bench.call("Listener.drain", listener.drain(), seconds=_HEARS)
    await _stop(bench, listener)
