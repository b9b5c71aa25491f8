"""Reading device_info.json, and saying what is wrong with it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import attrs

from qiot.device_info.identity import AuthMode, Cloud, DeviceInfo, Endpoints, SubDevice
from qiot.device_info.layout import (
    CERT_FILE,
    CERTS,
    DEVICE_SECRET,
    KEY_FILE,
    NO_CERT_FILE,
    NO_DEVICE_SECRET,
    NO_KEY_FILE,
    NO_NAME,
    NO_PRODUCT_ID,
    NO_PRODUCT_SECRET,
)
from qiot.errors import ConfigurationError
from qiot.model import Secret

__all__ = ["DocumentReader", "load_device_info", "read_document"]

_PRODUCT_ID_MAX: Final = {Cloud.TENCENT: 10, Cloud.RLINK: 16}
_NAME_MAX: Final = 48
_PRODUCT_SECRET_MAX: Final = 32
_PRODUCT_SECRET_MIN: Final = {Cloud.TENCENT: 16, Cloud.RLINK: 1}
"""Tencent: its first 16 octets are the key of the registration's answer (contract section 8)."""
_RLINK_SECRET: Final = re.compile(r"[!-~]{1,64}")
_DEVICE_SECRET_MAX: Final = 88
_FILE_NAME_MAX: Final = 128
_REGION_MAX: Final = 64
_SUB_DEVICES_MAX: Final = 50


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
    reader = DocumentReader(path, read_document(path)[0])
    info = reader.identity()
    missing = list(reader.left_open(info, dynamic_registration=dynamic_registration))
    if missing:
        raise ConfigurationError(
            f"{path}: fill in {', '.join(missing)}",
            hint="The console shows these values on the product's and the device's page.",
        )
    shortest = _PRODUCT_SECRET_MIN[info.cloud]
    if info.needs_registration and (info.product_secret is None or len(info.product_secret) < shortest):
        raise ConfigurationError(
            f"{path}: productSecret is shorter than {shortest} characters",
            hint="Dynamic registration needs the whole product secret from the console.",
        )
    return info


def read_document(path: Path) -> tuple[dict[str, Any], str]:
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


class DocumentReader:
    """Takes the fields out of a document."""

    def __init__(self, path: Path, document: Mapping[str, Any]) -> None:
        self._path = path
        self._folder = path.resolve().parent
        self._document = document

    def identity(self) -> DeviceInfo:
        """Who the document says this is; placeholders read as not filled in.

        Raises:
            ConfigurationError: A field is of the wrong type, too long, or not usable.
        """
        cloud, mode = self._cloud(), self._mode()
        product_id = self._text("productId", longest=_PRODUCT_ID_MAX[cloud], empty=NO_PRODUCT_ID)
        if product_id and not (product_id.isascii() and product_id.isalnum()):
            raise self._wrong("productId", "has other characters than letters and digits")
        name = self._text("deviceName", longest=_NAME_MAX, empty=NO_NAME)
        if name and (not name.isprintable() or re.search(r"[\s/+#;]", name)):
            raise self._wrong("deviceName", "has a blank or one of / + # ; in it")
        product_secret = self._text("productSecret", longest=_PRODUCT_SECRET_MAX, empty=NO_PRODUCT_SECRET)
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
            cloud=cloud,
        )
        if cloud is Cloud.RLINK and mode is not AuthMode.KEY:
            raise self._wrong("auth_mode", 'is "CERT", which rlink has not', 'Write "KEY".')
        if mode is AuthMode.KEY:
            secret = self._text(*DEVICE_SECRET, longest=_DEVICE_SECRET_MAX, empty=NO_DEVICE_SECRET)
            if secret and cloud is Cloud.RLINK and not _RLINK_SECRET.fullmatch(secret):
                raise self._wrong(".".join(DEVICE_SECRET), "is not 1 to 64 printable characters")
            return attrs.evolve(info, device_secret=Secret(secret) if secret else None)
        cert_file = self._file(*CERT_FILE, empty=NO_CERT_FILE)
        key_file = self._file(*KEY_FILE, empty=NO_KEY_FILE)
        if (cert_file is None) != (key_file is None):
            lacking = CERT_FILE if cert_file is None else KEY_FILE
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
            yield ".".join(DEVICE_SECRET)
        else:
            yield from (".".join(CERT_FILE), ".".join(KEY_FILE))

    def _wrong(self, field: str, what: str, hint: str = "") -> ConfigurationError:
        return ConfigurationError(f"{self._path}: {field} {what}", hint=hint or f"Correct {field}.")

    def _cloud(self) -> Cloud:
        value = self._document.get("cloud", Cloud.TENCENT.value)
        if value not in list(Cloud):
            names = " or ".join(f'"{each}"' for each in Cloud)
            raise self._wrong("cloud", f"is {json.dumps(value)[:40]}", f"Write {names}, or leave it out.")
        return Cloud(value)

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
        places = list(dict.fromkeys((self._folder / name, self._folder / CERTS / name)))
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
        product_id = self._checked(
            f"{field}.sub_productId", entry.get("sub_productId"), _PRODUCT_ID_MAX[Cloud.TENCENT]
        )
        name = self._checked(f"{field}.sub_devName", entry.get("sub_devName"), _NAME_MAX)
        if product_id is None or name is None:
            raise self._wrong(field, "lacks sub_productId or sub_devName", "Fill it in or lower subdev_num.")
        return SubDevice(product_id, name)
