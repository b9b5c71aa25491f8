"""thing.network's cloud as the session sees it."""

from __future__ import annotations

import random
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Literal

from qiot.cloud.binder import Binder, Clock, Journal
from qiot.cloud.rlink import credentials
from qiot.cloud.rlink.places import SECURITIES, broker_for
from qiot.cloud.rlink.registration import register_device, registration_topics
from qiot.cloud.rlink.reports import BINDING, Reports
from qiot.cloud.urls import MqttUrl, parse_mqtt_url
from qiot.device_info import AuthMode, DeviceInfo
from qiot.errors import CloudError, ConfigurationError
from qiot.hal.contract import MqttParameters, Tls, Transport
from qiot.log import get_logger
from qiot.masking import mask
from qiot.model import CloudLink, Grant, Message, Reason, Secret

__all__ = ["RlinkBinder"]

log = get_logger()

_KEEP_ALIVE: Final = 60
"""Seconds, as the vendor recommends (ref-mqtt-en.md, section 1)."""
_METHODS: Final = {name.lower(): name for name in credentials.SIGN_METHODS}


class RlinkBinder(Binder):
    """One device at a cloud that speaks rlink: Protco's, Sentino's, or the local one.

    The phone says where the broker is, so that `register` and `connect` want the grant
    (see `places.broker_for`). The bind hands in the grant's value, which is the phone's `bid`, and `userId`
    of its params. A `bid` among the params counts where there is no value.

    Args:
        info: The identity: `product_id` is the pid, `device_name` the uuid, `device_secret` the triplet's
            secret. Without a secret, `device_name` is the unique name for dynamic registration, without "_".
        transport: The way to the internet.
        mqtt_url: mqtt(s) URL that goes before what the phone says; None for none.
        ca_file: PEM file of the CA to trust; None for the identity's own, else the system's.
        dynamic_registration: False refuses an identity without a secret at once.
        hmac: "hmacsha1" or "hmacsha256", in any case of letters.
        security: "auto", or "tls" to refuse plain MQTT.
        version: The firmware's version, which the bind tells.
        mcu_version: The version of the device's other processor; empty for none.
        connect_timeout: Seconds for TCP, TLS and CONNACK together, and for each answer afterwards.
        reply_timeout: Seconds to wait for a reply, per round.
        clock: Where time comes from.
        chance: Source of message ids.

    Raises:
        ConfigurationError: Options that do not go together or with the identity; nothing was sent.
    """

    cloud = "rlink"
    grant: Literal["phone", "minted", "none"] = "phone"

    def __init__(
        self,
        info: DeviceInfo,
        transport: Transport,
        *,
        mqtt_url: str | None = None,
        ca_file: Path | str | None = None,
        dynamic_registration: bool = True,
        hmac: str = "hmacsha1",
        security: str = "auto",
        version: str = "1.0.0",
        mcu_version: str = "",
        connect_timeout: float = 5.0,
        reply_timeout: float = 10.0,
        clock: Clock | None = None,
        chance: random.Random | None = None,
    ) -> None:
        self._info = info
        self._transport = transport
        self._mqtt_url = mqtt_url
        named = ca_file or info.endpoints.ca_file
        self._ca_file = None if named is None else str(named)
        self._security = security
        self._version = {"version": version} | ({"mcuVersion": mcu_version} if mcu_version else {})
        self._connect_timeout = connect_timeout
        self._reply_timeout = reply_timeout
        self._clock = clock or Clock()
        self._chance = chance or secrets.SystemRandom()
        self._reports: Reports | None = None
        for url in (mqtt_url, info.endpoints.mqtt):
            if url is not None:
                parse_mqtt_url(url)
        _check(info, hmac, security, dynamic_registration=dynamic_registration)
        self._method = _METHODS[hmac.lower()]

    @property
    def registered(self) -> bool:
        """True where the identity has its secret."""
        return not self._info.needs_registration

    async def register(self, grant: Grant | None = None) -> DeviceInfo:
        """Register this device at the broker; one try. The caller saves what comes back.

        Raises:
            CloudError: DNS, TCP, TLS, CLOUD_TIMEOUT, MQTT_REFUSED (code: CONNACK's), MQTT_LOST,
                MQTT_SUBSCRIBE, CLOUD_MALFORMED, or REGISTRATION_REFUSED (code: the cloud's; permanent).
            ConfigurationError: There is no product secret, or a file that TLS needs cannot be used.
        """
        info = self._info
        if info.product_secret is None:
            raise ConfigurationError("there is no product secret to register with", hint="Fill it in.")
        log.info("dev psk not exist, do dyn reg!")
        identifier = credentials.registration_client_id(info.product_id, info.device_name)
        link = await self._open(grant, identifier, info.product_id, info.product_secret)
        try:
            reports = self._reports_on(link, *registration_topics(info))
            await reports.open()
            self._info = await register_device(reports, info)
        finally:
            await link.close()
        log.info("request dev info success")
        return self._info

    async def connect(self, grant: Grant | None = None) -> CloudLink:
        """Open the connection and listen to replies and commands; one try.

        Raises:
            CloudError: As in `broker_for`; DNS, TCP, TLS, CLOUD_TIMEOUT, MQTT_REFUSED (code: CONNACK's),
                MQTT_LOST, MQTT_SUBSCRIBE or CLOUD_MALFORMED.
            ConfigurationError: The device is not registered, or a file that TLS needs cannot be used.
        """
        info = self._info
        if info.device_secret is None:
            raise ConfigurationError("the device is not registered yet", hint="Register it first.")
        identifier = credentials.client_id(info.device_name)
        link = await self._open(grant, identifier, info.device_name, info.device_secret)
        try:
            self._reports = await self._listen(link)
        except BaseException:
            await link.close()
            raise
        return link

    async def bind(self, link: CloudLink, grant: Grant, journal: Journal) -> Mapping[str, str]:
        """Report `bind`, check the reply, and report `info` (ref-mqtt-en.md, sections 4.1 and 4.2).

        Returns:
            `msg_id`: the id of the cloud's reply, for the phone's `sys.event.trigger.response`.

        Raises:
            CloudError: As `Binder.bind`; the code of TOKEN_REFUSED is the cloud's `res`.
        """
        del journal
        data = self._bind_data(grant)
        reports = await self._reports_of(link)
        reply = await reports.ask("bind", data, BINDING)
        await self._inform(reports, bound=True)
        return {"msg_id": str(reply["id"])}

    async def resumed(self, link: CloudLink) -> None:
        """Report `info`: only then the cloud delivers what waited for the device (section 4.2)."""
        await self._inform(await self._reports_of(link), bound=True)

    async def unbind(self, link: CloudLink, *, clean: bool) -> None:
        """Report `reset` (section 4.3).

        Raises:
            CloudError: It was not told.
        """
        await (await self._reports_of(link)).tell("reset", {"cleanData": clean})

    # --- inside -----------------------------------------------------------------------------------------

    def _bind_data(self, grant: Grant) -> Mapping[str, Any]:
        if grant.cloud != self.cloud:
            raise CloudError(
                f"the grant is for {grant.cloud}, and this device is at {self.cloud}",
                reason=Reason.TOKEN_REFUSED,
                hint="Use the app of this device's vendor.",
                permanent=True,
            )
        owner = {"userId": grant.params.get("userId", ""), "bid": _bid(grant)}
        missing = [name for name, value in owner.items() if not value]
        if missing:
            raise CloudError(
                f"the phone's grant lacks {' and '.join(missing)}", reason=Reason.TOKEN_SEND, permanent=True
            )
        names = {"userId": owner["userId"], "assetId": owner["bid"]}
        return names | self._version | {"cleanData": False}

    async def _inform(self, reports: Reports, *, bound: bool) -> None:
        """Report `info`; the device is as bound without it, so that a failure is only a warning."""
        try:
            await reports.tell("info", {"bindStatus": int(bound)} | self._version, ack=1)
        except CloudError as error:
            log.warning(f"the cloud was not told the device's info: {error}")

    async def _reports_of(self, link: CloudLink) -> Reports:
        if self._reports is None or self._reports.link is not link:
            self._reports = await self._listen(link)
        return self._reports

    async def _listen(self, link: CloudLink) -> Reports:
        topic = f"rlink/v2/{self._info.product_id}/{self._info.device_name}"
        reports = self._reports_on(link, f"{topic}/report", f"{topic}/report_response")
        await reports.open()
        await link.subscribe(f"{topic}/issue", _show_command, qos=1)
        log.info("mqtt topic subscribe success")
        return reports

    def _reports_on(self, link: CloudLink, topic: str, reply_topic: str) -> Reports:
        return Reports(
            link,
            topic,
            reply_topic,
            reply_timeout=self._reply_timeout,
            clock=self._clock.utc,
            chance=self._chance,
        )

    async def _open(self, grant: Grant | None, identifier: str, name: str, secret: Secret) -> CloudLink:
        broker = self._broker(grant)
        ts = int(self._clock.utc())
        log.debug(f"mqtt connect to {broker.host}:{broker.port} with id: {identifier}")
        link = await self._transport.mqtt(
            MqttParameters(
                host=broker.host,
                port=broker.port,
                client_id=identifier,
                username=credentials.username(name, ts, self._method),
                password=credentials.password(name, ts, secret, self._method),
                tls=Tls(ca_file=self._ca_file) if broker.secure else None,
                keep_alive=_KEEP_ALIVE,
                timeout=self._connect_timeout,
            )
        )
        log.info(f"mqtt connect with id: {identifier} success")
        return link

    def _broker(self, grant: Grant | None) -> MqttUrl:
        return broker_for(
            grant,
            ordered=self._mqtt_url,
            stored=self._info.endpoints.mqtt,
            security=self._security,
            ca_file=self._ca_file,
        )


