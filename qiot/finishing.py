"""Work that has to come to its end, whatever becomes of who asked for it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Coroutine
from typing import Any, TypeVar

from qiot.log import get_logger

__all__ = ["finish"]

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
        while not working.done():
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.wait({working})
        if not working.cancelled() and (error := working.exception()) is not None:
            log.warning(f"cancelled, and then: {error}")
        raise
