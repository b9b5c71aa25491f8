"""Work that has to come to its end, and work that has to be cancelled when who asked for it is."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Coroutine
from typing import Any, TypeVar

from qiot.log import get_logger

__all__ = ["cancellable", "finish"]

log = get_logger()

T = TypeVar("T")


async def finish(work: Coroutine[Any, Any, T]) -> T:
    """Do it to its end; a cancellation of the caller waits for that, however often it comes.

    What goes wrong after a cancellation is logged, for the cancellation is what the caller gets.
    """
    working = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(working)
    except asyncio.CancelledError:
        await _end(working)
        if not working.cancelled() and (error := working.exception()) is not None:
            log.warning(f"cancelled, and then: {error}")
        raise


async def cancellable(work: Awaitable[T]) -> T:
    """Do it; a cancellation ends it, and reaches the caller even where the work swallows it.

    For the coroutines of other libraries: `asyncio.wait_for` before Python 3.12 gives the result instead of
    the cancellation when both come in the same turn of the loop, and so does whatever awaits it.
    """
    working = asyncio.ensure_future(work)
    try:
        await asyncio.wait({working})
    except asyncio.CancelledError:
        working.cancel()
        await _end(working)
        if not working.cancelled():
            working.exception()  # seen; the cancellation is what the caller gets
        raise
    return working.result()


async def _end(working: asyncio.Future[T]) -> None:
    """Return when it is done, however often the caller is cancelled meanwhile."""
    while not working.done():
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.wait({working})
