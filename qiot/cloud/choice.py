"""Which cloud: the binder that an identity names."""

from __future__ import annotations

from pathlib import Path

import attrs

from qiot.cloud.binder import Binder
from qiot.cloud.rlink.binder import RlinkBinder
from qiot.cloud.tencent.binder import TencentBinder
from qiot.cloud.tls import check_psk
from qiot.cloud.transport import HostTransport
from qiot.device_info import Cloud, DeviceInfo
from qiot.errors import ConfigurationError
from qiot.hal.contract import Transport

__all__ = ["CloudOptions", "make_binder"]


@attrs.frozen
class CloudOptions:
    """Where the cloud is and how to prove oneself; None takes what device info and region say.

    Attributes:
        dynreg_url: http(s) URL of the registration gateway; rlink registers at its broker and has none.
        mqtt_url: mqtt(s) URL of the broker; with rlink it goes before what the phone says.
        ca_file: PEM file of the CA to trust.
        dynamic_registration: False makes a placeholder secret a configuration error.
        newer_registration: Use `/device/register` instead of `/register/dev`; Tencent only.
        hmac: "hmacsha1" or "hmacsha256".
        security: "auto"; Tencent: "psk" for TLS-PSK; rlink: "tls" to refuse plain MQTT.
    """

    dynreg_url: str | None = None
    mqtt_url: str | None = None
    ca_file: Path | None = None
    dynamic_registration: bool = True
    newer_registration: bool = False
    hmac: str = "hmacsha1"
    security: str = "auto"


def make_binder(
    info: DeviceInfo,
    options: CloudOptions,
    *,
    transport: Transport | None = None,
    pair_time: bool = False,
    version: str = "1.0.0",
) -> Binder:
    """The cloud of one identity.

    Args:
        info: The identity; it names the cloud.
        options: Where the cloud is.
        transport: How to reach it; None for the host's sockets.
        pair_time: Tencent: send the times of the run with the token (protoVersion 3.0).
        version: rlink: the firmware's version, which the bind tells.

    Raises:
        ConfigurationError: An option or URL cannot be used, or is not for this cloud.
        NotSupportedError: TLS-PSK is asked for on the host's sockets, and this Python has none.
    """
    if info.cloud is Cloud.RLINK:
        return _rlink(info, options, transport or HostTransport(), version)
    if transport is None and options.security == "psk":
        check_psk()
    return TencentBinder(
        info,
        transport or HostTransport(),
        dynreg_url=options.dynreg_url,
        mqtt_url=options.mqtt_url,
        ca_file=options.ca_file,
        dynamic_registration=options.dynamic_registration,
        newer_registration=options.newer_registration,
        hmac=options.hmac,
        security=options.security,
        pair_time=pair_time,
    )


def _rlink(info: DeviceInfo, options: CloudOptions, transport: Transport, version: str) -> Binder:
    if options.dynreg_url is not None or options.newer_registration:
        raise ConfigurationError(
            "rlink registers at its MQTT broker: there is no registration gateway",
            hint="Leave the options of the gateway out.",
        )
    return RlinkBinder(
        info,
        transport,
        mqtt_url=options.mqtt_url,
        ca_file=options.ca_file,
        dynamic_registration=options.dynamic_registration,
        hmac=options.hmac,
        security=options.security,
        version=version,
    )
