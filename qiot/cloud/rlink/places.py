"""Where an rlink broker is: as the phone says, unless the owner of the device says otherwise.

A grant for this cloud carries what the phone's `thing.network.set` said of it: `endpoint` is `mq` and `port`
as "HOST[:PORT]" (1883 where no port is named) or an mqtt(s) URL; `params` may hold `mqttSslPort`.
"""

from __future__ import annotations

import re
from typing import Final

import attrs

from qiot.cloud.urls import MqttUrl, parse_mqtt_url
from qiot.errors import CloudError, ConfigurationError
from qiot.model import Grant, Reason

__all__ = ["SECURITIES", "broker_for"]

SECURITIES: Final = ("auto", "tls")

_TLS_PORT: Final = 8883
"""On it the vendor's own firmware speaks TLS, whatever else was said."""
_HOST: Final = re.compile(r"[A-Za-z0-9._:-]{1,253}")
_PORT: Final = re.compile(r"[0-9]{1,5}")
_LAST_PORT: Final = 65535


def broker_for(
    grant: Grant | None, *, ordered: str | None, stored: str | None, security: str, ca_file: str | None
) -> MqttUrl:
    """The broker to connect to.

    The phone gives one host with two ports. TLS is spoken on `mqttSslPort` where `security` is "tls", or
    where a CA file is named, as without the vendor's own CA the vendor's brokers cannot be checked; else the
    plain port is taken, as the vendor's apps and devices do.

    Args:
        grant: What the phone said, where it did.
        ordered: mqtt(s) URL that goes before what the phone says.
        stored: mqtt(s) URL for where the phone said nothing.
        security: "auto", or "tls" to refuse plain MQTT.
        ca_file: The CA file that is named.

    Raises:
        CloudError: CONFIGURATION where nobody named a broker, or only a plain one and it has to be TLS;
            BAD_FIELD where what the phone says is no place. Both permanent.
    """
    if ordered is not None:
        return _checked(parse_mqtt_url(ordered), security)
    if grant is not None and grant.endpoint:
        return _checked(_told(grant, wants_tls=security == "tls" or ca_file is not None), security)
    if stored is not None:
        return _checked(parse_mqtt_url(stored), security)
    raise CloudError(
        "no broker is known: the phone named none",
        reason=Reason.CONFIGURATION,
        hint="Let the phone send mq and port, or write endpoints.mqtt into device_info.json.",
        permanent=True,
    )


def _told(grant: Grant, *, wants_tls: bool) -> MqttUrl:
    endpoint = grant.endpoint or ""
    try:
        broker = parse_mqtt_url(endpoint if "://" in endpoint else f"mqtt://{endpoint}")
    except ConfigurationError:
        raise _no_place("the broker that the phone names is no host with a port") from None
    if not _HOST.fullmatch(broker.host):
        raise _no_place("the broker that the phone names is no host")
    if broker.secure:
        return broker
    if broker.port == _TLS_PORT:
        return attrs.evolve(broker, secure=True)
    secure_port = grant.params.get("mqttSslPort", "")
    if not secure_port or not wants_tls:
        return broker
    if not _PORT.fullmatch(secure_port) or not 1 <= int(secure_port) <= _LAST_PORT:
        raise _no_place("the mqttSslPort that the phone names is no port")
    return MqttUrl(broker.host, int(secure_port), secure=True)


def _checked(broker: MqttUrl, security: str) -> MqttUrl:
    if security == "tls" and not broker.secure:
        raise CloudError(
            f"{broker.host}:{broker.port} is plain MQTT, and only TLS is allowed",
            reason=Reason.CONFIGURATION,
            hint="Let the phone send mqttSslPort, or write an mqtts:// URL.",
            permanent=True,
        )
    return broker


def _no_place(text: str) -> CloudError:
    return CloudError(text, reason=Reason.BAD_FIELD, permanent=True)
