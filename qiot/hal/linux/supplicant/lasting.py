"""Programs that may outlive us: a device that was provisioned keeps its network when the program ends.

Their output goes to a file instead of a pipe, which would break with us; and no handle of asyncio is kept on
them, which would kill them with the loop.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import attrs

from qiot.errors import HalError
from qiot.hal.linux.programs import PROCESS, find_program, undo_process
from qiot.hal.linux.undo import Change, UndoLog

__all__ = ["Lasting"]

_TAIL: Final = 4000


@attrs.define
class Lasting:
    """One program.

    Attributes:
        name: What it is called in messages.
        command: Its command line; one argument names a file of ours, so that it is nobody else's.
        log: Where its output goes.
    """

    name: str
    command: Sequence[str]
    log: Path
    _undo: UndoLog
    _change: Change | None = None
    _pid: int | None = None

    @classmethod
    async def start(cls, name: str, *arguments: str, log: Path, undo: UndoLog) -> Lasting:
        """Start it; it is ended by `recover` of the next process, unless it is `keep`t.

        Raises:
            NotSupportedError: It is not installed.
            HalError: It cannot be started.
        """
        program = cls(name, (find_program(name), *arguments), log, undo)
        program._change = await undo.note(PROCESS, command=json.dumps(program.command))
        try:
            program._spawn()
        except BaseException:
            await program.stop()
            raise
        return program

    @property
    def running(self) -> bool:
        """True until it has ended."""
        if self._pid is not None:
            with contextlib.suppress(ChildProcessError):
                if os.waitpid(self._pid, os.WNOHANG) == (0, 0):
                    return True
            self._pid = None
        return False

    def last_line(self) -> str:
        """What it said last."""
        with contextlib.suppress(OSError):
            lines = self.log.read_bytes()[-_TAIL:].decode(errors="replace").splitlines()
            return next((line.strip() for line in reversed(lines) if line.strip()), "")
        return ""

    async def keep(self) -> None:
        """Let it run when we end, however that happens."""
        if self._change is not None:
            await self._undo.forget(self._change)
            self._change = None

    async def stop(self) -> None:
        """End it. Idempotent; a cancellation waits until it is gone."""
        stopping = asyncio.ensure_future(self._stop())
        try:
            await asyncio.shield(stopping)
        except asyncio.CancelledError:
            await asyncio.wait({stopping})
            raise

    async def _stop(self) -> None:
        await undo_process(Change(PROCESS, {"command": json.dumps(self.command)}))
        if self.running and self._pid is not None:  # it has changed its command line
            os.kill(self._pid, signal.SIGKILL)
            await asyncio.to_thread(os.waitpid, self._pid, 0)
            self._pid = None
        await self.keep()

    def _spawn(self) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
        actions = [
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, os.fspath(self.log), flags, 0o600),
            (os.POSIX_SPAWN_DUP2, 1, 2),
        ]
        try:
            self._pid = os.posix_spawn(
                self.command[0],
                list(self.command),
                os.environ,
                file_actions=actions,
                setsid=True,
                setsigmask=(),
                setsigdef=(signal.SIGPIPE,),
            )
        except OSError as error:
            raise HalError(f"{self.name} cannot be started: {error.strerror}", code=error.errno) from None
