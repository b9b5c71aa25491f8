"""The session: listens, arbitrates between phones, runs attempts, and leaves everything as the end demands.

Policy lives here and in `attempt.py`: who is tried, when a medium may go away, what is told to whom, when to
give up. Cancelling `run` is how a session is stopped.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final

import attrs

from qiot.cloud.binder import Binder, Journal
from qiot.device_info import DeviceInfo
from qiot.errors import CloudError, HalError, JoinError, QiotError
from qiot.hal.contract import ListenContext, Listener, Platform
from qiot.log import get_logger
from qiot.model import CloudLink, Failure, Grant, Offer, Outcome, Peer, Reason, Secret, Step
from qiot.protocols.base import Answer, Ask, Heard, Refused, Seen
from qiot.wifi_config.attempt import Attempt
from qiot.wifi_config.dev_log import DevLog
from qiot.wifi_config.doors import Doors
from qiot.wifi_config.error_log import ErrorLog
from qiot.wifi_config.events import EventStream
from qiot.wifi_config.listeners import Listeners
from qiot.wifi_config.methods import Method
from qiot.wifi_config.offers import Offers
from qiot.wifi_config.radio import Radio
from qiot.wifi_config.settings import Settings
from qiot.wifi_config.table import Result, follow

__all__ = ["Session", "SessionResult"]

log = get_logger()

_RESEND: Final = 2.5
"""Seconds after a failed try in which an equal offer is an echo of that try, and no new one."""
_PROGRESS: Final = 3.0
"""Seconds that a sign of a phone, in the air or in our access point, puts off the end of its turn."""
_PROGRESS_MAX: Final = 10
"""How often that is done."""
_CLOUD_STEPS: Final = (Step.REGISTERING, Step.CONNECTING, Step.AWAITING_GRANT, Step.BINDING)


@attrs.frozen
class SessionResult:
    """How a session ended.

    Attributes:
        step: BOUND, JOINED or FAILED.
        failure: Why, where it failed.
        link: The open connection, where it is bound; closing it is the caller's.
        method: The method that brought the credentials.
        reserved: What the phone's application sent along for the device's (ESP-TOUCH v2), as it came.
    """

    step: Step
    failure: Failure | None = None
    link: CloudLink | None = attrs.field(default=None, eq=False)
    method: str = ""
    reserved: bytes = attrs.field(default=b"", repr=False)

    @property
    def successful(self) -> bool:
        """True where the goal was reached."""
        return self.step in (Step.BOUND, Step.JOINED)


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
        options: The methods' own options.
        keys: The methods' own secrets.

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
        options: Mapping[str, str] | None = None,
        keys: Mapping[str, Secret] | None = None,
    ) -> None:
        self._platform = platform
        self._identity = identity
        self._binder = binder
        self._methods = methods
        self._settings = settings
        self._save_identity = save_identity
        self._errors = errors
        self._dev_log = dev_log
        self._context = ListenContext(
            product_id=identity.product_id,
            device_name=identity.device_name,
            options=options or {},
            keys=keys or {},
        )
        self._listeners = Listeners(self._context, self._on_heard, self._on_ended)
        self._offers = Offers()
        self._radio: Radio | None = None
        self._doors: Doors | None = None
        self._step = Step.IDLE
        self._active: Offer | None = None
        self._answered: Offer | None = None
        self._newer: Offer | None = None
        self._attempt: Attempt | None = None
        self._attempt_task: asyncio.Task[Step] | None = None
        self._last_try: tuple[Offer, float] | None = None
        self._last_failure: Failure | None = None
        self._seen: tuple[Seen, float] | None = None
        self.failure: Failure | None = None
        self.events = EventStream()

    @property
    def step(self) -> Step:
        """Where the session is."""
        return self._attempt.step if self._attempt is not None else self._step

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
        if resume and (link := await self._resume(radio)) is not None:
            try:
                return await self._reached(Step.BOUND, link, "resume")
            except BaseException:
                await link.close()
                raise
        self._step = follow(Step.IDLE, Result.START)
        doors = self._doors = Doors(
            self._platform,
            capabilities,
            identity=self._identity,
            methods=self._methods,
            settings=self._settings,
            context=self._context,
            listeners=self._listeners,
            radio=radio,
            on_refused=self._does_not_listen,
        )
        await doors.plan()
        await self._listen(doors)
        while True:
            offer = await self._next_offer(doors)
            if offer is None:
                return self._last_failure or self._timed_out()
            attempt = await self._try(offer, radio)
            if attempt.step in (Step.BOUND, Step.JOINED):
                try:
                    await radio.settle(keep=True)
                    return await self._reached(attempt.step, attempt.link, attempt.offer.peer.method)
                except BaseException:
                    await attempt.drop_link()
                    raise
            await self._go_back(attempt, radio, doors)

    async def _listen(self, doors: Doors) -> None:
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
        failure = self._last_failure if self._last_try is not None else None
        until = clock() + self._settings.retry_window if failure and failure.step in _CLOUD_STEPS else None
        put_off = 0
        while True:
            turn = clock() + (_PROGRESS if put_off else self._settings.turn) if doors.takes_turns else None
            deadline = min((each for each in (turn, until) if each is not None), default=None)
            try:
                async with asyncio.timeout_at(deadline):
                    return await self._offers.next()
            except TimeoutError:
                if until is not None and clock() >= until:
                    return None
            if put_off < _PROGRESS_MAX and (self._hears_phone(clock()) or await doors.has_stations()):
                put_off += 1
                continue
            put_off = 0
            doors.next_turn()
            await self._listen(doors)

    async def _try(self, offer: Offer, radio: Radio) -> Attempt:
        """Take an offer as far as it goes; a newer offer of the same peer takes its place."""
        while True:
            self.events.attempt += 1
            self._errors.begin_try()
            self._active, self._newer, self._answered = offer, None, None
            self._offers.active = offer.peer
            if offer.grant is not None:
                self._offers.take_grant(offer.peer)  # older than the one in the offer
            attempt = self._attempt = Attempt(
                offer=offer,
                radio=radio,
                binder=self._binder,
                offers=self._offers,
                save_identity=self._save_identity,
                reporter=self,
                settings=self._settings,
                dev_log=self._dev_log,
                journal=Journal(method=offer.peer.method),
            )
            self._attempt_task = asyncio.create_task(
                attempt.run(), name=f"qiot attempt {self.events.attempt}"
            )
            try:
                await self._attempt_task
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
                self._step = attempt.step
                self._attempt = self._attempt_task = None

    def _superseding(self) -> Offer | None:
        newer, self._newer = self._newer, None
        return newer

    async def _go_back(self, attempt: Attempt, radio: Radio, doors: Doors) -> None:
        """Undo a failed attempt, listen again, and tell the phone why as soon as it can be told."""
        offer = attempt.offer
        self._active = self._offers.active = None
        self._last_failure = attempt.failure
        if attempt.failure is not None:
            self._errors.note(attempt.failure, offer.peer.method)
        await radio.settle(keep=False)
        await self._listen(doors)
        self._last_try = (offer, asyncio.get_running_loop().time())
        # Where the access point went away the phone may not be back yet: whoever speaks first is told again.
        medium_stayed = radio.keeps_access_point or not doors.turn.access_point
        lines = self._errors.take(offer.peer) if medium_stayed else self._errors.peek(offer.peer)
        await self._listeners.tell(Answer("errors", offer.peer, lines))

    async def _reached(self, step: Step, link: CloudLink | None, method: str) -> SessionResult:
        self._step = step
        log.info("WIFI_MQTT_CONNECT_SUCCESS" if link is not None else "WIFI_CONNECT_SUCCESS")
        await self._errors.settle()
        await self.report(step, Outcome.OK, peer=self._active.peer if self._active else None)
        if step is Step.BOUND:
            log.info("Device bind success!")
        reserved = self._active.reserved if self._active else b""
        return SessionResult(step, link=link, method=method, reserved=reserved)

    async def _resume(self, radio: Radio) -> CloudLink | None:
        """Join the stored network and connect, as after a reboot; None where only a phone can help."""
        pause = self._settings.back_off
        while True:
            try:
                self._step = Step.JOINING
                await self.report(Step.JOINING, Outcome.STARTED)
                ip = await radio.wifi.rejoin(self._settings.join_timeout)
                log.info(f"wifi_sta_connect success, IP:{ip.address}")
                await self.report(Step.JOINING, Outcome.OK, ip=ip.address)
                if self._binder is None or not self._binder.registered:
                    return None
                self._step = Step.CONNECTING
                await self.report(Step.CONNECTING, Outcome.STARTED)
                link = await self._binder.connect()
            except (HalError, CloudError) as error:
                self._last_failure = failure = error.failure(self._step)
                log.warning(f"{failure}")
                await self.report(self._step, Outcome.FAILED, failure=failure)
                if _needs_phone(error):
                    self._step = Step.IDLE
                    return None
                await asyncio.sleep(pause)
                pause = min(pause * 2, 30.0)
            else:
                self.events.emit(Step.CONNECTING, Outcome.OK)
                return link

    async def _fail(self, failure: Failure) -> SessionResult:
        self._step = Step.FAILED
        self.failure = failure
        log.error(str(failure))
        self._errors.note(failure, self._active.peer.method if self._active else self._methods[0].name)
        await self._errors.save()
        if self._active is not None:
            peer = self._active.peer
            await self._listeners.tell(Answer("errors", peer, self._errors.take(peer)))
        await self.report(Step.FAILED, Outcome.FAILED, failure=failure)
        await self.close()
        return SessionResult(Step.FAILED, failure)

    def _timed_out(self) -> Failure:
        """What to say when the total time-out is over: the last real cause, where there was one."""
        if self._last_failure is not None and self.step is Step.LISTENING:
            return self._last_failure
        before = f"; before that: {self._last_failure.reason}" if self._last_failure else ""
        seen = f"; last heard: {self._seen[0].text}" if self._seen and self.step is Step.LISTENING else ""
        return Failure(
            self.step, Reason.TIMEOUT, text=f"no success within {self._settings.timeout:g} s{before}{seen}"
        )

    def _hears_phone(self, now: float) -> bool:
        return self._seen is not None and self._seen[0].weight > 0 and now - self._seen[1] < _PROGRESS

    # --- what comes in ----------------------------------------------------------------------------------

    async def _on_heard(self, listener: Listener, heard: Heard) -> None:
        if self._doors is not None and isinstance(heard, Offer | Ask | Refused):
            await self._doors.heard(heard.peer)
        match heard:
            case Offer():
                await self._on_offer(heard)
            case Ask(what="errors", peer=peer):
                await self._listeners.answer(listener, Answer("errors", peer, self._errors.take(peer)))
            case Ask(what="log", peer=peer):
                await self._listeners.answer(listener, Answer("log", peer, self._dev_log.lines()))
            case Refused(peer=peer, failure=failure):
                log.warning(f"message from <{peer.address}> refused: {failure.text or failure.reason}")
                self._errors.note(failure, peer.method, peer)
                self.events.emit(Step.LISTENING, Outcome.PROGRESS, peer=peer, failure=failure)
            case Seen(text=text):
                log.info(text)
                self._note_seen(heard)
            case _:
                log.warning(f"a listener asked for something this session does not have: {heard}")

    def _note_seen(self, seen: Seen) -> None:
        """What is in the air is worth an event; a message that nobody has to answer is not."""
        if seen.channel is None and not seen.weight:
            return
        self._seen = (seen, asyncio.get_running_loop().time())
        where = 0 if seen.channel is None else seen.channel
        self.events.emit(
            Step.LISTENING, Outcome.PROGRESS, weight=round(seen.weight, 2), channel=where, text=seen.text
        )

    async def _on_offer(self, offer: Offer) -> None:
        peer, active = offer.peer, self._active
        if active is not None and offer == active:
            if offer.link is not None and offer.link is not active.link:
                await offer.link.close()
            if self._answered is active:
                await self._answer(peer, again=True)
            return
        if offer.credentials is None and offer.reached is Step.LISTENING:
            if offer.grant is not None:
                await self._offers.keep_grant(offer.grant, peer)
            await self._answer(peer, again=False)
        elif active is not None and active.peer == peer and self._attempt_task is not None:
            cancelled_before, self._newer = self._newer is not None, offer
            if not cancelled_before:
                self._attempt_task.cancel()
        elif active is None and self._is_echo(offer):
            await self._listeners.tell(Answer("errors", peer, self._errors.take(peer)))
        else:
            await self._offers.add(offer)

    def _is_echo(self, offer: Offer) -> bool:
        """True for an equal offer that was on its way while its try failed."""
        if self._last_try is None or self._last_failure is None:
            return False
        tried, ended = self._last_try
        if tried != offer or asyncio.get_running_loop().time() - ended > _RESEND:
            return False
        self._errors.note(self._last_failure, offer.peer.method)
        return True

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
        await self._listeners.tell(self.events.emit(step, outcome, peer=peer, failure=failure, **detail))

    async def accept(self, peer: Peer, *, barrier: bool) -> None:
        """Answer the offer that is being tried: errors of earlier runs first, then the acceptance."""
        again = self._answered is self._active
        self._answered = self._active
        await self._answer(peer, again=again)
        if barrier:
            await self._listeners.drain(self._settings.barrier)

    async def after_join(self) -> None:
        """Open the doors at which a joined device is spoken to."""
        if self._doors is not None:
            address = self._attempt.address if self._attempt is not None else ""
            await self._doors.open_after_join(self._active, address)

    async def _answer(self, peer: Peer, *, again: bool) -> None:
        lines = self._errors.take(peer)
        if lines:
            await self._listeners.tell(Answer("errors", peer, lines))
        await self.report(Step.LISTENING, Outcome.OK, peer=peer, again=again)


def _needs_phone(error: HalError | CloudError) -> bool:
    """True where trying the stored network again cannot help; what was stored may be damaged, too."""
    if isinstance(error, CloudError):
        return error.permanent
    if isinstance(error, JoinError):
        return error.reason in (Reason.NO_SAVED_NETWORK, Reason.WRONG_PASSWORD)
    return True


async def _tried(what: str, action: Awaitable[None]) -> None:
    """Carry on with closing, whatever one part of it does."""
    try:
        await action
    except HalError as error:
        log.warning(f"{what}: {error}")
    except Exception:
        log.exception(what)
