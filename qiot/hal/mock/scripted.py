"""Methods without a simulated radio: the script says what they hear, and they note what they are told."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import ClassVar

import attrs

from qiot.errors import HalError, JoinError
from qiot.hal.contract import ListenContext, Listener, Wifi
from qiot.model import Credentials, Grant, Offer, Peer, Reason, Step
from qiot.protocols.base import Heard, News, Refused
from qiot.sim.faults import Faults
from qiot.sim.offers import Offers, ScriptedOffer

__all__ = ["ScriptedListener"]

_JOIN_TIMEOUT = 15.0


class ScriptedListener(Listener):
    """One scripted method.

    Args:
        offers: The world's script.
        wifi: Where an offer is joined whose chip does that by itself.
        start_failures: Starts that fail.

    Attributes:
        told: The last 1024 news that it was told, oldest first.
        context: What it was started with last.
    """

    method: ClassVar[str]

    def __init__(self, offers: Offers, wifi: Wifi, start_failures: Faults) -> None:
        self.told: deque[News] = deque(maxlen=1024)
        self.context: ListenContext | None = None
        self._offers = offers
        self._wifi = wifi
        self._start_failures = start_failures
        self._stopped: asyncio.Event | None = None
        self._heard: deque[Heard] = deque()

    async def start(self, context: ListenContext) -> None:
        """Begin to play the script."""
        if self._stopped is not None:
            raise HalError(f"{self.method} listens already", hint="Stop it before the next start.")
        failure = self._start_failures.take()
        if failure is not None:
            raise HalError(f"{self.method} did not start: start_failure says so", reason=failure)
        self._offers.begin(self.method)
        self.context = context
        self._stopped = asyncio.Event()

    async def read(self) -> Sequence[Heard]:
        """Wait for the next offer of the script.

        Raises:
            HalError: The script lets the method break down, or it does not listen (STOPPED).
        """
        stopped = self._stopped
        if stopped is None:
            raise HalError(f"{self.method} does not listen", reason=Reason.STOPPED)
        if not self._heard:
            await self._hear_or(stopped)
        if not self._heard:
            raise HalError(f"{self.method} does not listen any more", reason=Reason.STOPPED)
        heard = tuple(self._heard)
        self._heard.clear()
        return heard

    async def tell(self, news: News) -> None:
        """Note it in `told`."""
        self.told.append(news)

    async def stop(self) -> None:
        """Stop; who waits in `read` gets an error. What the script still has waits for the next start."""
        if self._stopped is not None:
            self._stopped.set()
            self._stopped = None

    async def _hear_or(self, stopped: asyncio.Event) -> None:
        hearing = asyncio.ensure_future(self._hear())
        stopping = asyncio.ensure_future(stopped.wait())
        try:
            await asyncio.wait((hearing, stopping), return_when=asyncio.FIRST_COMPLETED)
        finally:
            hearing.cancel()
            stopping.cancel()
            await asyncio.gather(hearing, stopping, return_exceptions=True)
        if not hearing.cancelled():
            hearing.result()

    async def _hear(self) -> None:
        # What was heard goes through `_heard`: a `read` that is cancelled in the last moment loses nothing.
        while not self._heard:
            await self._offers.due(self.method)
            scripted = self._offers.take(self.method)
            if scripted is None:
                continue
            try:
                self._heard.append(await self._play(scripted))
            except asyncio.CancelledError:
                self._offers.put(attrs.evolve(scripted, after=0.0))
                raise

    async def _play(self, scripted: ScriptedOffer) -> Heard:
        if scripted.failure is not None:
            raise HalError(f"{self.method} broke down: the script says so", reason=scripted.failure)
        peer = Peer(method=self.method, address=scripted.address)
        credentials = None
        if scripted.ssid is not None:
            credentials = Credentials(ssid=scripted.ssid, password=scripted.password)
            if scripted.reached.rank >= Step.JOINING.rank:
                try:
                    await self._wifi.join(credentials, _JOIN_TIMEOUT)
                except JoinError as error:
                    return Refused(peer=peer, failure=error.failure(Step.JOINING))
        grant = None
        if scripted.token is not None:
            grant = Grant(
                scripted.cloud, scripted.token, endpoint=scripted.endpoint, params=dict(scripted.params)
            )
        return Offer(
            peer=peer, credentials=credentials, grant=grant, reached=scripted.reached, link=scripted.link
        )
