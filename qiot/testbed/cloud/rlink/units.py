"""rlink devices, and who wants to become one."""

from __future__ import annotations

import collections
import hashlib
import hmac
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

import attrs

from qiot.errors import ConfigurationError
from qiot.model import Secret
from qiot.testbed.cloud.products import Product

__all__ = ["Applicant", "Unit", "Units", "parse_unit"]

_PID: Final = re.compile(r"[A-Za-z0-9]{1,16}")
_NAME: Final = re.compile(r"[A-Za-z0-9:_-]{1,48}")
_UNIQUE: Final = re.compile(r"[A-Za-z0-9:-]{1,48}")
_SECRET: Final = re.compile(r"[!-~]{1,64}")
_NO_SECRET: Final = ("", "YOUR_IOT_PSK")
_REPEATS: Final = 64
"""Message ids of a device that are remembered: one that comes again is ignored."""


@attrs.define(eq=False)
class Unit:
    """One device and its state.

    Attributes:
        product: Its product.
        uuid: Its uuid.
        secret: Its secret; None for one that has not registered yet, and is listed under its unique name.
        strong: Another owner can bind it only after it was unbound ("strong bind").
        owner: userId and assetId of who has bound it.
        reported: The properties it has reported.
        activated: It has connected.
        info: What its last `info` said.
    """

    product: Product
    uuid: str
    secret: Secret | None
    strong: bool = False
    owner: tuple[str, str] | None = None
    reported: dict[str, Any] = attrs.field(factory=dict)
    activated: bool = False
    info: dict[str, Any] = attrs.field(factory=dict)
    _known_ids: collections.deque[str] = attrs.field(factory=lambda: collections.deque(maxlen=_REPEATS))

    @property
    def client_id(self) -> str:
        """MQTT client id (mqtt.md, "Device Connection Method")."""
        return f"rlink_{self.uuid}_V2"

    @property
    def path(self) -> str:
        """The device in topics and records: "pid/uuid"."""
        return f"{self.product.product_id}/{self.uuid}"

    def is_new(self, message_id: str) -> bool:
        """True the first time; an id must not come again within a short time (ref-mqtt-en.md, 3.1)."""
        if message_id in self._known_ids:
            return False
        self._known_ids.append(message_id)
        return True


@attrs.define(eq=False)
class Applicant:
    """A client that has the product's secret and asks for a device's.

    Attributes:
        product: The product; it has a secret.
        unique: The name by which the product tells its devices apart.
        activated: It has connected.
    """

    product: Product
    unique: str
    activated: bool = False

    @property
    def client_id(self) -> str:
        """MQTT client id (dynamic_registration.md)."""
        return f"register_{self.product.product_id}_{self.unique}"

    @property
    def path(self) -> str:
        """The applicant in topics and records: "pid/unique"."""
        return f"{self.product.product_id}/{self.unique}"


class Units:
    """All rlink devices of one cloud.

    Args:
        units: The devices.
    """

    def __init__(self, units: Sequence[Unit]) -> None:
        self._units = {unit.uuid: unit for unit in units if unit.secret is not None}
        self._listed = {(unit.product.product_id, unit.uuid) for unit in units if unit.secret is None}
        self._products = {unit.product.product_id: unit.product for unit in units}

    @property
    def all(self) -> Sequence[Unit]:
        """Those that have a secret."""
        return tuple(self._units.values())

    def unit(self, uuid: str) -> Unit | None:
        """The device of that uuid."""
        return self._units.get(uuid)

    def by_client_id(self, client_id: str) -> Unit | Applicant | None:
        """The device, or the applicant, with that MQTT client id."""
        kind, _, rest = client_id.partition("_")
        if kind == "rlink" and rest.endswith("_V2"):
            return self._units.get(rest.removesuffix("_V2"))
        pid, _, unique = rest.partition("_")
        product = self._products.get(pid)
        if kind != "register" or product is None or product.secret is None:
            return None
        known = product.auto_create or (pid, unique) in self._listed
        return Applicant(product, unique) if known and _UNIQUE.fullmatch(unique) else None

    def register(self, applicant: Applicant) -> Unit:
        """The device of that unique name, made the first time.

        Uuid and secret follow from the product's secret and the name, so that a device that has stored them
        can still log in after this cloud was started anew.
        """
        key = applicant.product.secret
        assert key is not None, "an applicant's product has a secret"  # noqa: S101
        digits = hmac.new(key.reveal(), applicant.path.encode(), hashlib.sha256).hexdigest()
        uuid, secret = f"rn01{digits[:12]}", Secret(digits[12:44])
        return self._units.setdefault(uuid, Unit(applicant.product, uuid, secret))


def parse_unit(
    entry: Mapping[str, Any], where: str, products: dict[str, Product], auto_create: Sequence[object]
) -> Unit:
    """Read one device of a devices file: the fields of device_info.json, with `"cloud": "rlink"`.

    `"bindMode": 1` makes it a strong one (ref-rest-api-en.md, 4.1); 2, the default, lets others take it over.

    Raises:
        ConfigurationError: It cannot be used; the message says what is wrong, without secrets.
    """
    pid, name = entry.get("productId"), entry.get("deviceName")
    if not isinstance(pid, str) or not _PID.fullmatch(pid):
        raise ConfigurationError(f"{where}: productId must be 1 to 16 letters and digits")
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise ConfigurationError(f"{where}: deviceName must be 1 to 48 of A-Z a-z 0-9 : _ -")
    key = entry.get("key_deviceinfo", {})
    secret = key.get("deviceSecret", "") if isinstance(key, Mapping) else None
    product_secret = entry.get("productSecret", "")
    if not isinstance(secret, str) or not isinstance(product_secret, str):
        raise ConfigurationError(f"{where}: deviceSecret or productSecret is no text")
    if entry.get("bindMode", 2) not in (1, 2):
        raise ConfigurationError(f"{where}: bindMode must be 1 (strong) or 2 (weak)")
    registered = secret not in _NO_SECRET
    if registered and not _SECRET.fullmatch(secret):
        raise ConfigurationError(f"{where}: deviceSecret must be 1 to 64 printable characters")
    if not registered and not product_secret:
        raise ConfigurationError(f"{where}: a device without deviceSecret needs a productSecret")
    product = Product(pid, Secret(product_secret) if product_secret else None, pid in auto_create)
    if products.setdefault(pid, product) != product:
        raise ConfigurationError(f"{where}: product {pid} has another productSecret before")
    strong = entry.get("bindMode", 2) == 1
    return Unit(products[pid], name, Secret(secret) if registered else None, strong)
