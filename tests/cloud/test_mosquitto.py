"""The link against a real broker: plain, TLS with a CA, with a client certificate, and TLS-PSK."""

from __future__ import annotations

import base64
import importlib.util
import ssl
import sys

import pytest

from qiot.cloud.tencent.binder import TencentBinder
from qiot.cloud.transport import HostTransport
from qiot.device_info import AuthMode, DeviceInfo, IssuedCertificate
from qiot.errors import CloudError, ConfigurationError, NotSupportedError
from qiot.model import CloudLink, Reason, Secret
from tests.cloud.wire import DEVICE, PRODUCT, PSK, nothing_left, until

PSK_WORKS = sys.version_info >= (3, 13) or importlib.util.find_spec("sslpsk3") is not None


def identity(**more) -> DeviceInfo:
    return DeviceInfo(PRODUCT, DEVICE, region="china", **more)


async def use(info: DeviceInfo, url: str, **more) -> None:
    """Connect, hear one's own message, leave."""
    async with nothing_left():
        link: CloudLink = await TencentBinder(info, HostTransport(), mqtt_url=url, **more).connect()
        got = []
        await link.subscribe("there", got.append, qos=1)
        await link.publish("there", b"and back", qos=1)
        await until(lambda: got)
        await link.close()


async def test_plain(mosquitto):
    await use(identity(device_secret=Secret(PSK)), f"mqtt://127.0.0.1:{mosquitto()}")


def tls_lines(authority) -> list[str]:
    folder = authority.folder
    return [f"certfile {folder}/server.crt", f"keyfile {folder}/server.key", f"cafile {authority.ca_file}"]


async def test_key_mode_over_tls(mosquitto, authority):
    url = f"mqtts://127.0.0.1:{mosquitto(*tls_lines(authority))}"
    await use(identity(device_secret=Secret(PSK)), url, ca_file=authority.ca_file)


async def test_a_broker_of_another_ca(mosquitto, authority):
    url = f"mqtts://127.0.0.1:{mosquitto(*tls_lines(authority))}"
    with pytest.raises(CloudError) as raised:
        await use(identity(device_secret=Secret(PSK)), url)
    assert raised.value.reason is Reason.TLS


async def test_weakness_07_cert_mode_connects_with_files_and_with_what_was_just_issued(mosquitto, authority):
    port = mosquitto(*tls_lines(authority), "require_certificate true", "use_identity_as_username true")
    url, ca_file = f"mqtts://127.0.0.1:{port}", authority.ca_file
    files = {"cert_file": authority.folder / "device.crt", "key_file": authority.folder / "device.key"}
    await use(identity(auth_mode=AuthMode.CERT, **files), url, ca_file=ca_file)
    certificate, key = authority.issue("device")
    issued = IssuedCertificate(certificate, Secret(key))
    await use(identity(auth_mode=AuthMode.CERT, issued=issued), url, ca_file=ca_file)


async def test_a_certificate_that_the_broker_does_not_trust(mosquitto, authority, tmp_path_factory):
    port = mosquitto(*tls_lines(authority), "require_certificate true")
    stranger, key = authority.issue("device")
    other_key = authority.issue("device")[1]
    info = identity(auth_mode=AuthMode.CERT, issued=IssuedCertificate(stranger, Secret(other_key)))
    binder = TencentBinder(
        info, HostTransport(), mqtt_url=f"mqtts://127.0.0.1:{port}", ca_file=authority.ca_file
    )
    with pytest.raises(ConfigurationError) as raised:  # the key is another's
        await binder.connect()
    assert key not in str(raised.value)
    folder = tmp_path_factory.mktemp("stranger")
    _self_signed(folder)
    info = identity(auth_mode=AuthMode.CERT, cert_file=folder / "device.crt", key_file=folder / "device.key")
    with pytest.raises(CloudError) as refused:
        await use(info, f"mqtts://127.0.0.1:{port}", ca_file=authority.ca_file)
    assert refused.value.reason is Reason.TLS


def _self_signed(folder) -> None:
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec

    from tests.cloud.conftest import _builder, _key_pem, _pem

    key = ec.generate_private_key(ec.SECP256R1())
    (folder / "device.crt").write_text(_pem(_builder("device", None, key).sign(key, hashes.SHA256())))
    (folder / "device.key").write_text(_key_pem(key))


@pytest.mark.parametrize("secret", [PSK, base64.b64encode(bytes(range(48))).decode()], ids=["16", "48"])
async def test_psk(mosquitto, tmp_path, secret):
    """As the C SDK connects (contract section 9); without a TLS-PSK in this Python, a clear refusal."""
    file = tmp_path / "psk"
    file.write_text(f"{PRODUCT}{DEVICE}:{base64.b64decode(secret).hex()}\n")
    url = f"mqtts://127.0.0.1:{mosquitto('psk_hint qiot', f'psk_file {file}')}"
    info = identity(device_secret=Secret(secret))
    if not PSK_WORKS:
        with pytest.raises(NotSupportedError) as refusal:
            await use(info, url, security="psk")
        assert "pip install qiot[psk]" in refusal.value.hint
        return
    await use(info, url, security="psk")
    wrong = identity(device_secret=Secret(base64.b64encode(b"another key").decode()))
    with pytest.raises(CloudError) as raised:
        await use(wrong, url, security="psk")
    assert raised.value.reason is Reason.TLS


def test_the_ssl_module_of_this_python_is_what_the_psk_test_takes_it_for():
    assert hasattr(ssl.SSLContext, "set_psk_client_callback") == (sys.version_info >= (3, 13))
