"""Saving an identity into device_info.json; nothing else in the file changes."""

from __future__ import annotations

import json
import re
from contextlib import suppress
from pathlib import Path
from typing import Any

import attrs

from qiot.atomic_file import write_atomic
from qiot.device_info.identity import AuthMode, Cloud, DeviceInfo, Endpoints, IssuedCertificate
from qiot.device_info.layout import (
    CERT_FILE,
    CERTS,
    DEVICE_SECRET,
    KEY_FILE,
    NO_CERT_FILE,
    NO_DEVICE_SECRET,
    NO_KEY_FILE,
    NO_PRODUCT_SECRET,
)
from qiot.device_info.loading import DocumentReader, read_document
from qiot.errors import ConfigurationError, StorageError
from qiot.model import Secret

__all__ = ["save_device_info"]


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
        document, text = read_document(path)
        found = re.search(r'\n([ \t]+)"', text)
        indent = found[1] if found else indent
        with suppress(ConfigurationError):  # such as a certificate file that is gone
            before = DocumentReader(path, document).identity()
    if info.issued is not None:
        info = _save_certificate(path.parent / CERTS, info, info.issued)
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
            ("product_secret", ("productSecret",), _shown(info.product_secret, NO_PRODUCT_SECRET)),
        ]
        if before is not None or info.cloud is not Cloud.TENCENT:
            fields.insert(0, ("cloud", ("cloud",), info.cloud.value))  # the C SDK's own files have none
        if info.auth_mode is AuthMode.KEY:
            fields.append(("device_secret", DEVICE_SECRET, _shown(info.device_secret, NO_DEVICE_SECRET)))
        else:
            fields.append(("cert_file", CERT_FILE, self._name(info.cert_file) or NO_CERT_FILE))
            fields.append(("key_file", KEY_FILE, self._name(info.key_file) or NO_KEY_FILE))
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
            if file in (beside, self._folder / CERTS / file.name) and (file == beside or not beside.exists())
            else str(file)
        )


def _shown(secret: Secret | None, placeholder: str) -> str:
    return placeholder if secret is None else secret.text()
