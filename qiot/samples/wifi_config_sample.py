"""The main job from start to end: listen, join, register, connect, bind, report.

Without options everything is local: a mock device, a local cloud and a phone, over real UDP, HTTP and MQTT on
loopback. Exit code 0: bound; 1: failed; 2: usage or configuration.
"""

from __future__ import annotations

import argparse
import asyncio
import ipaddress
import sys
from collections.abc import Container, Mapping, Sequence
from contextlib import AsyncExitStack

import attrs

from qiot.api import Settings, WifiConfig
from qiot.device_info import Cloud
from qiot.errors import ConfigurationError
from qiot.hal.registry import parse_spec
from qiot.log import get_logger
from qiot.model import Secret
from qiot.samples.air_phone import AIR_METHODS, phone_host
from qiot.samples.ble_phone import BLE_METHODS
from qiot.samples.demo import demo
from qiot.samples.options import (
    add_cloud_options,
    cloud_options,
    exit_code,
    identity,
    main,
    show,
    wants_local_cloud,
)
from qiot.samples.report import table
from qiot.samples.surroundings import LocalSide, give_up_with
from qiot.samples.thing_phone import METHOD, demo_identity
from qiot.wifi_config.keys import LENGTHS, parse_key
from qiot.wifi_config.methods import METHODS, NOT_BUILT, parse_methods

log = get_logger()

_LAST_PORT = 65535
_PLACE = "0.0.0.0:8266"
_AIR_PLACE = "127.0.0.1:8266"
_EVERYBODY = "255.255.255.255"
_OVER_BLUETOOTH = (*BLE_METHODS, METHOD)


def make_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m qiot.samples.wifi_config_sample",
        description="Provision this device: Wi-Fi from a phone, then registration, bind and first report.",
        epilog="Exit code 0: bound. 1: failed. 2: usage or configuration.",
    )
    group = parser.add_argument_group("device")
    group.add_argument(
        "--hal", action="append", metavar="SPEC", help="NAME[:ARG][,key=value]…; may repeat (default: mock)"
    )
    group.add_argument(
        "--method",
        default="soft_ap",
        metavar="LIST",
        help=f"comma list of {', '.join(METHODS)} or all (default: soft_ap); not yet: {', '.join(NOT_BUILT)}",
    )
    group.add_argument(
        "--udp",
        metavar="HOST:PORT",
        help="default: 0.0.0.0:8266; 127.0.0.1:8266 with a simulated phone that sends through the air",
    )
    group.add_argument("--timeout", type=seconds, default=300.0, metavar="S", help="default: %(default)g")
    group.add_argument("--proto-version", choices=("2.0", "3.0"), default="2.0", help="default: %(default)s")
    group.add_argument(
        "--broadcast",
        metavar="ADDRESS",
        help="where reports to everybody go (default: 255.255.255.255, or the simulated phone of the air)",
    )
    for flag, what in (
        ("--esptouch-key", "ESP-TOUCH v2: 16 octets"),
        ("--airkiss-key", "AirKiss: 1 to 16 octets"),
        ("--pin", "Simple Config: the device's PIN"),
    ):
        group.add_argument(flag, metavar="KEY", help=f"{what}, as text or as hex: and digits")
    group.add_argument(
        "--firmware-version",
        default="1.0.0",
        metavar="TEXT",
        help="what phones and clouds are told; default: %(default)s",
    )
    group.add_argument(
        "--option",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="an option of the method, such as style=sentino; may repeat",
    )
    group.add_argument("-l", dest="loop", action="store_true", help="go on reporting until stopped")
    group.add_argument("--forget", action="store_true", help="wait for a phone even if bound before")
    group.add_argument("--send-log", action="store_true", help="after a failure, let a phone fetch the log")
    group = parser.add_argument_group("phone")
    group.add_argument(
        "--phone", choices=("sim", "none"), help="default: sim with the mock and the local cloud, else none"
    )
    group.add_argument(
        "--ssid", help="what the simulated phone sends (default: the mock's network, or a demo)"
    )
    group.add_argument("--password", help="what the simulated phone sends")
    add_cloud_options(parser)
    return parser


