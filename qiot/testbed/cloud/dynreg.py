"""Dynamic registration: /register/dev (contract section 8) and /device/register (contract section 14).

The numbers of /register/dev are in no public table. Only 1021 is known to exist; its meaning and the other
numbers are this stand-in's own. As the gateway does, a refusal is HTTP 200 with `code` not 0.
"""

from __future__ import annotations

import base64
import binascii
import enum
import hashlib
import hmac
import json
import uuid
from collections.abc import Mapping
from typing import Any, Final

import attrs
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from qiot.model import Secret
from qiot.testbed.cloud.authority import Authority
from qiot.testbed.cloud.faults import Do, Fault
from qiot.testbed.cloud.http import Request, Response
from qiot.testbed.cloud.journal import Journal, Kind
from qiot.testbed.cloud.registry import Device, Product, Registry

__all__ = ["Dynreg", "Refusal", "encrypt", "sign"]

_IV: Final = b"0" * 16
_KEY_MODE: Final = 2
_CERT_MODE: Final = 1
_ALGORITHMS: Final = {"hmacsha256": "sha256", "hmacsha1": "sha1"}


class Refusal(enum.IntEnum):
    """Why a registration is refused: the `code` of /register/dev."""

    BAD_REQUEST = 1001
    NO_SUCH_PRODUCT = 1004
    NO_SUCH_DEVICE = 1010
    BAD_SIGNATURE = 1020
    ACTIVATED = 1021
    OFF = 1022
    FAULT = 1999

    @property
    def text(self) -> str:
        """In words."""
        return _TEXTS[self][0]

    @property
    def api_code(self) -> str:
        """The `Error.Code` of /device/register, in the manner of the platform's API 3.0."""
        return _TEXTS[self][1]


_TEXTS: Final[Mapping[Refusal, tuple[str, str]]] = {
    Refusal.BAD_REQUEST: ("a field is missing or wrong", "InvalidParameter"),
    Refusal.NO_SUCH_PRODUCT: ("the product does not exist", "ResourceNotFound.ProductNotExist"),
    Refusal.NO_SUCH_DEVICE: ("the device does not exist", "ResourceNotFound.DeviceNotExist"),
    Refusal.BAD_SIGNATURE: ("the signature is wrong", "AuthFailure.SignatureFailure"),
    Refusal.ACTIVATED: ("the device is activated already", "UnsupportedOperation.DeviceActivated"),
    Refusal.OFF: ("dynamic registration is off", "UnsupportedOperation.DynamicRegisterOff"),
    Refusal.FAULT: ("fault on purpose", "InternalError"),
}


class _RefusedError(Exception):
    def __init__(self, refusal: Refusal, text: str = "", code: int | None = None) -> None:
        super().__init__(text or refusal.text)
        self.api_code = refusal.api_code
        self.code = int(refusal) if code is None else code


@attrs.frozen
class _Payload:
    length: int
    text: str


def sign(product_secret: Secret, device_name: str, nonce: int, product_id: str, timestamp: int) -> str:
    """The signature of /register/dev: base64 of the lower-case hex HMAC-SHA1 (contract section 8)."""
    text = f"deviceName={device_name}&nonce={nonce}&productId={product_id}&timestamp={timestamp}"
    digest = hmac.new(product_secret.reveal(), text.encode(), hashlib.sha1).hexdigest()
    return base64.b64encode(digest.encode()).decode()


def encrypt(product_secret: Secret, plain: bytes) -> bytes:
    """The payload before its base64: AES-128-CBC, zero padding (contract section 8)."""
    padded = plain + bytes(-len(plain) % 16)
    encryptor = Cipher(algorithms.AES(product_secret.reveal()[:16]), modes.CBC(_IV)).encryptor()
    return encryptor.update(padded) + encryptor.finalize()


