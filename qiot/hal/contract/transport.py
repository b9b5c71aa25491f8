"""How this device reaches the internet."""

from __future__ import annotations

import abc
from collections.abc import Mapping
from typing import ClassVar

import attrs

from qiot.model import CloudLink, Secret

__all__ = ["HttpRequest", "HttpResponse", "MqttParameters", "Tls", "Transport"]


@attrs.frozen
class Tls:
    """How a TLS connection is checked and proven.

    Attributes:
        ca_file: PEM file with the CA to trust; None for the system's.
        cert_file: The device's certificate, PEM.
        key_file: Its private key, PEM.
        psk_identity: Identity of a pre-shared key; with it no certificate is used at all.
        psk: The pre-shared key.
    """

    ca_file: str | None = None
    cert_file: str | None = None
    key_file: str | None = None
    psk_identity: str | None = None
    psk: Secret | None = None


@attrs.frozen
class MqttParameters:
    """One MQTT 3.1.1 connection, clean session.

    Attributes:
        host: Name or address.
        port: TCP port.
        client_id: Client identifier.
        username: User name.
        password: Password, or None for none.
        tls: How to secure it, or None for plain TCP.
        keep_alive: Seconds.
        timeout: Seconds for TCP, TLS and CONNACK together.
    """

    host: str
    port: int
    client_id: str
    username: str | None = None
    password: Secret | None = None
    tls: Tls | None = None
    keep_alive: int = 240
    timeout: float = 5.0


@attrs.frozen
class HttpRequest:
    """One HTTP request; url is http:// or https://."""

    method: str
    url: str
    headers: Mapping[str, str] = attrs.field(factory=dict, hash=False)
    body: bytes = attrs.field(default=b"", repr=False)
    tls: Tls | None = None
    timeout: float = 10.0


@attrs.frozen
class HttpResponse:
    """The answer: status and body, at most 64 KiB."""

    status: int
    body: bytes = attrs.field(repr=False)


class Transport(abc.ABC):
    """How this device reaches the internet: the host's sockets, or a modem with its own IP stack.

    Attributes:
        any_broker: False where `mqtt` connects to the modem's own cloud only, as the modem itself: it takes
            neither another broker, nor another identity, nor files for TLS. `request` is not concerned.
    """

    any_broker: ClassVar[bool] = True

    @abc.abstractmethod
    async def mqtt(self, parameters: MqttParameters) -> CloudLink:
        """Open a connection; return after CONNACK 0.

        Raises:
            CloudError: DNS, TCP, TLS, CLOUD_TIMEOUT, MQTT_REFUSED (code: CONNACK's), MQTT_LOST,
                CLOUD_MALFORMED; nothing is left of it, as after a cancellation.
            ConfigurationError: A file that `tls` names cannot be used.
            NotSupportedError: No TLS-PSK here; the hint says what to install.
        """

    @abc.abstractmethod
    async def request(self, request: HttpRequest) -> HttpResponse:
        """One request, one answer; redirects are not followed.

        Raises:
            CloudError: DNS, TCP, TLS, CLOUD_TIMEOUT, CLOUD_MALFORMED.
        """
