"""Methods that the module runs by itself, to the very end: it listens, joins, takes the token and binds."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from typing import ClassVar

from qiot.errors import HalError
from qiot.finishing import finish
from qiot.hal.contract import ChipSoftAp, ListenContext, Listener, SmartConfig, SoftApSpec
from qiot.model import CloudLink, Failure, Offer, Peer, Reason, Secret, Step
from qiot.protocols.base import Heard, News, Refused
from qiot_esp_at.failures import provisioning_failure
from qiot_esp_at.identity import Identity
from qiot_esp_at.modem import Modem, command

__all__ = ["ModuleMethod", "ModuleSmartConfig", "ModuleSoftAp"]

_START_LIMIT = 15.0
_CHANNELS = range(1, 14)
_SSID, _PASSWORD, _CHANNEL = "qcloud-softap", "12345678", 6


class ModuleMethod(Listener):
    """One method.

    Args:
        modem: The module.
        identity: Who it is to be.
        link: Gives the module's own connection to the cloud, once it has bound over it.
    """

    method: ClassVar[str]
    name: ClassVar[str]
    stop_command: ClassVar[str]

    def __init__(self, modem: Modem, identity: Identity, link: Callable[[], CloudLink]) -> None:
        self._modem = modem
        self._identity = identity
        self._link = link
        self._heard: deque[Heard | HalError] = deque()
        self._news = asyncio.Event()
        self._subscriptions = ExitStack()
        self._listening = self._is_bound = False
        self._refused: Failure | None = None

    def start_command(self, context: ListenContext) -> str:
        """The command that begins it."""
        raise NotImplementedError

    async def start(self, context: ListenContext) -> None:
        """Give the module its identity and let it listen."""
        if self._listening:
            raise HalError(f"{self.method} listens already", hint="Stop it before the next start.")
        self._listening = True
        try:
            await self._modem.open()
            await self._identity.give()
            self._heard.clear()
            self._refused, self._is_bound = None, False
            self._subscriptions.enter_context(self._modem.hearing(f"+{self.name}:", self._on_line))
            self._subscriptions.enter_context(self._modem.watching(self._put))
            self._again = self.start_command(context)
            await self._modem.say(self._again, result=True, timeout=_START_LIMIT)
        except BaseException:
            await self._end()
            raise

    async def read(self) -> Sequence[Heard]:
        """Wait for what the module says of it.

        Raises:
            HalError: After the module's five minutes, TIMEOUT where nobody came, else why the last try
                failed; or the module is gone or was reset.
        """
        if not self._listening:
            raise HalError(f"{self.method} does not listen")
        while not self._heard:
            self._news.clear()
            await self._news.wait()
            if not self._listening:
                raise HalError(f"{self.method} was stopped")
        heard = self._heard[0]
        if isinstance(heard, HalError):
            raise heard
        if isinstance(heard, Refused):
            await self._listen_again()
        return [self._heard.popleft()]  # type: ignore[list-item] # errors were raised

    async def tell(self, news: News) -> None:
        """Nothing: the module answers the phone by itself."""

    async def stop(self) -> None:
        """Let the module stop, where it has not come to its end."""
        if self._listening:
            await self._end()

    async def _end(self) -> None:
        self._listening = False
        self._news.set()
        self._subscriptions.close()
        if not self._is_bound:  # it has stopped by itself; firmware that reboots to stop would lose its link
            await finish(self._stop_module())

    async def _stop_module(self) -> None:
        with suppress(HalError):  # some firmware reboots instead of an answer, and a dead module has stopped
            await self._modem.stop(self.stop_command)

    async def _listen_again(self) -> None:
        """After a failure the phone may try again; firmware that still listens says so by an error."""
        with suppress(HalError):
            await self._modem.say(self._again, result=True, timeout=_START_LIMIT)

    def _on_line(self, line: str) -> None:
        peer = Peer(self.method, self._modem.device)
        if line.startswith("WIFI_CONNECT_SUCCESS"):
            self._is_bound = True
            self._put(Offer(peer, reached=Step.BOUND, link=self._link()))
        elif line.startswith("WIFI_CONNECT_FAILED"):
            self._refused = provisioning_failure(line.removeprefix("WIFI_CONNECT_FAILED"))
            self._put(Refused(peer, self._refused))
        elif line.startswith("FAIL"):
            self._put(self._out_of_time())

    def _out_of_time(self) -> HalError:
        """The module's five minutes are over; where a phone came, why that was not enough."""
        last = self._refused
        if last is None:
            return HalError("nobody provisioned the module in time", reason=Reason.TIMEOUT)
        return HalError(
            f"the module's time is over, and its last try failed: {last.text}",
            reason=last.reason,
            code=last.code,
            hint=last.hint,
        )

    def _put(self, heard: Heard | HalError) -> None:
        self._heard.append(heard)
        self._news.set()


class ModuleSmartConfig(ModuleMethod, SmartConfig):
    """ESP-TOUCH by the module."""

    method = "smart_config"
    name = "TCSTARTSMART"
    stop_command = "AT+TCSTOPSMART"

    def start_command(self, context: ListenContext) -> str:
        """AT+TCSTARTSMART."""
        del context
        return "AT+TCSTARTSMART"


class ModuleSoftAp(ModuleMethod, ChipSoftAp):
    """SoftAP by the module: 192.168.4.1, UDP 8266."""

    method = "soft_ap"
    name = "TCSAP"
    stop_command = "AT+TCSTOPSAP"

    def start_command(self, context: ListenContext) -> str:
        """AT+TCSAP with the context's access point, or with the C SDK's.

        Raises:
            HalError: CONFIGURATION: an access point of the module cannot be that.
        """
        options = context.options
        ssid, password = options.get("ssid", _SSID), options.get("password", _PASSWORD)
        channel = options.get("channel", str(_CHANNEL))
        if not channel.isdecimal() or int(channel) not in _CHANNELS:
            raise HalError(
                f"the module's access point has no channel {channel!r}",
                reason=Reason.CONFIGURATION,
                hint="Choose one from 1 to 13.",
            )
        SoftApSpec(ssid=ssid.encode(), password=Secret(password) if password else None).check()
        if not password:
            return command("TCSAP", ssid)
        return command("TCSAP", ssid, password, int(channel))
