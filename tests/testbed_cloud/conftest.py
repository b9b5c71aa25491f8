from __future__ import annotations

import asyncio
import contextlib

import pytest

from qiot.testbed.cloud import LocalCloud
from tests.testbed_cloud.outside import device


@pytest.fixture
async def start():
    """Starts clouds, stops them, and sees that no task of theirs is left."""
    async with contextlib.AsyncExitStack() as stack:

        async def run(devices=None, **options):
            options.setdefault("connect_interval", 0.0)
            return await stack.enter_async_context(LocalCloud(devices or [device()], **options))

        before = asyncio.all_tasks()
        yield run
    left = asyncio.all_tasks() - before - {asyncio.current_task()}
    assert not left
