"""`python -m qiot.testbed.phone`: the phone of many ways of provisioning.

exit 0 bound, answered or acknowledged, 1 failed, 2 wrong use
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import sys
from collections.abc import Sequence

from qiot.errors import ConfigurationError, ProtocolError
from qiot.model import Secret
from qiot.testbed.phone.air_options import AIR_COMMANDS, add_air_options, plan_of, show_round
from qiot.testbed.phone.air_phone import AirPhone
from qiot.testbed.phone.attempt import Happening, OnEvent
from qiot.testbed.phone.ble_options import BLE_COMMANDS, add_ble_options, ble_phone
from qiot.testbed.phone.ble_phone import BlePhone
from qiot.testbed.phone.common_options import add_password, add_token, passwords_of
from qiot.testbed.phone.log_query import LogPhone
from qiot.testbed.phone.soft_ap import SoftApPhone, TokenPhone

__all__ = ["main"]


def _port(text: str) -> int:
    number = int(text)
    if not 1 <= number <= 65535:  # noqa: PLR2004 - the range of UDP ports
        raise ValueError
    return number


def _seconds(text: str) -> float:
    number = float(text)
    if not 0 < number < float("inf"):
        raise ValueError
    return number


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m qiot.testbed.phone", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)

    def add(name: str, text: str, port: int) -> argparse.ArgumentParser:
        command = commands.add_parser(name, help=text, description=text)
        command.add_argument("--port", type=_port, default=port, help="the device's UDP port (%(default)s)")
        command.add_argument("--timeout", type=_seconds, metavar="SECONDS", help="for everything")
        command.add_argument("--json", action="store_true", help="one JSON object per line and step")
        return command

    def add_device(name: str, text: str, port: int) -> argparse.ArgumentParser:
        command = add(name, text, port)
        command.add_argument("--host", default="192.168.4.1", help="the device (%(default)s)")
        return command

    softap = add_device("softap", "give the device a network and a token", 8266)
    softap.add_argument("--ssid", required=True, help="the network's name")
    add_password(softap)
    for command in (softap, add_device("token", "give a device in the network a token", 8266)):
        add_token(command, "the token; without it the API at --app-url makes one")
    for name, text in AIR_COMMANDS.items():
        air = add(name, text, 8266)
        add_air_options(air, name)
        add_password(air)
        add_token(air, "the token for after the join; without it the API at --app-url makes one, if given")
    for name, text in BLE_COMMANDS.items():
        add_ble_options(commands.add_parser(name, help=text, description=text), name)
    add_device("log", "collect the device's log after a failure", 9876)
    return parser


def _visible(text: str) -> str:
    """What other sides said, without their control characters."""
    return "".join(each if each.isprintable() or each == "\n" else repr(each)[1:-1] for each in text)


def _readable(happening: Happening) -> str:
    if happening["event"] == "log":
        return _visible(str(happening["text"]).replace("\r\n", "\n")).removesuffix("\n")
    facts = [f"{name}={value}" for name, value in happening.items() if name not in ("event", "text")]
    text = [str(happening["text"])] if "text" in happening else []
    return _visible(f"{happening['event']}: {', '.join(text + facts)}".removesuffix(": ")).replace("\n", " ")


def _printer(*, as_json: bool) -> OnEvent:
    def show(happening: Happening) -> None:
        print(json.dumps(happening) if as_json else _readable(happening), flush=True)

    return show


def _phone(options: argparse.Namespace) -> LogPhone | TokenPhone | BlePhone:
    show = _printer(as_json=options.json)
    if options.command in BLE_COMMANDS:
        return ble_phone(options, show)
    if options.command == "log":
        return LogPhone(options.host, options.port, on_event=show, timeout=options.timeout)
    token = None if options.token is None else Secret(options.token)
    if options.command == "token":
        phone = TokenPhone(options.host, options.port, token=token)
    else:
        password = Secret(_password(options))
        phone = SoftApPhone(options.host, options.port, options.ssid, password, token=token)
    phone.app_url, phone.on_event, phone.timeout = options.app_url, show, options.timeout
    phone.family, phone.room = options.family, options.room
    return phone


def _password(options: argparse.Namespace) -> str:
    return next(iter(passwords_of(options)), "")


def _air_phone(options: argparse.Namespace) -> AirPhone | None:
    """The phone; None after a dry run."""
    plan = plan_of(options, Secret(os.fsencode(_password(options))))
    if options.dry_run:
        show_round(plan, as_json=options.json)
        return None
    return AirPhone(
        plan.encoder,
        plan.rules,
        host=plan.host,
        token=None if options.token is None else Secret(options.token),
        app_url=options.app_url,
        on_event=_printer(as_json=options.json),
        family=options.family,
        room=options.room,
        timeout=options.timeout,
        token_port=options.port,
        hidden=plan.hidden,
    )


async def _error_of(phone: LogPhone | TokenPhone | AirPhone | BlePhone) -> str:
    this = asyncio.current_task()
    if this is not None:
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, this.cancel)
    return (await phone.run()).error


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; gives the exit status."""
    parser = _parser()
    options, unknown = parser.parse_known_args(arguments)
    if unknown:
        # By their names only: one may be a key that belongs to another command.
        names = [each.partition("=")[0] for each in unknown if each.startswith("-")]
        parser.error(f"{options.command} does not take {', '.join(names) or 'more arguments'}")
    try:
        phone = _air_phone(options) if options.command in AIR_COMMANDS else _phone(options)
        return 1 if phone is not None and asyncio.run(_error_of(phone)) else 0
    except (ConfigurationError, ProtocolError) as error:
        parser.error(f"{error}. {error.hint}")
    except UnicodeEncodeError:
        parser.error("a password or token is no text in UTF-8")
    except BrokenPipeError:  # such as `| head`: nobody reads what would come
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (KeyboardInterrupt, asyncio.CancelledError):
        return 1


if __name__ == "__main__":
    sys.exit(main())
