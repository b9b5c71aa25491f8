"""The session: listens, runs attempts, reports, and leaves everything as the end demands.

Policy lives here, in `tries.py` (who is tried) and in `attempt.py`: when a medium may go away, what is told
to whom, when to give up. Cancelling `run` is how a session is stopped.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final

from qiot.cloud.binder import Binder, Journal
from qiot.device_info import DeviceInfo
from qiot.errors import HalError, QiotError
from qiot.hal.contract import ListenContext, Listener, Platform
from qiot.log import get_logger
from qiot.model import CloudLink, Failure, Grant, Offer, Outcome, Peer, Reason, Secret, Step
from qiot.protocols.base import Answer, Ask, Heard, News, Refused, Seen
from qiot.wifi_config.attempt import Attempt
from qiot.wifi_config.dev_log import DevLog
from qiot.wifi_config.device import Device
from qiot.wifi_config.doors import Doors
from qiot.wifi_config.error_log import ErrorLog
from qiot.wifi_config.events import EventStream
from qiot.wifi_config.listeners import Listeners
from qiot.wifi_config.methods import Method
from qiot.wifi_config.offers import Offers
from qiot.wifi_config.ownership import Ownership, storage_of
from qiot.wifi_config.questions import Questions
from qiot.wifi_config.radio import Radio
from qiot.wifi_config.result import SessionResult
from qiot.wifi_config.resume import Resume
from qiot.wifi_config.settings import Settings
from qiot.wifi_config.sightings import PROGRESS, PROGRESS_MAX, Sightings
from qiot.wifi_config.table import Result, follow
from qiot.wifi_config.tries import Tries

__all__ = ["Session", "SessionResult"]

log = get_logger()

_RESUMED: Final = "resume"
"""In place of a method, where the device is back without a phone."""
_SHOWN_PARAMS: Final = ("tz", "country", "areaCode", "userId")
"""What of a grant is worth showing in the event that ends the run."""
_CLOUD_STEPS: Final = (Step.REGISTERING, Step.CONNECTING, Step.AWAITING_GRANT, Step.BINDING)


class Session:
    """One run of provisioning.

    Args:
        platform: Where the ports come from; closing it is the caller's.
        identity: The device's identity, for its names.
        binder: The cloud; None where the goal is only to be joined.
        methods: What to listen by.
        settings: Times and tries.
        save_identity: Keeps an identity that registration completed.
        errors: The error log, loaded.
        dev_log: The log that a phone can fetch.
        version: The firmware's version, for methods that tell it.
        options: The methods' own options: a dialect, a style.
        keys: The methods' own secrets: a key, a PIN.

    Attributes:
        events: What happens.
        failure: Why it failed, once it has.
    """

    def __init__(
        self,
        platform: Platform,
        *,
        identity: DeviceInfo,
        binder: Binder | None,
        methods: Sequence[Method],
        settings: Settings,
        save_identity: Callable[[DeviceInfo], Awaitable[None]],
        errors: ErrorLog,
        dev_log: DevLog,
        version: str = "",
        options: Mapping[str, str] | None = None,
        keys: Mapping[str, Secret] | None = None,
    ) -> None:
        self._platform = platform
        self._binder = binder
        self._methods = methods
        self._settings = settings
        self._save_identity = save_identity
        self._errors = errors
        self._dev_log = dev_log
        ownership = Ownership(storage_of(platform))
        self._device = Device(identity, ownership, binder, version=version, options=options, keys=keys)
        self._listeners = Listeners(ListenContext("", ""), self._on_heard, self._on_ended)
        self._offers = Offers()
        self._tries = Tries(self._offers, self, errors, self._make_attempt)
        self._questions = Questions(
            self._device, self._listeners.answer, errors=errors, dev_log=dev_log, session=self
        )
        self._radio: Radio | None = None
        self._doors: Doors | None = None
        self._step = Step.IDLE
        self._at_work: Resume | None = None
        self.failure: Failure | None = None
        self.events = EventStream()
        self._sightings = Sightings(self.events)

    @property
    def step(self) -> Step:
        """Where the session is."""
        at_work = self._tries.attempt or self._at_work
        return at_work.step if at_work is not None else self._step

    @property
    def local(self) -> tuple[str, int] | None:
        """Where the command service listens; None before it does."""
        return self._doors.local if self._doors is not None else None

    async def set_grant(self, grant: Grant) -> None:
        """A grant from the program itself; it may bind whoever's credentials joined."""
        await self._offers.keep_grant(grant, None)

    async def run(self, *, resume: bool = False) -> SessionResult:
        """Provision, until the goal is reached or the total time-out is over.

        Args:
            resume: Be in the stored network again first, without a phone; listen only where that cannot work.

        On success the doors stay open for phones that lost an answer, until `close`. On failure and on
        cancellation everything is undone: access point down, earlier network back, sockets closed.
        """
        limit = asyncio.timeout(self._settings.timeout)
        try:
            async with limit:
                await self._platform.recover()
                ended = await self._provision(resume=resume)
        except asyncio.CancelledError:
            await self._fail(Failure(self.step, Reason.STOPPED, text="stopped by the program"))
            raise
        except QiotError as error:
            ended = error.failure(self.step)
        except Exception as error:
            if isinstance(error, TimeoutError) and limit.expired():
                ended = self._timed_out()
            else:
                log.exception("the session broke")
                ended = Failure(self.step, Reason.INTERNAL, text=type(error).__name__)
        return ended if isinstance(ended, SessionResult) else await self._fail(ended)

    async def close(self) -> None:
        """Close the doors and the access point, and undo a join that is not to be kept. Idempotent."""
        await self._questions.close()
        await self._listeners.close_all()
        await self._offers.close()
        if self._radio is not None:
            await _tried("the earlier network is not back", self._radio.settle(keep=False))
            await _tried("the access point may still be up", self._radio.close_access_point())
        self.events.close()

    async def linger(self) -> None:
        """Keep answering a phone that lost its answer, for the grace time."""
        await asyncio.sleep(self._settings.grace)
        await self._listeners.drain(self._settings.barrier)

    # --- the way ----------------------------------------------------------------------------------------

    async def _provision(self, *, resume: bool) -> SessionResult | Failure:
        capabilities = await self._platform.capabilities()
        self._radio = radio = Radio(self._platform, capabilities, self._settings.access_point)
        if resume and (back := await self._resume(radio)) is not None:
            return back
        self._step = follow(Step.IDLE, Result.START)
        doors = self._doors = Doors(
            self._platform,
            capabilities,
            identity=self._device.identity,
            methods=self._methods,
            settings=self._settings,
            context=await self._device.context(),
            listeners=self._listeners,
            radio=radio,
            on_refused=self._does_not_listen,
        )
        await doors.plan()
        await self._listen(doors)
        while True:
            offer = await self._next_offer(doors)
            if offer is None:
                return self._tries.failure or self._timed_out()
            try:
                attempt = await self._tries.run(offer, radio, self._begin_attempt)
            finally:
                self._step = self._tries.reached
            if attempt.step in (Step.BOUND, Step.JOINED):
                try:
                    await radio.settle(keep=True)
                    return await self._reached(
                        attempt.step, attempt.link, attempt.offer.peer.method, attempt.grant
                    )
                except BaseException:
                    await attempt.drop_link()
                    raise
            await self._go_back(attempt, radio, doors)

    async def _listen(self, doors: Doors) -> None:
        self._listeners.context = await self._device.context()
        await doors.open()
        self._offers.reopen()
        names = ", ".join(sorted(method.name for method in doors.turn.methods))
        host, port = doors.local or ("", 0)
        await self.report(Step.LISTENING, Outcome.STARTED, methods=names, host=host, port=port)

    async def _does_not_listen(self, name: str, error: HalError) -> None:
        log.warning(f"method {name} does not listen: {error}")
        await self.report(Step.LISTENING, Outcome.FAILED, failure=error.failure(Step.LISTENING), methods=name)

    async def _next_offer(self, doors: Doors) -> Offer | None:
        """The next candidate; None when nobody starts again after the cloud failed."""
        clock = asyncio.get_running_loop().time
        failure = self._tries.failure if self._tries.tried else None
        until = clock() + self._settings.retry_window if failure and failure.step in _CLOUD_STEPS else None
        put_off = 0
        while True:
            turn = clock() + (PROGRESS if put_off else self._settings.turn) if doors.takes_turns else None
            deadline = min((each for each in (turn, until) if each is not None), default=None)
            try:
                async with asyncio.timeout_at(deadline):
                    return await self._offers.next()
            except TimeoutError:
                if until is not None and clock() >= until:
                    return None
            if put_off < PROGRESS_MAX and (self._sightings.recent or await doors.has_phone()):
                put_off += 1
                continue
            put_off = 0
            doors.next_turn()
            await self._listen(doors)

    def _make_attempt(self, offer: Offer) -> Attempt:
        return Attempt(
            offer=offer,
            radio=self.radio,
            binder=self._binder,
            offers=self._offers,
            save_identity=self._keep_identity,
            reporter=self,
            settings=self._settings,
            dev_log=self._dev_log,
            journal=Journal(method=offer.peer.method),
        )

    @property
    def radio(self) -> Radio:
        """Access point and station.

        Raises:
            HalError: Nothing was started yet.
        """
        if self._radio is None:
            raise HalError("nothing was started yet")
        return self._radio

    @property
    def trying(self) -> str:
        """Address of the phone whose offer is being tried now; empty where none is."""
        active = self._tries.active
        return active.peer.address if active is not None and self._tries.attempt is not None else ""

    def _begin_attempt(self) -> None:
        self.events.attempt += 1

    async def _keep_identity(self, identity: DeviceInfo) -> None:
        await self._save_identity(identity)
        self._device.identity = identity

    async def _go_back(self, attempt: Attempt, radio: Radio, doors: Doors) -> None:
        """Undo a failed attempt, listen again, and tell the phone why as soon as it can be told."""
        peer = attempt.offer.peer
        self._tries.ended(attempt)
        if attempt.failure is not None:
            self._errors.note(attempt.failure, peer.method)
        await radio.settle(keep=False)
        await self._listen(doors)
        self._tries.listening_again()
        # Where the access point went away the phone may not be back yet: whoever speaks first is told again.
        medium_stayed = radio.keeps_access_point or not doors.turn.access_point
        lines = self._errors.take(peer) if medium_stayed else self._errors.peek(peer)
        await self._listeners.tell(Answer("errors", peer, lines))

    async def _reached(
        self, step: Step, link: CloudLink | None, method: str, grant: Grant | None
    ) -> SessionResult:
        self._step, self._device.link = step, link
        log.info("WIFI_MQTT_CONNECT_SUCCESS" if link is not None else "WIFI_CONNECT_SUCCESS")
        await self._errors.settle()
        params = {} if grant is None else dict(grant.params)
        if step is Step.BOUND and method != _RESUMED:
            await self._device.note_bound(grant)
        shown: dict[str, Any] = {name: params[name] for name in _SHOWN_PARAMS if name in params}
        active = self._tries.active
        await self.report(step, Outcome.OK, peer=active.peer if active else None, **shown)
        if step is Step.BOUND:
            log.info("Device bind success!")
        reserved = active.reserved if active else b""
        return SessionResult(step, link=link, method=method, params=params, reserved=reserved)

    async def _resume(self, radio: Radio) -> SessionResult | None:
        """Be back as after a reboot; None where only a phone can help."""
        known = await self._device.bound_by()
        resume = Resume(radio, self._binder, known, self._settings, self)
        self._at_work = resume
        try:
            link = await resume.run()
            if link is None:
                return None
            try:
                return await self._reached(Step.BOUND, link, _RESUMED, known)
            except BaseException:
                await link.close()
                raise
        finally:
            self._step, self._at_work = resume.step, None
            self._tries.failure = resume.failure

    async def _fail(self, failure: Failure) -> SessionResult:
        self._step = Step.FAILED
        self.failure = failure
        log.error(str(failure))
        active = self._tries.active
        self._errors.note(failure, active.peer.method if active else self._methods[0].name)
        await self._errors.save()
        if active is not None:
            peer = active.peer
            await self._listeners.tell(Answer("errors", peer, self._errors.take(peer)))
        await self.report(Step.FAILED, Outcome.FAILED, failure=failure)
        await self.close()
        return SessionResult(Step.FAILED, failure)

    def _timed_out(self) -> Failure:
        """What to say when the total time-out is over: the last real cause, where there was one."""
        if self._tries.failure is not None and self.step is Step.LISTENING:
            return self._tries.failure
        before = f"; before that: {self._tries.failure.reason}" if self._tries.failure else ""
        heard = self._sightings.text if self.step is Step.LISTENING else ""
        seen = f"; last heard: {heard}" if heard else ""
        return Failure(
            self.step, Reason.TIMEOUT, text=f"no success within {self._settings.timeout:g} s{before}{seen}"
        )

    # --- what comes in ----------------------------------------------------------------------------------

    async def _on_heard(self, listener: Listener, heard: Heard) -> None:
        if self._doors is not None and isinstance(heard, Offer | Ask | Refused):
            await self._doors.heard(heard.peer)
        match heard:
            case Offer():
                await self._tries.take(heard)
            case Ask():
                await self._questions.take(listener, heard)
            case Refused(peer=peer, failure=failure):
                log.warning(f"message from <{peer.address}> refused: {failure.text or failure.reason}")
                self._errors.note(failure, peer.method, peer)
                self.events.emit(Step.LISTENING, Outcome.PROGRESS, peer=peer, failure=failure)
            case Seen(text=text):
                log.info(text)
                self._sightings.note(heard)

    async def _on_ended(self, name: str, failure: Failure) -> None:
        log.error(str(failure))
        await self.report(Step.LISTENING, Outcome.FAILED, failure=failure, methods=name)
        another_turn = self._doors is not None and self._doors.takes_turns
        if not self._listeners.names and not another_turn:
            await self._offers.end(failure)

    # --- what goes out ----------------------------------------------------------------------------------

    async def report(
        self,
        step: Step,
        outcome: Outcome,
        *,
        peer: Peer | None = None,
        failure: Failure | None = None,
        **detail: str | float | bool,
    ) -> None:
        """Make an event and tell it to every listener, each within its bound."""
        event = self.events.emit(step, outcome, peer=peer, failure=failure, **detail)
        self._tries.note(event)
        await self._listeners.tell(event)

    async def tell(self, news: News) -> None:
        """Tell every listener, each within its bound."""
        await self._listeners.tell(news)

    async def accept(self, peer: Peer, *, barrier: bool) -> None:
        """Answer the offer that is being tried: errors of earlier runs first, then the acceptance."""
        await self.answer(peer, again=self._tries.is_answered_again())
        if barrier:
            await self._listeners.drain(self._settings.barrier)

    async def after_join(self) -> None:
        """Open the doors at which a joined device is spoken to."""
        if self._doors is not None:
            address = self._tries.attempt.address if self._tries.attempt is not None else ""
            await self._doors.open_after_join(self._tries.active, address)

    async def answer(self, peer: Peer, *, again: bool) -> None:
        """Say that the peer's offer has been taken: errors of earlier runs first."""
        lines = self._errors.take(peer)
        if lines:
            await self._listeners.tell(Answer("errors", peer, lines))
        await self.report(Step.LISTENING, Outcome.OK, peer=peer, again=again)


async def _tried(what: str, action: Awaitable[None]) -> None:
    """Carry on with closing, whatever one part of it does."""
    try:
        await action
    except HalError as error:
        log.warning(f"{what}: {error}")
    except Exception:
        log.exception(what)
