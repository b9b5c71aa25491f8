"""What an rlink device says of itself in MQTT's CONNECT (mqtt.md, "Device Connection Method").

The secret is used as the text it is, all 32 characters of it, and is never decoded.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Mapping
from typing import Any, Final

from qiot.model import Secret

__all__ = ["SIGN_METHODS", "client_id", "password", "registration_client_id", "username"]

SIGN_METHODS: Final[Mapping[str, Callable[[], Any]]] = {
    "hmacSha1": hashlib.sha1,
    "hmacSha256": hashlib.sha256,
}


def client_id(uuid: str) -> str:
    """The MQTT client id of a registered device."""
    return f"rlink_{uuid}_V2"


def registration_client_id(pid: str, unique: str) -> str:
    """The MQTT client id for dynamic registration (dynamic_registration.md); `unique` has no "_"."""
    return f"register_{pid}_{unique}"


def username(name: str, ts: int, method: str) -> str:
    """The MQTT user name.

    Args:
        name: The device's uuid; the product id for dynamic registration.
        ts: UTC seconds.
        method: One of `SIGN_METHODS`.
    """
    return f"{name}|signMethod={method},ts={ts}"


def password(name: str, ts: int, secret: Secret, method: str) -> Secret:
    """The MQTT password: lower-case hexadecimal digits of the MAC over `uuid=<name>,ts=<ts>`.

    Args:
        name: As in `username`.
        ts: As in `username`; unlike in the sign that Bluetooth shows, it is not one more.
        secret: The device's secret; the product's for dynamic registration.
        method: One of `SIGN_METHODS`.
    """
    digest = hmac.new(secret.reveal(), f"uuid={name},ts={ts}".encode(), SIGN_METHODS[method])
    return Secret(digest.hexdigest())
