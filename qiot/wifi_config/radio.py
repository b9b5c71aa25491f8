"""The roles of the radio: who has the access point, and when the station may have it."""

from __future__ import annotations

from qiot.errors import HalError, JoinError, NotSupportedError
from qiot.hal.contract import Capabilities, Platform, SoftAp, SoftApSpec, Wifi
from qiot.log import get_logger
from qiot.model import Credentials, IpConfig, show_ssid
from qiot.wifi_config.plan import can_keep_access_point

__all__ = ["Radio"]

log = get_logger()


class Radio:
    """Access point and station, one after the other where the radio cannot do both.

    Args:
        platform: Where the ports come from.
        capabilities: What was probed.
        spec: The access point for provisioning.
    """

    def __init__(self, platform: Platform, capabilities: Capabilities, spec: SoftApSpec) -> None:
        self._platform = platform
        self._spec = spec
        self._up = False
        self._kept = False
        self._country = ""
        self.keeps_access_point = can_keep_access_point(capabilities)

    @property
    def wifi(self) -> Wifi:
        """The station.

        Raises:
            NotSupportedError: The platform has none.
        """
        return self._platform.port(Wifi)

    async def open_access_point(self) -> None:
        """Bring our access point up, where it is not."""
        if not self._up:
            await self._platform.port(SoftAp).start(self._spec)
            self._up = True
            log.info(f"start softAP success! SSID:{show_ssid(self._spec.ssid)} IP:{self._spec.address}")

    async def close_access_point(self) -> None:
        """Take it down. Idempotent."""
        if self._up:
            await self._platform.port(SoftAp).stop()
            self._up = False
            log.info("softAP stopped")

    async def set_country(self, code: str) -> HalError | None:
        """Keep to a country's radio rules from now on; what the platform says where it cannot.

        Args:
            code: Two letters, or "00".
        """
        code = code.upper()
        if code == self._country:
            return None
        try:
            await self.wifi.set_country(code)
        except HalError as error:
            log.warning(f"the country stays as it is: {error}")
            return error
        self._country = code
        log.info(f"radio rules of {code}")
        return None

    async def join(self, credentials: Credentials, timeout: float) -> IpConfig:
        """Join; on a radio that cannot do both, the access point goes first.

        Raises:
            JoinError: With its reason; the earlier network is back.
        """
        if not self.keeps_access_point:
            await self.close_access_point()
        try:
            return await self.wifi.join(credentials, timeout)
        except JoinError:
            raise
        except HalError as error:
            raise JoinError(str(error), reason=error.reason, code=error.code, hint=error.hint) from error

    async def settle(self, *, keep: bool) -> None:
        """Keep or undo the last join, where there is a station at all; what is kept is never undone."""
        try:
            wifi = self.wifi
        except NotSupportedError:
            return
        if keep or not self._kept:
            await wifi.settle(keep=keep)
            self._kept = keep