class Dynreg:
    """Hands out device secrets and certificates.

    Args:
        registry: The devices.
        authority: Issues the certificates of CERT devices; None where there is no TLS.
        journal: Where registrations are written down.
    """

    def __init__(self, registry: Registry, authority: Authority | None, journal: Journal) -> None:
        self._registry = registry
        self._authority = authority
        self._journal = journal

    def register_dev(self, request: Request, fault: Fault) -> Response:
        """Answer POST /register/dev."""
        names = ("", "")
        request_id = str(uuid.uuid4())
        try:
            body = _body(request)
            names = _text(body, "productId"), _text(body, "deviceName")
            nonce, timestamp = _number(body, "nonce"), _number(body, "timestamp")
            product = self._product(names[0])
            assert product.secret is not None  # noqa: S101 - _product has seen to it
            expected = sign(product.secret, names[1], nonce, names[0], timestamp)
            if not hmac.compare_digest(_text(body, "signature").encode(), expected.encode()):
                raise _RefusedError(Refusal.BAD_SIGNATURE)  # noqa: TRY301
            payload = self._register(product, names[1], fault)
        except _RefusedError as error:
            self._note(names, "refused", error.code, str(error))
            return Response.of({"code": error.code, "message": str(error), "requestId": request_id})
        self._note(names, "registered", 0)
        answer = {"code": 0, "message": "success", "len": payload.length, "payload": payload.text}
        return Response.of(answer | {"requestId": request_id})

    def device_register(self, request: Request, fault: Fault) -> Response:
        """Answer POST /device/register."""
        names = ("", "")
        request_id = str(uuid.uuid4())
        try:
            body = _body(request)
            names = _text(body, "ProductId"), _text(body, "DeviceName")
            product = self._product(names[0])
            if not _signed(request, product):
                raise _RefusedError(Refusal.BAD_SIGNATURE)  # noqa: TRY301
            payload = self._register(product, names[1], fault)
        except _RefusedError as error:
            self._note(names, "refused", error.code, str(error))
            problem = {"Code": error.api_code, "Message": str(error)}
            return Response.of({"Response": {"Error": problem, "RequestId": request_id}})
        self._note(names, "registered", 0)
        answer = {"Len": payload.length, "Payload": payload.text, "RequestId": request_id}
        return Response.of({"Response": answer})

    def _note(self, names: tuple[str, str], text: str, code: int, why: str = "") -> None:
        device = "/".join(name[:48] for name in names) if any(names) else ""
        detail = {"why": why} if why else {}
        self._journal.note(Kind.DYNREG, text, device=device, code=code, **detail)

    def _product(self, product_id: str) -> Product:
        product = self._registry.products.get(product_id)
        if product is None:
            raise _RefusedError(Refusal.NO_SUCH_PRODUCT)
        if product.secret is None:
            raise _RefusedError(Refusal.OFF)
        return product

    def _register(self, product: Product, name: str, fault: Fault) -> _Payload:
        assert product.secret is not None  # noqa: S101 - _product has seen to it
        if fault.do is Do.CODE:
            raise _RefusedError(Refusal.FAULT, code=fault.code)
        device = self._registry.device(product.product_id, name) or self._registry.create_device(
            product, name
        )
        if device is None:
            raise _RefusedError(Refusal.NO_SUCH_DEVICE)
        if device.activated:
            raise _RefusedError(Refusal.ACTIVATED)
        device.registrations += 1
        plain = json.dumps(self._identity(device, fault), separators=(",", ":")).encode()
        cipher = encrypt(product.secret, plain)
        if fault.do is Do.MALFORMED and fault.kind == "padding":
            cipher = cipher[:-1]
        text = base64.b64encode(cipher).decode()
        if fault.do is Do.MALFORMED and fault.kind == "base64":
            text = "*" + text[1:]
        return _Payload(len(plain), text)

    def _identity(self, device: Device, fault: Fault) -> dict[str, Any]:
        wrong = fault.do is Do.MALFORMED and fault.kind == "encryption_type"
        if device.certificate:
            assert self._authority is not None  # noqa: S101 - LocalCloud refuses CERT devices without TLS
            certificate, key = self._authority.issue(device.client_id)
            return {
                "encryptionType": _KEY_MODE if wrong else _CERT_MODE,
                "clientCert": certificate,
                "clientKey": key,
            }
        assert device.secret is not None  # noqa: S101 - only CERT devices and products without secret have none
        return {"encryptionType": _CERT_MODE if wrong else _KEY_MODE, "psk": device.secret.text()}


def _body(request: Request) -> dict[str, Any]:
    try:
        return request.json()
    except ValueError:
        raise _RefusedError(Refusal.BAD_REQUEST, "the body is not a JSON object") from None


def _text(body: Mapping[str, Any], key: str) -> str:
    value = body.get(key)
    if not isinstance(value, str) or not value:
        raise _RefusedError(Refusal.BAD_REQUEST, f"{key} is missing or no text")
    return value


def _number(body: Mapping[str, Any], key: str) -> int:
    value = body.get(key)
    if not isinstance(value, int) or isinstance(value, bool):
        raise _RefusedError(Refusal.BAD_REQUEST, f"{key} is missing or no number")
    return value


def _signed(request: Request, product: Product) -> bool:
    """Check X-TC-Signature; the host is what the client called, with or without the port."""
    assert product.secret is not None  # noqa: S101 - _product has seen to it
    names = ("algorithm", "timestamp", "nonce", "signature")
    algorithm, timestamp, nonce, signature = (request.headers.get(f"x-tc-{name}", "") for name in names)
    digest = _ALGORITHMS.get(algorithm.lower())
    if digest is None or not timestamp.isdecimal() or not nonce.isdecimal():
        raise _RefusedError(Refusal.BAD_REQUEST, "X-TC-Algorithm, X-TC-Timestamp or X-TC-Nonce is wrong")
    try:
        given = base64.b64decode(signature, validate=True)
    except (binascii.Error, ValueError):
        return False
    host = request.headers.get("host", "")
    body = hashlib.sha256(request.body).hexdigest()
    return any(
        hmac.compare_digest(
            hmac.new(
                product.secret.reveal(),
                f"POST\n{name}\n{request.path}\n\n{algorithm}\n{timestamp}\n{nonce}\n{body}".encode(),
                digest,
            ).digest(),
            given,
        )
        for name in {host, host.rpartition(":")[0] or host}
    )
