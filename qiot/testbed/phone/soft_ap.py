"""The phone's part of SoftAP and of token delivery, as the mini program does it (contract section 4).

Ask for a token, send it to the device until the device answers, poll the cloud until the device has handed it
in, then bind. An error of this attempt that the device reports ends it at any time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

import attrs

from qiot.errors import CloudError, ConfigurationError, ProtocolError, QiotError
from qiot.model import Reason, Secret
from qiot.protocols.lan.app_message_phone import (
    Aborted,
    Answered,
    AppMessagePhone,
    DeviceInfoReply,
    ErrorReply,
    GaveUp,
    Ignored,
    Noted,
    PhoneOutput,
    Reply,
    StateReport,
    Transmit,
    join_request,
    token_request,
)
from qiot.testbed.phone.app_api import TOKEN_USED, AppApi
from qiot.testbed.phone.attempt import OnEvent, Teller, secret, why_failed
from qiot.testbed.phone.udp import PhoneSocket, open_socket

__all__ = ["PhoneResult", "SoftApPhone", "TokenPhone"]

POLLS: Final = 20


@attrs.frozen
class PhoneResult:
    """How it ended.

    Attributes:
        bound: The cloud has bound the device.
        answered: The device has answered.
        product_id: What the device said, else empty.
        device_name: What the device said, else empty.
        error: What went wrong, empty where nothing did.
    """

    bound: bool = False
    answered: bool = False
    product_id: str = ""
    device_name: str = ""
    error: str = ""


@attrs.define
class TokenPhone:
    """Give a token to a device that is in the network already (`cmdType` 0).

    Attributes:
        host: The device.
        port: Its command port.
        token: The token; None to ask the application's API for one.
        app_url: URL of the application's API; None to end with the device's answer.
        on_event: Is told every step.
        family: Family to bind the device to.
        room: Room in it.
        timeout: Seconds for everything, or None for the mini program's own limits only.
        resend_interval: Seconds between two copies of the request.
        poll_interval: Seconds between two polls.
        local_port: The phone's own port; None for `port`, on loopback for any.
    """

    host: str
    port: int
    token: Secret | None = attrs.field(
        default=None, kw_only=True, converter=attrs.converters.optional(secret)
    )
    app_url: str | None = attrs.field(default=None, kw_only=True)
    on_event: OnEvent | None = attrs.field(default=None, kw_only=True)
    family: str = attrs.field(default="default", kw_only=True)
    room: str = attrs.field(default="0", kw_only=True)
    timeout: float | None = attrs.field(default=None, kw_only=True)
    resend_interval: float = attrs.field(default=2.0, kw_only=True)
    poll_interval: float = attrs.field(default=2.0, kw_only=True)
    local_port: int | None = attrs.field(default=None, kw_only=True)

    def request(self, token: Secret) -> bytes:
        """What goes to the device.

        Raises:
            ProtocolError: A field cannot be written in this protocol.
        """
        return token_request(token)

    def hidden(self) -> Sequence[Secret]:
        """What must not be shown, besides the token."""
        return ()

    async def run(self) -> PhoneResult:
        """Do it once. Cancelling leaves nothing behind.

        Raises:
            ConfigurationError: There is neither a token nor an API to ask for one, or its URL is no URL.
        """
        api = AppApi(self.app_url) if self.app_url is not None else None
        if api is None and self.token is None:
            raise ConfigurationError("no token", hint="Give a token, or the URL of an API that makes one.")
        run = _Run(self, api)
        error = await why_failed(run.attempt(), self.timeout, run.teller)
        return attrs.evolve(run.result, error=error)


@attrs.define
class SoftApPhone(TokenPhone):
    """Give a network's name and password and a token to a device whose access point the phone has joined.

    Attributes:
        ssid: The network's name, 1 to 32 octets as UTF-8.
        password: Its password; empty for an open network.
    """

    ssid: str
    password: Secret = attrs.field(converter=secret)

    def request(self, token: Secret) -> bytes:
        """The join request (`cmdType` 1).

        Raises:
            ProtocolError: The SSID is no text that UTF-8 can hold.
        """
        return join_request(self.ssid, self.password, token)

    def hidden(self) -> Sequence[Secret]:
        """The network's password."""
        return (self.password,)


