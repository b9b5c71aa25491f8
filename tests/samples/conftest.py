"""Identities as they look in a user's folder, and a local cloud of its own process."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.samples.program import Program

IDENTITY: dict[str, Any] = {
    "auth_mode": "KEY",
    "productId": "L4WG9V9M2M",
    "note": "an unknown key stays where it is",
    "productSecret": "XoezQjzzMedF4lAr2CqCkVYK",
    "deviceName": "TEST2",
    "region": "china",
    "key_deviceinfo": {"deviceSecret": "YOUR_IOT_PSK", "vendor": {"batch": 7}},
    "cert_deviceinfo": {
        "devCertFile": "YOUR_DEVICE_CERT_FILE_NAME",
        "devPrivateKeyFile": "YOUR_DEVICE_PRIVATE_KEY_FILE_NAME",
    },
    "subDev": {
        "subdev_num": 1,
        "subdev_list": [{"sub_productId": "YZQ4E5A0PT", "sub_devName": "sub1"}],
    },
}


@pytest.fixture
def identity(tmp_path: Path) -> Callable[..., Path]:
    """Write an identity; gives its file."""

    def write(name: str = "device_info.json", **changes: Any) -> Path:
        path = tmp_path / name
        path.write_text(json.dumps(IDENTITY | changes, indent=2))
        return path

    return write


@pytest.fixture
async def cloud(tmp_path: Path) -> AsyncIterator[Callable[..., Any]]:
    """Start a local cloud in a process of its own; gives the program and its URLs by name."""
    async with AsyncExitStack() as stack:

        async def start(*arguments: object) -> tuple[Program, dict[str, str]]:
            options = ("--http-port", 0, "--mqtt-port", 0, *arguments)
            program = Program("qiot.testbed.cloud", *options, folder=tmp_path)
            await stack.enter_async_context(program)
            ready = (await program.find(r'^(ready |\{"event": "ready")')).string
            if ready.startswith("{"):
                return program, json.loads(ready)
            return program, dict(re.findall(r"(\w+)=(\S+)", ready))

        yield start
