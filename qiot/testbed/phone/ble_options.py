"""`python -m qiot.testbed.phone blufi|btcombo|llsync|thing`: options, and the phone that they describe."""

from __future__ import annotations

import argparse
import os
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Final

import attrs

from qiot.errors import ConfigurationError, NotSupportedError
from qiot.model import Credentials, Secret
from qiot.protocols.base import Codec
from qiot.testbed.ble_link import Central, Wanted
from qiot.testbed.phone.attempt import OnEvent
from qiot.testbed.phone.ble_phone import BlePhone
from qiot.testbed.phone.common_options import add_password, add_token, passwords_of

__all__ = ["BLE_COMMANDS", "add_ble_options", "ble_phone"]

_BUMBLE: Final = "bumble:"


@attrs.frozen
class _Protocol:
    """What a phone has to know of a protocol.

    Attributes:
        text: What it is.
        service: The service that is advertised.
        notify: The characteristic to listen to.
        make: Makes the codec from the options and the token.
    """

    text: str
    service: str
    notify: str
    make: Callable[[argparse.Namespace, Sequence[Credentials], Secret | None], Codec]


def _blufi(options: argparse.Namespace, tries: Sequence[Credentials], token: Secret | None) -> Codec:
    from qiot.protocols.ble.blufi_phone import BluFiPhone, Wish

    wanted: list[Wish] = [] if options.security == "none" else ["security"]
    if options.list:
        wanted.append("networks")
    if tries:
        wanted.append("join")
    if token is not None:
        wanted.append("token")
    return BluFiPhone(
        random=secrets.token_bytes,
        ssid=tries[0].ssid if tries else None,
        password=tries[0].password if tries else None,
        retries=[each.password for each in tries[1:]],
        token=token,
        security=options.security != "none",
        wanted=wanted,
    )


def _btcombo(options: argparse.Namespace, tries: Sequence[Credentials], token: Secret | None) -> Codec:
    from qiot.protocols.ble.btcombo_phone import BtComboPhone

    if not tries:
        raise ConfigurationError("btcombo: --ssid is missing")
    return BtComboPhone(
        ssid=tries[0].ssid or b"",
        password=tries[0].password,
        retries=[each.password for each in tries[1:]],
        token=token,
        dialect=None if options.dialect == "auto" else options.dialect,
        log="failure",
    )


def _llsync(options: argparse.Namespace, tries: Sequence[Credentials], token: Secret | None) -> Codec:
    from qiot.protocols.ble.llsync_phone import LLSyncPhone

    return LLSyncPhone(credentials=tries, token=token, log=True, mtu=options.llsync_mtu)


def _thing(options: argparse.Namespace, tries: Sequence[Credentials], token: Secret | None) -> Codec:
    try:
        from qiot.protocols.ble.thing_phone import ThingPhone
    except ImportError:
        raise NotSupportedError("thing: there is no codec for it in this version") from None

    bid = Secret(options.bid) if options.bid else token
    return ThingPhone(
        random=secrets.token_bytes,
        wall=time.time,
        credentials=tries,
        bid=bid,
        user_id=options.user_id,
        mq=options.mq,
        country=options.country,
        tz=options.tz,
        force_bind=options.force_bind,
        ble=options.ble,
        scan=True if options.list else None,
        uuid=options.uuid,
        secret=Secret(options.device_secret) if options.device_secret else None,
        **({"port": options.mq_port} if options.mq_port else {}),
    )


_PROTOCOLS: Final[Mapping[str, _Protocol]] = {
    "blufi": _Protocol("Espressif's BluFi", "ffff", "ff02", _blufi),
    "btcombo": _Protocol("Tencent's BT-Combo", "ffff", "ff02", _btcombo),
    "llsync": _Protocol("Tencent's LLSync", "fff0", "ffe3", _llsync),
    "thing": _Protocol("thing.network over Bluetooth", "a101", "2b10", _thing),
}

BLE_COMMANDS: Final[Mapping[str, str]] = {
    name: f"provision a device over Bluetooth by {each.text}" for name, each in _PROTOCOLS.items()
}
"""Commands of this module, each with what it does."""


