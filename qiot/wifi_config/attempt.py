"""One attempt: from an offer to bound, step by step; `table.py` says where each result leads."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Protocol, TypeVar

import attrs

from qiot.cloud.binder import Binder, Journal
from qiot.device_info import DeviceInfo
from qiot.errors import CloudError, HalError, JoinError
from qiot.log import get_logger
from qiot.model import (
    CloudLink,
    Credentials,
    Failure,
    Grant,
    IpConfig,
    Offer,
    Outcome,
    Peer,
    Reason,
    Step,
    show_ssid,
)
from qiot.wifi_config.clue import describe_clue, resolve
from qiot.wifi_config.dev_log import DevLog
from qiot.wifi_config.offers import Offers
from qiot.wifi_config.radio import Radio
from qiot.wifi_config.settings import Settings
from qiot.wifi_config.table import Result, follow, step_after

__all__ = ["Attempt", "Reporter"]

log = get_logger()

_ResultT = TypeVar("_ResultT")


class Reporter(Protocol):
    """How an attempt reports; every listener is told before this returns."""

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

    async def accept(self, peer: Peer, *, barrier: bool) -> None:
        """Answer the peer's offer; with `barrier` return only when the copies are out."""
        ...

    async def after_join(self) -> None:
        """Open the doors at which a joined device is spoken to; `Attempt.address` says where it is."""
        ...


