"""Reports to the cloud and its replies (mqtt.md, "Device Event Reporting to Cloud").

A report is `{"id", "ts", "code", "data", "ack"}`; a reply `{"res", "msg", "id", "ts", "code", "data"}`, and
`res` 0 is success. A reply counts only with the id and the code of the report. The cloud ignores an id that
it has seen lately, so that a report that is sent again gets a new one.
"""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Callable, Mapping
from typing import Any, Final

import attrs

from qiot.cloud.waiting import reply_or_lost
from qiot.errors import CloudError
from qiot.log import get_logger
from qiot.masking import mask
from qiot.model import CloudLink, Message, Reason

__all__ = ["BINDING", "REGISTERING", "Reasons", "Reports", "status_text"]

log = get_logger()

_ROUNDS: Final = 3
_QOS: Final = 1
_ID_TAIL: Final = 10**6
_TEXT_MAX: Final = 80

_STATUS: Final[Mapping[int, tuple[str, str]]] = {
    1001: ("service exception", "Try again later: the cloud has a fault of its own."),
    1002: ("invalid parameter", "Start again from the phone: what it sent is not of this cloud."),
    1003: ("message format error", "Report this as a fault of qiot, with the log."),
    1004: ("device does not exist", "Check deviceName (the uuid) and deviceSecret in device_info.json."),
    1005: ("product does not exist", "Check productId in device_info.json."),
    1006: ("service not activated", "Activate the product's service in the vendor's console."),
    17032: ("device is bound", "Unbind the device in its owner's app first."),
}
"""The vendor's numbers (mqtt.md, "Status Codes"), and what to do about each."""


def status_text(res: int) -> str:
    """What a status number means; empty where it is not in the vendor's table."""
    return _STATUS.get(res, ("", ""))[0]


@attrs.frozen
class Reasons:
    """What it is called when a report does not get its yes.

    Attributes:
        refused: `res` is not 0.
        malformed: The reply is not JSON, or has no `res`.
        silent: The cloud has the report and does not reply.
        unsent: The cloud did not acknowledge the report.
    """

    refused: Reason
    malformed: Reason
    silent: Reason
    unsent: Reason


BINDING: Final = Reasons(
    Reason.TOKEN_REFUSED, Reason.TOKEN_MALFORMED, Reason.TOKEN_NO_REPLY, Reason.TOKEN_SEND
)
REGISTERING: Final = Reasons(
    Reason.REGISTRATION_REFUSED, Reason.CLOUD_MALFORMED, Reason.CLOUD_TIMEOUT, Reason.CLOUD_TIMEOUT
)


