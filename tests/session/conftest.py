"""A session on fakes, run in the background of a test."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

import attrs
import pytest

from qiot.model import Event, Outcome, Step
from qiot.wifi_config.dev_log import DevLog
from qiot.wifi_config.error_log import ErrorLog
from qiot.wifi_config.methods import parse_methods
from qiot.wifi_config.session import Session, SessionResult
from qiot.wifi_config.settings import Settings
from tests.session.fakes import IDENTITY, FakeBinder, FakePlatform


class Run:
    """One session at work."""

    def __init__(self, platform, binder, methods: str, settings: Settings, session=None) -> None:
        self.platform = platform
        self.binder = binder
        self.saved = []
        self.dev_log = DevLog()
        self.errors = ErrorLog(platform.storage)
        self.session = Session(
            platform,
            identity=IDENTITY,
            binder=binder,
            methods=parse_methods(methods),
            settings=settings,
            save_identity=self._save,
            errors=self.errors,
            dev_log=self.dev_log,
            **(session or {}),
        )
        self.task: asyncio.Task[SessionResult] | None = None

    async def _save(self, identity) -> None:
        self.saved.append(identity)

    async def start(self, *, resume: bool = False) -> None:
        await self.errors.load()
        self.task = asyncio.create_task(self.session.run(resume=resume))

    async def until(self, step: Step, outcome: Outcome, count: int = 1) -> Event:
        """The count-th event of this kind."""
        async with asyncio.timeout(10):
            async for event in self.session.events.watch():
                if (event.step, event.outcome) == (step, outcome):
                    count -= 1
                    if not count:
                        return event
        raise AssertionError(f"no event {step} {outcome}")

    async def listening(self, count: int = 1) -> None:
        await self.until(Step.LISTENING, Outcome.STARTED, count)

    async def result(self) -> SessionResult:
        assert self.task is not None
        async with asyncio.timeout(10):
            return await self.task

    async def close(self) -> None:
        if self.task is not None:
            self.task.cancel()
            await asyncio.gather(self.task, return_exceptions=True)
        await self.session.close()


@pytest.fixture
async def run() -> AsyncIterator[Callable[..., Run]]:
    runs: list[Run] = []

    def make(platform=None, binder=None, *, methods: str = "smart_config", session=None, **settings) -> Run:
        # The command port is no part of these tests: after the join nothing is opened on it.
        quick = Settings(timeout=9, back_off=0.01, grant_timeout=5, retry_window=5)
        options = attrs.evolve(quick, **settings)
        made = Run(platform or FakePlatform(), binder or FakeBinder(), methods, options, session)
        made.session.after_join = _nothing  # type: ignore[method-assign]
        runs.append(made)
        return made

    yield make
    for each in runs:
        await each.close()


async def _nothing() -> None:
    return