def add_ble_options(command: argparse.ArgumentParser, name: str) -> None:
    """The options of one command."""
    command.add_argument("--ssid", help="the network's name; without it nothing is joined")
    add_password(command, several=True)
    add_token(command, "the token; without it the API at --app-url makes one, if given")
    command.add_argument("--device", metavar="NAME|ADDRESS", help="which device; else the first that fits")
    command.add_argument(
        "--adapter",
        default="bleak",
        help="bleak for this computer's own, bleak:hci1, or bumble:usb:0 and the like (%(default)s)",
    )
    command.add_argument("--mtu", type=_mtu, default=517, help="ATT MTU to ask for, 23 to 517 (%(default)s)")
    command.add_argument("--find", type=float, default=30.0, metavar="SECONDS", help="to see the device")
    command.add_argument("--reconnects", type=int, default=1, help="after a lost link (%(default)s)")
    command.add_argument("--timeout", type=float, metavar="SECONDS", help="for everything")
    command.add_argument("--json", action="store_true", help="one JSON object per line and step")
    if name in ("blufi", "thing"):
        command.add_argument("--list", action="store_true", help="fetch the networks that the device sees")
    if name == "blufi":
        command.add_argument(
            "--security",
            choices=("auto", "none"),
            default="auto",
            help="a key by the device's version, or none",
        )
    if name == "btcombo":
        command.add_argument(
            "--dialect",
            choices=("auto", "v1", "v2", "v3"),
            default="auto",
            help="(%(default)s: by the probe)",
        )
    if name == "llsync":
        command.add_argument("--llsync-mtu", type=int, help="size of packets, 20 to 514 (what both can)")
    if name == "thing":
        _add_thing_options(command)


def _add_thing_options(command: argparse.ArgumentParser) -> None:
    command.add_argument("--bid", default="", help="the account's bind id (--token does as well)")
    command.add_argument("--user-id", default="", help="the user")
    command.add_argument("--mq", default="", help="the broker's host")
    command.add_argument("--mq-port", type=int, help="its port")
    command.add_argument("--tz", default="", help='time zone, such as "Asia/Kolkata"')
    command.add_argument("--country", default="", help="two letters")
    command.add_argument("--force-bind", action="store_true", help="although the device has an owner")
    command.add_argument("--ble", choices=("bind", "unbind", "init"), help="for a product without Wi-Fi")
    command.add_argument("--uuid", default="", help="the device's UUID, to check its sign with")
    command.add_argument("--device-secret", default="", help="its secret: without a right sign, no password")


def ble_phone(options: argparse.Namespace, on_event: OnEvent) -> BlePhone:
    """The phone that the options describe.

    Raises:
        ConfigurationError: They do not go together.
    """
    protocol = _PROTOCOLS[options.command]
    tries = _credentials(options)
    token = None if options.token is None else Secret(options.token)
    # Made once now, so that wrong use is told before anything is on the air.
    protocol.make(options, tries, token)
    return BlePhone(
        _central(options.adapter),
        options.command,
        _wanted(options.device, protocol.service),
        [protocol.notify],
        lambda given: protocol.make(options, tries, given),
        token=token,
        app_url=options.app_url,
        on_event=on_event,
        hidden=[each.password for each in tries],
        family=options.family,
        room=options.room,
        mtu=options.mtu,
        reconnects=options.reconnects,
        timeout=options.timeout,
        find_timeout=options.find,
    )


def _credentials(options: argparse.Namespace) -> list[Credentials]:
    if options.ssid is None:
        for name in ("password", "password_file"):
            if getattr(options, name):
                raise ConfigurationError(f"--{name.replace('_', '-')} without --ssid")
        return []
    ssid = os.fsencode(options.ssid)
    return [Credentials(ssid, Secret(os.fsencode(each))) for each in passwords_of(options) or [""]]


def _wanted(device: str | None, service: str) -> Wanted:
    if device is None:
        return Wanted(service=service)
    octets = device.split(":")
    if len(octets) == 6 and all(len(each) == 2 for each in octets):  # noqa: PLR2004 - a Bluetooth address
        return Wanted(address=device)
    return Wanted(service=service, name=device)


def _central(adapter: str) -> Central:
    if adapter.startswith(_BUMBLE):
        from qiot.testbed.ble_link.on_bumble import BumbleCentral, on_transport

        return BumbleCentral(partial(on_transport, adapter.removeprefix(_BUMBLE)))
    name, _, which = adapter.partition(":")
    if name != "bleak":
        raise ConfigurationError(
            f"--adapter {adapter!r}", hint="Write bleak, bleak:hci1, or bumble:usb:0 and the like."
        )
    from qiot.testbed.ble_link.on_bleak import BleakCentral

    return BleakCentral(which)


def _mtu(text: str) -> int:
    number = int(text)
    if not 23 <= number <= 517:  # noqa: PLR2004 - the range of the ATT MTU
        raise ValueError
    return number
