"""Whose offer is tried, and what an offer means that comes meanwhile."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from typing import Final, Protocol

import attrs

from qiot.log import get_logger
from qiot.model import Event, Failure, Offer, Outcome, Peer, Reason, Step
from qiot.protocols.base import Answer, News
from qiot.wifi_config.attempt import Attempt
from qiot.wifi_config.error_log import ErrorLog
from qiot.wifi_config.offers import Offers, same_phone
from qiot.wifi_config.radio import Radio
from qiot.wifi_config.table import Result, follow

__all__ = ["Desk", "Tries"]

log = get_logger()

_RESEND: Final = 2.5
"""Seconds after a failed try in which an equal offer is an echo of that try, and no new one."""
_COUNTRY: Final = re.compile(r"[A-Za-z]{2}|00")
"""ISO 3166-1, or the rules that hold everywhere; some vendors' codes, such as "EP", are of this form, too."""


class Desk(Protocol):
    """Where phones are answered: the session."""

    async def tell(self, news: News) -> None:
        """Tell every listener."""
        ...

    async def answer(self, peer: Peer, *, again: bool) -> None:
        """Say that the peer's offer has been taken."""
        ...

    async def report(
        self,
        step: Step,
        outcome: Outcome,
        *,
        peer: Peer | None = None,
        failure: Failure | None = None,
        **detail: str | float | bool,
    ) -> None:
        """Make an event and tell it."""
        ...


