"""What the local cloud knows: products, devices, bind tokens and families. All in memory."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import re
import secrets
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import attrs

from qiot.errors import ConfigurationError
from qiot.model import Secret
from qiot.testbed.cloud.products import Product
from qiot.testbed.cloud.rlink.units import Applicant, Unit, Units, parse_unit

__all__ = [
    "DEMO_DEVICE_NAME",
    "DEMO_PRODUCT_ID",
    "DEMO_PRODUCT_SECRET",
    "BindToken",
    "Device",
    "Product",
    "Registry",
    "load_devices",
]

DEMO_PRODUCT_ID: Final = "QIOTDEMO01"
"""The built-in product, where no devices file is given."""
DEMO_DEVICE_NAME: Final = "demo-device-1"
"""Its device; further ones are created by dynamic registration."""
DEMO_PRODUCT_SECRET: Final = "qiot-demo-product-secret"  # noqa: S105 - shown on purpose, it protects nothing

_PRODUCT_ID: Final = re.compile(r"[A-Za-z0-9]{1,10}")
_DEVICE_NAME: Final = re.compile(r"[A-Za-z0-9:_-]{1,48}")
_NO_SECRET: Final = ("", "YOUR_IOT_PSK")
"""Device secrets that stand for "not yet registered" (contract section 8)."""
_SECRET_MIN: Final = 16
"""The payload's key is the first 16 characters of the product secret (contract section 8)."""


@attrs.define(eq=False)
class Device:
    """One device and its state.

    Attributes:
        product: Its product.
        name: Device name, 1 to 48 of A-Z a-z 0-9 : _ -.
        fixed_secret: The device secret (base64 text) where the file gives one.
        certificate: It logs in with a client certificate instead of a secret.
        sub_devices: (product id, device name) of the devices behind this gateway.
        registrations: How often dynamic registration has handed out a secret.
        activated: It has connected; from then on dynamic registration is refused (contract section 8).
        reported: The properties it has reported.
        desired: Properties that were set by the application and not confirmed yet.
        family: The family it is bound to.
    """

    product: Product
    name: str
    fixed_secret: Secret | None = None
    certificate: bool = False
    sub_devices: frozenset[tuple[str, str]] = frozenset()
    registrations: int = 0
    activated: bool = False
    reported: dict[str, Any] = attrs.field(factory=dict)
    desired: dict[str, Any] = attrs.field(factory=dict)
    family: str | None = None

    @property
    def client_id(self) -> str:
        """MQTT client id (contract section 9)."""
        return self.product.product_id + self.name

    @property
    def path(self) -> str:
        """The device in topics and records: "productId/deviceName"."""
        return f"{self.product.product_id}/{self.name}"

    @property
    def secret(self) -> Secret | None:
        """The device secret as base64 text; None where it logs in with a certificate.

        Where dynamic registration hands it out, it is derived from the product secret and the count of
        registrations: another one makes the last invalid, as on the platform, and a device that has stored
        its first secret can still log in after this cloud was started anew.
        """
        if self.certificate or self.fixed_secret is not None or self.product.secret is None:
            return self.fixed_secret
        text = f"{self.path}/{max(self.registrations, 1)}".encode()
        key = hmac.new(self.product.secret.reveal(), text, hashlib.sha256).digest()[:16]
        return Secret(base64.b64encode(key))


@attrs.define(eq=False)
class BindToken:
    """One token of the application.

    Attributes:
        expires: Monotonic seconds after which no device may report it.
        device: Who has reported it.
        used: A family was bound with it.
    """

    expires: float
    device: Device | None = None
    used: bool = False

    @property
    def state(self) -> int:
        """The application's State: 1 waits for a device, 2 was reported by one (contract section 4)."""
        return 1 if self.device is None else 2

    @property
    def expired(self) -> bool:
        """True where it is too old and no device has reported it."""
        return self.device is None and time.monotonic() > self.expires


