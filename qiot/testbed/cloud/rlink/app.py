"""What rlink's app asks its cloud, as far as provisioning needs it (ref-rest-api-en.md, sections 4.4 and 5).

Answers are `{"code": 200, "message": "success", "data": …}` with HTTP 200; in place of 200 a refusal has a
number of mqtt.md. Users are no part of this stand-in: Authorization is not looked at, and the device id is
the uuid.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from qiot.testbed.cloud.faults import Do, Fault
from qiot.testbed.cloud.http import Request, Response
from qiot.testbed.cloud.journal import Journal, Kind
from qiot.testbed.cloud.rlink.answers import INVALID_PARAMETER, Rlink
from qiot.testbed.cloud.rlink.units import Unit, Units

__all__ = ["CHECK_BIND", "PROPERTIES", "UNBIND", "RlinkApp"]

_API: Final = "/business-app/v1/device"
CHECK_BIND: Final = f"{_API}/bind/checkBindResult/*"
UNBIND: Final = f"{_API}/bind/unbind"
PROPERTIES: Final = f"{_API}/command/propsIssue"

_OK: Final = 200
_NO_DEVICE: Final = 1004
_NOT_BOUND: Final = 1
"""`data` of a bind that is not complete: any number but 0."""


class RlinkApp:
    """Answers the application.

    Args:
        units: The devices.
        rlink: Makes commands.
        send: Sends a command: topic and payload.
        journal: Where requests are written down.
    """

    def __init__(
        self, units: Units, rlink: Rlink, send: Callable[[str, bytes], None], journal: Journal
    ) -> None:
        self._units = units
        self._rlink = rlink
        self._send = send
        self._journal = journal

    def check_bind(self, request: Request, fault: Fault) -> Response:
        """0 where the device of the path's uuid has an owner."""
        uuid = request.path.rpartition("/")[2]
        return self._answer("checkBindResult", uuid, fault, lambda unit: int(unit.owner is None) * _NOT_BOUND)

    def unbind(self, request: Request, fault: Fault) -> Response:
        """Take the owner off `deviceId`; `isCleanData` 1 clears its data, too."""
        body = _body(request)

        def release(unit: Unit) -> bool:
            self._send(*self._rlink.release(unit, clean=body.get("isCleanData") == 1))
            return True

        return self._answer("unbind", body.get("deviceId"), fault, release)

    def set_properties(self, request: Request, fault: Fault) -> Response:
        """Send `property_set` with `data` to `deviceId`."""
        body = _body(request)
        data = body.get("data")
        if not isinstance(data, dict):
            return self._refuse("propsIssue", INVALID_PARAMETER, "data is no object")

        def issue(unit: Unit) -> bool:
            self._send(*self._rlink.issue(unit, "property_set", {"properties": data}))
            return True

        return self._answer("propsIssue", body.get("deviceId"), fault, issue)

    def _answer(self, what: str, uuid: object, fault: Fault, carry_out: Callable[[Unit], Any]) -> Response:
        unit = self._units.unit(uuid) if isinstance(uuid, str) else None
        if fault.do is Do.CODE:
            return self._refuse(what, fault.code or 0, "fault on purpose")
        if unit is None:
            return self._refuse(what, _NO_DEVICE, "Device does not exist")
        data = carry_out(unit)
        self._journal.note(Kind.APP, what, device=unit.path, code=0, answer=data)
        return Response.of({"code": _OK, "message": "success", "data": data})

    def _refuse(self, what: str, code: int, text: str) -> Response:
        self._journal.note(Kind.APP, f"{what} refused: {text}", code=code)
        return Response.of({"code": code, "message": text, "data": None})


def _body(request: Request) -> Mapping[str, Any]:
    try:
        return request.json()
    except ValueError:
        return {}
