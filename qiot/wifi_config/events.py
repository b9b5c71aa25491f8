"""The session's events: numbered, kept, and handed to whoever watches."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncGenerator
from typing import Final

from qiot.model import Event, Failure, Outcome, Peer, Step

__all__ = ["EventStream"]

_KEPT: Final = 1000
_WAITING: Final = 256


class EventStream:
    """Every watcher has a bounded queue of its own.

    A slow one loses its oldest events, and never slows the session.
    """

    def __init__(self) -> None:
        self._start = time.monotonic()
        self._seq = 0
        self._watchers: set[asyncio.Queue[Event | None]] = set()
        self._closed = False
        self.attempt = 0
        self.history: deque[Event] = deque(maxlen=_KEPT)

    def emit(
        self,
        step: Step,
        outcome: Outcome,
        *,
        peer: Peer | None = None,
        failure: Failure | None = None,
        **detail: str | float | bool,
    ) -> Event:
        """Number an event, keep it and hand it out."""
        self._seq += 1
        event = Event(
            seq=self._seq,
            t=round(time.monotonic() - self._start, 4),
            attempt=self.attempt,
            step=step,
            outcome=outcome,
            peer=peer,
            failure=failure,
            detail=detail,
        )
        self.history.append(event)
        for queue in self._watchers:
            _put(queue, event)
        return event

    def close(self) -> None:
        """No more events: every watcher's loop ends after what it has not read yet."""
        self._closed = True
        for queue in self._watchers:
            _put(queue, None)

    async def watch(self) -> AsyncGenerator[Event, None]:
        """Events from the session's first on, until the stream is closed."""
        queue: asyncio.Queue[Event | None] = asyncio.Queue(_WAITING)
        for event in list(self.history)[-_WAITING:]:
            queue.put_nowait(event)
        if self._closed:
            _put(queue, None)
        self._watchers.add(queue)
        try:
            while (event_or_end := await queue.get()) is not None:
                yield event_or_end
        finally:
            self._watchers.discard(queue)


def _put(queue: asyncio.Queue[Event | None], event: Event | None) -> None:
    if queue.full():
        queue.get_nowait()
    queue.put_nowait(event)