@attrs.define
class Attempt:
    """Takes one offer as far as it goes.

    Attributes:
        offer: What was offered.
        radio: Access point and station.
        binder: The cloud; None where the goal is to be joined.
        offers: Where grants come from.
        save_identity: Keeps what registration gave.
        reporter: Whom to report to.
        settings: Times and tries.
        dev_log: The log that a phone can fetch.
        journal: Times for the cloud.
        step: Where it is; BOUND, JOINED or LISTENING at the end.
        failure: Why it went back to listening.
        link: The connection, once there is one.
        address: The station's IPv4 address, once it has joined.
    """

    offer: Offer
    radio: Radio
    binder: Binder | None
    offers: Offers
    save_identity: Callable[[DeviceInfo], Awaitable[None]]
    reporter: Reporter
    settings: Settings
    dev_log: DevLog
    journal: Journal
    step: Step = Step.LISTENING
    failure: Failure | None = None
    link: CloudLink | None = None
    address: str = ""
    _grant: Grant | None = None
    _carried: Grant | None = None
    _losses: int = 0

    async def run(self) -> Step:
        """Go on until bound, joined or back at listening; a cancelled attempt closes its connection.

        Raises:
            StorageError: The identity could not be saved; going on would lose the device's secret.
        """
        actions = {
            Step.JOINING: self._join,
            Step.REGISTERING: self._register,
            Step.CONNECTING: self._connect,
            Step.AWAITING_GRANT: self._await_grant,
            Step.BINDING: self._bind,
        }
        self.journal.mark("start")
        self.step = step_after(self.offer.reached)
        self.link = self.offer.link
        self._carried = self.offer.grant
        try:
            if self.offer.reached is not Step.LISTENING and self.step is not Step.BOUND:
                await self.reporter.after_join()  # a chip has joined by itself
                if self._joined_is_enough:
                    self.step = Step.JOINED
            while (action := actions.get(self.step)) is not None:
                self.step = follow(self.step, await self._guarded(action))
        except BaseException:
            await self.drop_link()
            raise
        if self.step is Step.LISTENING:
            await self.drop_link()
        return self.step

    async def _guarded(self, action: Callable[[], Awaitable[Result]]) -> Result:
        try:
            return await action()
        except (CloudError, JoinError) as error:
            self.failure = error.failure(self.step)
            log.error(str(self.failure))
            await self._report(Outcome.FAILED, failure=self.failure)
            return Result.REFUSED

    async def _join(self) -> Result:
        credentials = self.offer.credentials
        if credentials is None or (credentials.ssid is None and credentials.clue is None):
            raise JoinError("the offer names no network", reason=Reason.NO_SUCH_AP)
        self.journal.mark("getSSID")
        shown = describe_clue(credentials)
        await self._set_country()
        self.dev_log.push(f"SSID:{shown}")
        if not self.radio.keeps_access_point:
            await self.reporter.accept(self.offer.peer, barrier=True)
        log.info(f"STA to connect SSID:{shown}")
        await self._report(Outcome.STARTED, ssid=shown)
        if credentials.ssid is None:
            credentials = await self._find_network(credentials)
            shown = show_ssid(credentials.ssid)
            log.info(f"the network that the phone did not name is {shown}")
        ssid = credentials.ssid or b""
        try:
            ip = await self._join_and_answer(credentials)
        except JoinError as error:
            self.dev_log.push(f"wifi_sta_connect failed: {error.reason}")
            raise
        self.journal.mark("wifiConnected")
        log.info(f"wifi_sta_connect success, IP:{ip.address}")
        self.address = ip.address
        await self.reporter.after_join()  # before any answer: the phone may speak there at once
        if self.radio.keeps_access_point:
            await self.reporter.accept(self.offer.peer, barrier=False)
        await self._report(
            Outcome.OK,
            ssid=shown,
            ip=ip.address,
            ssid_length=len(ssid),
            password_length=len(credentials.password),
        )
        return Result.ENOUGH if self._joined_is_enough else Result.OK

    async def _find_network(self, credentials: Credentials) -> Credentials:
        """Let a scan find the network that the phone did not name; who listened to the air has left it.

        Raises:
            JoinError: NO_SUCH_AP, with what is known of it.
        """
        try:
            networks = await self.radio.wifi.scan()
        except HalError as error:
            raise JoinError(str(error), reason=error.reason, code=error.code, hint=error.hint) from error
        found = resolve(credentials, networks)
        if found is None:
            described = describe_clue(credentials)
            raise JoinError(
                f"the phone names no network, only {described}; none of {len(networks)} in reach fits",
                reason=Reason.NO_SUCH_AP,
                hint="Let the app send the name (as for a hidden network), or move closer to the router.",
            )
        return found

    @property
    def grant(self) -> Grant | None:
        """The newest grant that is known of this offer's phone; it is not taken out."""
        return self.offers.newest(self.offer.peer) or self._carried or self._grant or self.offer.grant

    async def _set_country(self) -> None:
        """Keep to the radio rules of where the phone says it is, before anything is looked for."""
        country = self.grant.params.get("country") if self.grant is not None else None
        if country and (refusal := await self.radio.set_country(country)) is not None:
            # Worth a warning only: the network may be there under the rules that hold now.
            await self._report(Outcome.PROGRESS, failure=refusal.failure(self.step))

    @property
    def _joined_is_enough(self) -> bool:
        return self.settings.goal is Step.JOINED or self.binder is None

    async def _join_and_answer(self, credentials: Credentials) -> IpConfig:
        """Join; where the access point stays, the phone hears the truth, but within its patience."""
        if not self.radio.keeps_access_point:
            return await self.radio.join(credentials, self.settings.join_timeout)
        late = asyncio.create_task(self._answer_late(), name="qiot late answer")
        try:
            ip = await self.radio.join(credentials, self.settings.join_timeout)
        finally:
            late.cancel()
            await asyncio.gather(late, return_exceptions=True)
        return ip

    async def _answer_late(self) -> None:
        await asyncio.sleep(self.settings.answer_within)
        await self.reporter.accept(self.offer.peer, barrier=False)

    async def _register(self) -> Result:
        binder = self._cloud()
        log.info("device bind start")
        if not binder.registered:
            await self._report(Outcome.STARTED)
            identity = await self._tries(lambda: binder.register(self.grant))
            await self.save_identity(identity)
        await self._report(Outcome.OK)
        return Result.OK

    async def _connect(self) -> Result:
        await self.drop_link()
        self.journal.mark("mqttStart")
        await self._report(Outcome.STARTED)
        binder = self._cloud()
        try:
            self.link = await self._tries(lambda: binder.connect(self.grant))
        except CloudError as error:
            self.dev_log.push(f"WIFI_MQTT_CONNECT_FAILED: {error.reason}")
            raise
        self.journal.mark("mqttConnected")
        await self._report(Outcome.OK)
        return Result.ENOUGH if binder.grant == "none" else Result.OK

    async def _await_grant(self) -> Result:
        binder = self._cloud()
        if binder.grant == "minted" and self.failure is None:
            await self.offers.keep_grant(await binder.mint(), self.offer.peer)
        refused = self.failure is not None and not self.offers.has_grant(self.offer.peer)
        if refused and (self.offer.grant is not None or self.offers.waiting):
            return Result.TIMEOUT  # the next token comes with the next offer
        await self._report(Outcome.STARTED)
        link = self._open_link()
        grant = asyncio.create_task(self._next_grant(), name="qiot awaited grant")
        lost = asyncio.create_task(link.wait_lost(), name="qiot link watch")
        try:
            await asyncio.wait(
                {grant, lost}, timeout=self.settings.grant_timeout, return_when=asyncio.FIRST_COMPLETED
            )
            if grant.done():
                self._grant = grant.result()
                self.journal.mark("getToken")
                await self._report(Outcome.OK)
                return Result.OK
            if lost.done():
                return self._link_lost(lost.result())
        finally:
            grant.cancel()
            lost.cancel()
            await asyncio.gather(grant, lost, return_exceptions=True)
        self.failure = self.failure or Failure(
            Step.AWAITING_GRANT,
            Reason.GRANT_TIMEOUT,
            text=f"none within {self.settings.grant_timeout:g} s after the device was in the network",
        )
        log.error(str(self.failure))
        await self._report(Outcome.FAILED, failure=self.failure)
        return Result.TIMEOUT

    async def _next_grant(self) -> Grant:
        """This peer's newest, the one that came with the offer, or the next that may bind its network."""
        newest = self.offers.take_grant(self.offer.peer) or self._carried
        self._carried = None
        return newest or await self.offers.grant_for(self.offer.peer)

    async def _bind(self) -> Result:
        grant = self._grant
        if grant is None:
            raise CloudError("there is no grant to bind with", reason=Reason.INTERNAL)
        await self._report(Outcome.STARTED)
        try:
            detail = await self._cloud().bind(self._open_link(), grant, self.journal)
        except CloudError as error:
            if error.reason is not Reason.MQTT_LOST:
                raise
            result = self._link_lost(error.failure(Step.BINDING))
            self._carried = grant
            return result
        self.dev_log.push("WIFI_MQTT_CONNECT_SUCCESS")
        facts: dict[str, Any] = dict(detail)
        await self._report(Outcome.OK, **facts)
        return Result.OK

    def _link_lost(self, failure: Failure | None) -> Result:
        """Connect again, a few times in one attempt; a cloud that always hangs up has refused.

        Raises:
            CloudError: Lost too often.
        """
        self._losses += 1
        text = "the cloud closed the connection" if failure is None else failure.text
        if self._losses >= self.settings.tries:
            raise CloudError(f"{text}, {self._losses} times", reason=Reason.MQTT_LOST)
        log.warning(f"connection lost in step {self.step}: {text}; connecting again")
        return Result.LOST

    async def _tries(self, action: Callable[[], Awaitable[_ResultT]]) -> _ResultT:
        """Try again with a growing pause; what the cloud refused for good is not tried again."""
        pause = self.settings.back_off
        for left in reversed(range(self.settings.tries)):
            try:
                return await action()
            except CloudError as error:
                if error.permanent or not left:
                    raise
                log.warning(f"{error.failure(self.step)}; next try in {pause:g} s")
                await self._report(Outcome.RETRY, failure=error.failure(self.step))
            await asyncio.sleep(pause)
            pause *= 2
        raise AssertionError("tries is at least 1")

    async def _report(
        self, outcome: Outcome, *, failure: Failure | None = None, **detail: str | float | bool
    ) -> None:
        """Report what happened in the step that is at work; it concerns the peer that is tried."""
        await self.reporter.report(self.step, outcome, peer=self.offer.peer, failure=failure, **detail)

    async def drop_link(self) -> None:
        """Close the connection, where there is one."""
        link, self.link = self.link, None
        if link is not None:
            await link.close()

    def _cloud(self) -> Binder:
        if self.binder is None:
            raise CloudError("there is no cloud to bind to", reason=Reason.CONFIGURATION)
        return self.binder

    def _open_link(self) -> CloudLink:
        if self.link is None:
            raise CloudError("there is no connection", reason=Reason.INTERNAL)
        return self.link
