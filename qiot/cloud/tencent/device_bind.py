"""Handing in the token over MQTT, and checking what the cloud says to it (contract section 10).

The C SDK takes any service message with a code for the reply, and takes no reply for success. Here a reply
counts only with the right method and one of this bind's client tokens, and only code 0 is success.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Mapping
from typing import Final

from qiot.cloud.binder import Journal
from qiot.cloud.waiting import reply_or_lost
from qiot.device_info import DeviceInfo
from qiot.errors import CloudError
from qiot.log import get_logger
from qiot.model import CloudLink, Message, Reason, Secret

__all__ = ["bind_device", "bind_message"]

log = get_logger()

_ROUNDS: Final = 3
_REPLY: Final = "app_bind_token_reply"

_PAIR_TYPES: Final[Mapping[str, str]] = {
    "soft_ap": "SoftAP",
    "smart_config": "SmartConfig",
    "airkiss": "AirKiss",
    "simple_config": "SimpleConfig",
    "bt_combo": "BLE Custom",
}
_PAIR_TIMES: Final = (
    "start",
    "getSSID",
    "wifiConnected",
    "getToken",
    "mqttStart",
    "mqttConnected",
    "tokenPublish",
)


async def bind_device(
    link: CloudLink,
    info: DeviceInfo,
    token: Secret,
    *,
    pair_time: Journal | None = None,
    reply_timeout: float = 10.0,
    clock: Callable[[], float] = time.time,
) -> None:
    """Publish the token and wait for the cloud's reply; three rounds at most.

    Args:
        link: An open connection; it stays open.
        info: Who is bound.
        token: What the phone got from the cloud.
        pair_time: Adds the `pairTime` of protocol version 3.0 (contract section 14).
        reply_timeout: Seconds that a round waits for the reply once the cloud has the token.
        clock: UTC seconds, for the client token.

    Raises:
        CloudError: TOKEN_SEND (never acknowledged), TOKEN_REFUSED (code: the cloud's; permanent),
            TOKEN_MALFORMED, TOKEN_NO_REPLY, MQTT_LOST, MQTT_SUBSCRIBE, and CLOUD_TIMEOUT without SUBACK.
    """
    try:
        text = token.text()
    except UnicodeDecodeError:
        raise CloudError("the token is not UTF-8", reason=Reason.TOKEN_SEND, permanent=True) from None
    address = f"{info.product_id}/{info.device_name}"
    replies = _Replies()
    await link.subscribe(f"$thing/down/service/{address}", replies.take)
    log.info("mqtt topic subscribe success")
    for number in range(1, _ROUNDS + 1):
        client_token = f"{info.device_name}-{int(clock() * 1000)}"
        replies.expect(client_token)
        if pair_time is not None:
            pair_time.mark("tokenPublish")
        payload = bind_message(client_token, text, pair_time)
        if await _round(link, f"$thing/up/service/{address}", payload, replies, reply_timeout=reply_timeout):
            return
        log.warning(f"no reply to the token in round {number} of {_ROUNDS}")
    raise replies.silence()


def bind_message(client_token: str, token: str, pair_time: Journal | None = None) -> bytes:
    """The message, as the C SDK writes it (with a blank behind "params"), but with the token escaped."""
    params = f'"token":{json.dumps(token)}'
    if pair_time is not None:
        times: dict[str, str | int] = {"type": _PAIR_TYPES.get(pair_time.method, pair_time.method)}
        times |= {name: pair_time.marks[name] for name in _PAIR_TIMES if name in pair_time.marks}
        params += f',"pairTime":{json.dumps(times, separators=(",", ":"))}'
    head = f'"method":"app_bind_token","clientToken":{json.dumps(client_token)}'
    return f'{{{head},"params": {{{params}}}}}'.encode()


async def _round(
    link: CloudLink, topic: str, payload: bytes, replies: _Replies, *, reply_timeout: float
) -> bool:
    """One publish and one wait; True where the cloud said yes."""
    try:
        packet_id = await link.publish(topic, payload, qos=1)
    except CloudError as error:
        if error.reason is not Reason.CLOUD_TIMEOUT:
            raise
        log.warning(f"{error}")
        reply_timeout = 0  # it may have answered all the same
    else:
        replies.delivered = True
        log.info(f"publish success, packet-id={packet_id}")
    code = await reply_or_lost(link, replies.code, reply_timeout)
    if code is None:
        return False
    log.info(f"token reply code = {code}")
    if code != 0:
        why = f"the cloud refused the token: {replies.status or 'no reason given'}"
        raise CloudError(why, reason=Reason.TOKEN_REFUSED, code=code, permanent=True)
    return True


class _Replies:
    """Finds the reply among what comes on the service topic."""

    def __init__(self) -> None:
        self.code: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self.status = ""
        self.delivered = False
        self._garbled = False
        self._expected: set[str] = set()

    def expect(self, client_token: str) -> None:
        """A round's client token; a late reply to an earlier round counts as well."""
        self._expected.add(client_token)

    def take(self, message: Message) -> None:
        """Look at one message of the service topic."""
        if self.code.done():
            return
        try:
            reply = json.loads(message.payload)
        except (ValueError, RecursionError):
            reply = None
        if not isinstance(reply, dict):
            self._garbled = True
            log.warning(f"a message on {message.topic} is not a JSON object")
        elif reply.get("method") != _REPLY or reply.get("clientToken") not in self._expected:
            log.debug(f"not the reply to the token: method {str(reply.get('method'))[:40]!r}")
        elif type(reply.get("code")) is not int:
            text = "the reply to the token has no code"
            self.code.set_exception(CloudError(text, reason=Reason.TOKEN_MALFORMED))
        else:
            self.status = str(reply.get("status") or "")[:80]
            self.code.set_result(reply["code"])

    def silence(self) -> CloudError:
        """What it means that no round had a reply."""
        if self._garbled:
            return CloudError("the reply to the token is not JSON", reason=Reason.TOKEN_MALFORMED)
        if self.delivered:
            return CloudError("the cloud has the token and does not reply", reason=Reason.TOKEN_NO_REPLY)
        return CloudError("the cloud did not acknowledge the token", reason=Reason.TOKEN_SEND)
