"""Running one check: bounded, and with a look for what the platform left behind."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable
from typing import Final

from qiot.hal.conformance.bench import Bench, abandon
from qiot.hal.conformance.check import Broken, Check, NotClaimed, Outcome, Result, not_claimed
from qiot.hal.conformance.environment import Environment
from qiot.hal.conformance.traces import Traces
from qiot.hal.contract import Platform

__all__ = ["run_check", "run_check_now"]

_CLOSES: Final = 60.0
"""Seconds to close everything after an interruption."""
_POLL: Final = 0.05
_GOES_AWAY: Final = 1.0
"""Seconds in which what is left of a closed platform may go away by itself."""


def run_check_now(check: Check, factory: Callable[[], Platform], environment: Environment) -> Result:
    """Run one check on an event loop of its own; no loop may run in this thread.

    The loop ends in any case: a task that cannot be cancelled is taken apart.
    """
    loop = asyncio.new_event_loop()
    loop.set_exception_handler(lambda *_: None)  # what goes wrong besides shows as a leak or not at all
    running = loop.create_task(run_check(check, factory, environment))
    try:
        return loop.run_until_complete(running)
    except BaseException:  # the user's Ctrl-C: the platform is closed first
        running.cancel()
        loop.run_until_complete(asyncio.wait({running}, timeout=_CLOSES * environment.patience))
        raise
    finally:
        for task in asyncio.all_tasks(loop):
            loop.run_until_complete(abandon(task))
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()


async def run_check(check: Check, factory: Callable[[], Platform], environment: Environment) -> Result:
    """Run one check on the running loop."""
    start = time.monotonic()

    def result(outcome: Outcome, why: str = "") -> Result:
        return Result(check, outcome, " ".join(why.split()), time.monotonic() - start)

    try:
        async with environment:
            await _run(check, factory, environment)
    except NotClaimed as reason:
        return result(Outcome.NOT_CLAIMED, str(reason))
    except Broken as failure:
        return result(Outcome.FAIL, str(failure))
    except Exception as error:  # noqa: BLE001 - of a port's own parts, or of the environment
        return result(Outcome.FAIL, f"{type(error).__name__}: {error}")
    return result(Outcome.PASS)


async def _run(check: Check, factory: Callable[[], Platform], environment: Environment) -> None:
    before, traces = Traces.now(), await environment.traces()
    bench = Bench(factory, environment, check.kind)
    failure: Exception | None = None
    try:
        await bench.begin()
        if check.disturbs and not environment.disturb:
            not_claimed("it takes this machine off its network, which is not allowed (--yes, disturb)")
        await _bounded(check, bench)
    except Exception as error:  # noqa: BLE001 - raised again below, when everything is closed
        failure = error
    except BaseException:
        with contextlib.suppress(Broken):
            await bench.finish()
        raise
    try:
        await bench.finish()
    except Broken as error:
        failure = failure if isinstance(failure, Broken) else error
    if failure is not None and not isinstance(failure, NotClaimed):
        raise failure
    seconds = _GOES_AWAY * environment.patience
    left = [*await before.leaks(seconds), *await _left_outside(environment, traces, seconds)]
    if left:
        raise Broken(f"left behind after close: {', '.join(left)}")
    if failure is not None:
        raise failure


async def _left_outside(environment: Environment, before: frozenset[str], seconds: float) -> list[str]:
    """What of the environment's traces is still left when nothing has gone away within `seconds`."""
    end = time.monotonic() + seconds
    while (left := await environment.traces() - before) and time.monotonic() < end:  # noqa: ASYNC110
        await asyncio.sleep(_POLL)
    return sorted(left)


async def _bounded(check: Check, bench: Bench) -> None:
    seconds = check.seconds * bench.patience
    running = asyncio.ensure_future(check.run(bench))
    try:
        await asyncio.wait({running}, timeout=seconds)
        if not running.done():
            raise Broken(f"no end within {seconds:g} s")
    finally:
        if not running.done():
            await abandon(running)
            with contextlib.suppress(asyncio.CancelledError):
                running.exception()
    await running
