"""Where Tencent's cloud is (contract section 1, and section 14 for the newer regions)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final
from urllib.parse import urlsplit

import attrs

from qiot.errors import ConfigurationError
from qiot.log import get_logger

__all__ = ["REGIONS", "MqttUrl", "Region", "checked_http_url", "parse_mqtt_url", "region_named"]

log = get_logger()


@attrs.frozen
class Region:
    """Hosts of one region.

    Attributes:
        mqtt_domain: The broker is `{productId}.` in front of it.
        dynreg_host: The registration gateway.
        newer_dynreg_host: The gateway of the newer registration.
    """

    mqtt_domain: str
    dynreg_host: str
    newer_dynreg_host: str

    def mqtt_url(self, product_id: str) -> str:
        """The broker's URL, with TLS."""
        return f"mqtts://{product_id}.{self.mqtt_domain}"

    def dynreg_url(self, *, newer: bool) -> str:
        """The gateway's URL, with TLS."""
        return f"https://{self.newer_dynreg_host if newer else self.dynreg_host}"


_CHINA: Final = "china"
_PORTS: Final = {"mqtt": 1883, "mqtts": 8883}

REGIONS: Final[Mapping[str, Region]] = {
    _CHINA: Region(
        "iotcloud.tencentdevices.com", "gateway.tencentdevices.com", "ap-guangzhou.gateway.tencentdevices.com"
    ),
    "us-east": Region(
        "us-east.iotcloud.tencentdevices.com",
        "us-east.gateway.tencentdevices.com",
        "us-east.gateway.tencentdevices.com",
    ),
    "europe": Region(
        "europe.iothub.tencentdevices.com",
        "europe.gateway.tencentdevices.com",
        "europe.gateway.tencentdevices.com",
    ),
    "ap-bangkok": Region(
        "ap-bangkok.iothub.tencentdevices.com",
        "ap-bangkok.gateway.tencentdevices.com",
        "ap-bangkok.gateway.tencentdevices.com",
    ),
}


def region_named(name: str | None) -> Region:
    """The region of that name; none is China, and so is an unknown one, though not silently."""
    found = REGIONS.get(name or _CHINA)
    if found is None:
        log.warning(f"region {name!r} is not one of {', '.join(REGIONS)}: using {_CHINA}")
        found = REGIONS[_CHINA]
    return found


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
