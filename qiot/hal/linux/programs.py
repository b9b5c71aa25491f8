"""Programs of the system that run for us, such as hostapd, and are ended with us or after us."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import signal
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

from qiot.errors import HalError, NotSupportedError
from qiot.finishing import finish
from qiot.hal.linux.undo import Change, UndoLog
from qiot.log import get_logger

__all__ = ["PROCESS", "Program", "find_processes", "find_program", "undo_process"]

log = get_logger()

PROCESS: Final = "process"
"""Kind of the changes that `Program` writes down; `undo_process` puts them back."""

_FOLDERS: Final = ("/usr/local/sbin", "/usr/sbin", "/sbin")
_LINES: Final = 200
_LINE_MAX: Final = 2000
_TERM_LIMIT: Final = 3.0
"""Seconds that a program may take to end by itself."""
_POLL: Final = 0.05

_PACKAGES: Final[Mapping[str, str]] = {
    "hostapd": "hostapd",
    "dnsmasq": "dnsmasq-base",
    "wpa_supplicant": "wpasupplicant",
    "dhclient": "isc-dhcp-client",
    "udhcpc": "udhcpc",
    "dhcpcd": "dhcpcd-base",
}


def find_program(name: str) -> str:
    """Where a program of the system is, also where PATH leaves the folders of root out.

    Raises:
        NotSupportedError: It is not installed; the hint names Debian's package.
    """
    path = os.pathsep.join((os.environ.get("PATH", os.defpath), *_FOLDERS))
    found = shutil.which(name, path=path)
    if found is None:
        raise NotSupportedError(
            f"{name} is not installed", hint=f"Install it: apt install {_PACKAGES.get(name, name)}."
        )
    return found


class Program:
    """One program at work, in the foreground, with its output read.

    Args:
        name: What it is called in messages.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self._lines: deque[str] = deque(maxlen=_LINES)
        self._news = asyncio.Event()
        self._process: asyncio.subprocess.Process | None = None
        self._reader: asyncio.Task[None] | None = None
        self._undo: UndoLog | None = None
        self._change: Change | None = None

    @property
    def running(self) -> bool:
        """True until it has ended."""
        return self._process is not None and self._process.returncode is None

    @property
    def output(self) -> Sequence[str]:
        """The last lines that it printed."""
        return tuple(self._lines)

    @classmethod
    async def start(
        cls,
        name: str,
        *arguments: str,
        undo: UndoLog,
        ready: Callable[[str], bool] | None = None,
        timeout: float = 10.0,
    ) -> Program:
        """Start it, and return when it says that it is ready.

        Args:
            name: Program of the system.
            arguments: Its arguments; other users can read them, so they hold no secret. One of them names a
                file of ours, so that no stranger's program has the same command line.
            undo: Where it is written down, in case that we are killed.
            ready: True for the line of its output that says so; None to return as soon as it runs.
            timeout: Seconds until it must be ready.

        Raises:
            NotSupportedError: It is not installed.
            HalError: It ended, or was not ready in time; nothing of it is left. The text has its last line, a
                note the others.
        """
        program = cls(name)
        try:
            await program._start((find_program(name), *arguments), undo)
            if ready is not None:
                await program.wait_line(ready, timeout)
        except BaseException:
            await program.stop()
            raise
        return program

    async def wait_ended(self) -> int:
        """Return when it has ended; gives its exit status."""
        return await self._process.wait() if self._process is not None else 0

    async def wait_line(self, wanted: Callable[[str], bool], timeout: float) -> str:
        """The first line of its output, old or coming, that is wanted.

        Raises:
            HalError: It ended, or did not print it in time.
        """
        try:
            async with asyncio.timeout(timeout):
                while True:
                    self._news.clear()
                    for line in self._lines:
                        if wanted(line):
                            return line
                    if self._reader is None or self._reader.done():
                        raise self._failed("ended")
                    await self._news.wait()
        except TimeoutError:
            raise self._failed(f"was not ready within {timeout:g} s") from None

    async def stop(self) -> None:
        """End it. Idempotent; a cancellation waits until it is gone."""
        await finish(self._stop())

    async def _start(self, command: Sequence[str], undo: UndoLog) -> None:
        self._undo = undo
        self._change = await undo.note(PROCESS, command=json.dumps(command))
        try:
            self._process = await asyncio.create_subprocess_exec(
                *command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT,
                start_new_session=True,  # a Ctrl-C for us is not one for it
                limit=_LINE_MAX,
            )
        except OSError as error:
            raise HalError(f"{self.name} cannot be started: {error.strerror}", code=error.errno) from None
        self._reader = asyncio.create_task(self._read(self._process), name=f"qiot output of {self.name}")

    async def _read(self, process: asyncio.subprocess.Process) -> None:
        stream = process.stdout
        if stream is None:
            return
        while True:
            try:
                line = await stream.readline()
            except ValueError:  # longer than anything worth reading
                continue
            if not line:
                break
            text = line.decode(errors="replace").rstrip()
            log.debug(f"{self.name}: {text}")
            self._lines.append(text)
            self._news.set()
        await process.wait()
        self._news.set()

    async def _stop(self) -> None:
        process, self._process = self._process, None
        if process is not None and process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
            try:
                async with asyncio.timeout(_TERM_LIMIT):
                    await process.wait()
            except TimeoutError:
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
                await process.wait()
        if self._reader is not None:
            await asyncio.wait({self._reader}, timeout=_TERM_LIMIT)  # a child of its own may hold the pipe
            self._reader.cancel()
        if self._undo is not None and self._change is not None:
            change, self._change = self._change, None
            await self._undo.forget(change)

    def _failed(self, what: str) -> HalError:
        said = [line.strip() for line in self._lines if line.strip()]
        error = HalError(f"{self.name} {what}{f': {said[-1]}' if said else ''}")
        error.add_note("\n".join(said))  # the last line is not always the one that says why
        return error


async def undo_process(change: Change) -> None:
    """End a program that a killed process left running: the one with exactly the same command line."""
    command = json.loads(change.facts["command"])
    deadline = asyncio.get_running_loop().time() + _TERM_LIMIT
    sent = signal.SIGTERM
    while left := await asyncio.to_thread(find_processes, command):
        for pid in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, sent)
        if asyncio.get_running_loop().time() > deadline:
            sent = signal.SIGKILL
        await asyncio.sleep(_POLL)  # it is no child of ours: nothing tells us when it ends


def find_processes(command: Sequence[str]) -> Sequence[int]:
    """Who runs with exactly this command line, by process id."""
    wanted = b"\0".join((*map(os.fsencode, command), b""))
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            with contextlib.suppress(OSError):  # it has ended meanwhile
                if (entry / "cmdline").read_bytes() == wanted:
                    found.append(int(entry.name))
    return found
