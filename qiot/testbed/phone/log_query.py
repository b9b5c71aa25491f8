"""Collect a device's log after a failure (contract sections 4 and 7), as the mini program does."""

from __future__ import annotations

import asyncio
from typing import Final

import attrs

from qiot.errors import ProtocolError
from qiot.model import Reason
from qiot.protocols.lan.app_message_phone import log_request
from qiot.testbed.phone.attempt import OnEvent, Teller, why_failed
from qiot.testbed.phone.udp import PhoneSocket, open_socket

__all__ = ["LogPhone", "LogResult"]

COPIES: Final = 12
_PARTS_MAX: Final = 64


@attrs.frozen
class LogResult:
    """How it ended.

    Attributes:
        text: The log as it came; undecodable octets are replaced.
        error: What went wrong, empty where nothing did.
    """

    text: str = ""
    error: str = ""


@attrs.define
class LogPhone:
    """Ask for the log every 5 s, twelve times, 60 s together.

    A log may come in several datagrams, and all of it comes twice: it is complete with the first datagram
    that has come before, or after `quiet` seconds without another.

    Attributes:
        host: The device.
        port: Its log port, 9876, or its command port.
        on_event: Is told every step.
        timeout: Seconds for everything, or None.
        resend_interval: Seconds between two copies of the request.
        quiet: Seconds.
        local_port: The phone's own port; None for `port`, on loopback for any.
    """

    host: str
    port: int = 9876
    on_event: OnEvent | None = attrs.field(default=None, kw_only=True)
    timeout: float | None = attrs.field(default=None, kw_only=True)
    resend_interval: float = attrs.field(default=5.0, kw_only=True)
    quiet: float = attrs.field(default=1.0, kw_only=True)
    local_port: int | None = attrs.field(default=None, kw_only=True)

    async def run(self) -> LogResult:
        """Do it once. Cancelling leaves nothing behind."""
        teller = Teller(self.on_event)
        parts: list[bytes] = []
        error = await why_failed(self._collect(teller, parts), self.timeout, teller)
        return LogResult(b"".join(parts).decode(errors="replace"), error)

    async def _collect(self, teller: Teller, parts: list[bytes]) -> None:
        async with open_socket(self.host, self.port, self.local_port) as link:
            teller.tell("socket", localPort=link.local_port, device="{}:{}".format(*link.device))
            for copy in range(1, COPIES + 1):
                request = log_request()
                link.send(request)
                teller.tell("sent", copy=copy, octets=len(request))
                await self._receive(link, teller, parts)
                if parts:
                    return
        raise ProtocolError(
            "no log came",
            reason=Reason.TIMEOUT,
            hint="Check that the phone is in the device's log network; an empty log is not answered at all.",
        )

    async def _receive(self, link: PhoneSocket, teller: Teller, parts: list[bytes]) -> None:
        clock = asyncio.get_running_loop().time
        end = clock() + self.resend_interval
        while True:
            try:
                async with asyncio.timeout_at(end):
                    heard = await link.receive()
            except TimeoutError:
                return
            if isinstance(heard, OSError):
                teller.tell("error", source="network", text=str(heard))
                continue
            data, sender = heard
            if data in parts or len(parts) >= _PARTS_MAX:
                return
            if data:
                parts.append(data)
                teller.tell("log", text=data.decode(errors="replace"), sender=sender)
                end = clock() + self.quiet
