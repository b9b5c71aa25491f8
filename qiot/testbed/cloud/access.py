"""Who may connect, and which topics a device may use (contract sections 9, 10 and 13; rlink: `rlink.login`).

CONNACK codes, by MQTT 3.1.1 section 3.2.2.3; what the platform really sends is not documented, so this
stand-in takes the standard at its word:

====  =============================================================================================
code  when
====  =============================================================================================
1     protocol level other than 4
2     the client id is not productId+deviceName of a known device
3     the device has connected within the last 5 s (the service is "unavailable" for it that long)
4     user name or password is missing or not built as it should be
5     both are well built, but the signature is wrong, the time is over, or the certificate is another's
====  =============================================================================================
"""

from __future__ import annotations

import base64
import hmac
import re
import time
from collections.abc import Mapping
from typing import Any, Final

import attrs

from qiot.model import Secret
from qiot.testbed.cloud.registry import Device
from qiot.testbed.cloud.rlink.login import check_rlink_login, rlink_may_publish, rlink_may_subscribe
from qiot.testbed.cloud.rlink.units import Applicant, Unit

__all__ = [
    "BAD_PROTOCOL",
    "BAD_USER_NAME",
    "IDENTIFIER_REJECTED",
    "NOT_AUTHORIZED",
    "UNAVAILABLE",
    "Login",
    "check_login",
    "common_name",
    "may_publish",
    "may_subscribe",
]

BAD_PROTOCOL: Final = 1
IDENTIFIER_REJECTED: Final = 2
UNAVAILABLE: Final = 3
BAD_USER_NAME: Final = 4
NOT_AUTHORIZED: Final = 5

_USER_NAME: Final = re.compile(r"(?P<client_id>[^;]+);[0-9]{1,12};[A-Za-z0-9]{1,16};(?P<expiry>[0-9]{1,20})")
_PASSWORD: Final = re.compile(r"(?P<sign>[0-9a-fA-F]+);(?P<method>hmacsha1|hmacsha256)")

_THING: Final = ("service", "property", "event", "action", "raw")
_UP: Final = frozenset(
    {*(f"$thing/up/{kind}" for kind in _THING), "$ota/report"}
    | {f"${service}/operation" for service in ("gateway", "sys", "log")}
)
_DOWN: Final = frozenset(
    {*(f"$thing/down/{kind}" for kind in _THING), "$ota/update"}
    | {f"${service}/operation/result" for service in ("gateway", "sys", "log")}
)


@attrs.frozen
class Login:
    """What a client shows of itself.

    Attributes:
        client_id: MQTT client id.
        user_name: As in CONNECT; None where there is none.
        password: As in CONNECT.
        certificate_name: The common name of its certificate, where the TLS layer has verified one.
    """

    client_id: str
    user_name: str | None = None
    password: Secret | None = None
    certificate_name: str | None = None


def check_login(
    login: Login, device: Device | Unit | Applicant | None, now: float | None = None
) -> tuple[int, str]:
    """The CONNACK code for a login and why (see this module's text); 0 is good.

    Args:
        login: What the client shows.
        device: The device of that client id.
        now: Wall-clock seconds; the clock's by default.
    """
    if device is None:
        return IDENTIFIER_REJECTED, "no such device"
    if isinstance(device, Unit | Applicant):
        return check_rlink_login(login.user_name, login.password, device)
    if login.certificate_name is not None and login.certificate_name != device.client_id:
        return NOT_AUTHORIZED, "the certificate is another device's"
    # With a certificate neither user name nor password is needed, but what is there must be right.
    refusal = None
    if login.user_name or login.certificate_name is None:
        refusal = _check_user_name(login, device, time.time() if now is None else now)
    if refusal is None and (login.password is not None or login.certificate_name is None):
        return _check_password(login, device)
    return refusal or (0, "certificate")


def _check_user_name(login: Login, device: Device, now: float) -> tuple[int, str] | None:
    user = _USER_NAME.fullmatch(login.user_name or "")
    if user is None:
        return BAD_USER_NAME, "user name is not clientId;appid;connId;expiry"
    if user["client_id"] != device.client_id:
        return NOT_AUTHORIZED, "user name is another device's"
    if int(user["expiry"]) <= now:
        return NOT_AUTHORIZED, "user name's time is over"
    return None


def _check_password(login: Login, device: Device) -> tuple[int, str]:
    try:
        password = _PASSWORD.fullmatch(login.password.text() if login.password is not None else "")
    except UnicodeDecodeError:
        password = None
    if password is None:
        return BAD_USER_NAME, "password is not hex;hmacsha1 or hex;hmacsha256"
    if device.secret is None:
        return NOT_AUTHORIZED, "this device logs in with a certificate"
    key = base64.b64decode(device.secret.reveal())
    method = password["method"].removeprefix("hmac")
    expected = hmac.new(key, (login.user_name or "").encode(), method).hexdigest()
    if not hmac.compare_digest(expected, password["sign"].lower()):
        return NOT_AUTHORIZED, "password's signature is wrong"
    return 0, password["method"]


def common_name(certificate: Mapping[str, Any] | None) -> str | None:
    """The subject's common name of what `ssl.SSLSocket.getpeercert` gives."""
    for name in (certificate or {}).get("subject", ()):
        for key, value in name:
            if key == "commonName":
                return str(value)
    return None


def may_publish(device: Device | Unit | Applicant, topic: str) -> bool:
    """True where it is one of the device's own topics, or of a device behind this gateway."""
    if isinstance(device, Unit | Applicant):
        return rlink_may_publish(device, topic)
    return _own(device, topic, _UP)


def may_subscribe(device: Device | Unit | Applicant, topic_filter: str) -> bool:
    """The same for subscriptions; wildcards are in no own topic."""
    if isinstance(device, Unit | Applicant):
        return rlink_may_subscribe(device, topic_filter)
    return _own(device, topic_filter, _DOWN)


def _own(device: Device, topic: str, prefixes: frozenset[str]) -> bool:
    prefix, _, rest = topic.rpartition("/")
    prefix, _, product_id = prefix.rpartition("/")
    return prefix in prefixes and (
        (product_id, rest) in device.sub_devices or f"{product_id}/{rest}" == device.path
    )
