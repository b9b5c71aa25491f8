"""Waiting for a reply on a connection that may end first."""

from __future__ import annotations

import asyncio
from typing import Any, TypeVar

from qiot.errors import CloudError
from qiot.model import CloudLink, Reason

__all__ = ["reply_or_lost"]

_ReplyT = TypeVar("_ReplyT")


async def reply_or_lost(link: CloudLink, reply: asyncio.Future[_ReplyT], timeout: float) -> _ReplyT | None:
    """The reply; None where none came within `timeout` seconds. The future is never cancelled.

    Raises:
        CloudError: MQTT_LOST, where the connection ended first; and whatever the future holds.
    """
    lost = asyncio.create_task(link.wait_lost(), name="qiot reply link watch")
    either: set[asyncio.Future[Any]] = {reply, lost}
    try:
        await asyncio.wait(either, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
        if reply.done():
            return reply.result()
        if lost.done():
            failure = lost.result()
            raise CloudError(
                failure.text if failure else "the connection was closed",
                reason=Reason.MQTT_LOST,
                code=failure.code if failure else None,
            )
        return None
    finally:
        lost.cancel()
        await asyncio.gather(lost, return_exceptions=True)
