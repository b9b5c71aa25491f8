"""Work that is finished, or cancelled, whatever becomes of who asked for it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import pytest

from qiot.finishing import cancellable, finish


@pytest.mark.parametrize("do", [finish, cancellable])
async def test_it_gives_the_result_and_the_error(
    do: Callable[[Coroutine[Any, Any, str]], Awaitable[str]],
) -> None:
    async def work(error: Exception | None) -> str:
        await asyncio.sleep(0)
        if error is not None:
            raise error
        return "done"

    assert await do(work(None)) == "done"
    with pytest.raises(ValueError, match="no good"):
        await do(work(ValueError("no good")))


async def test_every_cancellation_waits_for_the_end() -> None:
    go, done = asyncio.Event(), asyncio.Event()

    async def work() -> None:
        await go.wait()
        done.set()

    caller = asyncio.ensure_future(finish(work()))
    for _ in range(3):
        await asyncio.sleep(0)
        caller.cancel()
    await asyncio.sleep(0)
    assert not caller.done()
    go.set()
    with pytest.raises(asyncio.CancelledError):
        await caller
    assert done.is_set()


async def test_what_fails_after_a_cancellation_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    go = asyncio.Event()

    async def work() -> None:
        await go.wait()
        raise ValueError("the disk is full")

    caller = asyncio.ensure_future(finish(work()))
    await asyncio.sleep(0)
    caller.cancel()
    await asyncio.sleep(0)
    go.set()
    with pytest.raises(asyncio.CancelledError):
        await caller
    assert "the disk is full" in caplog.text


async def test_a_swallowed_cancellation_arrives() -> None:
    ended: list[str] = []

    async def swallowing(error: Exception | None) -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            ended.append("swallowed")
        if error is not None:
            raise error

    for error in (None, ValueError("no good")):
        caller = asyncio.ensure_future(cancellable(swallowing(error)))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        caller.cancel()
        with pytest.raises(asyncio.CancelledError):
            await caller
    assert ended == ["swallowed", "swallowed"]
