"""Every listener of a session at work, each supervised.

The failure of one is an event, not the end of the rest.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

import attrs

from qiot.errors import QiotError
from qiot.hal.contract import ListenContext, Listener
from qiot.log import get_logger
from qiot.model import Failure, Reason, Step
from qiot.protocols.base import Heard, News

__all__ = ["Listeners"]

log = get_logger()

_TELL_LIMIT: Final = 2.0
"""Seconds that one listener may take to report: a stuck radio must not stop the session."""
_STOP_LIMIT: Final = 10.0
"""Seconds that one listener may take to stop; a hotspot may need several."""


@attrs.define
class _Running:
    listener: Listener
    task: asyncio.Task[None]


class Listeners:
    """Starts, supervises and stops listeners.

    Args:
        context: What they may say about the device.
        on_heard: Gets everything that any of them hears, one item at a time per listener.
        on_ended: Gets the failure of one that ended by itself.

    Attributes:
        context: What those that are opened from now on may say.
    """

    def __init__(
        self,
        context: ListenContext,
        on_heard: Callable[[Listener, Heard], Awaitable[None]],
        on_ended: Callable[[str, Failure], Awaitable[None]],
    ) -> None:
        self.context = context
        self._on_heard = on_heard
        self._on_ended = on_ended
        self._running: dict[str, _Running] = {}

    @property
    def names(self) -> frozenset[str]:
        """Who listens now."""
        return frozenset(self._running)

    @property
    def occupied(self) -> bool:
        """True where a phone is connected to one of them."""
        return any(each.listener.occupied for each in self._running.values())

    async def open(self, name: str, listener: Listener) -> None:
        """Start a listener and keep reading from it; nothing happens where it is open already.

        Raises:
            HalError: It could not be started.
        """
        if name in self._running:
            return
        try:
            await listener.start(self.context)
        except BaseException:
            await _stop(name, listener)
            raise
        task = asyncio.create_task(self._read(name, listener), name=f"qiot listener {name}")
        self._running[name] = _Running(listener, task)

    async def close(self, name: str) -> None:
        """Stop one. Idempotent."""
        running = self._running.get(name)
        if running is None:
            return
        running.task.cancel()
        await asyncio.wait({running.task})
        await _stop(name, running.listener)
        if self._running.get(name) is running:
            del self._running[name]

    async def close_all(self) -> None:
        """Stop all of them."""
        for name in list(self._running):
            await self.close(name)

    async def tell(self, news: News) -> None:
        """Let every listener report it; a stuck one costs its own bound and nobody else's."""
        running = list(self._running.items())
        await asyncio.gather(*(_tell(name, each.listener, news) for name, each in running))

    async def answer(self, listener: Listener, news: News) -> None:
        """Let the listener that asked report it."""
        await _tell("that asked", listener, news)

    async def drain(self, limit: float) -> None:
        """Wait until everything told has gone out with its repeats, at most `limit` seconds."""
        drains = [running.listener.drain() for running in self._running.values()]
        try:
            async with asyncio.timeout(limit):
                ended = await asyncio.gather(*drains, return_exceptions=True)
        except TimeoutError:
            log.debug(f"reports were still being repeated after {limit} s")
            return
        for error in ended:
            if error is not None:
                log.warning(f"a listener could not finish its reports: {error}")

    async def _read(self, name: str, listener: Listener) -> None:
        try:
            while True:
                for heard in await listener.read():
                    await self._on_heard(listener, heard)
        except QiotError as error:
            failure = attrs.evolve(error.failure(Step.LISTENING), text=f"{name}: {error}")
        except Exception as error:
            log.exception(f"listener {name} broke")
            failure = Failure(Step.LISTENING, Reason.METHOD_ENDED, text=f"{name}: {type(error).__name__}")
        await _stop(name, listener)
        self._running.pop(name, None)
        await self._on_ended(name, failure)


async def _tell(name: str, listener: Listener, news: News) -> None:
    try:
        async with asyncio.timeout(_TELL_LIMIT):
            await listener.tell(news)
    except TimeoutError:
        log.warning(f"listener {name} took longer than {_TELL_LIMIT} s to report")
    except QiotError as error:
        log.warning(f"listener {name} could not report: {error}")
    except Exception:
        log.exception(f"listener {name} broke while it reported")


async def _stop(name: str, listener: Listener) -> None:
    try:
        async with asyncio.timeout(_STOP_LIMIT):
            await listener.stop()
    except TimeoutError:
        log.warning(f"listener {name} took longer than {_STOP_LIMIT} s to stop and was left")
    except QiotError as error:
        log.warning(f"listener {name} did not stop cleanly: {error}")
    except Exception:
        log.exception(f"listener {name} broke while it stopped")
