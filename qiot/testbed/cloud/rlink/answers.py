"""What rlink answers a device: bind, info, time, reset, properties, registration (mqtt.md)."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from qiot.testbed.cloud.journal import Journal, Kind
from qiot.testbed.cloud.jsontext import dump_object, load_object
from qiot.testbed.cloud.rlink.units import Unit, Units

__all__ = ["BOUND_TO_ANOTHER", "INVALID_PARAMETER", "Rlink"]

INVALID_PARAMETER: Final = 1002
BOUND_TO_ANOTHER: Final = 17032
_TEXTS: Final[Mapping[int, str]] = {
    0: "success",
    INVALID_PARAMETER: "Invalid parameter",
    BOUND_TO_ANOTHER: "Device is bound",
}
"""Numbers and words of mqtt.md, "Status Codes"."""

Reply = tuple[str, bytes]
"""Topic and payload."""


class Rlink:
    """Answers the messages of rlink devices, and makes the commands for them.

    Args:
        units: The devices.
        journal: Where binds and registrations are written down.
    """

    def __init__(self, units: Units, journal: Journal) -> None:
        self._units = units
        self._journal = journal
        self._count = itertools.count(1)
        self._codes: Mapping[str, Callable[[Unit, Mapping[str, Any]], tuple[int, dict[str, Any]]]] = {
            "bind": self._bind,
            "info": self._info,
            "reset": self._reset,
            "time": self._time,
            "property_report": self._property_report,
        }

    def answer(self, topic: str, payload: bytes) -> Iterator[Reply]:
        """Take in one message that a device may send, and give what the platform answers.

        What is no JSON object with an id and a code, what repeats an id, and what wants no answer gets none.
        """
        space, _, rest = topic.partition("/")
        if space not in {"rlink", "register"}:
            return
        _, _, name, kind = rest.split("/")
        try:
            message = load_object(payload)
        except ValueError:
            return
        message_id, code = message.get("id"), message.get("code")
        if not isinstance(message_id, str) or not isinstance(code, str):
            return
        if space == "register":
            result = self._register(topic.split("/")[2], name, code)
        elif kind == "report" and (unit := self._units.unit(name)) is not None and unit.is_new(message_id):
            data = message.get("data")
            handler = self._codes.get(code, _unknown)
            result = handler(unit, data if isinstance(data, dict) else {})
        else:
            return
        if message.get("ack") == 1:
            yield f"{topic}_response", _message(message_id, code, *result)

    def issue(self, unit: Unit, code: str, data: Mapping[str, Any]) -> Reply:
        """A command for a device."""
        message_id = f"{int(time.time() * 1000)}{next(self._count):06d}"
        message = {"id": message_id, "ts": int(time.time()), "code": code, "data": dict(data)}
        return f"rlink/v2/{unit.path}/issue", dump_object(message)

    def release(self, unit: Unit, *, clean: bool) -> Reply:
        """The owner gives the device up in the app: the device is told."""
        self._forget(unit, clean=clean)
        return self.issue(unit, "reset", {"clearData": clean})

    def _bind(self, unit: Unit, data: Mapping[str, Any]) -> tuple[int, dict[str, Any]]:
        user, asset, version = (data.get(key) for key in ("userId", "assetId", "version"))
        res = 0
        if not all(isinstance(each, str) and each for each in (user, asset, version)):
            res = INVALID_PARAMETER
        elif unit.strong and unit.owner not in (None, (user, asset)):
            res = BOUND_TO_ANOTHER
        else:
            unit.owner = (str(user), str(asset))
            if data.get("cleanData") is True:
                unit.reported.clear()
        self._journal.note(Kind.BIND, _TEXTS[res], device=unit.path, code=res, user=user, asset=asset)
        return res, {}

    def _info(self, unit: Unit, data: Mapping[str, Any]) -> tuple[int, dict[str, Any]]:
        unit.info = dict(data)
        return 0, {"bindStatus": int(unit.owner is not None), "isClearData": 0}

    def _reset(self, unit: Unit, data: Mapping[str, Any]) -> tuple[int, dict[str, Any]]:
        self._forget(unit, clean=data.get("cleanData") is True)
        return 0, {}

    def _forget(self, unit: Unit, *, clean: bool) -> None:
        unit.owner = None
        if clean:
            unit.reported.clear()
        self._journal.note(Kind.BIND, "unbound", device=unit.path, code=0)

    def _time(self, _unit: Unit, _data: Mapping[str, Any]) -> tuple[int, dict[str, Any]]:
        now = time.time()
        local = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(now))
        zone = {"sys_tz": "UTC", "zone_offset": 0, "is_dst": False, "is_zone_dst": False}
        return 0, {"ts": int(now), "local_date_time": local} | zone

    def _property_report(self, unit: Unit, data: Mapping[str, Any]) -> tuple[int, dict[str, Any]]:
        properties = data.get("properties")
        if not isinstance(properties, dict):
            return INVALID_PARAMETER, {}
        unit.reported |= properties
        return 0, {}

    def _register(self, pid: str, unique: str, code: str) -> tuple[int, dict[str, Any]]:
        client = self._units.by_client_id(f"register_{pid}_{unique}")
        if code != "register" or client is None or isinstance(client, Unit):
            return INVALID_PARAMETER, {}
        unit = self._units.register(client)
        self._journal.note(Kind.DYNREG, "registered", device=unit.path, code=0, unique=unique)
        secret = "" if unit.secret is None else unit.secret.text()
        return 0, {"pid": pid, "uuid": unit.uuid, "secret": secret, "mac": ""}


def _unknown(_unit: Unit, _data: Mapping[str, Any]) -> tuple[int, dict[str, Any]]:
    return INVALID_PARAMETER, {}


def _message(message_id: str, code: str, res: int, data: dict[str, Any]) -> bytes:
    return dump_object(
        {"res": res, "msg": _TEXTS[res], "id": message_id, "ts": int(time.time()), "code": code, "data": data}
    )
