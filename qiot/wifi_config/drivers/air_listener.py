"""A method of the air: a thin listener on the watch that it shares with the others."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import ClassVar, Final

from qiot.errors import HalError
from qiot.hal.contract import AirKiss, ListenContext, Listener, SimpleConfig, SmartConfig
from qiot.model import Event, Outcome, Reason, Step
from qiot.protocols.air.results import AIRKISS, ESPTOUCH, ESPTOUCH_V2, REALTEK
from qiot.protocols.base import Heard, News
from qiot.wifi_config.drivers.air import AirWatch

__all__ = ["AirKissByAir", "AirListener", "SimpleConfigByAir", "SmartConfigByAir"]

_HEARD_MAX: Final = 64


class AirListener(Listener):
    """Hears what the watch receives of its protocols.

    It gives the radio to every join, and takes it back when the session listens again: what the joined
    device says to the phone goes over UDP, and is not this listener's.

    Args:
        watch: Shared by all methods of the air.
    """

    method: ClassVar[str]
    protocols: ClassVar[frozenset[str]]

    def __init__(self, watch: AirWatch) -> None:
        self._watch = watch
        self._started = False
        self._heard: deque[Heard] = deque(maxlen=_HEARD_MAX)
        self._failure: HalError | None = None
        self._arrived = asyncio.Event()

    async def start(self, context: ListenContext) -> None:
        """Listen; the first method of the air takes the sniffer."""
        if self._started:
            raise HalError(f"{self.method} listens already", hint="Stop it before the next start.")
        self._heard.clear()
        self._failure = None
        self._arrived.clear()
        await self._watch.open(self, context)
        self._started = True

    async def read(self) -> Sequence[Heard]:
        """What was heard: offers, and how far a phone's data are."""
        while not self._heard:
            if self._failure is not None:
                error = self._failure
                raise HalError(str(error), reason=error.reason, code=error.code, hint=error.hint)
            if not self._started:
                raise HalError(f"{self.method} does not listen", reason=Reason.STOPPED)
            self._arrived.clear()
            await self._arrived.wait()
        heard = tuple(self._heard)
        self._heard.clear()
        return heard

    async def tell(self, news: News) -> None:
        """Give the radio to a join, take it back afterwards."""
        if not isinstance(news, Event) or news.outcome is not Outcome.STARTED:
            return
        if news.step is Step.JOINING:
            await self._watch.pause()
        elif news.step is Step.LISTENING:
            await self._watch.resume()

    async def stop(self) -> None:
        """Listen no more; the last method of the air gives the sniffer back."""
        self._started = False
        self._arrived.set()
        await self._watch.close(self)

    def hear(self, heard: Heard) -> None:
        """Take what the watch has for this method."""
        self._heard.append(heard)
        self._arrived.set()

    def fail(self, error: HalError) -> None:
        """The sniffer broke down: `read` says so."""
        self._failure = error
        self._arrived.set()


class SmartConfigByAir(AirListener, SmartConfig):
    """ESP-TOUCH, versions 1 and 2."""

    method = "smart_config"
    protocols = frozenset({ESPTOUCH, ESPTOUCH_V2})


class AirKissByAir(AirListener, AirKiss):
    """AirKiss."""

    method = "airkiss"
    protocols = frozenset({AIRKISS})


class SimpleConfigByAir(AirListener, SimpleConfig):
    """Realtek Simple Config."""

    method = "simple_config"
    protocols = frozenset({REALTEK})
