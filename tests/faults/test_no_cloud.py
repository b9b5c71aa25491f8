"""In the cloud's place is nothing, or something else: closed ports, unknown names, TLS that does not fit."""

from __future__ import annotations

import asyncio
import datetime as dt
import ipaddress
import socket
import ssl
from contextlib import asynccontextmanager
from pathlib import Path

import attrs
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from qiot.device_info import DeviceInfo
from qiot.errors import ConfigurationError
from qiot.model import Reason, Secret, Step
from tests.faults.conftest import IDENTITY

ECONNREFUSED = 111
REGISTERED: DeviceInfo = attrs.evolve(IDENTITY, device_secret=Secret("MLvMHde65nKPk0Lx+ZThaA=="))
"""A device that goes straight to the broker."""
TOKEN = "0123456789abcdef0123456789abcdef"
NO_CLOUD = "http://127.0.0.1:9"


@pytest.fixture
def closed_port():
    """A port that is taken, and at which nobody listens: connecting to it is refused."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]


def _assert_failed(result, told, step, reason, *, numbers, code):
    failure = result.failure
    assert (failure.step, failure.reason, failure.code) == (step, reason, code)
    assert told == [("Current_Error", *numbers)]


async def test_nothing_listens_where_the_registration_should_be(bench, closed_port):
    result, told = await bench.provision(f"http://127.0.0.1:{closed_port}", "mqtt://127.0.0.1:9", TOKEN)
    _assert_failed(result, told, Step.REGISTERING, Reason.TCP, numbers=(1, -8), code=ECONNREFUSED)
    assert bench.retries == 1


async def test_nothing_listens_where_the_broker_should_be(bench, closed_port):
    result, told = await bench.provision(
        NO_CLOUD, f"mqtt://127.0.0.1:{closed_port}", TOKEN, identity=REGISTERED
    )
    _assert_failed(result, told, Step.CONNECTING, Reason.TCP, numbers=(1, -603), code=ECONNREFUSED)
    assert bench.retries == 1


@pytest.mark.parametrize("host", ["nowhere.invalid", "a" * 64 + ".invalid"], ids=["unknown", "impossible"])
async def test_a_name_that_nobody_knows(bench, host):
    result, told = await bench.provision(f"http://{host}", f"mqtt://{host}", TOKEN)
    assert (result.failure.step, result.failure.reason) == (Step.REGISTERING, Reason.DNS)
    assert host in result.failure.text
    assert told == [("Current_Error", 1, -6)]


async def test_a_broker_name_that_nobody_knows(bench):
    result, told = await bench.provision(NO_CLOUD, "mqtt://nowhere.invalid", TOKEN, identity=REGISTERED)
    assert (result.failure.step, result.failure.reason) == (Step.CONNECTING, Reason.DNS)
    assert told == [("Current_Error", 1, -602)]


# --- TLS ------------------------------------------------------------------------


@attrs.frozen
class Authority:
    """A private CA that issues what the test wants."""

    folder: Path
    key: ec.EllipticCurvePrivateKey = attrs.field(factory=lambda: ec.generate_private_key(ec.SECP256R1()))

    @property
    def ca_file(self) -> Path:
        path = self.folder / "own-ca.crt"
        path.write_bytes(self._signed("test CA", self.key, 2).public_bytes(serialization.Encoding.PEM))
        return path

    def server(self, address: str = "127.0.0.1", days: int = 2) -> ssl.SSLContext:
        key = ec.generate_private_key(ec.SECP256R1())
        path = self.folder / "server.pem"
        path.write_bytes(
            self._signed("server", key, days, address).public_bytes(serialization.Encoding.PEM)
            + key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(path)
        return context

    def _signed(
        self, name: str, key: ec.EllipticCurvePrivateKey, days: int, address: str | None = None
    ) -> x509.Certificate:
        now = dt.datetime.now(dt.UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
            .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test CA")]))
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - dt.timedelta(days=9))
            .not_valid_after(now + dt.timedelta(days=days))
            .add_extension(x509.BasicConstraints(ca=address is None, path_length=None), critical=True)
        )
        if address is not None:
            names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(address))])
            builder = builder.add_extension(names, critical=False)
        return builder.sign(self.key, hashes.SHA256())


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@asynccontextmanager
async def tls_server(context: ssl.SSLContext):
    """A server that shakes hands and says nothing of its own; gives its port."""
    connections: set[asyncio.Task] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        connections.add(task)
        try:
            while await reader.read(4096):
                pass
        except OSError:
            pass
        finally:
            writer.transport.abort()
            connections.discard(task)

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    async with server:
        yield server.sockets[0].getsockname()[1]
    for task in connections:
        task.cancel()
    await asyncio.gather(*connections, return_exceptions=True)


@pytest.mark.parametrize(
    ("server", "says"),
    [
        ({"days": -1}, "certificate has expired"),
        ({"address": "192.0.2.1"}, "IP address mismatch"),
    ],
    ids=["expired", "another name"],
)
async def test_a_certificate_that_must_not_be_trusted(bench, authority, server, says):
    async with tls_server(authority.server(**server)) as port:
        result, told = await bench.provision(
            f"https://127.0.0.1:{port}", f"mqtts://127.0.0.1:{port}", TOKEN, ca_file=authority.ca_file
        )
    assert (result.failure.step, result.failure.reason) == (Step.REGISTERING, Reason.TLS)
    assert says in result.failure.text
    assert told == [("Current_Error", 1, -703)]


@pytest.mark.parametrize("own_ca", [True, False], ids=["another CA", "the system's CAs"])
async def test_a_ca_that_is_not_known(bench, authority, own_ca):
    cloud = await bench.cloud(tls=True)
    result, told = await bench.provision(
        cloud.https_url, cloud.mqtts_url, TOKEN, ca_file=authority.ca_file if own_ca else None
    )
    assert (result.failure.step, result.failure.reason) == (Step.REGISTERING, Reason.TLS)
    assert "certificate not accepted" in result.failure.text
    assert told == [("Current_Error", 1, -703)]


async def test_a_broker_whose_ca_is_not_known(bench, authority):
    cloud = await bench.cloud(tls=True)
    result, told = await bench.provision(
        cloud.http_url, cloud.mqtts_url, TOKEN, ca_file=authority.ca_file, identity=REGISTERED
    )
    assert (result.failure.step, result.failure.reason) == (Step.CONNECTING, Reason.TLS)
    assert told == [("Current_Error", 1, -703)]


async def test_a_ca_file_that_is_none_is_a_configuration_error(bench, tmp_path):
    """Only a person at the device can cure it, so the run ends; the phone is told that it is over."""
    cloud = await bench.cloud(tls=True)
    ca_file = tmp_path / "no.crt"
    result, told = await bench.provision(cloud.https_url, cloud.mqtts_url, TOKEN, ca_file=ca_file)
    assert result.failure.reason is ConfigurationError.default_reason
    assert str(ca_file) in result.failure.text
    assert told == [("Current_Error", 1, -1001)]


async def test_tls_to_a_plain_gateway(bench):
    cloud = await bench.cloud()
    url = cloud.http_url.replace("http:", "https:")
    result, told = await bench.provision(url, cloud.mqtt_url, TOKEN)
    assert (result.failure.step, result.failure.reason) == (Step.REGISTERING, Reason.TLS)
    assert told == [("Current_Error", 1, -703)]


async def test_tls_to_a_plain_broker(bench):
    cloud = await bench.cloud()
    url = cloud.mqtt_url.replace("mqtt:", "mqtts:")
    result, told = await bench.provision(cloud.http_url, url, TOKEN, identity=REGISTERED)
    assert (result.failure.step, result.failure.reason) == (Step.CONNECTING, Reason.TLS)
    assert told == [("Current_Error", 1, -703)]


async def test_plain_http_to_a_tls_gateway(bench, authority):
    async with tls_server(authority.server()) as port:
        result, told = await bench.provision(f"http://127.0.0.1:{port}", f"mqtt://127.0.0.1:{port}", TOKEN)
    assert result.failure.step is Step.REGISTERING
    # An alert is no HTTP; where the server hangs up before it is read, that is a broken connection.
    assert (result.failure.reason, told) in (
        (Reason.CLOUD_MALFORMED, [("Current_Error", 1, -7)]),
        (Reason.TCP, [("Current_Error", 1, -8)]),
    )


async def test_plain_mqtt_to_a_tls_broker(bench, authority):
    async with tls_server(authority.server()) as port:
        result, told = await bench.provision(NO_CLOUD, f"mqtt://127.0.0.1:{port}", TOKEN, identity=REGISTERED)
    assert result.failure.step is Step.CONNECTING
    assert (result.failure.reason, told) in (
        (Reason.CLOUD_MALFORMED, [("Current_Error", 1, -1001)]),
        (Reason.MQTT_LOST, [("Current_Error", 1, -608)]),
    )
