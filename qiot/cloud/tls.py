"""What `contract.Tls` asks for, as an `ssl.SSLContext`."""

from __future__ import annotations

import ssl
import sys
from typing import Any, Final

from qiot.errors import ConfigurationError, NotSupportedError
from qiot.hal.contract import Tls

__all__ = ["client_context"]

_PSK_CIPHERS: Final = "PSK-AES128-CBC-SHA:PSK-AES256-CBC-SHA"
"""The suites of the C SDK (contract section 9)."""


def client_context(tls: Tls) -> ssl.SSLContext:
    """A context for one connection.

    It reads the named files at once, so that nothing needs them afterwards.

    Raises:
        ConfigurationError: A file is missing or is not what it should be.
        NotSupportedError: TLS-PSK before Python 3.13 without the extra `psk`.
    """
    if tls.psk is not None:
        return _psk_context(tls.psk_identity or "", tls.psk.reveal())
    try:
        context = ssl.create_default_context(cafile=tls.ca_file)
    except OSError as error:
        raise ConfigurationError(
            f"CA file {tls.ca_file}: {_why(error)}", hint="Name a PEM file with the CA's certificate."
        ) from None
    if tls.ca_file is not None:
        # From 3.13 on the default refuses private CAs that lack newer extensions; 3.11 and 3.12 take them.
        context.verify_flags &= ~ssl.VerifyFlags.VERIFY_X509_STRICT
    if tls.cert_file is not None:
        try:
            # A password callback, since OpenSSL would ask for one on the terminal.
            context.load_cert_chain(tls.cert_file, tls.key_file, password=lambda: b"")
        except (OSError, ValueError) as error:
            raise ConfigurationError(
                f"certificate {tls.cert_file} with private key {tls.key_file}: {_why(error)}",
                hint="Both have to be PEM files that belong together, the key without a pass phrase.",
            ) from None
    return context


def _why(error: Exception) -> str:
    if isinstance(error, ssl.SSLError):
        return f"not usable ({error.reason or 'no PEM certificate or key in it'})"
    return getattr(error, "strerror", None) or str(error)


def check_psk() -> None:
    """Refuse TLS-PSK where this Python has none.

    Raises:
        NotSupportedError: Before Python 3.13 without the extra `psk`.
    """
    _psk_context("", b"?")


def _psk_context(identity: str, key: bytes) -> ssl.SSLContext:
    # Any: the callback is in the standard library from 3.13 on only, and sslpsk3 has no types.
    context: Any
    if sys.version_info >= (3, 13):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    else:
        try:
            from sslpsk3 import SSLPSKContext  # pyright: ignore[reportMissingImports]  # an extra
        except ImportError:
            raise NotSupportedError(
                "TLS-PSK is not in the ssl module before Python 3.13",
                hint="pip install qiot[psk], use Python 3.13 or newer, or choose TLS with a CA.",
            ) from None
        context = SSLPSKContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE  # the pre-shared key proves both sides; there is no certificate
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(_PSK_CIPHERS)
    context.set_psk_client_callback(lambda _hint: (identity, key))
    made: ssl.SSLContext = context
    return made
