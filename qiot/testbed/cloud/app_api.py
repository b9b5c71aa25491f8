"""The phone's application programming interface, as far as provisioning needs it.

Shapes, states and error codes are those of the platform's documents "AppCreateDeviceBindToken",
"AppGetDeviceBindTokenState", "AppTokenBindDeviceFamily" and "AppControlDeviceData" (product 1081). Good
answers are ``{"Response": {"Data": {..., "RequestId": "..."}}}``, refusals ``{"Response": {"Error": {"Code":
"...", "Message": "..."}, "RequestId": "..."}}``, both with HTTP 200; only a body that is no JSON object is
400. Users are no part of this stand-in: `AccessToken` is not looked at.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from typing import Any, Final

from qiot.testbed.cloud.faults import Do, Fault
from qiot.testbed.cloud.http import Request, Response
from qiot.testbed.cloud.journal import Journal, Kind, masked
from qiot.testbed.cloud.jsontext import load_object
from qiot.testbed.cloud.registry import BindToken, Device, Registry

__all__ = ["AppApi"]

_TOKENS_MAX: Final = 10
"""Tokens in one AppGetMultiDeviceBindTokenState."""

Control = Callable[[Device, dict[str, Any]], None]


class _RefusedError(Exception):
    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class AppApi:
    """Answers the application.

    Args:
        registry: Tokens and devices.
        control: Sends new property values to a device.
        journal: Where actions are written down.
    """

    def __init__(self, registry: Registry, control: Control, journal: Journal) -> None:
        self._registry = registry
        self._control = control
        self._journal = journal
        self._actions: Mapping[str, Callable[[Mapping[str, Any]], dict[str, Any]]] = {
            "AppCreateDeviceBindToken": self._create_token,
            "AppCreateBindToken": self._create_token,
            "AppGetDeviceBindTokenState": self._token_state,
            "AppGetMultiDeviceBindTokenState": self._token_states,
            "AppTokenBindDeviceFamily": self._bind_family,
            "AppControlDeviceData": self._control_device,
        }

    def answer(self, request: Request, fault: Fault) -> Response:
        """Answer one POST; the action is in the body."""
        try:
            body = request.json()
        except ValueError as error:
            self._journal.note(Kind.APP, "body not understood", code=400)
            return Response.of(_error("InvalidParameter", str(error), str(uuid.uuid4())), 400)
        action = body.get("Action")
        request_id = body.get("RequestId")
        if not isinstance(request_id, str):
            request_id = str(uuid.uuid4())
        detail = masked({key: value for key, value in body.items() if key not in {"Action", "RequestId"}})
        try:
            if fault.do is Do.CODE:
                raise _RefusedError("InternalError", f"fault on purpose {fault.code}")  # noqa: TRY301
            if not isinstance(action, str) or action not in self._actions:
                raise _RefusedError("InvalidParameterValue.ActionNotFound", "there is no such action")  # noqa: TRY301
            data = self._actions[action](body)
        except _RefusedError as error:
            self._journal.note(Kind.APP, f"{action!s:.60} refused: {error}", code=1, request=detail)
            return Response.of(_error(error.code, str(error), request_id))
        self._journal.note(Kind.APP, str(action), code=0, request=detail, answer=masked(data))
        return Response.of({"Response": {"Data": data | {"RequestId": request_id}}})

    def _create_token(self, _body: Mapping[str, Any]) -> dict[str, Any]:
        return {"Token": self._registry.create_token().text()}

    def _token(self, value: object) -> BindToken:
        if not isinstance(value, str):
            raise _RefusedError("InvalidParameter", "Token is missing or no text")
        token = self._registry.token(value)
        if token is None:
            raise _RefusedError("InvalidParameterValue.TokenNotExist", "the token does not exist")
        if token.expired:
            raise _RefusedError("InvalidParameterValue.TokenIsExpire", "the token has expired")
        return token

    def _token_state(self, body: Mapping[str, Any]) -> dict[str, Any]:
        return _state(self._token(body.get("Token")))

    def _token_states(self, body: Mapping[str, Any]) -> dict[str, Any]:
        values = body.get("Tokens")
        if not isinstance(values, list) or not 0 < len(values) <= _TOKENS_MAX:
            raise _RefusedError("InvalidParameter", f"Tokens must be a list of 1 to {_TOKENS_MAX}")
        return {"Tokens": [{"Token": value} | _state(self._token(value)) for value in values]}

    def _bind_family(self, body: Mapping[str, Any]) -> dict[str, Any]:
        family = body.get("FamilyId")
        if not isinstance(family, str) or not family or not isinstance(body.get("RoomId", "0"), str):
            raise _RefusedError("InvalidParameter", "FamilyId or RoomId is missing or no text")
        device = self._device(body)
        token = self._token(body.get("Token"))
        if token.device is not device or token.used:
            why = "the token was used" if token.used else "this device has not reported the token"
            raise _RefusedError("InvalidParameterValue.TokenNotBind", why)
        token.used = True
        device.family = family
        self._journal.note(Kind.BIND, "bound to a family", device=device.path, code=0, family=family)
        return {}

    def _control_device(self, body: Mapping[str, Any]) -> dict[str, Any]:
        device = self._device(body)
        data = body.get("Data")
        if isinstance(data, str):
            try:
                data = load_object(data.encode())
            except ValueError:
                data = None
        if not isinstance(data, dict) or not data:
            raise _RefusedError("InvalidParameter", "Data must be a JSON object, or the text of one")
        self._control(device, data)
        return {"Data": "{}", "Result": ""}

    def _device(self, body: Mapping[str, Any]) -> Device:
        product_id, name = body.get("ProductId"), body.get("DeviceName")
        if not isinstance(product_id, str) or not isinstance(name, str):
            raise _RefusedError("InvalidParameter", "ProductId or DeviceName is missing or no text")
        if product_id not in self._registry.products:
            raise _RefusedError("ResourceNotFound.StudioProductNotExist", "the product does not exist")
        device = self._registry.device(product_id, name)
        if device is None:
            raise _RefusedError("ResourceNotFound.DeviceNotExist", "the device does not exist")
        return device


def _state(token: BindToken) -> dict[str, Any]:
    if token.device is None:
        return {"State": token.state}
    product_id, _, name = token.device.path.partition("/")
    return {"State": token.state, "ProductId": product_id, "DeviceName": name}


def _error(code: str, message: str, request_id: str) -> dict[str, Any]:
    return {"Response": {"Error": {"Code": code, "Message": message}, "RequestId": request_id}}
