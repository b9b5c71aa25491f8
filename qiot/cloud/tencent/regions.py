"""Where Tencent's cloud is (contract section 1, and section 14 for the newer regions)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import attrs

from qiot.log import get_logger

__all__ = ["REGIONS", "Region", "region_named"]

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
