"""What the samples' command lines have in common: identity, cloud, log."""

from __future__ import annotations

import argparse
import asyncio
import io
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import attrs

from qiot.api import CloudOptions
from qiot.device_info import Cloud, DeviceInfo, load_device_info
from qiot.errors import ConfigurationError, QiotError
from qiot.log import configure
from qiot.model import Reason, Secret
from qiot.testbed.cloud import DEMO_DEVICE_NAME, DEMO_PRODUCT_ID, DEMO_PRODUCT_SECRET

__all__ = [
    "add_cloud_options",
    "at_local_cloud",
    "cloud_options",
    "exit_code",
    "identity",
    "main",
    "show",
    "wants_local_cloud",
]


def add_cloud_options(parser: argparse.ArgumentParser) -> None:
    """Identity, cloud and log."""
    group = parser.add_argument_group("identity and cloud")
    group.add_argument(
        "-c", dest="device_info", metavar="FILE", type=Path, help="device_info.json (default: demo)"
    )
    group.add_argument(
        "--cloud",
        choices=("local", *Cloud),
        default="local",
        help="local answers as the cloud of device_info.json (default: %(default)s)",
    )
    group.add_argument("--dynreg-url", metavar="URL", help="registration at http(s)://…; no local cloud then")
    group.add_argument("--mqtt-url", metavar="URL", help="broker at mqtt(s)://…; no local cloud then")
    group.add_argument("--ca-file", metavar="FILE", type=Path, help="CA to trust (default: the system's)")
    group.add_argument("--no-dynreg", action="store_true", help="a placeholder secret is an error")
    group.add_argument("--newer-dynreg", action="store_true", help="register by /device/register")
    group.add_argument("--hmac", choices=("hmacsha1", "hmacsha256"), default="hmacsha1", help="MQTT password")
    group.add_argument(
        "--security",
        choices=("auto", "psk", "tls"),
        default="auto",
        help="psk: TLS-PSK instead of a CA (tencent); tls: no plain MQTT (rlink)",
    )
    group = parser.add_argument_group("log")
    group.add_argument("--log", choices=("c-sdk", "json"), default="c-sdk", help="default: %(default)s")
    group.add_argument(
        "--log-level",
        choices=("debug", "info", "warning", "error"),
        default="info",
        help="default: %(default)s",
    )


def wants_local_cloud(arguments: argparse.Namespace, info: DeviceInfo) -> bool:
    """True where no cloud outside of this process is named, by an option or by the device's own endpoints."""
    named = (arguments.dynreg_url, arguments.mqtt_url, info.endpoints.dynreg, info.endpoints.mqtt)
    return arguments.cloud == "local" and not any(named)


def identity(arguments: argparse.Namespace) -> DeviceInfo:
    """The identity of `-c`, or the built-in demo's, whose secrets are public and good for nothing else.

    Raises:
        ConfigurationError: The file cannot be used, or the demo identity is wanted at a real cloud.
    """
    if arguments.device_info is None:
        if arguments.cloud != "local":
            raise ConfigurationError(
                f"--cloud {arguments.cloud} needs a device of your own",
                hint="Give its device_info.json with -c.",
            )
        return DeviceInfo(
            product_id=DEMO_PRODUCT_ID,
            device_name=DEMO_DEVICE_NAME,
            product_secret=Secret(DEMO_PRODUCT_SECRET),
        )
    info = load_device_info(arguments.device_info, dynamic_registration=not arguments.no_dynreg)
    if arguments.cloud not in ("local", info.cloud):
        raise ConfigurationError(
            f"--cloud {arguments.cloud}: {arguments.device_info} is of a device at {info.cloud}",
            hint="The file's own `cloud` says where the device belongs.",
        )
    return info


def cloud_options(arguments: argparse.Namespace) -> CloudOptions:
    """Where the cloud is, as the command line says.

    Raises:
        ConfigurationError: The CA file is not there.
    """
    if arguments.ca_file is not None and not arguments.ca_file.is_file():
        raise ConfigurationError(f"--ca-file {arguments.ca_file}: no such file")
    return CloudOptions(
        dynreg_url=arguments.dynreg_url,
        mqtt_url=arguments.mqtt_url,
        ca_file=arguments.ca_file,
        dynamic_registration=not arguments.no_dynreg,
        newer_registration=arguments.newer_dynreg,
        hmac=arguments.hmac,
        security=arguments.security,
    )


def at_local_cloud(
    options: CloudOptions, *, http_url: str | None, mqtt_url: str, ca_file: Path | None
) -> CloudOptions:
    """The same, at a local cloud; without an HTTP URL it is one that has no registration gateway."""
    return attrs.evolve(options, dynreg_url=http_url, mqtt_url=mqtt_url, ca_file=ca_file or options.ca_file)


def main(parser: argparse.ArgumentParser, run: Callable[[argparse.Namespace], Awaitable[int]]) -> int:
    """Parse, configure the log, run; errors become one line and an exit code.

    Returns:
        What `run` gave; 2 for usage and configuration, 1 for everything else that failed.
    """
    arguments = parser.parse_args()
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # an SSID may hold what a terminal cannot show
    configure(arguments.log, arguments.log_level, sys.stdout)
    try:
        return asyncio.run(_until_terminated(run(arguments)))
    except QiotError as error:
        print(f"{parser.prog}: {error.reason}: {error}. {error.hint}", file=sys.stderr)
        return exit_code(error.reason)
    except (KeyboardInterrupt, asyncio.CancelledError):
        print(f"{parser.prog}: stopped", file=sys.stderr)
        return 1


def show(text: str) -> None:
    """Print; a reader of the output that is gone changes nothing of how the run ended."""
    try:
        print(text, flush=True)
    except OSError:
        sys.stdout = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 - lives as long as stdout


def exit_code(reason: Reason) -> int:
    """2 where the user has to change what was asked for, 1 where it failed."""
    return 2 if reason in (Reason.CONFIGURATION, Reason.NOT_SUPPORTED) else 1


async def _until_terminated(program: Awaitable[int]) -> int:
    """Run it; SIGTERM undoes what is not finished, as Ctrl-C does."""
    task = asyncio.ensure_future(program)
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    return await task
