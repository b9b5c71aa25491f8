"""What a device says of itself in MQTT's CONNECT (contract section 9)."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import random
import string
from collections.abc import Callable, Mapping
from typing import Any, Final

from qiot.device_info import DeviceInfo
from qiot.errors import ConfigurationError
from qiot.model import Secret

__all__ = ["HMACS", "client_id", "connection_id", "decoded_secret", "password", "username"]

SDK_APP_ID: Final = "21010406"
EXPIRY: Final = 2**63 - 1
"""Never: the C SDK's LONG_MAX, whole. (Its buffer cuts it on 64 bit; the cloud wants any future number.)"""

_KEY_MAX: Final = 64
_CONNECTION_ID_LENGTH: Final = 5
HMACS: Final[Mapping[str, Callable[[], Any]]] = {"hmacsha1": hashlib.sha1, "hmacsha256": hashlib.sha256}


def client_id(info: DeviceInfo) -> str:
    """The MQTT client id, which is the TLS-PSK identity too."""
    return f"{info.product_id}{info.device_name}"


def connection_id(chance: random.Random) -> str:
    """Five random letters or digits."""
    return "".join(chance.choices(string.ascii_letters + string.digits, k=_CONNECTION_ID_LENGTH))


def username(info: DeviceInfo, connection: str) -> str:
    """The MQTT user name of a connection."""
    return f"{client_id(info)};{SDK_APP_ID};{connection};{EXPIRY}"


def password(user: str, key: Secret, method: str) -> Secret:
    """The MQTT password: a MAC of the user name.

    Args:
        user: The user name.
        key: The decoded device secret.
        method: "hmacsha1" as the C SDK has it, or "hmacsha256", which is documented too.
    """
    digest = hmac.new(key.reveal(), user.encode(), HMACS[method]).hexdigest()
    return Secret(f"{digest};{method}")


def decoded_secret(secret: Secret) -> Secret:
    """The device secret's octets.

    Raises:
        ConfigurationError: It is not base64 of 1 to 64 octets.
    """
    try:
        key = base64.b64decode(secret.reveal(), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if not 1 <= len(key) <= _KEY_MAX:
        raise ConfigurationError(
            f"the device secret is not base64 of 1 to {_KEY_MAX} octets",
            hint="Copy deviceSecret from the console as it is, or put YOUR_IOT_PSK there to register anew.",
        )
    return Secret(key)
