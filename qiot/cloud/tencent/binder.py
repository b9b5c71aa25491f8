"""Tencent IoT Explorer as the session sees it."""

from __future__ import annotations

import contextlib
import os
import random
import secrets
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final, Literal

import attrs

from qiot.cloud.binder import Binder, Clock, Journal
from qiot.cloud.tencent import credentials
from qiot.cloud.tencent.device_bind import bind_device
from qiot.cloud.tencent.dynreg import newer_request, read_answer, registration_request
from qiot.cloud.tencent.regions import region_named
from qiot.cloud.urls import MqttUrl, checked_http_url, parse_mqtt_url
from qiot.device_info import AuthMode, DeviceInfo
from qiot.errors import CloudError, ConfigurationError
from qiot.hal.contract import MqttParameters, Tls, Transport
from qiot.log import get_logger
from qiot.model import CloudLink, Grant, Reason, Secret

__all__ = ["CONNECT_INTERVAL", "Clock", "TencentBinder"]

log = get_logger()

CONNECT_INTERVAL: Final = 5.0
"""Seconds between two connection requests of one device, the platform's limit (contract section 9)."""

_NEVER_SENT: Final = frozenset({Reason.DNS, Reason.TCP, Reason.TLS})
"""Failures before CONNECT went out: they do not count for the limit."""
_NONCE_BITS: Final = 31
_SECURITIES: Final = ("auto", "psk")


class TencentBinder(Binder):
    """One device at Tencent IoT Explorer.

    `connect` keeps the platform's limit by itself: it waits until 5 s after this device's last connection
    request that may have reached the broker, whatever became of that.

    Args:
        info: The identity.
        transport: The way to the internet.
        dynreg_url: http(s) URL of the registration gateway; None for the identity's own, else the region's.
        mqtt_url: mqtt(s) URL of the broker; None for the identity's own, else the region's, with TLS.
        ca_file: PEM file of the CA to trust; None for the identity's own, else the system's.
        dynamic_registration: False refuses an identity without a secret or certificate at once.
        newer_registration: Use `/device/register` (contract section 14) instead of `/register/dev`.
        hmac: "hmacsha1" or "hmacsha256", for the MQTT password.
        security: "auto": what the URL says, with a password for KEY devices and the certificate for CERT
            devices; "psk": TLS-PSK with the device secret, as the C SDK does.
        pair_time: Send `pairTime` with the token, as protocol version 3.0 does.
        connect_timeout: Seconds for TCP, TLS and CONNACK together, and for each answer afterwards.
        request_timeout: Seconds for a registration.
        reply_timeout: Seconds to wait for the reply to the token, per round.
        clock: Where time comes from.
        chance: Source of nonce and connection id.

    Raises:
        ConfigurationError: Options that do not go together or with the identity; nothing was sent.
    """

    cloud = "tencent"
    grant: Literal["phone", "minted", "none"] = "phone"

    def __init__(
        self,
        info: DeviceInfo,
        transport: Transport,
        *,
        dynreg_url: str | None = None,
        mqtt_url: str | None = None,
        ca_file: Path | str | None = None,
        dynamic_registration: bool = True,
        newer_registration: bool = False,
        hmac: str = "hmacsha1",
        security: str = "auto",
        pair_time: bool = False,
        connect_timeout: float = 5.0,
        request_timeout: float = 10.0,
        reply_timeout: float = 10.0,
        clock: Clock | None = None,
        chance: random.Random | None = None,
    ) -> None:
        self._info = info
        self._transport = transport
        self._newer = newer_registration
        self._hmac = hmac
        self._psk = security == "psk"
        self._pair_time = pair_time
        self._connect_timeout = connect_timeout
        self._request_timeout = request_timeout
        self._reply_timeout = reply_timeout
        self._clock = clock or Clock()
        self._chance = chance or secrets.SystemRandom()
        self._requested: float | None = None
        own = info.endpoints
        named = ca_file or own.ca_file
        self._ca_file = None if named is None else str(named)
        dynreg_url, mqtt_url = dynreg_url or own.dynreg, mqtt_url or own.mqtt
        if dynreg_url is None or mqtt_url is None:
            region = region_named(info.region)
            dynreg_url = dynreg_url or region.dynreg_url(newer=newer_registration)
            mqtt_url = mqtt_url or region.mqtt_url(info.product_id)
        self._dynreg_url = checked_http_url(dynreg_url)
        self._broker = parse_mqtt_url(mqtt_url)
        _check(info, self._broker, hmac, security, dynamic_registration=dynamic_registration)

    @property
    def registered(self) -> bool:
        """True where the identity has its secret or certificate."""
        return not self._info.needs_registration

    async def register(self, grant: Grant | None = None) -> DeviceInfo:
        """Register this device (contract section 8); one try. The caller saves what comes back.

        Raises:
            CloudError: DNS, TCP, TLS, CLOUD_TIMEOUT, HTTP (code: status), CLOUD_MALFORMED, or
                REGISTRATION_REFUSED (code: the cloud's; permanent).
        """
        del grant  # where this cloud is, the region says
        missing = "psk" if self._info.auth_mode is AuthMode.KEY else "cert"
        log.info(f"dev {missing} not exist, do dyn reg!")
        prepare = newer_request if self._newer else registration_request
        nonce, timestamp = self._chance.getrandbits(_NONCE_BITS), int(self._clock.utc())
        request = attrs.evolve(
            prepare(self._info, self._dynreg_url, nonce, timestamp),
            tls=Tls(ca_file=self._ca_file),
            timeout=self._request_timeout,
        )
        log.debug(f"request: POST {request.url}|nonce={nonce}|timestamp={timestamp}")
        response = await self._transport.request(request)
        log.debug(f"recv: status={response.status}|{len(response.body)} bytes")
        self._info = read_answer(self._info, response, newer=self._newer)
        log.info("request dev info success")
        return self._info

    async def connect(self, grant: Grant | None = None) -> CloudLink:
        """Open the connection; one try, at the earliest 5 s after the one before.

        Raises:
            CloudError: DNS, TCP, TLS, CLOUD_TIMEOUT, MQTT_REFUSED (code: CONNACK's), MQTT_LOST or
                CLOUD_MALFORMED.
            ConfigurationError: The device is not registered, or a file that TLS needs cannot be used.
            NotSupportedError: This Python has no TLS-PSK.
        """
        del grant  # where this cloud is, the region says
        info = self._info
        if info.needs_registration:
            raise ConfigurationError("the device is not registered yet", hint="Register it first.")
        await self._wait_for_turn()
        connection = credentials.connection_id(self._chance)
        with _certificate_files(info) as (cert_file, key_file):
            parameters = self._parameters(connection, cert_file, key_file)
            log.debug(f"mqtt connect to {parameters.host}:{parameters.port} with id: {connection}")
            sent = True
            try:
                link = await self._transport.mqtt(parameters)
            except CloudError as error:
                sent = error.reason not in _NEVER_SENT
                raise
            finally:
                if sent:
                    self._requested = self._clock.monotonic()
        log.info(f"mqtt connect with id: {connection} success")
        return link

    async def bind(self, link: CloudLink, grant: Grant, journal: Journal) -> Mapping[str, str]:
        """Hand in the token and check the reply (contract section 10).

        Raises:
            CloudError: As `Binder.bind`; and MQTT_SUBSCRIBE, or CLOUD_TIMEOUT without SUBACK.
        """
        await bind_device(
            link,
            self._info,
            grant.value,
            pair_time=journal if self._pair_time else None,
            reply_timeout=self._reply_timeout,
            clock=self._clock.utc,
        )
        return {}

    async def _wait_for_turn(self) -> None:
        if self._requested is None:
            return
        left = self._requested + CONNECT_INTERVAL - self._clock.monotonic()
        if left > 0:
            log.info(f"wait {left:.1f} s: the cloud takes one connection request per {CONNECT_INTERVAL:g} s")
            await self._clock.sleep(left)

    def _parameters(self, connection: str, cert_file: str | None, key_file: str | None) -> MqttParameters:
        info = self._info
        user = credentials.username(info, connection)
        key = None if info.device_secret is None else credentials.decoded_secret(info.device_secret)
        password: Secret | None = None
        tls: Tls | None = None
        if info.auth_mode is AuthMode.CERT:
            tls = Tls(ca_file=self._ca_file, cert_file=cert_file, key_file=key_file)
        elif self._psk:
            tls = Tls(psk_identity=credentials.client_id(info), psk=key)
        elif key is not None:
            tls = Tls(ca_file=self._ca_file) if self._broker.secure else None
            password = credentials.password(user, key, self._hmac)
        return MqttParameters(
            host=self._broker.host,
            port=self._broker.port,
            client_id=credentials.client_id(info),
            username=user,
            password=password,
            tls=tls,
            timeout=self._connect_timeout,
        )


