"""Dynamic registration: the request, its signature and the sealed answer (contract sections 8 and 14).

Pure functions; the binder sends and receives. What the cloud says is checked in every layer: JSON, code,
base64, block size, padding, length, encryption type, and whether the secret can be used at all.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlsplit

import attrs

from qiot.device_info import AuthMode, DeviceInfo, IssuedCertificate
from qiot.errors import CloudError, ConfigurationError
from qiot.hal.contract import HttpRequest, HttpResponse
from qiot.model import Reason, Secret

__all__ = ["newer_request", "read_answer", "registration_request", "sign"]

_PATH: Final = "/register/dev"
_NEWER_PATH: Final = "/device/register"
_NEWER_ALGORITHM: Final = "hmacsha256"
_BLOCK: Final = 16
_IV: Final = b"0" * _BLOCK
_HTTP_OK: Final = 200
_ENCRYPTION_TYPES: Final = {AuthMode.CERT: 1, AuthMode.KEY: 2}
_TEXT_MAX: Final = 120


def sign(product_secret: Secret, device_name: str, nonce: int, product_id: str, timestamp: int) -> str:
    """The signature: base64 of the lower-case hex digits of HMAC-SHA1 under the whole product secret."""
    text = f"deviceName={device_name}&nonce={nonce}&productId={product_id}&timestamp={timestamp}"
    digest = hmac.new(product_secret.reveal(), text.encode(), hashlib.sha1).hexdigest()
    return base64.b64encode(digest.encode()).decode()


def registration_request(info: DeviceInfo, base_url: str, nonce: int, timestamp: int) -> HttpRequest:
    """The request of the C SDK, byte for byte.

    Args:
        info: With its product secret.
        base_url: http(s)://HOST[:PORT]; a path in it replaces the usual one.
        nonce: 0 to 2**31 - 1.
        timestamp: UTC seconds.
    """
    fields = {
        "deviceName": info.device_name,
        "nonce": nonce,
        "productId": info.product_id,
        "timestamp": timestamp,
        "signature": sign(_secret(info), info.device_name, nonce, info.product_id, timestamp),
    }
    body = _compact(fields)
    headers = {
        "Accept": "text/xml,application/json;*/*",
        "Content-Length": str(len(body)),
        "Content-Type": "application/x-www-form-urlencoded",
    }
    return HttpRequest("POST", _with_path(base_url, _PATH), headers=headers, body=body)


def newer_request(info: DeviceInfo, base_url: str, nonce: int, timestamp: int) -> HttpRequest:
    """The request of the newer interface (contract section 14); arguments as in `registration_request`."""
    url = _with_path(base_url, _NEWER_PATH)
    parts = urlsplit(url)
    body = _compact({"ProductId": info.product_id, "DeviceName": info.device_name})
    text = "\n".join((
        "POST", parts.netloc, parts.path, "", _NEWER_ALGORITHM, str(timestamp), str(nonce),
        hashlib.sha256(body).hexdigest(),
    ))  # fmt: skip
    digest = hmac.new(_secret(info).reveal(), text.encode(), hashlib.sha256).digest()
    headers = {
        "Accept": "application/json",
        "Content-Type": "application/json",
        "X-TC-Algorithm": _NEWER_ALGORITHM,
        "X-TC-Timestamp": str(timestamp),
        "X-TC-Nonce": str(nonce),
        "X-TC-Signature": base64.b64encode(digest).decode(),
    }
    return HttpRequest("POST", url, headers=headers, body=body)


def read_answer(info: DeviceInfo, response: HttpResponse, *, newer: bool = False) -> DeviceInfo:
    """The identity with what the cloud gave.

    Raises:
        CloudError: HTTP (code: status), REGISTRATION_REFUSED (code: the cloud's; permanent), CLOUD_MALFORMED.
    """
    if response.status != _HTTP_OK:
        raise CloudError(
            f"the registration gateway answered HTTP {response.status}",
            reason=Reason.HTTP,
            code=response.status,
        )
    answer = _object(response.body, "the answer")
    length, payload = _newer_payload(answer) if newer else _payload(answer)
    plain = _object(_unseal(_secret(info), payload, length), "what is in the payload")
    if plain.get("encryptionType") != _ENCRYPTION_TYPES[info.auth_mode]:
        raise _malformed(
            f"the cloud registers this product for another kind of device than auth_mode {info.auth_mode}"
        )
    if info.auth_mode is AuthMode.KEY:
        return attrs.evolve(info, device_secret=_device_secret(plain))
    return attrs.evolve(info, cert_file=None, key_file=None, issued=_certificate(plain))


# --- the request ----------------------------------------------------------------------------------------


def _secret(info: DeviceInfo) -> Secret:
    if info.product_secret is None or len(info.product_secret) < _BLOCK:
        raise ConfigurationError(
            f"dynamic registration needs a product secret of at least {_BLOCK} characters",
            hint="Fill in productSecret from the console.",
        )
    return info.product_secret


def _compact(fields: Mapping[str, Any]) -> bytes:
    return json.dumps(fields, separators=(",", ":"), ensure_ascii=False).encode()


def _with_path(base_url: str, path: str) -> str:
    return base_url if urlsplit(base_url).path.strip("/") else base_url.rstrip("/") + path


# --- the answer -----------------------------------------------------------------------------------------


def _malformed(text: str) -> CloudError:
    # Nothing of the answer itself: it may hold the secret.
    return CloudError(f"dynamic registration: {text}", reason=Reason.CLOUD_MALFORMED)


def _refused(code: int | None, text: object) -> CloudError:
    shown = str(text)[:_TEXT_MAX] if text else "no reason given"
    return CloudError(
        f"the cloud refused to register this device: {shown}",
        reason=Reason.REGISTRATION_REFUSED,
        code=code,
        permanent=True,
    )


def _object(data: bytes, what: str) -> Mapping[str, Any]:
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        raise _malformed(f"{what} is not JSON") from None
    if not isinstance(value, dict):
        raise _malformed(f"{what} is not a JSON object")
    return value


def _payload(answer: Mapping[str, Any]) -> tuple[object, object]:
    code = answer.get("code")
    if type(code) is not int:
        raise _malformed("the answer has no code")
    if code != 0:
        raise _refused(code, answer.get("message"))
    return answer.get("len"), answer.get("payload")


def _newer_payload(answer: Mapping[str, Any]) -> tuple[object, object]:
    response = answer.get("Response")
    if not isinstance(response, dict):
        raise _malformed("the answer has no Response")
    if (error := response.get("Error")) is not None:
        fields = error if isinstance(error, dict) else {}
        raise _refused(None, f"{fields.get('Code')}: {fields.get('Message')}")
    return response.get("Len"), response.get("Payload")


def _unseal(product_secret: Secret, payload: object, length: object) -> bytes:
    """Base64, AES-128-CBC under the secret's first 16 octets, zero padding."""
    # A heavy library for one block cipher: loaded by the few devices that register.
    from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

    if not isinstance(payload, str):
        raise _malformed("the answer has no payload")
    try:
        sealed = base64.b64decode(payload, validate=True)
    except (binascii.Error, ValueError):
        raise _malformed("the payload is not base64") from None
    if not sealed or len(sealed) % _BLOCK:
        raise _malformed(f"the payload is {len(sealed)} octets long, which is no number of whole blocks")
    cipher = Cipher(algorithms.AES(product_secret.reveal()[:_BLOCK]), modes.CBC(_IV)).decryptor()
    plain = cipher.update(sealed) + cipher.finalize()
    # The padding ends the text; `len` is looked at only where it contradicts that, as the C SDK never does.
    text = plain.rstrip(b"\0")
    if len(plain) - len(text) >= _BLOCK:
        raise _malformed("the payload has more padding than a block: is the product secret right?")
    if type(length) is int and not len(text) <= length <= len(plain):
        raise _malformed(f"{length} is not the length of its payload: is the product secret right?")
    return text


def _device_secret(plain: Mapping[str, Any]) -> Secret:
    psk = plain.get("psk")
    try:
        usable = isinstance(psk, str) and bool(base64.b64decode(psk, validate=True))
    except (binascii.Error, ValueError):
        usable = False
    if not usable:
        raise _malformed("the device secret is not base64")
    return Secret(str(psk))


def _certificate(plain: Mapping[str, Any]) -> IssuedCertificate:
    from cryptography.hazmat.primitives.serialization import load_pem_private_key
    from cryptography.x509 import load_pem_x509_certificate

    texts = [plain.get("clientCert"), plain.get("clientKey")]
    # The C SDK expects line feeds as two characters, backslash and n (contract section 8).
    pems = [text.replace("\\n", "\n").strip() + "\n" for text in texts if isinstance(text, str)]
    try:
        certificate, key = pems
        matching = (
            load_pem_x509_certificate(certificate.encode()).public_key()
            == load_pem_private_key(key.encode(), password=None).public_key()
        )
    except (ValueError, TypeError):
        raise _malformed("the certificate or its private key is not PEM") from None
    if not matching:
        raise _malformed("the certificate and its private key do not belong together")
    return IssuedCertificate(certificate, Secret(key))
