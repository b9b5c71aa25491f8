"""The simulated phone of the methods of the air: it sends into the mock's air, and hears on loopback."""

from __future__ import annotations

import ipaddress
import secrets
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final

from qiot.api import WifiConfig
from qiot.errors import ConfigurationError
from qiot.hal.contract import Platform
from qiot.model import Credentials, Secret

if TYPE_CHECKING:  # a device that has no use for them does not load them
    from qiot.protocols.air.casts import Encoder
    from qiot.sim.phone import Phone
    from qiot.sim.world import World
    from qiot.testbed.phone import PhoneResult
    from qiot.testbed.phone.air_phone import AckRules

__all__ = ["AIR_METHODS", "phone_host", "provision", "world_of"]

AIR_METHODS: Final = ("smart_config", "esptouch_v2", "airkiss", "simple_config")
"""Methods whose phone sends through the air, as --method names them."""

_ANYWHERE: Final = "0.0.0.0"  # noqa: S104 - a comparison
_RANDOM_BYTES: Final = 127
_JOIN_LIMIT: Final = 15.0


def phone_host(device: str) -> str:
    """The loopback address of the phone: behind the device's, for both use the same ports."""
    if device == _ANYWHERE or not ipaddress.ip_address(device).is_loopback:
        return "127.0.0.2"
    return str(ipaddress.IPv4Address(device) + 1)


async def provision(
    wifi: WifiConfig,
    method: str,
    *,
    host: str,
    ssid: str,
    password: str,
    keys: Mapping[str, Secret],
    app_url: str,
    tell: Callable[[Mapping[str, object]], None],
) -> PhoneResult:
    """Send the credentials until the device answers, give it a token, and ask until it is bound.

    Args:
        wifi: The device; it is on the mock platform.
        method: One of `AIR_METHODS`.
        host: The phone's loopback address.
        ssid: The network that the phone sends.
        password: The password that the phone sends.
        keys: The device's keys, as the phone knows them.
        app_url: URL of the application's API.
        tell: Is told every step.

    Raises:
        ConfigurationError: The device has no simulated air.
        JoinError: The phone is in no network itself.
    """
    from qiot.testbed.phone import PhoneResult
    from qiot.testbed.phone.air_phone import AirPhone

    world = world_of(wifi.platform)
    phone = world.phone()
    bssid = await _join_home(world, phone, ssid)
    encoder, rules = _plan(method, ssid.encode(), Secret(password), phone=phone, bssid=bssid, keys=keys)

    def note(event: Mapping[str, object]) -> None:
        if event.get("event") == "ack" and wifi.local is not None:
            sending.token_port = wifi.local[1]  # known since the join only
        tell(event)

    sending = AirPhone(
        encoder,
        rules,
        host=host,
        sink=_AirSink(phone),
        app_url=app_url,
        on_event=note,
        poll_interval=0.5,
        hidden=(Secret(password), *keys.values()),
    )
    try:
        result = await sending.run()
    finally:
        phone.leave()
    return PhoneResult(error=result.error) if result.error else result.token


class _AirSink:
    """Sends as a phone of the simulated air."""

    def __init__(self, phone: Phone) -> None:
        self._phone = phone

    async def send(self, to: str, port: int, length: int) -> None:
        """Send one datagram."""
        self._phone.send_datagram(to, port, length)


def world_of(platform: Platform) -> World:
    """The world that the mock lives in.

    Raises:
        ConfigurationError: It is another platform.
    """
    from qiot.hal.mock import MockPlatform

    if not isinstance(platform, MockPlatform):
        raise ConfigurationError(
            "the simulated phone sends through the mock's air",
            hint="Use --hal mock alone, or --phone none and a phone of your own.",
        )
    return platform.world


async def _join_home(world: World, phone: Phone, ssid: str) -> bytes:
    """Be in the owner's network, whatever will be sent; gives its access point's address."""
    home = world.wifi.find(ssid.encode()) or next(iter(world.wifi.access_points))
    own = Credentials(home.ssid, home.password or Secret(""), bssid=home.bssid)
    await phone.join(own, _JOIN_LIMIT)
    return home.bssid


def _plan(
    method: str, ssid: bytes, password: Secret, *, phone: Phone, bssid: bytes, keys: Mapping[str, Secret]
) -> tuple[Callable[[int], Encoder], AckRules]:
    """What is sent, and how a device answers."""
    from qiot.protocols.air.airkiss import AirKiss
    from qiot.protocols.air.esptouch import EspTouch
    from qiot.protocols.air.esptouch_v2 import ACK_PORT, ACK_PORT_STEP, EspTouchV2
    from qiot.protocols.air.realtek import DEFAULT_PIN, RealtekSimpleConfig
    from qiot.testbed.phone import air_rules

    address = phone.ip.address if phone.ip is not None else _ANYWHERE
    match method:
        case "smart_config":
            one = EspTouch(ssid, password, bssid, address)
            return lambda _: one, air_rules.esptouch_rules(one.token)
        case "esptouch_v2":
            key = keys.get("esptouch_key")

            def second(port: int) -> Encoder:
                mark = (port - ACK_PORT) // ACK_PORT_STEP
                return EspTouchV2(ssid, password, bssid, secrets.token_bytes, key=key, port_mark=mark)

            return second, air_rules.esptouch_v2_rules(None)
        case "airkiss":
            number = secrets.randbelow(_RANDOM_BYTES)
            kiss = AirKiss(ssid, password, number, key=keys.get("airkiss_key"))
            return lambda _: kiss, air_rules.airkiss_rules(number)
        case _:
            pin = keys.get("pin")
            simple = RealtekSimpleConfig(
                ssid,
                password,
                address,
                phone.mac,
                secrets.token_bytes,
                pattern=2 if pin is None else 3,
                pin=pin,
            )
            secret = DEFAULT_PIN if pin is None else pin.reveal()
            return lambda _: simple, air_rules.simple_config_rules(secret, phone.mac, secrets.token_bytes)