def _check(
    info: DeviceInfo, broker: MqttUrl, hmac: str, security: str, *, dynamic_registration: bool
) -> None:
    if hmac not in credentials.HMACS:
        raise ConfigurationError(
            f"hmac {hmac!r} is not known", hint=f"Choose one of {', '.join(credentials.HMACS)}."
        )
    if security not in _SECURITIES:
        raise ConfigurationError(
            f"security {security!r} is not known", hint=f"Choose one of {', '.join(_SECURITIES)}."
        )
    if info.auth_mode is AuthMode.CERT and security == "psk":
        raise ConfigurationError("a CERT device has no pre-shared key", hint='Use security "auto".')
    if not broker.secure and (info.auth_mode is AuthMode.CERT or security == "psk"):
        raise ConfigurationError(
            f"{'CERT' if info.auth_mode is AuthMode.CERT else 'TLS-PSK'} needs TLS, and the URL is mqtt://",
            hint="Write mqtts://HOST[:PORT].",
        )
    if info.needs_registration and not dynamic_registration:
        field = "deviceSecret" if info.auth_mode is AuthMode.KEY else "devCertFile and devPrivateKeyFile"
        raise ConfigurationError(
            f"the device is not registered, and dynamic registration is off: fill in {field}",
            hint="The console shows it on the device's page.",
        )
    if info.device_secret is not None:
        credentials.decoded_secret(info.device_secret)


@contextlib.contextmanager
def _certificate_files(info: DeviceInfo) -> Iterator[tuple[str | None, str | None]]:
    """The certificate and key as files that TLS can read, also where they were issued and not saved yet.

    Those lie in memory only: a key never stays on a disk where nobody wanted it.
    """
    if info.issued is None:
        cert_file, key_file = (
            None if each is None else str(each) for each in (info.cert_file, info.key_file)
        )
        yield cert_file, key_file
        return
    with contextlib.ExitStack() as stack:
        paths: list[str] = []
        for content in (info.issued.certificate.encode(), info.issued.private_key.reveal()):
            descriptor = os.memfd_create("qiot", os.MFD_CLOEXEC)
            stack.callback(os.close, descriptor)
            os.write(descriptor, content)
            paths.append(f"/proc/self/fd/{descriptor}")
        yield paths[0], paths[1]