def seconds(text: str) -> float:
    """Read a time in seconds.

    Raises:
        ArgumentTypeError: It is none.
    """
    value = float(text)
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is no time in seconds")
    return value


def udp_place(text: str) -> tuple[str, int]:
    """Read HOST:PORT.

    Raises:
        ConfigurationError: Not of this form.
    """
    host, colon, port = text.rpartition(":")
    if not colon or not host or not port.isascii() or not port.isdecimal() or int(port) > _LAST_PORT:
        raise ConfigurationError(f"--udp {text}: not HOST:PORT", hint="Write for example 0.0.0.0:8266.")
    return host, int(port)


def broadcast_address(text: str) -> str:
    """Read an IPv4 address.

    Raises:
        ConfigurationError: It is none.
    """
    try:
        return str(ipaddress.IPv4Address(text))
    except ValueError:
        raise ConfigurationError(
            f"--broadcast {text}: not an IPv4 address", hint="Write for example 192.168.1.255."
        ) from None


def named_options(texts: Sequence[str]) -> Mapping[str, str]:
    """Read NAME=VALUE of each `--option`; the last one of a name counts.

    Raises:
        ConfigurationError: One is not of this form.
    """
    options: dict[str, str] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name.strip():
            raise ConfigurationError(
                f"--option {text}: not NAME=VALUE", hint="Write for example style=sentino."
            )
        options[name.strip()] = value
    return options


async def run(arguments: argparse.Namespace) -> int:
    """One run of the sample."""
    hal: Sequence[str] = arguments.hal or ["mock"]
    parse_methods(arguments.method)
    keys = _keys(arguments)
    info = identity(arguments)
    local = wants_local_cloud(arguments, info)
    mock = any(parse_spec(spec).name == "mock" for spec in hal)
    thing = _method_of(arguments.method, _OVER_BLUETOOTH) == METHOD
    if thing and local and arguments.device_info is None:
        info = demo_identity()
    has_app = thing == (info.cloud is Cloud.RLINK)
    phone = arguments.phone or ("sim" if mock and local and has_app else "none")
    if phone == "sim" and not local:
        raise ConfigurationError(
            "--phone sim needs the local cloud", hint="Use --phone none and a phone of your own."
        )
    if phone == "sim" and not has_app:
        raise ConfigurationError(
            f"the simulated phone has no app of {info.cloud} for --method {arguments.method}",
            hint="Use --phone none and a phone of your own.",
        )
    method_options = named_options(arguments.option)
    air = _air_method(arguments.method) if phone == "sim" else None
    host, port = udp_place(arguments.udp or (_AIR_PLACE if air else _PLACE))
    broadcast = broadcast_address(arguments.broadcast or (phone_host(host) if air else _EVERYBODY))
    settings = Settings(
        udp_host=host,
        udp_port=port,
        timeout=arguments.timeout,
        proto_version=arguments.proto_version,
        broadcast=broadcast,
    )
    async with AsyncExitStack() as stack:
        options = cloud_options(arguments)
        side = None
        if local:
            side = await stack.enter_async_context(LocalSide(info, arguments.device_info))
            options = side.options(options)
        wifi = WifiConfig(
            arguments.device_info or info,
            hal=hal,
            cloud=options,
            settings=settings,
            version=arguments.firmware_version,
            options=method_options,
            keys=keys,
        )
        await stack.enter_async_context(wifi)
        problem = await _provision(arguments, wifi, side if phone == "sim" else None)
    _show(arguments, wifi)
    if not problem:
        return 0
    print(problem, file=sys.stderr)
    failure = wifi.result.failure if wifi.result else None
    return exit_code(failure.reason) if failure else 1


