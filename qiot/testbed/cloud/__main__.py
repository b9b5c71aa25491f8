"""Run the local cloud from the shell: ``python -m qiot.testbed.cloud``."""

from __future__ import annotations

import argparse
import asyncio
import io
import json
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from qiot.errors import ConfigurationError, QiotError
from qiot.testbed.cloud.journal import Record
from qiot.testbed.cloud.server import LocalCloud

__all__ = ["main"]

_HTTP_PORT = 8080
_MQTT_PORT = 1883


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m qiot.testbed.cloud",
        description="A local stand-in for Tencent IoT Explorer and rlink: registration, MQTT, the app's API.",
        epilog="Ports serve plain and, with --tls-dir, TLS. See qiot.testbed.cloud.faults for the mode file.",
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default %(default)s)")
    for name, default in (("--http-port", _HTTP_PORT), ("--mqtt-port", _MQTT_PORT)):
        parser.add_argument(name, type=_port, default=default, metavar="N", help=f"default {default}; 0: any")
    for name, metavar, text in (
        ("--devices", "FILE", "device_info.json of one device, or a list of them (default: a demo product)"),
        ("--mode", "FILE", "faults on purpose; read again when it changes"),
        ("--tls-dir", "DIR", "certificates are kept here; turns TLS on"),
    ):
        parser.add_argument(name, type=Path, metavar=metavar, help=text)
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    return parser


def _port(text: str) -> int:
    port = int(text)
    if port not in range(65536):
        raise argparse.ArgumentTypeError(f"{text} is no port; ports are 0 to 65535")
    return port


def _ready(cloud: LocalCloud) -> dict[str, Any]:
    urls: dict[str, Any] = {"http": cloud.http_url, "mqtt": cloud.mqtt_url}
    if cloud.ca_file is not None:
        urls |= {"https": cloud.https_url, "mqtts": cloud.mqtts_url, "ca_file": str(cloud.ca_file)}
    return {"event": "ready", **urls, "devices": [device.path for device in cloud.registry.devices]}


async def _run(arguments: argparse.Namespace) -> None:
    def show(record: Record) -> None:
        print(json.dumps(record.as_dict()) if arguments.json else record, flush=True)

    cloud = LocalCloud(
        arguments.devices,
        host=arguments.host,
        http_port=arguments.http_port,
        mqtt_port=arguments.mqtt_port,
        tls_dir=arguments.tls_dir,
        mode_file=arguments.mode,
        on_record=show,
    )
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    async with cloud:
        ready = _ready(cloud)
        text = " ".join(f"{name}={value}" for name, value in ready.items() if name != "event")
        print(json.dumps(ready) if arguments.json else f"ready {text}", flush=True)
        await stop.wait()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run until SIGINT or SIGTERM.

    Returns:
        0 stopped, 1 it could not start (a busy port), 2 usage or a file that cannot be used.
    """
    parsed = _parser().parse_args(arguments)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        asyncio.run(_run(parsed))
    except QiotError as error:
        print(f"{error}. {error.hint}", file=sys.stderr)
        return 2 if isinstance(error, ConfigurationError) else 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
