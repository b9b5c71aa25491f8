"""URLs of clouds: of an HTTP gateway and of an MQTT broker."""

from __future__ import annotations

from typing import Final
from urllib.parse import urlsplit

import attrs

from qiot.errors import ConfigurationError

__all__ = ["MqttUrl", "checked_http_url", "parse_mqtt_url"]

_PORTS: Final = {"mqtt": 1883, "mqtts": 8883}


@attrs.frozen
class MqttUrl:
    """Where a broker is.

    Attributes:
        host: Name or address.
        port: TCP port.
        secure: With TLS.
    """

    host: str
    port: int
    secure: bool


def checked_http_url(text: str) -> str:
    """The URL itself, where it is `http(s)://HOST[:PORT][/PATH]`.

    Raises:
        ConfigurationError: Not of this form.
    """
    try:
        url = urlsplit(text)
        usable = url.scheme in {"http", "https"} and bool(url.hostname) and url.port != 0 and "@" not in text
    except ValueError:
        usable = False
    if not usable:
        raise ConfigurationError(
            f"{text!r} is no URL of a registration gateway", hint="Write http://HOST[:PORT] or https://HOST."
        )
    return text


def parse_mqtt_url(text: str) -> MqttUrl:
    """Read `mqtt://HOST[:PORT]` (port 1883) or `mqtts://HOST[:PORT]` (port 8883).

    Raises:
        ConfigurationError: Not of this form.
    """
    if "@" in text:
        raise ConfigurationError("an MQTT URL has no user in it", hint="Write mqtts://HOST[:PORT].")
    try:
        url = urlsplit(text)
        port = _PORTS[url.scheme] if url.port is None else url.port
    except (KeyError, ValueError):
        raise _no_mqtt_url(text) from None
    if url.scheme not in _PORTS or not url.hostname or not port or url.path not in {"", "/"} or url.query:
        raise _no_mqtt_url(text)
    return MqttUrl(url.hostname, port, url.scheme == "mqtts")


def _no_mqtt_url(text: str) -> ConfigurationError:
    return ConfigurationError(
        f"{text!r} is no MQTT URL", hint="Write mqtt://HOST[:PORT] or mqtts://HOST[:PORT]."
    )
