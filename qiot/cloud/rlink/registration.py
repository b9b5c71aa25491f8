"""Dynamic registration: the product's secret asks for the device's (dynamic_registration.md)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

import attrs

from qiot.cloud.rlink.reports import REGISTERING, Reports
from qiot.device_info import DeviceInfo
from qiot.errors import CloudError
from qiot.model import Reason, Secret

__all__ = ["register_device", "registration_topics"]

_UUID: Final = re.compile(r"[A-Za-z0-9:_-]{1,48}")
_SECRET: Final = re.compile(r"[!-~]{1,64}")


def registration_topics(info: DeviceInfo) -> tuple[str, str]:
    """Where to ask, and where the answer comes."""
    topic = f"register/v2/{info.product_id}/{info.device_name}/register"
    return topic, f"{topic}_response"


async def register_device(reports: Reports, info: DeviceInfo) -> DeviceInfo:
    """Ask for the triplet of this device.

    Args:
        reports: Opened, on the registration topics.
        info: `device_name` is the device's unique name in its product; the cloud puts the uuid in its place.

    Returns:
        The identity with uuid and secret.

    Raises:
        CloudError: REGISTRATION_REFUSED (code: the cloud's `res`; permanent), CLOUD_MALFORMED, CLOUD_TIMEOUT,
            MQTT_LOST.
    """
    reply = await reports.ask("register", {}, REGISTERING)
    data = reply.get("data")
    triplet: Mapping[str, Any] = data if isinstance(data, dict) else {}
    uuid, secret = triplet.get("uuid"), triplet.get("secret")
    if not isinstance(uuid, str) or not _UUID.fullmatch(uuid):
        raise _malformed("there is no usable uuid in the registration's answer")
    if not isinstance(secret, str) or not _SECRET.fullmatch(secret):
        raise _malformed("there is no usable secret in the registration's answer")
    if triplet.get("pid", info.product_id) != info.product_id:
        raise _malformed("the registration's answer is of another product")
    return attrs.evolve(info, device_name=uuid, device_secret=Secret(secret))


def _malformed(text: str) -> CloudError:
    return CloudError(text, reason=Reason.CLOUD_MALFORMED)
