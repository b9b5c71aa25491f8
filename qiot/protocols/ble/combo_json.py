"""The JSON that Tencent puts into custom data: token, log query, bind result (BT-Combo dialects 2 and 3)."""

from __future__ import annotations

import json
from typing import Final

import attrs

from qiot.errors import ProtocolError
from qiot.model import Event, Grant, Outcome, Reason, Secret, Step
from qiot.protocols.lan.app_json import command_of, compact, grant_of, parse_object

__all__ = ["TOKEN_MAX", "BindResult", "bind_status", "encode_log_query", "encode_token", "parse_custom"]

TOKEN_MAX: Final = 32
"""Octets of a token (the C SDK's buffer)."""
_TOKEN: Final = 3
_LOG: Final = 4
_RESULT_MAX: Final = 1024


def encode_token(token: Secret) -> bytes:
    """The token as the mini program writes it."""
    return compact({"cmdType": _TOKEN, "token": token.text()})


def encode_log_query() -> bytes:
    """The log query as the mini program writes it."""
    return compact({"cmdType": _LOG, "log": "1"})


def parse_custom(data: bytes) -> Grant | None:
    """Read a phone's custom data: the grant it brings, or None for a log query.

    Raises:
        ProtocolError: Neither; the text never shows the data.
    """
    message = parse_object(data)
    match command_of(message):
        case 3:
            return grant_of(message)
        case 4:
            return None
        case number:
            raise ProtocolError(f"cmdType {number} is neither token (3) nor log query (4)")


def bind_status(event: Event) -> int | None:
    """The status to report for an event: 0 bound, the cloud's code or -1 where it failed; None: nothing.

    Tencent's phone waits for the result alone, so whatever ends an attempt after the join is one.
    """
    if (event.step, event.outcome) == (Step.BINDING, Outcome.OK):
        return 0
    steps = (Step.REGISTERING, Step.CONNECTING, Step.AWAITING_GRANT, Step.BINDING, Step.FAILED)
    if event.outcome is not Outcome.FAILED or event.step not in steps:
        return None
    return (event.failure.code if event.failure is not None else None) or -1


@attrs.frozen
class BindResult:
    """What a device says of the bind.

    Attributes:
        status: 0: bound. The mini program does not look at it.
        product_id: Of the cloud's product.
        device_name: The device in it.
    """

    status: int
    product_id: str
    device_name: str

    def encode(self) -> bytes:
        """JSON and CR LF, with `productId`, which the mini program needs (not the C SDK's `productID`)."""
        fields: dict[str, str | int] = {
            "status": self.status,
            "productId": self.product_id,
            "deviceName": self.device_name,
        }
        return compact(fields) + b"\r\n"

    @classmethod
    def parse(cls, data: bytes) -> BindResult:
        """Read a device's result; `productID` of Tencent's stub is understood, too.

        Raises:
            ProtocolError: No JSON object with an integer status.
        """
        try:
            found = json.loads(data[:_RESULT_MAX].rstrip(b"\0"))
        except (ValueError, RecursionError):
            found = None
        if not isinstance(found, dict) or not isinstance(found.get("status"), int):
            raise ProtocolError("the bind result is no JSON object with a status", reason=Reason.BAD_MESSAGE)
        product_id = found.get("productId", found.get("productID"))
        return cls(found["status"], _text(product_id), _text(found.get("deviceName")))


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""
