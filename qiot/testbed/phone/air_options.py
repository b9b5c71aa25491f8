"""`smartconfig`, `esptouch2`, `airkiss` and `simpleconfig` of the phone's command line."""

from __future__ import annotations

import argparse
import binascii
import ipaddress
import json
import os
import random
import secrets
from collections.abc import Callable, Mapping
from typing import Final

import attrs

from qiot.errors import ConfigurationError
from qiot.model import SSID_MAX, Secret
from qiot.option_types import mac_address, named, octets, secret_octets
from qiot.protocols.air.casts import ANYBODY, Encoder
from qiot.testbed.phone.adapter import Adapter, find_adapter
from qiot.testbed.phone.air_phone import AckRules

__all__ = ["AIR_COMMANDS", "AirPlan", "add_air_options", "plan_of", "show_round"]

AIR_COMMANDS: Final[Mapping[str, str]] = {
    "smartconfig": "provision a device by ESP-TOUCH v1 (SmartConfig)",
    "esptouch2": "provision a device by ESP-TOUCH v2",
    "airkiss": "provision a device by WeChat's AirKiss",
    "simpleconfig": "provision a device by Realtek's Simple Config",
}

_NOBODY: Final = bytes(6)
_RANDOM_BYTES: Final = 127
"""WeChat's phone keeps to 0 to 126."""


@attrs.frozen
class AirPlan:
    """What is sent, and how a device answers.

    Attributes:
        encoder: Makes the encoder, for the UDP port that was free.
        rules: How a device answers.
        host: The IPv4 address to send from; empty for the default route's.
        hidden: What must not be shown.
    """

    encoder: Callable[[int], Encoder]
    rules: AckRules
    host: str
    hidden: tuple[Secret, ...]


# --- what options may look like -----------------------------------------------------------------------------


def _ip(text: str) -> str:
    return str(ipaddress.ip_address(text))


def _ipv4(text: str) -> str:
    return str(ipaddress.IPv4Address(text))


def _octet(text: str) -> int:
    number = int(text, 0)
    if number not in range(256):
        raise ValueError
    return number


def add_air_options(command: argparse.ArgumentParser, name: str) -> None:
    """Everything but what `softap` and `token` have as well."""
    ssid = command.add_mutually_exclusive_group(required=True)
    ssid.add_argument("--ssid", help="the network's name")
    ssid.add_argument(
        "--ssid-hex",
        type=named(binascii.unhexlify, "hexadecimal number"),
        metavar="DIGITS",
        help="its octets, where it is not UTF-8 (GBK)",
    )
    mac = named(mac_address, "MAC address")
    command.add_argument(
        "--bssid", type=mac, help="the access point's MAC address; without it that of the own network"
    )
    command.add_argument("--ip", type=named(_ip, "IP address"), help="the phone's address, as it is told")
    command.add_argument(
        "--host", type=named(_ipv4, "IPv4 address"), help="the address of this computer to send from"
    )
    command.add_argument("--interface", metavar="NAME", help="the network interface to send by")
    command.add_argument(
        "--broadcast",
        type=named(_ipv4, "IPv4 address"),
        default=ANYBODY,
        help="the address to broadcast to (%(default)s)",
    )
    command.add_argument(
        "--seed", type=named(int, "number"), help="makes what is random the same each time; for tests only"
    )
    command.add_argument("--dry-run", action="store_true", help="show one round of datagrams, send nothing")
    _ADD[name](command)


def _add_smartconfig(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--multicast", action="store_true", help="send to 234.n.n.n, where a router stops broadcasts"
    )


def _add_esptouch2(command: argparse.ArgumentParser) -> None:
    key = named(secret_octets, "key")
    command.add_argument("--key", type=key, help="the device's key: 16 octets as text, or hex: and digits")
    command.add_argument(
        "--reserved",
        type=named(octets, "hexadecimal number"),
        default=b"",
        help="the application's data for the device: text, or hex: and digits",
    )
    command.add_argument(
        "--port-mark", type=int, choices=range(4), help="answers come to 18266 + 10000 * N; else a free one"
    )
    command.add_argument(
        "--security-version", type=int, choices=(1, 2), default=1, help="2 has a random IV (%(default)s)"
    )


def _add_airkiss(command: argparse.ArgumentParser) -> None:
    key = named(secret_octets, "key")
    command.add_argument(
        "--key", type=key, help="the device's key: 1 to 16 octets as text, or hex: and digits"
    )
    command.add_argument(
        "--random-byte", type=named(_octet, "octet"), metavar="N", help="0 to 255, which the device answers"
    )


def _add_simpleconfig(command: argparse.ArgumentParser) -> None:
    command.add_argument("--pin", type=named(secret_octets, "PIN"), help="the device's PIN")
    command.add_argument(
        "--pattern", type=int, choices=(2, 3, 4), help="how it is sent: 2, with a PIN 3; 4: in lengths only"
    )
    command.add_argument(
        "--mac",
        type=named(mac_address, "MAC address"),
        help="the phone's address in the air, on which the key depends; without it that of the interface, "
        "and in a dry run that of --bssid",
    )
    command.add_argument("--plain", action="store_true", help="do not encrypt (patterns 2 and 3)")


