"""The scripted module, the platform on it, and a file with its identity."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
import qiot_esp_at.modem
from module import Module
from qiot_esp_at import EspAtPlatform

from qiot.hal.registry import parse_spec
from qiot.testbed.cloud.registry import DEMO_PRODUCT_ID, DEMO_PRODUCT_SECRET

SECRET = base64.b64encode(b"0123456789abcdef").decode()


@pytest.fixture(autouse=True)
def quick_to_reboot(monkeypatch: pytest.MonkeyPatch) -> None:
    """The scripted module does so at once, where it does."""
    monkeypatch.setattr(qiot_esp_at.modem, "_REBOOT_BEGINS", 0.1)


@pytest.fixture
async def module() -> AsyncIterator[Module]:
    async with Module() as made:
        yield made


@pytest.fixture
def write_identity(tmp_path: Path) -> Callable[..., Path]:
    """Writes a device_info.json of the local cloud's demo product."""

    def write(secret: str = SECRET) -> Path:
        path = tmp_path / "device_info.json"
        fields = {
            "auth_mode": "KEY",
            "productId": DEMO_PRODUCT_ID,
            "deviceName": "module-1",
            "productSecret": DEMO_PRODUCT_SECRET,
            "region": "china",
            "key_deviceinfo": {"deviceSecret": secret},
        }
        path.write_text(json.dumps(fields))
        return path

    return write


@pytest.fixture
async def make_platform(module: Module, tmp_path: Path) -> AsyncIterator[Callable[..., EspAtPlatform]]:
    """Makes platforms on the module; they are closed after the test."""
    opened: list[EspAtPlatform] = []

    def make(on: Module | None = None, **options: object) -> EspAtPlatform:
        words = "".join(f",{key}={value}" for key, value in options.items())
        made = EspAtPlatform(parse_spec(f"esp-at:{(on or module).path},state={tmp_path / 'state'}{words}"))
        opened.append(made)
        return made

    yield make
    for each in opened:
        await each.close()
