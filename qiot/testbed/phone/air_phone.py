"""A phone that provisions a device through the air: it sends, waits for the acknowledgement, gives the token.

The device's address is that of the acknowledgement's header, whatever its body says.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Final

import attrs

from qiot.errors import ProtocolError, QiotError
from qiot.model import Reason, Secret
from qiot.protocols.air.casts import Encoder
from qiot.testbed.phone.air import AirSender, Sink, open_udp_sink
from qiot.testbed.phone.app_api import AppApi
from qiot.testbed.phone.attempt import OnEvent, Teller, secret, why_failed
from qiot.testbed.phone.soft_ap import PhoneResult, TokenPhone
from qiot.testbed.phone.udp import PhoneSocket, open_ear

__all__ = ["AckRules", "Acknowledged", "AirPhone", "AirResult"]

TOKEN_PORT: Final = 8266
_TOLD_EVERY: Final = 5.0
"""Seconds between two reports of how much was sent."""
_NO_ANSWER: Final = (
    "Check that the device listens, that the network is on 2.4 GHz and 20 MHz wide, that the router passes "
    "broadcasts on and does not isolate its clients, and that the password is right."
)


@attrs.frozen
class Acknowledged:
    """What a device's acknowledgement says.

    Attributes:
        mac: The device's MAC address, six octets, or None.
        ip: The device's IPv4 address by its own word, or None; a hint only.
    """

    mac: bytes | None = None
    ip: str | None = None


@attrs.frozen
class AckRules:
    """How a protocol's device says that it has joined, and what the phone says to that.

    Attributes:
        ports: UDP ports; the phone listens on the first free one.
        check: Reads a datagram; raises ProtocolError where it is no answer to this phone.
        answers: Datagrams for the device, each with its UDP port.
        patience: Seconds that are listened after the last datagram.
        fill: The octet that payloads are full of.
    """

    ports: Sequence[int]
    check: Callable[[bytes], Acknowledged]
    answers: Callable[[Acknowledged], Sequence[tuple[bytes, int]]] = lambda _: ()
    patience: float = 15.0
    fill: int = 0


@attrs.frozen
class AirResult:
    """How it ended.

    Attributes:
        device: The device's IPv4 address; empty where no acknowledgement came.
        mac: Its MAC address as it said it, or None.
        token: What became of the token; as at first where there was none to give.
        error: What went wrong, empty where nothing did.
    """

    device: str = ""
    mac: bytes | None = None
    token: PhoneResult = attrs.field(factory=PhoneResult)
    error: str = ""


@attrs.define
class AirPhone:
    """Send one set of credentials through the air until a device acknowledges, then give it the token.

    Attributes:
        encoder: Makes the encoder; gets the UDP port that was free, which ESP-TOUCH v2 tells the device.
        rules: How the device answers.
        host: The IPv4 address to send from; empty for the default route's.
        sink: Sends instead of a UDP socket, as in a simulated air.
        token: The token; None to ask the application's API for one.
        app_url: URL of the application's API; None to end with the device's answer. Without it and without a
            token, all ends with the acknowledgement.
        on_event: Is told every step.
        family: Family to bind the device to.
        room: Room in it.
        timeout: Seconds for everything, or None for the protocol's own limits only.
        token_port: The device's command port.
        poll_interval: Seconds between two polls.
        hidden: What must not be shown.
    """

    encoder: Callable[[int], Encoder]
    rules: AckRules
    host: str = attrs.field(default="", kw_only=True)
    sink: Sink | None = attrs.field(default=None, kw_only=True)
    token: Secret | None = attrs.field(
        default=None, kw_only=True, converter=attrs.converters.optional(secret)
    )
    app_url: str | None = attrs.field(default=None, kw_only=True)
    on_event: OnEvent | None = attrs.field(default=None, kw_only=True)
    family: str = attrs.field(default="default", kw_only=True)
    room: str = attrs.field(default="0", kw_only=True)
    timeout: float | None = attrs.field(default=None, kw_only=True)
    token_port: int = attrs.field(default=TOKEN_PORT, kw_only=True)
    poll_interval: float = attrs.field(default=2.0, kw_only=True)
    hidden: Sequence[Secret] = attrs.field(default=(), kw_only=True)

    async def run(self) -> AirResult:
        """Do it once. Cancelling leaves nothing behind.

        Raises:
            ConfigurationError: The application's URL is no URL.
        """
        if self.app_url is not None:
            AppApi(self.app_url)
        clock = asyncio.get_running_loop().time
        end = None if self.timeout is None else clock() + self.timeout
        run = _Run(self)
        error = await why_failed(run.attempt(), self.timeout, run.teller, run.unanswered)
        result = attrs.evolve(run.result, error=error)
        if error:
            return result
        if self.token is None and self.app_url is None:
            run.teller.tell("acked", device=result.device)
            return result
        phone = TokenPhone(
            result.device,
            self.token_port,
            token=self.token,
            app_url=self.app_url,
            on_event=self.on_event,
            family=self.family,
            room=self.room,
            timeout=None if end is None else max(0.0, end - clock()),
            poll_interval=self.poll_interval,
        )
        given = await phone.run()
        return attrs.evolve(result, token=given, error=given.error)


class _Run:
    """Sending until the acknowledgement."""

    def __init__(self, phone: AirPhone) -> None:
        self.result = AirResult()
        self.teller = Teller(phone.on_event)
        for each in (*phone.hidden, *([] if phone.token is None else [phone.token])):
            self.teller.hide(each)
        self._phone = phone
        self._sender: AirSender | None = None

    def unanswered(self) -> tuple[str, str]:
        """What was waited for in vain, and what to do."""
        sent = 0 if self._sender is None else self._sender.sent
        return f"no device has acknowledged after {sent} datagrams", _NO_ANSWER

    async def attempt(self) -> None:
        """Send, and listen.

        Raises:
            QiotError: What went wrong.
        """
        phone, rules = self._phone, self._phone.rules
        async with open_ear(phone.host, rules.ports) as ear:
            encoder = phone.encoder(ear.local_port)
            self.teller.tell("listening", port=ear.local_port)
            if phone.sink is not None:
                await self._until_acknowledged(encoder, phone.sink, ear)
                return
            async with open_udp_sink(phone.host, fill=rules.fill) as sink:
                await self._until_acknowledged(encoder, sink, ear)

    async def _until_acknowledged(self, encoder: Encoder, sink: Sink, ear: PhoneSocket) -> None:
        sender = AirSender(encoder.casts(), sink, on_part=lambda part: self.teller.tell("sending", part=part))
        self._sender = sender
        failure: BaseException | None = None
        try:
            async with asyncio.TaskGroup() as group:
                sending = group.create_task(self._send(sender))
                await self._listen(sender, ear)
                sending.cancel()
        except* QiotError as errors:
            failure = errors.exceptions[0]
        if failure is not None:
            raise failure

    async def _send(self, sender: AirSender) -> None:
        await sender.run()
        await asyncio.sleep(self._phone.rules.patience)
        text, hint = self.unanswered()
        raise ProtocolError(text, reason=Reason.TIMEOUT, hint=hint)

    async def _listen(self, sender: AirSender, ear: PhoneSocket) -> None:
        while True:
            try:
                async with asyncio.timeout(_TOLD_EVERY):
                    heard = await ear.receive()
            except TimeoutError:
                self.teller.tell("sending", datagrams=sender.sent)
                continue
            if isinstance(heard, OSError):
                self.teller.tell("error", source="network", text=str(heard))
                continue
            data, source = heard
            try:
                said = self._phone.rules.check(data)
            except ProtocolError as error:
                self.teller.tell("ignored", text=str(error), sender=source)
                continue
            self._acknowledged(said, source, ear)
            return

    def _acknowledged(self, said: Acknowledged, source: str, ear: PhoneSocket) -> None:
        device = source.rpartition(":")[0]
        facts = {} if said.mac is None else {"mac": said.mac.hex(":")}
        if said.ip is not None:
            facts["ip"] = said.ip
        self.teller.tell("ack", sender=source, **facts)
        for data, port in self._phone.rules.answers(said):
            ear.send_to(data, (device, port))
        self.result = AirResult(device, said.mac)