async def _provision(arguments: argparse.Namespace, wifi: WifiConfig, side: LocalSide | None) -> str:
    """The run itself; what went wrong, or nothing."""
    if arguments.forget:
        await wifi.forget()
    await wifi.start(arguments.method, resume=await wifi.provisioned())
    problem = ""
    if side is not None and not wifi.successful:
        problem = await _with_phone(arguments, wifi, side)
    elif side is None and not wifi.successful:
        log.info("waiting for a phone")
    result = await wifi.wait()
    if result.successful:
        if wifi.device_info.cloud is Cloud.TENCENT:
            log.info("WiFi is ready, to do Qcloud IoT demo")
            await demo(wifi.thing(), wifi.device_info, loop=arguments.loop)
    elif not problem:
        problem = str(result.failure)
    if result.successful and side is None:
        await wifi.linger()
    if not result.successful and arguments.send_log:
        await wifi.send_log()
        await wifi.log_sent()
    return problem


async def _with_phone(arguments: argparse.Namespace, wifi: WifiConfig, side: LocalSide) -> str:
    """Let the simulated phone do its part; what it says where it gave up before the device was done."""
    ssid, password = _home_network(arguments)
    air, ble = _air_method(arguments.method), _method_of(arguments.method, _OVER_BLUETOOTH)
    if ble is not None:
        sending = side.ble_phone(wifi, ble, ssid=ssid, password=password)
    elif air is not None:
        host, _ = udp_place(arguments.udp or _AIR_PLACE)
        sending = side.air_phone(
            wifi, air, host=phone_host(host), ssid=ssid, password=password, keys=_keys(arguments)
        )
    else:
        host, port = wifi.local or udp_place(arguments.udp or _PLACE)
        sending = side.phone(host, port, ssid=ssid, password=password)
    async with asyncio.TaskGroup() as group:
        phone = group.create_task(sending, name="simulated phone")
        device = group.create_task(wifi.wait(), name="device")
        gave_up = await give_up_with(phone, device)
        if gave_up is not None:
            last = next((event.failure for event in reversed(wifi.history) if event.failure), None)
            await wifi.stop()
            return f"{last or wifi.step} (The phone gave up: {gave_up.error})"
        if not device.result().successful:
            phone.cancel()
    return ""


def _air_method(methods: str) -> str | None:
    """The method by which the simulated phone sends through the air; None where it does otherwise."""
    return _method_of(methods, AIR_METHODS)


def _method_of(methods: str, known: Container[str]) -> str | None:
    """The first of the methods, where it is a known one; of all of them the access point's is first."""
    first = methods.split(",", maxsplit=1)[0].strip().replace("-", "_").lower()
    return first if first in known else None


def _keys(arguments: argparse.Namespace) -> Mapping[str, Secret]:
    """The methods' keys.

    Raises:
        ConfigurationError: One cannot be one.
    """
    given = {name: getattr(arguments, name) for name in LENGTHS}
    return {name: parse_key(name, text) for name, text in given.items() if text is not None}


def _home_network(arguments: argparse.Namespace) -> tuple[str, str]:
    """What the owner knows: the command line's network, else the one in the mock's air, else a demo."""
    options = parse_spec((arguments.hal or ["mock"])[0]).options
    ssid = arguments.ssid or options.get("ssid") or "qiot-home"
    if arguments.password is not None:
        return ssid, arguments.password
    if "ssid" in options:
        return ssid, options.get("password", "")
    return ssid, "qiot-home-password"


def _show(arguments: argparse.Namespace, wifi: WifiConfig) -> None:
    if arguments.log == "json":
        steps = [attrs.asdict(event, recurse=False) for event in wifi.history]
        log.info(
            "summary", steps=[{key: str(step[key]) for key in ("step", "outcome", "t")} for step in steps]
        )
    else:
        show(table(wifi.history))


if __name__ == "__main__":
    sys.exit(main(make_parser(), run))
