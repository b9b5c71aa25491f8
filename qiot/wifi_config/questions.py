"""What a phone asks of the device, and has it do, beside offering credentials.

Answers that take time (a scan, a reset) are given by tasks of their own, so that the method that asked goes
on hearing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, Protocol

from qiot.errors import CloudError, HalError, QiotError
from qiot.hal.contract import Listener
from qiot.log import get_logger
from qiot.model import Failure, Network, Peer, Reason, Step
from qiot.protocols.base import Answer, Ask, News, Question
from qiot.wifi_config.dev_log import DevLog
from qiot.wifi_config.device import Device
from qiot.wifi_config.error_log import ErrorLog
from qiot.wifi_config.radio import Radio

__all__ = ["Questions", "Running"]

log = get_logger()

_WAITING_MAX: Final = 16
"""Questions that may wait for their answers; of one peer at most one of a kind."""

_SCAN_LIMIT: Final = 15.0
"""Seconds for one scan; phones wait 10 to 15 s for it, and all bands take about 10 s."""


class Running(Protocol):
    """What a question may have to know of the session."""

    @property
    def step(self) -> Step:
        """Where it is."""
        ...

    @property
    def radio(self) -> Radio:
        """Access point and station.

        Raises:
            HalError: Nothing was started yet.
        """
        ...

    @property
    def trying(self) -> str:
        """Address of the phone whose offer is being tried now; empty where none is."""
        ...


class Questions:
    """Answers them.

    Args:
        device: Whom they are about.
        answer: Gives an answer to the listener that asked.
        errors: The error log.
        dev_log: The device log.
        session: Where it is, and its radio.
    """

    def __init__(
        self,
        device: Device,
        answer: Callable[[Listener, News], Awaitable[None]],
        *,
        errors: ErrorLog,
        dev_log: DevLog,
        session: Running,
    ) -> None:
        self._session = session
        self._device = device
        self._answer = answer
        self._errors = errors
        self._dev_log = dev_log
        self._waiting: dict[tuple[Question, Peer], asyncio.Task[None]] = {}
        self._scanning: asyncio.Task[Sequence[Network]] | None = None
        self._seen: Sequence[Network] = ()
        self._forgetting = asyncio.Lock()

    async def take(self, listener: Listener, ask: Ask) -> None:
        """Answer now what can be; what takes time is answered later."""
        what, peer = ask.what, ask.peer
        if what == "errors":
            await self._answer(listener, Answer(what, peer, self._errors.take(peer)))
        elif what == "log":
            await self._answer(listener, Answer(what, peer, self._dev_log.lines()))
        elif what == "identity":
            await self._answer(listener, Answer(what, peer, values=self._device.describe()))
        elif (what, peer) in self._waiting:
            log.debug(f"<{peer.address}> asked for {what} again before it was answered")
        elif len(self._waiting) >= _WAITING_MAX:
            log.warning(f"{what} for <{peer.address}> dropped: {_WAITING_MAX} others wait already")
        else:
            task = asyncio.create_task(self._later(listener, ask), name=f"qiot answer {what}")
            self._waiting[what, peer] = task
            task.add_done_callback(lambda _: self._waiting.pop((what, peer), None))

    async def close(self) -> None:
        """Nobody is answered any more. Idempotent."""
        tasks: list[asyncio.Task[object]] = [*self._waiting.values()]
        if self._scanning is not None:
            tasks.append(self._scanning)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _later(self, listener: Listener, ask: Ask) -> None:
        try:
            answer = await self._found(ask)
        except QiotError as error:
            log.warning(f"{ask.what} for <{ask.peer.address}> failed: {error}")
            answer = Answer(ask.what, ask.peer, failure=error.failure(self._session.step))
        except Exception as error:
            log.exception(f"{ask.what} for <{ask.peer.address}> broke")
            failure = Failure(self._session.step, Reason.INTERNAL, text=type(error).__name__)
            answer = Answer(ask.what, ask.peer, failure=failure)
        await self._answer(listener, answer)

    async def _found(self, ask: Ask) -> Answer:
        if ask.what == "scan":
            return Answer("scan", ask.peer, networks=await self._networks(cached=ask.cached))
        async with self._forgetting:
            await self._forget(ask)
        return Answer(ask.what, ask.peer)

    async def _networks(self, *, cached: bool) -> Sequence[Network]:
        """The networks around; while a network is being joined, those that were seen before."""
        if self._seen and (cached or self._session.step is Step.JOINING):
            return self._seen
        if self._scanning is None or self._scanning.done():
            self._scanning = asyncio.create_task(self._scan(), name="qiot scan for a phone")
        return await asyncio.shield(self._scanning)  # one scan serves all who ask meanwhile

    async def _scan(self) -> Sequence[Network]:
        try:
            async with asyncio.timeout(_SCAN_LIMIT):
                found = await self._session.radio.wifi.scan()
        except TimeoutError:
            raise HalError(f"no scan result within {_SCAN_LIMIT:g} s", reason=Reason.TIMEOUT) from None
        self._seen = sorted(found, key=lambda network: -network.signal)
        return self._seen

    async def _forget(self, ask: Ask) -> None:
        """Forget the owner; with a reset the network, too.

        Raises:
            HalError: It could not be done, or another phone is being served.
        """
        if self._session.trying:
            raise HalError(
                f"the offer of <{self._session.trying}> is being tried",
                reason=Reason.MEDIUM,
                hint="Wait until it has ended.",
            )
        reset = ask.what == "reset"
        log.warning(f"<{ask.peer.address}> wants the device to forget its owner{' and all' if reset else ''}")
        try:
            await self._device.forget_owner(clean=reset)
        except CloudError as error:
            log.warning(f"the cloud was not told of the {ask.what}: {error}")
        if reset:
            await self._session.radio.wifi.forget()
