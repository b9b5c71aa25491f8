"""The device's properties, on the connection that bound it (contract sections 12 and 13).

The service topic of the bind and the property topics of the thing model share one connection, so that nothing
has to wait for the platform's limit of one connection request per 5 s.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, Self

from qiot.cloud.waiting import reply_or_lost
from qiot.device_info import DeviceInfo
from qiot.errors import CloudError, ConfigurationError
from qiot.log import get_logger
from qiot.masking import mask
from qiot.model import CloudLink, Message, Reason

__all__ = ["ControlHandler", "Thing"]

log = get_logger()

ControlHandler = Callable[[Mapping[str, Any]], Awaitable[int]]
"""Carries out a `control` and gives the code for the reply: 0 for done, any other for refused."""

_CONTROLS_MAX: Final = 16
_HANDLER_FAILED: Final = 1


async def _refuse(params: Mapping[str, Any]) -> int:
    log.warning(f"nobody handles control of {', '.join(map(str, params))}"[:200])
    return _HANDLER_FAILED


class Thing:
    """Reports properties, asks for them, and carries out what the cloud wants of them.

    Use it as an asynchronous context manager: entering subscribes, leaving ends its own task. The connection
    stays open; it is the caller's.

    Args:
        link: The open connection.
        info: Who this device is.
        on_control: Carries out `control` messages, one after the other in the order they came.
        reply_timeout: Seconds to wait for a reply.
    """

    def __init__(
        self,
        link: CloudLink,
        info: DeviceInfo,
        *,
        on_control: ControlHandler = _refuse,
        reply_timeout: float = 5.0,
    ) -> None:
        address = f"{info.product_id}/{info.device_name}"
        self._up = f"$thing/up/property/{address}"
        self._down = f"$thing/down/property/{address}"
        self._link = link
        self._product_id = info.product_id
        self.on_control = on_control
        self._reply_timeout = reply_timeout
        self._count = 0
        self._waiting: dict[tuple[str, str], asyncio.Future[Mapping[str, Any]]] = {}
        self._controls: asyncio.Queue[Mapping[str, Any]] = asyncio.Queue(_CONTROLS_MAX)
        self._worker: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        """Subscribe.

        Raises:
            CloudError: MQTT_SUBSCRIBE, MQTT_LOST or CLOUD_TIMEOUT.
        """
        await self._link.subscribe(self._down, self._take)
        self._worker = asyncio.create_task(self._carry_out(), name="qiot control")
        return self

    async def __aexit__(self, *_: object) -> None:
        worker, self._worker = self._worker, None
        if worker is not None:
            worker.cancel()
            await asyncio.gather(worker, return_exceptions=True)

    async def get_status(self) -> Mapping[str, Any]:
        """What the cloud has as reported last; empty for a new device.

        Raises:
            CloudError: CLOUD_TIMEOUT, CLOUD_MALFORMED (code: the cloud's), MQTT_LOST.
        """
        reply = await self._ask("get_status")
        data = reply.get("data")
        reported = data.get("reported") if isinstance(data, dict) else None
        return reported if isinstance(reported, dict) else {}

    async def report(self, params: Mapping[str, Any]) -> None:
        """Report properties; return when the cloud has taken them.

        Args:
            params: Values by property name, as the product's thing model has them.

        Raises:
            CloudError: CLOUD_TIMEOUT, CLOUD_MALFORMED (code: the cloud's), MQTT_LOST.
        """
        await self._ask("report", params)

    async def _ask(self, method: str, params: Mapping[str, Any] | None = None) -> Mapping[str, Any]:
        if self._worker is None:
            raise ConfigurationError("this Thing is not subscribed", hint="Use it in `async with`.")
        self._count += 1
        client_token = f"{self._product_id}-{self._count}"
        rest = "" if params is None else f', "params":{json.dumps(params)}'
        payload = f'{{"method":"{method}", "clientToken":{json.dumps(client_token)}{rest}}}'
        key = (f"{method}_reply", client_token)
        reply: asyncio.Future[Mapping[str, Any]] = asyncio.get_running_loop().create_future()
        self._waiting[key] = reply
        try:
            await self._publish(payload)
            answer = await reply_or_lost(self._link, reply, self._reply_timeout)
        finally:
            del self._waiting[key]
        if answer is None:
            raise CloudError(f"no reply to {method} in time", reason=Reason.CLOUD_TIMEOUT)
        code = answer.get("code")
        if type(code) is not int or code != 0:
            text = f"the cloud refused {method}: {str(answer.get('status') or 'no reason given')[:80]}"
            raise CloudError(text, code=code if type(code) is int else None)
        return answer

    async def _publish(self, payload: str) -> None:
        log.info(f"publish topic={self._up}|payload={mask(payload)}")
        await self._link.publish(self._up, payload.encode())

    def _take(self, message: Message) -> None:
        text = message.payload.decode(errors="replace")
        log.info(f"Receive Message With topicName:{message.topic}, payload:{mask(text)}")
        try:
            received = json.loads(text)
        except (ValueError, RecursionError):
            received = None
        if not isinstance(received, dict):
            log.warning("the message is not a JSON object and was ignored")
            return
        method, client_token = received.get("method"), received.get("clientToken")
        if method == "control":
            self._enqueue(received)
        elif isinstance(method, str) and isinstance(client_token, str):
            reply = self._waiting.get((method, client_token))
            if reply is not None and not reply.done():
                reply.set_result(received)

    def _enqueue(self, received: Mapping[str, Any]) -> None:
        if not isinstance(received.get("params"), dict) or not isinstance(received.get("clientToken"), str):
            log.warning("control without params or clientToken was ignored")
            return
        try:
            self._controls.put_nowait(received)
        except asyncio.QueueFull:
            log.warning(f"control was ignored: {_CONTROLS_MAX} others are waiting")

    async def _carry_out(self) -> None:
        while True:
            control = await self._controls.get()
            try:
                code = await self.on_control(control["params"])
            except Exception:  # the application's fault: the cloud is told, the link goes on
                log.exception("control failed")
                code = _HANDLER_FAILED
            reply = {"method": "control_reply", "code": code, "clientToken": control["clientToken"]}
            try:
                await self._publish(json.dumps(reply))
            except CloudError as error:
                log.warning(f"control_reply was not sent: {error}")
