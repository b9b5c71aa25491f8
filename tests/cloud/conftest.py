"""Certificates of a private CA, mosquitto on a free port, and a log to read."""

from __future__ import annotations

import datetime as dt
import io
import ipaddress
import shutil
import socket
import ssl
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import attrs
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from qiot.log import configure, silence
from tests.cloud.wire import closed_port


@attrs.frozen
class Authority:
    """A private CA with a server's and a device's certificate."""

    folder: Path
    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @property
    def ca_file(self) -> Path:
        return self.folder / "ca.crt"

    def issue(self, name: str, *, server: bool = False) -> tuple[str, str]:
        """Certificate and private key as PEM."""
        key = ec.generate_private_key(ec.SECP256R1())
        names = [x509.IPAddress(ipaddress.ip_address("127.0.0.1")), x509.DNSName("localhost")]
        builder = _builder(name, self.certificate.subject, key)
        if server:
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        return _pem(builder.sign(self.key, hashes.SHA256())), _key_pem(key)

    def server_context(self, *, client_certificates: bool = False) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.folder / "server.crt", self.folder / "server.key")
        if client_certificates:
            context.load_verify_locations(self.ca_file)
            context.verify_mode = ssl.CERT_REQUIRED
        return context


def _builder(name: str, issuer: x509.Name | None, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = dt.datetime.now(dt.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer or subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=2))
    )


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


def _key_pem(key: ec.EllipticCurvePrivateKey) -> str:
    form = serialization.PrivateFormat.PKCS8
    return key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()).decode()


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    folder = tmp_path_factory.mktemp("authority")
    key = ec.generate_private_key(ec.SECP256R1())
    builder = _builder("test CA", None, key).add_extension(
        x509.BasicConstraints(ca=True, path_length=None), critical=True
    )
    certificate = builder.sign(key, hashes.SHA256())
    made = Authority(folder, certificate, key)
    made.ca_file.write_text(_pem(certificate))
    for name, content in zip(("server.crt", "server.key"), made.issue("127.0.0.1", server=True), strict=True):
        (folder / name).write_text(content)
    for name, content in zip(("device.crt", "device.key"), made.issue("device"), strict=True):
        (folder / name).write_text(content)
    return made


@pytest.fixture
def mosquitto(tmp_path: Path) -> Iterator[Callable[..., int]]:
    """Start mosquitto with these lines for its listener; gives the port. It has to be installed."""
    program = shutil.which("mosquitto") or "/usr/sbin/mosquitto"
    started: list[subprocess.Popen[bytes]] = []

    def start(*lines: str) -> int:
        for _ in range(5):  # another process may take the port in between
            port = closed_port()
            config = tmp_path / f"mosquitto-{port}.conf"
            config.write_text(
                "\n".join(("user root", f"listener {port} 127.0.0.1", "allow_anonymous true", *lines, ""))
            )
            process = subprocess.Popen(
                [program, "-c", config], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
            )
            started.append(process)
            if _answers(process, port):
                return port
        raise AssertionError("mosquitto does not start")

    yield start
    for process in started:
        process.terminate()
        process.wait(10)


def _answers(process: subprocess.Popen[bytes], port: int) -> bool:
    end = time.monotonic() + 10
    while process.poll() is None and time.monotonic() < end:
        try:
            with socket.create_connection(("127.0.0.1", port), 1):
                return True
        except OSError:
            time.sleep(0.01)
    return False


@pytest.fixture
def written() -> Iterator[io.StringIO]:
    """Everything that is logged, from debug on."""
    stream = io.StringIO()
    configure("c-sdk", "debug", stream)
    yield stream
    silence()