def _bid(grant: Grant) -> str:
    """The account to bind to: the grant's value, else its param."""
    try:
        return grant.value.text() or grant.params.get("bid", "")
    except UnicodeDecodeError:
        return ""


def _show_command(message: Message) -> None:
    """Commands are the application's, which subscribes anew; until then they are only shown."""
    log.info(f"command on {message.topic}: {mask(message.payload.decode(errors='replace'))}")


def _check(info: DeviceInfo, hmac: str, security: str, *, dynamic_registration: bool) -> None:
    if hmac.lower() not in _METHODS:
        raise ConfigurationError(f"hmac {hmac!r} is not known", hint=f"Choose one of {', '.join(_METHODS)}.")
    if security not in SECURITIES:
        raise ConfigurationError(
            f"security {security!r} is not for rlink", hint=f"Choose one of {', '.join(SECURITIES)}."
        )
    if info.auth_mode is not AuthMode.KEY:
        raise ConfigurationError("an rlink device proves itself by its secret", hint='Write "KEY".')
    if info.needs_registration and not dynamic_registration:
        raise ConfigurationError(
            "the device is not registered, and dynamic registration is off: fill in deviceSecret",
            hint="It is the secret of the device's triplet.",
        )
    if info.needs_registration and "_" in info.device_name:
        raise ConfigurationError(
            'the unique name for dynamic registration has a "_" in it',
            hint="Choose another deviceName; the cloud gives the device its uuid in its place.",
        )
