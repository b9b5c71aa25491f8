"""A program as a user runs it: in a process and a folder of its own, read line by line."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import sys
from pathlib import Path
from subprocess import PIPE
from typing import Self

import qiot

LOG_LINE = re.compile(r"(ERR|WRN|INF|DBG)\|\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\|\w+\.py\|\w+\(\d+\): \S.*")
"""The C SDK's log line (contract section 12)."""
LISTENS = re.compile(r"UDP server socket listening on 127\.0\.0\.1:(\d+)")

_LIMIT = 30.0


class Program:
    """Use it as an asynchronous context manager; whatever is left of it then is killed.

    Args:
        module: Name behind `python -m`.
        arguments: The rest of the command line.
        folder: Where it runs.
    """

    def __init__(self, module: str, *arguments: object, folder: Path) -> None:
        self._command = [sys.executable, "-W", "error", "-m", module, *map(str, arguments)]
        self._folder = folder
        self.lines: list[str] = []
        """What it has printed to standard output so far."""
        self._errors = ""
        self._news = asyncio.Condition()
        self._ended = False

    async def __aenter__(self) -> Self:
        home = str(Path(qiot.__file__).parent.parent)
        self._process = await asyncio.create_subprocess_exec(
            *self._command,
            stdout=PIPE,
            stderr=PIPE,
            cwd=self._folder,
            env=os.environ | {"PYTHONPATH": home, "PYTHONUNBUFFERED": "1"},
        )
        self._readers = asyncio.gather(self._read(), self._read_errors())
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._process.returncode is None:
            self._process.kill()
        await self._readers
        await self._process.wait()

    async def _read(self) -> None:
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            async with self._news:
                self.lines.append(line.decode().rstrip("\n"))
                self._news.notify_all()
        async with self._news:
            self._ended = True
            self._news.notify_all()

    async def _read_errors(self) -> None:
        assert self._process.stderr is not None
        self._errors = (await self._process.stderr.read()).decode()

    async def find(self, pattern: str | re.Pattern[str]) -> re.Match[str]:
        """The first line that fits, waited for."""
        looked = 0
        async with asyncio.timeout(_LIMIT), self._news:
            while True:
                for line in self.lines[looked:]:
                    if found := re.search(pattern, line):
                        return found
                looked = len(self.lines)
                assert not self._ended, f"it has ended without {pattern!r}: {self.lines[-5:]}"
                await self._news.wait()

    def interrupt(self) -> None:
        """What Ctrl-C does."""
        self._process.send_signal(signal.SIGINT)

    def terminate(self) -> None:
        """What a service manager does."""
        self._process.send_signal(signal.SIGTERM)

    async def end(self) -> tuple[int, str, str]:
        """Exit code, standard output and standard error once it has ended."""
        async with asyncio.timeout(_LIMIT):
            await asyncio.shield(self._readers)
            code = await self._process.wait()
        assert "Traceback" not in self._errors, self._errors
        return code, "\n".join(self.lines), self._errors


async def run(module: str, *arguments: object, folder: Path) -> tuple[int, str, str]:
    """Run it to its end."""
    async with Program(module, *arguments, folder=folder) as program:
        return await program.end()
