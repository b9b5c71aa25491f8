"""A broker that speaks rlink's topics, and a device of the vendor's examples."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from qiot.cloud.binder import Clock
from qiot.cloud.rlink.binder import RlinkBinder
from qiot.cloud.transport import HostTransport
from qiot.device_info import Cloud, DeviceInfo
from qiot.model import Grant, Secret
from tests.cloud.wire import Broker

PID = "fFMes8kzaLRHMy"
UUID = "rn01b55A74fa0c16"
SECRET = "bd2625eb1fa0499ea60aadd09ae0a184"
NOW = 1721192798.25
INFO = DeviceInfo(PID, UUID, device_secret=Secret(SECRET), cloud=Cloud.RLINK)
NEW = DeviceInfo(PID, "unit-7", product_secret=Secret("product-secret"), cloud=Cloud.RLINK)
TOPIC = f"rlink/v2/{PID}/{UUID}"
OWNER = {
    "bid": "1740300523660267520",
    "userId": "us1689940117281427456",
    "tz": "Asia/Kolkata",
    "country": "US",
}


def broker(
    reply: Callable[[dict[str, Any]], dict[str, Any] | bytes | None] | None = None, **more: Any
) -> Broker:
    return Broker(reply=reply, reply_topic=lambda topic: f"{topic}_response", **more)


def binder(info: DeviceInfo = INFO, **more: Any) -> RlinkBinder:
    more.setdefault("clock", Clock(utc=lambda: NOW))
    return RlinkBinder(info, HostTransport(), **more)


def grant(port: int, **changes: str) -> Grant:
    params = {key: value for key, value in (OWNER | changes).items() if value}
    value = params.pop("bid", "")
    return Grant("rlink", Secret(value), endpoint=f"127.0.0.1:{port}", params=params)


def says(res: Any = 0, **changes: Any) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """The cloud's reply to every report."""

    def reply(asked: dict[str, Any]) -> dict[str, Any]:
        fields = {
            "res": res,
            "msg": "success" if res == 0 else "no",
            "id": asked["id"],
            "code": asked["code"],
        }
        return {**fields, "ts": asked["ts"], "data": {}, **changes}

    return reply