_ADD: Final = {
    "smartconfig": _add_smartconfig,
    "esptouch2": _add_esptouch2,
    "airkiss": _add_airkiss,
    "simpleconfig": _add_simpleconfig,
}


# --- what is to be sent -------------------------------------------------------------------------------------


def plan_of(options: argparse.Namespace, password: Secret) -> AirPlan:
    """What these options ask for.

    Raises:
        ConfigurationError: They do not fit together, or the interface cannot be used.
        ProtocolError: BAD_FIELD: a value does not fit into the protocol.
    """
    ssid = options.ssid_hex if options.ssid is None else os.fsencode(options.ssid)
    if len(ssid) > SSID_MAX:
        raise ConfigurationError(
            f"an SSID has at most {SSID_MAX} octets, this one {len(ssid)}",
            hint="Letters beyond ASCII take two to four octets each.",
        )
    if options.seed is None:
        randomness: Callable[[int], bytes] = secrets.token_bytes
    else:
        randomness = random.Random(options.seed).randbytes  # noqa: S311 - asked for
    adapter = find_adapter(options.host, options.interface)
    encoder, rules = _PLANS[options.command](options, ssid, password, adapter, randomness)
    encoder(rules.ports[0])  # whatever is wrong is said before anything is opened
    kept = [getattr(options, name, None) for name in ("key", "pin")]
    hidden = (password, *(each for each in kept if each is not None))
    return AirPlan(encoder, rules, adapter.ip if options.host or options.interface else "", hidden)


_Made = tuple[Callable[[int], Encoder], AckRules]


def _smartconfig(
    options: argparse.Namespace,
    ssid: bytes,
    password: Secret,
    adapter: Adapter,
    _: Callable[[int], bytes],
) -> _Made:
    from qiot.protocols.air.esptouch import EspTouch
    from qiot.testbed.phone.air_rules import esptouch_rules

    encoder = EspTouch(
        ssid,
        password,
        options.bssid or adapter.bssid or _NOBODY,
        options.ip or adapter.ip or ANYBODY,
        multicast=options.multicast,
        broadcast=options.broadcast,
    )
    return lambda _: encoder, esptouch_rules(encoder.token)


def _esptouch2(
    options: argparse.Namespace,
    ssid: bytes,
    password: Secret,
    adapter: Adapter,
    randomness: Callable[[int], bytes],
) -> _Made:
    from qiot.protocols.air.esptouch_v2 import ACK_PORT, ACK_PORT_STEP, EspTouchV2
    from qiot.testbed.phone.air_rules import esptouch_v2_rules

    def encoder(port: int) -> Encoder:
        return EspTouchV2(
            ssid,
            password,
            options.bssid or adapter.bssid or _NOBODY,
            randomness,
            reserved=options.reserved,
            key=options.key,
            security=options.security_version,
            port_mark=(port - ACK_PORT) // ACK_PORT_STEP,
            ipv6=":" in (options.ip or ""),
            broadcast=options.broadcast,
        )

    return encoder, esptouch_v2_rules(options.port_mark)


def _airkiss(
    options: argparse.Namespace,
    ssid: bytes,
    password: Secret,
    _: Adapter,
    randomness: Callable[[int], bytes],
) -> _Made:
    from qiot.protocols.air.airkiss import AirKiss
    from qiot.testbed.phone.air_rules import airkiss_rules

    number = options.random_byte
    if number is None:
        number = randomness(1)[0] % _RANDOM_BYTES
    encoder = AirKiss(ssid, password, number, key=options.key, broadcast=options.broadcast)
    return lambda _: encoder, airkiss_rules(number)


def _simpleconfig(
    options: argparse.Namespace,
    ssid: bytes,
    password: Secret,
    adapter: Adapter,
    randomness: Callable[[int], bytes],
) -> _Made:
    from qiot.protocols.air.realtek import DEFAULT_PIN, RealtekSimpleConfig
    from qiot.testbed.phone.air_rules import simple_config_rules

    mac = options.mac or (options.dry_run and options.bssid) or adapter.mac
    if mac is None:
        if not options.dry_run:
            raise ConfigurationError(
                "the phone's own MAC address is not known, and the key depends on it",
                hint="Give it with --mac, or the interface with --interface.",
            )
        mac = _NOBODY
    pattern = options.pattern or (2 if options.pin is None else 3)
    encoder = RealtekSimpleConfig(
        ssid,
        password,
        options.ip or adapter.ip or ANYBODY,
        mac,
        randomness,
        pattern=pattern,
        pin=options.pin,
        plain=options.plain,
        broadcast=options.broadcast,
    )
    pin = DEFAULT_PIN if options.pin is None else options.pin.reveal()
    return lambda _: encoder, simple_config_rules(pin, mac, randomness)


_PLANS: Final = {
    "smartconfig": _smartconfig,
    "esptouch2": _esptouch2,
    "airkiss": _airkiss,
    "simpleconfig": _simpleconfig,
}


def show_round(plan: AirPlan, *, as_json: bool) -> None:
    """Print every datagram of one round, in order."""
    for cast in plan.encoder(plan.rules.ports[0]).round():
        if as_json:
            print(json.dumps({"to": cast.to, "port": cast.port, "length": cast.length, "part": cast.part}))
        else:
            print(f"{cast.part:8} {cast.length:4} octets to {cast.to}:{cast.port}")
