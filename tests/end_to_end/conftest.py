"""Factories for clouds, devices and phones; after each test nothing of them may be left."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from qiot.api import CloudOptions, WifiConfig
from qiot.cloud.binder import Binder
from qiot.device_info import DeviceInfo
from qiot.hal.contract import Platform
from qiot.log import configure, silence
from qiot.model import Secret
from qiot.testbed.cloud import LocalCloud
from tests.end_to_end.support import DEVICE, IDENTITY, Leftovers, Phone, at, mock, place, settings


@pytest.fixture(autouse=True)
async def nothing_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[None]:
    """No task, thread, socket, memory file or temporary file outlives the test."""
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    before = Leftovers.now()
    yield
    for _ in range(3):  # what was aborted in the last moment closes its socket in the next pass of the loop
        await asyncio.sleep(0)
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    assert not tasks
    await asyncio.get_running_loop().shutdown_default_executor()
    assert not Leftovers.now().since(before)
    assert not list(temporary.iterdir())
    assert not list(tmp_path.rglob(".*.tmp"))  # noqa: ASYNC240 - nothing else is at work by now


@pytest.fixture
async def stack(nothing_left: None) -> AsyncIterator[contextlib.AsyncExitStack]:
    async with contextlib.AsyncExitStack() as opened:
        yield opened


@pytest.fixture
def cloud(stack: contextlib.AsyncExitStack) -> Callable[..., Any]:
    """Start a cloud that knows DEVICE, or others."""

    async def start(devices: Any = None, **options: Any) -> LocalCloud:
        options.setdefault("connect_interval", 0.0)
        return await stack.enter_async_context(LocalCloud(devices or [DEVICE], **options))

    return start


@pytest.fixture
def device(stack: contextlib.AsyncExitStack) -> Callable[..., WifiConfig]:
    """Make a device; given a platform, the test keeps it open as long as the other things."""

    def make(
        where: LocalCloud | CloudOptions | None = None,
        hal: Platform | str | None = None,
        info: DeviceInfo | Path = IDENTITY,
        binder: Binder | None = None,
        keys: Mapping[str, Secret] | None = None,
        **changes: Any,
    ) -> WifiConfig:
        if hal is None:
            hal = mock(ap_sta="yes")
        if isinstance(hal, Platform):
            stack.push_async_callback(hal.close)
        options = at(where) if isinstance(where, LocalCloud) else where
        made = WifiConfig(
            info, hal=hal, cloud=options, settings=settings(**changes), binder=binder, keys=keys
        )
        stack.push_async_callback(_close, made)
        return made

    return make


async def _close(device: WifiConfig) -> None:
    """Close it while the cloud is still there: a connection that it leaves open would end with the cloud."""
    link = device.link
    await device.aclose()
    assert link is None or not link.connected


@pytest.fixture
def phone(stack: contextlib.AsyncExitStack) -> Callable[..., Any]:
    """Open a phone that speaks to a listening device."""

    async def open_(device: WifiConfig | tuple[str, int]) -> Phone:
        made = await Phone.open(place(device) if isinstance(device, WifiConfig) else device)
        stack.callback(made.close)
        return made

    return open_


@pytest.fixture
def identity_file(tmp_path: Path) -> Callable[..., Path]:
    """Write a device_info.json into a folder of its own."""

    def write(content: Mapping[str, Any] = DEVICE, folder: str = "device") -> Path:
        path = tmp_path / folder / "device_info.json"
        path.parent.mkdir()
        path.write_text(json.dumps(content, indent=4))
        return path

    return write


@pytest.fixture
def written() -> Iterator[io.StringIO]:
    """Everything that is logged, from debug on."""
    stream = io.StringIO()
    configure("c-sdk", "debug", stream)
    yield stream
    silence()