class Tries:
    """One try after the other; a newer offer of the same phone takes the place of its older one.

    A phone is known by method and address. Where it comes back on a new link, what is told of its offer goes
    there from its next word on.

    Args:
        offers: Who waits.
        desk: Where phones are answered.
        errors: The error log.
        make: Makes the attempt for an offer.

    Attributes:
        active: The offer that is being tried, or that has reached its goal.
        attempt: The attempt at work.
        failure: Why the last one failed.
        reached: The step at which the last one ended.
    """

    def __init__(
        self, offers: Offers, desk: Desk, errors: ErrorLog, make: Callable[[Offer], Attempt]
    ) -> None:
        self._offers = offers
        self._desk = desk
        self._errors = errors
        self._make = make
        self._answered: Offer | None = None
        self._newer: Offer | None = None
        self._task: asyncio.Task[Step] | None = None
        self._last: tuple[Offer, float] | None = None
        self._outcome: Event | None = None
        self.active: Offer | None = None
        self.attempt: Attempt | None = None
        self.failure: Failure | None = None
        self.reached = Step.LISTENING

    @property
    def tried(self) -> bool:
        """True where a try has failed."""
        return self._last is not None

    async def run(self, offer: Offer, radio: Radio, began: Callable[[], None]) -> Attempt:
        """Take an offer as far as it goes; a newer offer of the same phone takes its place.

        Args:
            offer: What was offered.
            radio: Where a try that is given up is undone.
            began: Is called when an attempt begins.
        """
        while True:
            began()
            self._errors.begin_try()
            self.active, self._newer, self._answered, self._outcome = offer, None, None, None
            self._offers.active = offer.peer
            if offer.grant is not None:
                self._offers.take_grant(offer.peer)  # older than the one in the offer
            attempt = self.attempt = self._make(offer)
            self._task = asyncio.create_task(attempt.run(), name="qiot attempt")
            try:
                await self._task
            except asyncio.CancelledError:
                newer, stopping = self._superseding(), asyncio.current_task()
                if newer is None or (stopping is not None and stopping.cancelling()):
                    raise
                attempt.step = follow(attempt.step, Result.SUPERSEDED)
                log.info(f"<{offer.peer.address}> sent something new: starting over with it")
                await radio.settle(keep=False)
                offer = self._superseding() or newer
            else:
                if attempt.step is Step.LISTENING and (late := self._superseding()) is not None:
                    await self._offers.add(late)
                return attempt
            finally:
                self.reached = attempt.step
                self.attempt = self._task = None

    def ended(self, attempt: Attempt) -> None:
        """An attempt has failed; from now on an equal offer is an echo of it for a while."""
        self.active = self._offers.active = None
        self.failure = attempt.failure
        self._last = (attempt.offer, asyncio.get_running_loop().time())

    def listening_again(self) -> None:
        """The failed attempt is undone: echoes of it may have been on their way until now."""
        if self._last is not None:
            self._last = (self._last[0], asyncio.get_running_loop().time())

    def note(self, event: Event) -> None:
        """Remember what became of the offer that is tried, for a phone that sends it again."""
        if self.active is None or event.peer != self.active.peer:
            return
        if event.outcome is Outcome.FAILED or event.step in (Step.JOINED, Step.BOUND):
            self._outcome = event
        elif event.outcome is Outcome.STARTED:
            self._outcome = None  # it goes on

    def is_answered_again(self) -> bool:
        """Note that the active offer is being answered; True where it was before."""
        again = self._answered is self.active
        self._answered = self.active
        return again

    async def take(self, offer: Offer) -> None:
        """An offer has come in."""
        country = "" if offer.grant is None else offer.grant.params.get("country", "")
        if country and not _COUNTRY.fullmatch(country):
            await self._refuse(offer.peer, "country has to be two letters of ISO 3166-1")
            return
        peer, active = offer.peer, self.active
        if active is not None and peer != active.peer and same_phone(peer, active.peer):
            active = self._move(active, peer)
        if active is not None and offer == active:
            if offer.link is not None and offer.link is not active.link:
                await offer.link.close()
            await self._repeat(active)
        elif offer.credentials is None and offer.reached is Step.LISTENING:
            if offer.grant is not None:
                await self._offers.keep_grant(offer.grant, peer)
            await self._desk.answer(peer, again=False)
        elif active is not None and active.peer == peer and self._task is not None:
            cancelled_before, self._newer = self._newer is not None, offer
            if not cancelled_before:
                self._task.cancel()
        elif active is None and self._is_echo(offer):
            await self._desk.tell(Answer("errors", peer, self._errors.take(peer)))
            await self._tell_outcome(peer)
        else:
            await self._offers.add(offer)

    async def _refuse(self, peer: Peer, text: str) -> None:
        failure = Failure(Step.LISTENING, Reason.BAD_FIELD, text=text)
        log.warning(f"offer from <{peer.address}> refused: {text}")
        self._errors.note(failure, peer.method, peer)
        await self._desk.report(Step.LISTENING, Outcome.FAILED, peer=peer, failure=failure)

    def _move(self, active: Offer, peer: Peer) -> Offer:
        """The phone has come back on another link: it is told there."""
        log.info(f"<{peer.address}> is back on a new link")
        moved = attrs.evolve(active, peer=peer)
        if self._answered is active:
            self._answered = moved
        self._offers.move(active.peer, peer)
        self.active = moved
        if self.attempt is not None:
            self.attempt.offer = moved
        return moved

    async def _repeat(self, active: Offer) -> None:
        """Tell the phone again what it was told of its offer."""
        if self._answered is active:
            await self._desk.answer(active.peer, again=True)
        await self._tell_outcome(active.peer)

    async def _tell_outcome(self, peer: Peer) -> None:
        if self._outcome is not None:
            await self._desk.tell(attrs.evolve(self._outcome, peer=peer))

    def _is_echo(self, offer: Offer) -> bool:
        """True for an equal offer that was on its way while its try failed."""
        if self._last is None or self.failure is None:
            return False
        tried, ended = self._last
        equal = same_phone(tried.peer, offer.peer) and attrs.evolve(tried, peer=offer.peer) == offer
        if not equal or asyncio.get_running_loop().time() - ended > _RESEND:
            return False
        self._errors.note(self.failure, offer.peer.method)
        return True

    def _superseding(self) -> Offer | None:
        newer, self._newer = self._newer, None
        return newer
