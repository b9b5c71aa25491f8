"""Who this device is to its cloud: device_info.json, as the C SDK reads it (contract section 11).

A file is never guessed at: what cannot be used is a `ConfigurationError` with the path, the field and what
to do. Saving changes only what has changed; sub-devices, the other mode's block, unknown keys and their order
stay.
"""

from __future__ import annotations

import enum
import json
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import attrs

from qiot.atomic_file import write_atomic
from qiot.errors import ConfigurationError, StorageError
from qiot.model import Secret

__all__ = [
    "AuthMode",
    "DeviceInfo",
    "Endpoints",
    "IssuedCertificate",
    "SubDevice",
    "load_device_info",
    "save_device_info",
]

_PRODUCT_ID_MAX: Final = 10
_NAME_MAX: Final = 48
_PRODUCT_SECRET_MAX: Final = 32
_PRODUCT_SECRET_MIN: Final = 16
"""Its first 16 octets are the key of the registration's answer (contract section 8)."""
_DEVICE_SECRET_MAX: Final = 88
_FILE_NAME_MAX: Final = 128
_REGION_MAX: Final = 64
_SUB_DEVICES_MAX: Final = 50

_NO_PRODUCT_ID: Final = "PRODUCT_ID"
_NO_NAME: Final = "YOUR_DEV_NAME"
_NO_PRODUCT_SECRET: Final = "YOUR_PRODUCT_SECRET"  # noqa: S105 - the C SDK's placeholder
_NO_DEVICE_SECRET: Final = "YOUR_IOT_PSK"  # noqa: S105 - the C SDK's placeholder
_NO_CERT_FILE: Final = "YOUR_DEVICE_CERT_FILE_NAME"
_NO_KEY_FILE: Final = "YOUR_DEVICE_PRIVATE_KEY_FILE_NAME"

_CERTS: Final = "certs"
"""The folder beside the file where the C SDK keeps certificates."""

_DEVICE_SECRET: Final = ("key_deviceinfo", "deviceSecret")
_CERT_FILE: Final = ("cert_deviceinfo", "devCertFile")
_KEY_FILE: Final = ("cert_deviceinfo", "devPrivateKeyFile")


class AuthMode(enum.StrEnum):
    """How the device proves itself."""

    KEY = "KEY"
    CERT = "CERT"


@attrs.frozen
class SubDevice:
    """A device behind a gateway."""

    product_id: str
    device_name: str


@attrs.frozen
class Endpoints:
    """Where the cloud is, where it is not where the region says.

    Attributes:
        dynreg: http(s) URL of the registration gateway.
        mqtt: mqtt(s) URL of the broker.
        ca_file: PEM file of the CA to trust; the system's where None.
    """

    dynreg: str | None = None
    mqtt: str | None = None
    ca_file: Path | None = None


@attrs.frozen
class IssuedCertificate:
    """What dynamic registration gave a CERT device, not yet in files.

    Attributes:
        certificate: PEM text.
        private_key: PEM text.
    """

    certificate: str
    private_key: Secret


@attrs.frozen
class DeviceInfo:
    """The identity (limits: contract section 2).

    Attributes:
        product_id: 1 to 10 letters and digits.
        device_name: 1 to 48 octets.
        auth_mode: With a device secret, or with a certificate.
        region: As the file has it; None where it says nothing.
        product_secret: 16 to 32 characters; needed for dynamic registration only.
        device_secret: KEY: base64 text of at most 64 characters; None before registration.
        cert_file: CERT: the device's certificate, PEM; None before registration.
        key_file: CERT: its private key, PEM.
        issued: CERT: what registration gave, until it is saved.
        sub_devices: The devices behind a gateway.
        endpoints: Where the cloud is, if not where the region says.
    """

    product_id: str
    device_name: str
    auth_mode: AuthMode = AuthMode.KEY
    region: str | None = None
    product_secret: Secret | None = None
    device_secret: Secret | None = None
    cert_file: Path | None = None
    key_file: Path | None = None
    issued: IssuedCertificate | None = None
    sub_devices: tuple[SubDevice, ...] = ()
    endpoints: Endpoints = Endpoints()

    @property
    def needs_registration(self) -> bool:
        """True where the device has no secret, or no certificate, of its own yet."""
        if self.auth_mode is AuthMode.KEY:
            return self.device_secret is None
        return self.issued is None and (self.cert_file is None or self.key_file is None)


# --- loading ------------------------------------------------------------------------------------------------