class Registry:
    """Products, devices and tokens of one cloud.

    Args:
        devices: The devices, of whichever cloud.
        products: Products that may have no device yet; those of the devices are known anyway.
        token_life: Seconds in which a device has to report a token.

    Attributes:
        products: By product id.
        rlink: The devices that speak rlink.
    """

    def __init__(
        self, devices: Sequence[Device | Unit], products: Sequence[Product] = (), token_life: float = 600.0
    ) -> None:
        self.products = {product.product_id: product for product in products}
        self.products |= {device.product.product_id: device.product for device in devices}
        self.rlink = Units([device for device in devices if isinstance(device, Unit)])
        ours = [device for device in devices if isinstance(device, Device)]
        self._devices = {(device.product.product_id, device.name): device for device in ours}
        self._by_client_id = {device.client_id: device for device in ours}
        self._tokens: dict[Secret, BindToken] = {}
        self._token_life = token_life

    @property
    def devices(self) -> Sequence[Device | Unit]:
        """All devices that are known."""
        return (*self._devices.values(), *self.rlink.all)

    def device(self, product_id: str, name: str) -> Device | None:
        """The device of that name."""
        return self._devices.get((product_id, name))

    def by_client_id(self, client_id: str) -> Device | Unit | Applicant | None:
        """The device with that MQTT client id, or who wants to become one."""
        return self._by_client_id.get(client_id) or self.rlink.by_client_id(client_id)

    def create_device(self, product: Product, name: str) -> Device | None:
        """Create a device where the product allows it and the name is one."""
        if not product.auto_create or not _DEVICE_NAME.fullmatch(name):
            return None
        device = Device(product, name)
        if device.client_id in self._by_client_id:
            return None
        self._devices[product.product_id, name] = device
        self._by_client_id[device.client_id] = device
        return device

    def create_token(self) -> Secret:
        """A new bind token: 32 hex digits."""
        value = Secret(secrets.token_hex(16))
        self._tokens[value] = BindToken(time.monotonic() + self._token_life)
        return value

    def token(self, value: object) -> BindToken | None:
        """The token with that text."""
        return self._tokens.get(Secret(value)) if isinstance(value, str) else None


def load_devices(
    source: Path | Mapping[str, Any] | Sequence[Any] | None,
) -> tuple[list[Device | Unit], list[Product]]:
    """Read devices: a file or JSON data; one device_info.json object, a list of them, or an object.

    The object form is ``{"devices": [...], "autoCreate": ["PRODUCTID", ...]}``: of the products in
    `autoCreate`, dynamic registration creates the devices that are not listed. A device is what the C SDK
    reads (contract section 11); a missing device secret or YOUR_IOT_PSK means that dynamic registration hands
    one out, `auth_mode` "CERT" means that it is a certificate. `"cloud": "rlink"` makes it an rlink device
    (see `rlink.units.parse_unit`).

    Args:
        source: Where from; None is the built-in demo product, which creates devices on demand.

    Raises:
        ConfigurationError: It cannot be read or used; the message says what is wrong, without secrets.
    """
    if source is None:
        product = Product(DEMO_PRODUCT_ID, Secret(DEMO_PRODUCT_SECRET), auto_create=True)
        return [Device(product, DEMO_DEVICE_NAME)], [product]
    where = "devices"
    data: Any = source
    if isinstance(source, Path):
        where = str(source)
        try:
            data = json.loads(source.read_bytes())
        except OSError as error:
            raise ConfigurationError(f"{where}: cannot be read: {error.strerror}") from error
        except (ValueError, RecursionError):
            raise ConfigurationError(f"{where}: not JSON") from None
    auto_create: Any = []
    if isinstance(data, Mapping) and "devices" in data:
        auto_create = data.get("autoCreate", [])
        data = data["devices"]
    elif isinstance(data, Mapping):
        data = [data]
    if not isinstance(data, list | tuple) or not isinstance(auto_create, list | tuple):
        raise ConfigurationError(f'{where}: must be a device, a list of devices or {{"devices": [...]}}')
    devices: list[Device | Unit] = []
    products: dict[str, Product] = {}
    for index, entry in enumerate(data):
        device = _parse_entry(entry, f"{where}[{index}]", products, auto_create)
        if any(device.client_id == other.client_id for other in devices):
            raise ConfigurationError(f"{where}[{index}]: {device.path} is there twice")
        devices.append(device)
    unknown = set(map(str, auto_create)) - products.keys()
    if unknown:
        raise ConfigurationError(f"{where}: autoCreate names {sorted(unknown)}, of which no device is listed")
    return devices, list(products.values())


