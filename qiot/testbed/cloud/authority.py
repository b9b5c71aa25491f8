"""The local cloud's certificate authority: its own certificate, the server's, and those of CERT devices."""

from __future__ import annotations

import datetime as dt
import ipaddress
import os
import ssl
import tempfile
from pathlib import Path
from typing import Final

import attrs
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from qiot.errors import ConfigurationError, StorageError

__all__ = ["Authority"]

_LIFE: Final = dt.timedelta(days=3650)
_MARGIN: Final = dt.timedelta(days=1)
"""A certificate that ends within this time is made anew; one that is made begins this much earlier."""


@attrs.frozen
class _Pair:
    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @property
    def fits(self) -> bool:
        """The key belongs to the certificate, which is valid now and for a while."""
        now = dt.datetime.now(dt.UTC)
        return (
            self.certificate.public_key() == self.key.public_key()
            and self.certificate.not_valid_before_utc <= now
            and now + _MARGIN < self.certificate.not_valid_after_utc
        )


class Authority:
    """A certificate authority in a folder: ca.crt, ca.key, server.crt, server.key (keys are 0600).

    Use `open`; it blocks, so call it in a thread.
    """

    def __init__(self, folder: Path, pair: _Pair) -> None:
        self._folder = folder
        self._pair = pair

    @property
    def ca_file(self) -> Path:
        """The authority's certificate, for devices and phones to trust."""
        return self._folder / "ca.crt"

    @classmethod
    def open(cls, folder: Path) -> Authority:
        """Take what is in the folder where it is valid, and make what is missing or has ended.

        Raises:
            ConfigurationError: The folder holds an authority that cannot be used: it is not overwritten.
            StorageError: The folder cannot be read or written.
        """
        try:
            folder.mkdir(parents=True, exist_ok=True)
            authority = cls(folder, _open_ca(folder))
            authority._open_server()
        except OSError as error:
            raise StorageError(f"{folder}: {error.strerror or error}") from error
        return authority

    def server_context(self) -> ssl.SSLContext:
        """TLS for the server's side; a client may show a certificate of this authority, and need not."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.load_cert_chain(self._folder / "server.crt", self._folder / "server.key")
        context.load_verify_locations(self.ca_file)
        context.verify_mode = ssl.CERT_OPTIONAL
        return context

    def issue(self, common_name: str) -> tuple[str, str]:
        """A client certificate and its key as PEM text."""
        made = _make(common_name, self._pair, usage=ExtendedKeyUsageOID.CLIENT_AUTH)
        return _certificate_pem(made).decode(), _key_pem(made).decode()

    def _open_server(self) -> None:
        names = ("server.crt", "server.key")
        found = _load(self._folder, *names)
        if found is None or not found.fits or not self._issued(found.certificate):
            _save(self._folder, _make("localhost", self._pair, usage=ExtendedKeyUsageOID.SERVER_AUTH), *names)

    def _issued(self, certificate: x509.Certificate) -> bool:
        try:
            certificate.verify_directly_issued_by(self._pair.certificate)
        except (ValueError, TypeError, InvalidSignature):
            return False
        return True


def _open_ca(folder: Path) -> _Pair:
    names = ("ca.crt", "ca.key")
    there = [name for name in names if (folder / name).exists()]
    if not there:
        pair = _make("qiot local cloud", None)
        _save(folder, pair, *names)
        return pair
    found = _load(folder, *names)
    if found is None or not found.fits:
        raise ConfigurationError(
            f"{folder}: {' and '.join(there)} cannot be used or have ended",
            hint="Give an empty folder with --tls-dir, or remove ca.crt and ca.key if nothing trusts them.",
        )
    return found


def _load(folder: Path, certificate_name: str, key_name: str) -> _Pair | None:
    try:
        certificate = x509.load_pem_x509_certificate((folder / certificate_name).read_bytes())
        key = serialization.load_pem_private_key((folder / key_name).read_bytes(), None)
    except (FileNotFoundError, ValueError, TypeError):
        return None
    return _Pair(certificate, key) if isinstance(key, ec.EllipticCurvePrivateKey) else None


def _make(common_name: str, issuer: _Pair | None, usage: x509.ObjectIdentifier | None = None) -> _Pair:
    """A key and its certificate: an authority's own where there is no issuer (RFC 5280, section 4.2)."""
    key = ec.generate_private_key(ec.SECP256R1())
    signer = issuer.key if issuer is not None else key
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
    now = dt.datetime.now(dt.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.certificate.subject if issuer is not None else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _MARGIN)
        .not_valid_after(now + _LIFE if issuer is None else issuer.certificate.not_valid_after_utc)
        .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False
        )
        .add_extension(_key_usage(authority=issuer is None), critical=True)
    )
    if usage is not None:
        builder = builder.add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
    if usage == ExtendedKeyUsageOID.SERVER_AUTH:
        names = [
            x509.DNSName("localhost"),
            x509.IPAddress(ipaddress.ip_address("127.0.0.1")),
            x509.IPAddress(ipaddress.ip_address("::1")),
        ]
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    return _Pair(builder.sign(signer, hashes.SHA256()), key)


def _key_usage(*, authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=authority,
        crl_sign=authority,
        encipher_only=False,
        decipher_only=False,
    )


def _certificate_pem(pair: _Pair) -> bytes:
    return pair.certificate.public_bytes(serialization.Encoding.PEM)


def _key_pem(pair: _Pair) -> bytes:
    return pair.key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _save(folder: Path, pair: _Pair, certificate_name: str, key_name: str) -> None:
    _write(folder / key_name, _key_pem(pair), 0o600)
    _write(folder / certificate_name, _certificate_pem(pair), 0o644)
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _write(path: Path, data: bytes, mode: int) -> None:
    # mkstemp makes the file 0600, so that a key is never readable for others, not even for a moment.
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fchmod(file.fileno(), mode)
            os.fsync(file.fileno())
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