class _Run:
    """One run of a phone."""

    def __init__(self, phone: TokenPhone, api: AppApi | None) -> None:
        self.result = PhoneResult()
        self.teller = Teller(phone.on_event)
        for each in phone.hidden():
            self.teller.hide(each)
        self._phone = phone
        self._api = api

    async def attempt(self) -> None:
        """All steps, in the mini program's order.

        Raises:
            QiotError: What went wrong.
        """
        token = await self._token()
        phone = self._phone
        machine = AppMessagePhone(phone.request(token), resend_interval=phone.resend_interval)
        async with open_socket(phone.host, phone.port, phone.local_port) as link:
            self.teller.tell("socket", localPort=link.local_port, device="{}:{}".format(*link.device))
            failure: BaseException | None = None
            try:
                async with asyncio.TaskGroup() as group:
                    answered = asyncio.get_running_loop().create_future()
                    listening = group.create_task(self._listen(link, machine, answered))
                    await self._bind(token, await answered)
                    listening.cancel()
            except* QiotError as errors:
                failure = errors.exceptions[0]
            if failure is not None:
                raise failure

    async def _token(self) -> Secret:
        token = self._phone.token
        if token is None:
            assert self._api is not None  # noqa: S101 - run() has checked it
            token = await self._api.create_token()
            self.teller.tell("token")
        self.teller.hide(token)
        return token

    async def _listen(
        self, link: PhoneSocket, machine: AppMessagePhone, answered: asyncio.Future[DeviceInfoReply]
    ) -> None:
        clock = asyncio.get_running_loop().time
        outputs, sender = machine.start(clock()), ""
        while True:
            for output in outputs:
                self._carry_out(output, link, sender, answered)
            outputs = ()
            try:
                async with asyncio.timeout_at(machine.deadline()):
                    heard = await link.receive()
            except TimeoutError:
                outputs = machine.tick(clock())
                continue
            if isinstance(heard, OSError):
                self.teller.tell("error", source="network", text=str(heard))
            else:
                data, sender = heard
                outputs = machine.feed(data, clock())

    def _carry_out(
        self, output: PhoneOutput, link: PhoneSocket, sender: str, answered: asyncio.Future[DeviceInfoReply]
    ) -> None:
        match output:
            case Transmit(data, number):
                link.send(data)
                self.teller.tell("sent", copy=number, octets=len(data))
            case Answered(reply):
                self._show(reply, sender)
                self.result = attrs.evolve(
                    self.result, answered=True, product_id=reply.product_id, device_name=reply.device_name
                )
                if not answered.done():  # a cancellation has come first
                    answered.set_result(reply)
            case Noted(reply):
                self._show(reply, sender)
            case Ignored(text):
                self.teller.tell("ignored", text=text, sender=sender)
            case Aborted(reply):
                self._show(reply, sender)
                raise ProtocolError(f"the device reports: {reply.text}", reason=Reason.METHOD_ENDED)
            case GaveUp(text):
                raise ProtocolError(
                    f"{text}: the device has not answered",
                    reason=Reason.TIMEOUT,
                    hint="Check that the phone is in the device's network and that the device listens.",
                )

    def _show(self, reply: Reply, sender: str) -> None:
        match reply:
            case ErrorReply(current, text):
                self.teller.tell("error", source="device", current=current, text=text, sender=sender)
            case DeviceInfoReply(product_id, device_name, proto_version):
                self.teller.tell(
                    "reply",
                    cmdType=2,
                    productId=product_id,
                    deviceName=device_name,
                    protoVersion=proto_version,
                    sender=sender,
                )
            case StateReport(product_id, device_name, state):
                self.teller.tell(
                    "reply",
                    cmdType=7,
                    productId=product_id,
                    deviceName=device_name,
                    wifiConfigState=state,
                    sender=sender,
                )
            case _:
                self.teller.tell("reply", cmdType=5, sender=sender)

    async def _bind(self, token: Secret, device: DeviceInfoReply) -> None:
        if self._api is None:
            self.teller.tell("answered", productId=device.product_id, deviceName=device.device_name)
            return
        if not device.product_id or not device.device_name:
            raise ProtocolError("the device's answer has no productId or no deviceName")
        await self._wait_until_used(self._api, token)
        await self._api.bind(
            token, device.product_id, device.device_name, self._phone.family, self._phone.room
        )
        self.result = attrs.evolve(self.result, bound=True)
        self.teller.tell("bound", productId=device.product_id, deviceName=device.device_name)

    async def _wait_until_used(self, api: AppApi, token: Secret) -> None:
        last = ""
        for count in range(1, POLLS + 1):
            if count > 1:
                await asyncio.sleep(self._phone.poll_interval)
            try:
                state = await api.token_state(token)
            except CloudError as error:
                # The phone has just changed networks: a poll may fail, and the next may not.
                last = str(error)
                self.teller.tell("poll", count=count, text=last)
                continue
            last = f"state {state}"
            self.teller.tell("poll", count=count, state=state)
            if state == TOKEN_USED:
                return
        raise CloudError(
            f"the device has not handed in the token after {POLLS} polls ({last})",
            reason=Reason.TOKEN_NO_REPLY,
        )
