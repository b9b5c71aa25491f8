"""What several of these tests need."""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections.abc import Callable
from pathlib import Path

from qiot.model import Credentials, Secret

PASSWORD = "a-long-password"
WRONG = "another-password"


class ManualClock:
    """A clock that only moves when the test says so."""

    def __init__(self) -> None:
        self.time = 1000.0
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._numbers = itertools.count()

    def now(self) -> float:
        return self.time

    async def sleep(self, seconds: float) -> None:
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        future = asyncio.get_running_loop().create_future()
        entry = (self.time + seconds, next(self._numbers), future)
        heapq.heappush(self._sleepers, entry)
        try:
            await future
        finally:
            if entry in self._sleepers:
                self._sleepers.remove(entry)
                heapq.heapify(self._sleepers)

    @property
    def sleepers(self) -> int:
        return len(self._sleepers)

    async def someone_sleeps(self) -> None:
        """Return when a sleep is under way."""
        await until(lambda: self.sleepers > 0)

    async def advance(self, seconds: float) -> None:
        """Move on, waking each sleeper at its own time."""
        end = self.time + seconds
        while self._sleepers and self._sleepers[0][0] <= end:
            self.time, _, future = heapq.heappop(self._sleepers)
            if not future.done():
                future.set_result(None)
            for _ in range(20):
                await asyncio.sleep(0)
        self.time = end


async def until(condition: Callable[[], object]) -> None:
    """Return when the condition holds; it fails after ten seconds."""
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - any condition, without a hook in what is tested
            await asyncio.sleep(0)


def credentials(ssid: str = "Home", password: str = PASSWORD) -> Credentials:
    return Credentials(ssid=ssid.encode(), password=Secret(password))


def names(folder: Path) -> list[str]:
    """What is in the folder."""
    return sorted(entry.name for entry in folder.iterdir())


def open_descriptors() -> set[str]:
    """Sockets and files that this process holds."""
    held = set()
    for entry in Path("/proc/self/fd").iterdir():
        try:
            held.add(f"{entry.name} {entry.readlink()}")
        except FileNotFoundError:  # the descriptor of this very listing
            continue
    return held