class Reports:
    """Reports on one topic, replies on another. `open` it before the first report.

    Args:
        link: The open connection; it stays open.
        topic: Where reports go.
        reply_topic: Where replies come.
        reply_timeout: Seconds that a round waits for the reply once the cloud has the report.
        clock: UTC seconds.
        chance: Source of ids.
    """

    def __init__(
        self,
        link: CloudLink,
        topic: str,
        reply_topic: str,
        *,
        reply_timeout: float,
        clock: Callable[[], float],
        chance: random.Random,
    ) -> None:
        self.link = link
        self._topic = topic
        self._reply_topic = reply_topic
        self._reply_timeout = reply_timeout
        self._clock = clock
        self._chance = chance
        self._asked: _Asked | None = None

    async def open(self) -> None:
        """Subscribe to the replies.

        Raises:
            CloudError: MQTT_SUBSCRIBE, MQTT_LOST or CLOUD_TIMEOUT.
        """
        await self.link.subscribe(self._reply_topic, self._take, qos=_QOS)

    async def tell(self, code: str, data: Mapping[str, Any], *, ack: int = 0) -> None:
        """Report without waiting for a reply.

        Raises:
            CloudError: MQTT_LOST or CLOUD_TIMEOUT.
        """
        await self._publish(self._new_id(), code, data, ack)

    async def ask(self, code: str, data: Mapping[str, Any], reasons: Reasons) -> Mapping[str, Any]:
        """Report and wait for the cloud's yes; three rounds at most.

        Returns:
            The reply, with its `id`.

        Raises:
            CloudError: As `reasons` says (refused: `code` is the cloud's `res`, permanent), or MQTT_LOST.
        """
        asked = self._asked = _Asked(code, asyncio.get_running_loop().create_future())
        try:
            for number in range(1, _ROUNDS + 1):
                if (reply := await self._round(asked, data, reasons)) is not None:
                    return _agreed(reply, code, reasons)
                log.warning(f"no reply to {code} in round {number} of {_ROUNDS}")
        finally:
            self._asked = None
        raise asked.silence(reasons)

    async def _round(
        self, asked: _Asked, data: Mapping[str, Any], reasons: Reasons
    ) -> Mapping[str, Any] | None:
        message_id = self._new_id()
        asked.ids.add(message_id)
        timeout = self._reply_timeout
        try:
            await self._publish(message_id, asked.code, data, 1)
        except CloudError as error:
            if error.reason is not Reason.CLOUD_TIMEOUT:
                raise
            log.warning(f"{error}")
            timeout = 0  # it may have answered all the same
        else:
            asked.delivered = True
        reply = await reply_or_lost(self.link, asked.reply, timeout)
        if reply is not None and type(reply.get("res")) is not int:
            raise CloudError(f"the reply to {asked.code} has no res", reason=reasons.malformed)
        return reply

    async def _publish(self, message_id: str, code: str, data: Mapping[str, Any], ack: int) -> None:
        ts = int(self._clock())
        message = {"id": message_id, "ts": ts, "code": code, "data": data, "ack": ack}
        payload = json.dumps(message, separators=(",", ":"))
        shown = json.dumps(message | {"data": {**data, "assetId": "***"}}) if "assetId" in data else payload
        log.info(f"publish topic={self._topic}|payload={mask(shown)}")
        await self.link.publish(self._topic, payload.encode(), qos=_QOS)

    def _new_id(self) -> str:
        """Nineteen digits, as the vendor's own ids have: milliseconds, and chance against repetition."""
        return f"{int(self._clock() * 1000):013d}{self._chance.randrange(_ID_TAIL):06d}"

    def _take(self, message: Message) -> None:
        text = message.payload.decode(errors="replace")
        log.info(f"Receive Message With topicName:{message.topic}, payload:{mask(text)}")
        try:
            reply = json.loads(text)
        except (ValueError, RecursionError):
            reply = None
        asked = self._asked
        if asked is None or asked.reply.done():
            return
        if not isinstance(reply, dict):
            asked.garbled = True
            log.warning(f"a message on {message.topic} is not a JSON object")
        elif asked.fits(reply):
            asked.reply.set_result(reply)


@attrs.define
class _Asked:
    """The report that waits for its reply."""

    code: str
    reply: asyncio.Future[Mapping[str, Any]]
    ids: set[str] = attrs.field(factory=set)
    delivered: bool = False
    garbled: bool = False

    def fits(self, reply: Mapping[str, Any]) -> bool:
        """True for a reply to any round of this report."""
        message_id = reply.get("id")
        return isinstance(message_id, str) and message_id in self.ids and reply.get("code") == self.code

    def silence(self, reasons: Reasons) -> CloudError:
        """What it means that no round had a reply."""
        if self.garbled:
            return CloudError(f"the reply to {self.code} is not JSON", reason=reasons.malformed)
        if self.delivered:
            return CloudError(f"the cloud has the {self.code} and does not reply", reason=reasons.silent)
        return CloudError(f"the cloud did not acknowledge the {self.code}", reason=reasons.unsent)


def _agreed(reply: Mapping[str, Any], code: str, reasons: Reasons) -> Mapping[str, Any]:
    res = reply["res"]
    log.info(f"{code} reply res = {res}")
    if res == 0:
        return reply
    known, hint = _STATUS.get(res, ("", ""))
    why = known or str(reply.get("msg") or "no reason given")[:_TEXT_MAX]
    raise CloudError(
        f"the cloud refused {code}: {why}", reason=reasons.refused, code=res, hint=hint, permanent=True
    )
