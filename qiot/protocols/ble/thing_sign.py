"""The proof in thing.network's device information: who holds the device's secret.

Sources: protco-tech/protco_docs, provisioning/WiFi_BLE_mode.md and mqtt/mqtt.md, whose values come out.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Mapping
from typing import Any, Final

from qiot.errors import ConfigurationError
from qiot.secret import Secret

__all__ = ["HMAC_SHA1", "HMAC_SHA256", "information_sign", "sign"]

HMAC_SHA1: Final = "hmacSha1"
HMAC_SHA256: Final = "hmacSha256"

_METHODS: Final[Mapping[str, Callable[..., Any]]] = {HMAC_SHA1: hashlib.sha1, HMAC_SHA256: hashlib.sha256}


def sign(uuid: str, ts: int, secret: Secret, method: str = HMAC_SHA1) -> str:
    """HMAC of `uuid=<uuid>,ts=<ts>` with the secret as it is printed, in lower-case hexadecimal digits.

    Raises:
        ConfigurationError: The method is neither "hmacSha1" nor "hmacSha256".
    """
    if method not in _METHODS:
        raise ConfigurationError(f"the sign method is {method!r}, not {HMAC_SHA1} or {HMAC_SHA256}")
    content = f"uuid={uuid},ts={ts}".encode()
    return hmac.new(secret.reveal(), content, _METHODS[method]).hexdigest()


def information_sign(uuid: str, ts: int, secret: Secret, method: str = HMAC_SHA1) -> str:
    """The sign of a device information whose own `ts` is given: it is made over `ts` + 1."""
    return sign(uuid, ts + 1, secret, method)