def _parse_entry(
    entry: object, where: str, products: dict[str, Product], auto_create: Sequence[object]
) -> Device | Unit:
    if not isinstance(entry, Mapping):
        raise ConfigurationError(f"{where}: a device is a JSON object as in device_info.json")
    cloud = entry.get("cloud", "tencent")
    if cloud == "rlink":
        return parse_unit(entry, where, products, auto_create)
    if cloud != "tencent":
        raise ConfigurationError(f"{where}: cloud must be tencent or rlink")
    return _parse_device(entry, where, products, auto_create)


def _parse_device(
    entry: Mapping[str, Any], where: str, products: dict[str, Product], auto_create: Sequence[object]
) -> Device:
    product_id = _text(entry, "productId", where)
    name = _text(entry, "deviceName", where)
    if not _PRODUCT_ID.fullmatch(product_id):
        raise ConfigurationError(f"{where}: productId must be 1 to 10 letters and digits")
    if not _DEVICE_NAME.fullmatch(name):
        raise ConfigurationError(f"{where}: deviceName must be 1 to 48 of A-Z a-z 0-9 : _ -")
    key = entry.get("key_deviceinfo", {})
    if not isinstance(key, Mapping):
        raise ConfigurationError(f"{where}: key_deviceinfo must be an object")
    device_secret = _text(key, "deviceSecret", where, default="")
    mode = _text(entry, "auth_mode", where, default="KEY")
    if mode not in {"KEY", "CERT"}:
        raise ConfigurationError(f"{where}: auth_mode must be KEY or CERT")
    product_secret = _text(entry, "productSecret", where, default="")
    if product_secret and len(product_secret) < _SECRET_MIN:
        raise ConfigurationError(f"{where}: productSecret must have at least {_SECRET_MIN} characters")
    product = Product(
        product_id, Secret(product_secret) if product_secret else None, product_id in auto_create
    )
    if products.setdefault(product_id, product) != product:
        raise ConfigurationError(f"{where}: product {product_id} has another productSecret before")
    fixed = None
    if mode == "KEY" and device_secret not in _NO_SECRET:
        try:
            base64.b64decode(device_secret, validate=True)
        except binascii.Error:
            raise ConfigurationError(f"{where}: deviceSecret is not base64") from None
        fixed = Secret(device_secret)
    if fixed is None and mode == "KEY" and product.secret is None:
        raise ConfigurationError(f"{where}: a device without deviceSecret needs a productSecret")
    return Device(
        products[product_id], name, fixed, mode == "CERT", _parse_sub_devices(entry.get("subDev"), where)
    )


def _parse_sub_devices(data: object, where: str) -> frozenset[tuple[str, str]]:
    if data is None:
        return frozenset()
    entries = data.get("subdev_list", []) if isinstance(data, Mapping) else None
    if not isinstance(entries, list) or not all(isinstance(entry, Mapping) for entry in entries):
        raise ConfigurationError(f"{where}: subDev needs a subdev_list of objects")
    return frozenset(
        (_text(entry, "sub_productId", where), _text(entry, "sub_devName", where)) for entry in entries
    )


def _text(entry: Mapping[str, Any], key: str, where: str, default: str | None = None) -> str:
    value = entry.get(key, default)
    if not isinstance(value, str):
        raise ConfigurationError(f"{where}: {key} is missing or no text")
    return value