def load_device_info(path: Path | str, *, dynamic_registration: bool = True) -> DeviceInfo:
    """Read and check an identity.

    Args:
        path: The file.
        dynamic_registration: False where the device must not register itself: a placeholder in place of its
            secret or certificate is an error then.

    Raises:
        ConfigurationError: The file cannot be read or used; says which field, and what to do.
    """
    path = Path(path)
    reader = _Reader(path, _read(path)[0])
    info = reader.identity()
    missing = list(reader.left_open(info, dynamic_registration=dynamic_registration))
    if missing:
        raise ConfigurationError(
            f"{path}: fill in {', '.join(missing)}",
            hint="The console shows these values on the product's and the device's page.",
        )
    if info.needs_registration and not _long_enough(info.product_secret):
        raise ConfigurationError(
            f"{path}: productSecret is shorter than {_PRODUCT_SECRET_MIN} characters",
            hint="Dynamic registration needs the whole product secret from the console.",
        )
    return info


def _long_enough(secret: Secret | None) -> bool:
    return secret is not None and len(secret) >= _PRODUCT_SECRET_MIN


def _read(path: Path) -> tuple[dict[str, Any], str]:
    """The file as an object and as text."""
    if not path.exists():
        raise ConfigurationError(
            f"{path}: there is no such file",
            hint="Name the device's file with -c, or fill in a copy of device_info.json.",
        )
    if not path.is_file():
        raise ConfigurationError(f"{path}: not a regular file", hint="Name the file itself.")
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ConfigurationError(
            f"{path}: {error.strerror}", code=error.errno, hint="Make the file readable for this user."
        ) from None
    if data.startswith((b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")):
        raise ConfigurationError(
            f"{path}: begins with a byte order mark", hint="Save it as UTF-8 without one."
        )
    try:
        text = data.decode()
        document = json.loads(text)
    except UnicodeDecodeError as error:
        raise ConfigurationError(
            f"{path}: not UTF-8 (octet {error.start})", hint="Save it as UTF-8."
        ) from None
    except json.JSONDecodeError as error:
        raise ConfigurationError(
            f"{path}: not JSON: {error.msg} in line {error.lineno}, column {error.colno}",
            hint="Correct the line; device_info.json of the repository shows the form.",
        ) from None
    except (RecursionError, ValueError):
        raise ConfigurationError(f"{path}: not usable as JSON", hint="Write plain JSON.") from None
    if not isinstance(document, dict):
        raise ConfigurationError(f"{path}: not a JSON object", hint='The file has to begin with "{".')
    return document, text


class _Reader:
    """Takes the fields out of a document."""

    def __init__(self, path: Path, document: Mapping[str, Any]) -> None:
        self._path = path
        self._folder = path.resolve().parent
        self._document = document

    def identity(self) -> DeviceInfo:
        mode = self._mode()
        product_id = self._text("productId", longest=_PRODUCT_ID_MAX, empty=_NO_PRODUCT_ID)
        if product_id and not (product_id.isascii() and product_id.isalnum()):
            raise self._wrong("productId", "has other characters than letters and digits")
        name = self._text("deviceName", longest=_NAME_MAX, empty=_NO_NAME)
        if name and (not name.isprintable() or re.search(r"[\s/+#;]", name)):
            raise self._wrong("deviceName", "has a blank or one of / + # ; in it")
        product_secret = self._text("productSecret", longest=_PRODUCT_SECRET_MAX, empty=_NO_PRODUCT_SECRET)
        info = DeviceInfo(
            product_id=product_id or "",
            device_name=name or "",
            auth_mode=mode,
            region=self._text("region", longest=_REGION_MAX),
            product_secret=Secret(product_secret) if product_secret else None,
            sub_devices=self._sub_devices(),
            endpoints=Endpoints(
                self._text("endpoints", "dynreg"),
                self._text("endpoints", "mqtt"),
                self._file("endpoints", "ca_file"),
            ),
        )
        if mode is AuthMode.KEY:
            secret = self._text(*_DEVICE_SECRET, longest=_DEVICE_SECRET_MAX, empty=_NO_DEVICE_SECRET)
            return attrs.evolve(info, device_secret=Secret(secret) if secret else None)
        cert_file = self._file(*_CERT_FILE, empty=_NO_CERT_FILE)
        key_file = self._file(*_KEY_FILE, empty=_NO_KEY_FILE)
        if (cert_file is None) != (key_file is None):
            lacking = _CERT_FILE if cert_file is None else _KEY_FILE
            raise self._wrong(".".join(lacking), "is not filled in, though its counterpart is")
        return attrs.evolve(info, cert_file=cert_file, key_file=key_file)

    def left_open(self, info: DeviceInfo, *, dynamic_registration: bool) -> Iterator[str]:
        """What the user still has to fill in."""
        if not info.product_id:
            yield "productId"
        if not info.device_name:
            yield "deviceName"
        if not info.needs_registration:
            return
        if dynamic_registration:
            if info.product_secret is None:
                yield "productSecret (for dynamic registration)"
        elif info.auth_mode is AuthMode.KEY:
            yield ".".join(_DEVICE_SECRET)
        else:
            yield from (".".join(_CERT_FILE), ".".join(_KEY_FILE))

    def _wrong(self, field: str, what: str, hint: str = "") -> ConfigurationError:
        return ConfigurationError(f"{self._path}: {field} {what}", hint=hint or f"Correct {field}.")

    def _mode(self) -> AuthMode:
        value = self._document.get("auth_mode", AuthMode.KEY.value)
        if value not in list(AuthMode):
            raise self._wrong("auth_mode", f"is {json.dumps(value)[:40]}", 'Write "KEY" or "CERT".')
        return AuthMode(value)

    def _value(self, *names: str) -> Any:
        value: Any = self._document
        for depth, name in enumerate(names):
            if not isinstance(value, dict):
                raise self._wrong(".".join(names[:depth]), "is not an object")
            value = value.get(name)
            if value is None:
                return None
        return value

    def _text(self, *names: str, longest: int | None = None, empty: str = "") -> str | None:
        """A text field; None where it is missing, empty or the placeholder `empty`."""
        value = self._value(*names)
        return self._checked(".".join(names), value, longest, empty)

    def _checked(self, field: str, value: Any, longest: int | None, empty: str = "") -> str | None:
        if value is None:
            return None
        if not isinstance(value, str):
            raise self._wrong(field, "is not a text", f"Write {field} in quotes.")
        try:
            size = len(value.encode())
        except UnicodeEncodeError:
            raise self._wrong(field, "has half a character in it") from None
        if longest is not None and size > longest:
            raise self._wrong(field, f"is {size} octets long", f"At most {longest} are allowed.")
        return value if value not in ("", empty) else None

    def _file(self, *names: str, empty: str = "") -> Path | None:
        """A file that is named; looked for beside the document and, as the C SDK does, in certs/."""
        name = self._text(*names, longest=None if names[0] == "endpoints" else _FILE_NAME_MAX, empty=empty)
        if name is None:
            return None
        places = list(dict.fromkeys((self._folder / name, self._folder / _CERTS / name)))
        for place in places:
            with suppress(OSError, ValueError):
                if place.is_file():
                    return place
        raise self._wrong(
            ".".join(names),
            f"{json.dumps(name)}: no such file",
            f"Looked for {' and '.join(map(str, places))}.",
        )

    def _sub_devices(self) -> tuple[SubDevice, ...]:
        number = self._value("subDev", "subdev_num")
        if number is None:
            return ()
        if type(number) is not int or not 0 <= number <= _SUB_DEVICES_MAX:
            raise self._wrong("subDev.subdev_num", f"is not a number from 0 to {_SUB_DEVICES_MAX}")
        listed = self._value("subDev", "subdev_list") or []
        if not isinstance(listed, list) or len(listed) < number:
            raise self._wrong("subDev.subdev_list", f"does not have the {number} entries of subdev_num")
        return tuple(self._sub_device(index, entry) for index, entry in enumerate(listed[:number]))

    def _sub_device(self, index: int, entry: Any) -> SubDevice:
        field = f"subDev.subdev_list[{index}]"
        if not isinstance(entry, dict):
            raise self._wrong(field, "is not an object")
        product_id = self._checked(f"{field}.sub_productId", entry.get("sub_productId"), _PRODUCT_ID_MAX)
        name = self._checked(f"{field}.sub_devName", entry.get("sub_devName"), _NAME_MAX)
        if product_id is None or name is None:
            raise self._wrong(field, "lacks sub_productId or sub_devName", "Fill it in or lower subdev_num.")
        return SubDevice(product_id, name)


# --- saving -------------------------------------------------------------------------------------------------


def save_device_info(path: Path | str, info: DeviceInfo) -> DeviceInfo:
    """Save an identity: whole or not at all, readable for the owner only (0600).

    A certificate that registration has issued goes to `certs/{deviceName}_cert.crt` and
    `certs/{deviceName}_private.key` beside the file first, as with the C SDK (contract section 8).

    Args:
        path: The file; where it exists, only what differs from `info` is changed in it.
        info: The identity.

    Returns:
        `info` as it is saved: with the names of the certificate files.

    Raises:
        ConfigurationError: The file is there and is not a JSON object.
        StorageError: Not saved; what was there before is untouched.
    """
    path = Path(path).resolve()  # a link stays a link
    document: dict[str, Any] = {}
    indent: int | str = 4
    before: DeviceInfo | None = None
    if path.exists():
        document, text = _read(path)
        found = re.search(r'\n([ \t]+)"', text)
        indent = found[1] if found else indent
        with suppress(ConfigurationError):  # such as a certificate file that is gone
            before = _Reader(path, document).identity()
    if info.issued is not None:
        info = _save_certificate(path.parent / _CERTS, info, info.issued)
    _Writer(document, path.parent).apply(before, info)
    _replace(path, (json.dumps(document, indent=indent, ensure_ascii=False) + "\n").encode())
    return info


def _replace(path: Path, data: bytes, mode: int = 0o600) -> None:
    try:
        path.parent.mkdir(mode=0o700, exist_ok=True)
        write_atomic(path, data, mode)
    except OSError as error:
        raise StorageError(f"{path}: not saved: {error.strerror or error}", code=error.errno) from None


def _save_certificate(folder: Path, info: DeviceInfo, issued: IssuedCertificate) -> DeviceInfo:
    cert_file = folder / f"{info.device_name}_cert.crt"
    key_file = folder / f"{info.device_name}_private.key"
    _replace(key_file, issued.private_key.reveal())
    _replace(cert_file, issued.certificate.encode(), mode=0o644)
    return attrs.evolve(info, cert_file=cert_file, key_file=key_file, issued=None)


class _Writer:
    """Puts into a document what has changed."""

    def __init__(self, document: dict[str, Any], folder: Path) -> None:
        self._document = document
        self._folder = folder

    def apply(self, before: DeviceInfo | None, info: DeviceInfo) -> None:
        """In the C SDK's order, for a document that is new."""
        fields: list[tuple[str, tuple[str, ...], Any]] = [
            ("auth_mode", ("auth_mode",), info.auth_mode.value),
            ("product_id", ("productId",), info.product_id),
            ("device_name", ("deviceName",), info.device_name),
            ("region", ("region",), info.region),
            ("product_secret", ("productSecret",), _shown(info.product_secret, _NO_PRODUCT_SECRET)),
        ]
        if info.auth_mode is AuthMode.KEY:
            fields.append(("device_secret", _DEVICE_SECRET, _shown(info.device_secret, _NO_DEVICE_SECRET)))
        else:
            fields.append(("cert_file", _CERT_FILE, self._name(info.cert_file) or _NO_CERT_FILE))
            fields.append(("key_file", _KEY_FILE, self._name(info.key_file) or _NO_KEY_FILE))
        for attribute, names, value in fields:
            if before is None or getattr(before, attribute) != getattr(info, attribute):
                self._put(names, value)
        if info.sub_devices != (before.sub_devices if before else ()):
            entries = [
                {"sub_productId": each.product_id, "sub_devName": each.device_name}
                for each in info.sub_devices
            ]
            self._put(("subDev",), {"subdev_num": len(entries), "subdev_list": entries})
        if info.endpoints != (before.endpoints if before else Endpoints()):
            self._put(("endpoints", "dynreg"), info.endpoints.dynreg)
            self._put(("endpoints", "mqtt"), info.endpoints.mqtt)
            self._put(("endpoints", "ca_file"), self._name(info.endpoints.ca_file))

    def _put(self, names: tuple[str, ...], value: Any) -> None:
        block = self._document
        for name in names[:-1]:
            if not isinstance(block.get(name), dict):
                block[name] = {}
            block = block[name]
        if value is None:
            block.pop(names[-1], None)
        else:
            block[names[-1]] = value

    def _name(self, file: Path | None) -> str | None:
        """As the C SDK stores it: without a folder, where loading finds it again."""
        if file is None:
            return None
        file = file.resolve()
        beside = self._folder / file.name
        return (
            file.name
            if file in (beside, self._folder / _CERTS / file.name) and (file == beside or not beside.exists())
            else str(file)
        )


def _shown(secret: Secret | None, placeholder: str) -> str:
    return placeholder if secret is None else secret.text()
