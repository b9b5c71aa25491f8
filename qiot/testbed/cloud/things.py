"""What the platform answers a device: bind tokens and the data template (contract sections 10, 12 and 13).

The codes of a refused bind token are in no public document; the numbers here are this stand-in's own.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from qiot.testbed.cloud.journal import Journal, Kind
from qiot.testbed.cloud.jsontext import dump_object, load_object
from qiot.testbed.cloud.registry import Device, Registry

__all__ = ["TOKEN_EXPIRED", "TOKEN_TAKEN", "TOKEN_UNKNOWN", "Things"]

TOKEN_UNKNOWN: Final = 5001
TOKEN_EXPIRED: Final = 5002
TOKEN_TAKEN: Final = 5003

_TOKEN_TEXTS: Final[Mapping[int, str]] = {
    0: "success",
    TOKEN_UNKNOWN: "token not exist",
    TOKEN_EXPIRED: "token expired",
    TOKEN_TAKEN: "token used",
}

Reply = tuple[str, bytes]
"""Topic and payload."""


class Things:
    """Answers the messages of devices.

    Args:
        registry: Devices and tokens.
        journal: Where binds are written down.
    """

    def __init__(self, registry: Registry, journal: Journal) -> None:
        self._registry = registry
        self._journal = journal
        self._count = itertools.count(1)
        self._methods: Mapping[str, Callable[[Device, dict[str, Any]], dict[str, Any] | None]] = {
            "service app_bind_token": self._app_bind_token,
            "property report": self._report,
            "property report_info": lambda _device, _message: {},
            "property get_status": self._get_status,
            "property clear_control": self._clear_control,
            "property control_reply": self._control_reply,
            "event event_post": lambda _device, _message: {"version": "1.0", "data": {}},
            "event events_post": lambda _device, _message: {"version": "1.0", "data": {}},
        }

    def control(self, device: Device, data: dict[str, Any]) -> Reply:
        """The message that sets properties; they are desired until the device confirms."""
        device.desired |= data
        token = f"{device.path}-{int(time.time() * 1000)}-{next(self._count)}".replace("/", "-")
        message = {"method": "control", "clientToken": token, "params": data}
        return f"$thing/down/property/{device.path}", dump_object(message)

    def answer(self, topic: str, payload: bytes) -> Iterator[Reply]:
        """Take in one message that a device may send, and give what the platform answers.

        Methods that are not known, and what is no JSON object, get no answer.
        """
        service, direction, *rest = topic.split("/")
        if (service, direction) != ("$thing", "up") or len(rest) != 3:  # noqa: PLR2004 - kind, product, device
            return
        kind, product_id, name = rest
        device = self._registry.device(product_id, name)
        try:
            message = load_object(payload)
        except ValueError:
            return
        method = message.get("method")
        handler = self._methods.get(f"{kind} {method}")
        if device is None or handler is None:
            return
        answer = handler(device, message)
        if answer is None:
            return
        reply = {
            "method": "event_reply" if kind == "event" else f"{method}_reply",
            "clientToken": message.get("clientToken", ""),
            "code": 0,
            "status": "success",
        }
        yield f"$thing/down/{kind}/{device.path}", dump_object(reply | answer)

    def _app_bind_token(self, device: Device, message: dict[str, Any]) -> dict[str, Any]:
        params = message.get("params")
        token = self._registry.token(params.get("token") if isinstance(params, dict) else None)
        if token is None:
            code = TOKEN_UNKNOWN
        elif token.expired:
            code = TOKEN_EXPIRED
        elif token.used or token.device not in {None, device}:
            code = TOKEN_TAKEN
        else:
            # The same device may say it again, as the C SDK does where the PUBACK got lost (section 10).
            token.device = device
            code = 0
        self._journal.note(Kind.BIND, _TOKEN_TEXTS[code], device=device.path, code=code)
        return {"code": code, "status": _TOKEN_TEXTS[code]}

    def _report(self, device: Device, message: dict[str, Any]) -> dict[str, Any]:
        params = message.get("params")
        if not isinstance(params, dict):
            return {"code": 400, "status": "params is no object"}
        device.reported |= params
        return {}

    def _get_status(self, device: Device, _message: dict[str, Any]) -> dict[str, Any]:
        data: dict[str, Any] = {"reported": device.reported}
        if device.desired:
            data["control"] = device.desired
        return {"data": data}

    def _clear_control(self, device: Device, _message: dict[str, Any]) -> dict[str, Any]:
        device.desired.clear()
        return {}

    def _control_reply(self, device: Device, message: dict[str, Any]) -> None:
        if message.get("code") == 0:
            device.desired.clear()
