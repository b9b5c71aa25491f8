"""Back after a reboot: into the stored network and to the cloud, without a phone."""

from __future__ import annotations

import asyncio
from typing import Final

import attrs

from qiot.cloud.binder import Binder
from qiot.errors import CloudError, HalError, JoinError
from qiot.log import get_logger
from qiot.model import CloudLink, Failure, Grant, Outcome, Reason, Step
from qiot.wifi_config.attempt import Reporter
from qiot.wifi_config.radio import Radio
from qiot.wifi_config.settings import Settings

__all__ = ["Resume"]

log = get_logger()

_PAUSE_MAX: Final = 30.0


@attrs.define
class Resume:
    """Tries until it is back, or until only a phone can help.

    Attributes:
        radio: Access point and station.
        binder: The cloud; None where there is none.
        known: Where the cloud is, and the country: the grant that bound the device.
        settings: Times.
        reporter: Whom to report to.
        step: Where it is; IDLE where only a phone can help.
        failure: Why the last try failed.
    """

    radio: Radio
    binder: Binder | None
    known: Grant | None
    settings: Settings
    reporter: Reporter
    step: Step = Step.JOINING
    failure: Failure | None = None

    async def run(self) -> CloudLink | None:
        """Join the stored network and connect; None where only a phone can help."""
        pause = self.settings.back_off
        while True:
            try:
                return await self._once()
            except (HalError, CloudError) as error:
                self.failure = failure = error.failure(self.step)
                log.warning(f"{failure}")
                await self.reporter.report(self.step, Outcome.FAILED, failure=failure)
                if _needs_phone(error):
                    self.step = Step.IDLE
                    return None
                await asyncio.sleep(pause)
                pause = min(pause * 2, _PAUSE_MAX)

    async def _once(self) -> CloudLink | None:
        self.step = Step.JOINING
        await self.reporter.report(Step.JOINING, Outcome.STARTED)
        country = self.known.params.get("country") if self.known is not None else None
        if country and (refusal := await self.radio.set_country(country)) is not None:
            failure = refusal.failure(Step.JOINING)
            await self.reporter.report(Step.JOINING, Outcome.PROGRESS, failure=failure)
        ip = await self.radio.wifi.rejoin(self.settings.join_timeout)
        log.info(f"wifi_sta_connect success, IP:{ip.address}")
        await self.reporter.report(Step.JOINING, Outcome.OK, ip=ip.address)
        if self.binder is None or not self.binder.registered:
            return None
        self.step = Step.CONNECTING
        await self.reporter.report(Step.CONNECTING, Outcome.STARTED)
        link = await self.binder.connect(self.known)
        try:
            await self.binder.resumed(link)
            await self.reporter.report(Step.CONNECTING, Outcome.OK)
        except BaseException:
            await link.close()
            raise
        return link


def _needs_phone(error: HalError | CloudError) -> bool:
    """True where trying the stored network again cannot help; what was stored may be damaged, too."""
    if isinstance(error, CloudError):
        return error.permanent
    if isinstance(error, JoinError):
        return error.reason in (Reason.NO_SAVED_NETWORK, Reason.WRONG_PASSWORD)
    return True
