"""A device's identity."""

from __future__ import annotations

import enum
from pathlib import Path

import attrs

from qiot.model import Secret

__all__ = ["AuthMode", "Cloud", "DeviceInfo", "Endpoints", "IssuedCertificate", "SubDevice"]


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


class Cloud(enum.StrEnum):
    """Whose cloud the device belongs to; the binders' names."""

    TENCENT = "tencent"
    RLINK = "rlink"


@attrs.frozen
class DeviceInfo:
    """The identity (limits: contract section 2; docs/rlink.md for an rlink device).

    Attributes:
        product_id: 1 to 10 letters and digits; of an rlink device the pid, up to 16.
        device_name: 1 to 48 octets; of an rlink device the uuid, before registration its unique name.
        auth_mode: With a device secret, or with a certificate.
        region: As the file has it; None where it says nothing.
        product_secret: 16 to 32 characters; needed for dynamic registration only.
        device_secret: KEY: base64 text of at most 64 characters; None before registration. Of an rlink device
            the triplet's secret, 1 to 64 printable characters (the vendor's have 32).
        cert_file: CERT: the device's certificate, PEM; None before registration.
        key_file: CERT: its private key, PEM.
        issued: CERT: what registration gave, until it is saved.
        sub_devices: The devices behind a gateway.
        endpoints: Where the cloud is, if not where the region (rlink: the phone) says.
        cloud: Whose cloud it belongs to.
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
    cloud: Cloud = Cloud.TENCENT

    @property
    def needs_registration(self) -> bool:
        """True where the device has no secret, or no certificate, of its own yet."""
        if self.auth_mode is AuthMode.KEY:
            return self.device_secret is None
        return self.issued is None and (self.cert_file is None or self.key_file is None)
