"""Programs that may outlive us: a device that was provisioned keeps its network when the program ends.

Their output goes to a file instead of a pipe, which would break with us, and they are no children of ours:
init takes them in and sees their end. They are found by their command line, by the next process as well.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shlex
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import attrs

from qiot.errors import HalError
from qiot.finishing import finish
from qiot.hal.linux.programs import PROCESS, find_processes, find_program, undo_process
from qiot.hal.linux.undo import Change, UndoLog

__all__ = ["Lasting"]

_TAIL: Final = 4000
_SHELL: Final = "/bin/sh"
_EXEC_LIMIT: Final = 1.0
_POLL: Final = 0.02


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
            await program._spawn()
        except BaseException:
            await program.stop()
            raise
        return program

    @property
    def running(self) -> bool:
        """True until it has ended."""
        return bool(find_processes(self.command))

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
        await finish(self._stop())

    async def _stop(self) -> None:
        await undo_process(Change(PROCESS, {"command": json.dumps(self.command)}))
        await self.keep()

    async def _spawn(self) -> None:
        """Return when it has the command line by which it is known, or has ended."""
        await finish(asyncio.to_thread(os.waitpid, self._start_shell(), 0))
        deadline = asyncio.get_running_loop().time() + _EXEC_LIMIT
        while not self.running and asyncio.get_running_loop().time() < deadline:  # noqa: ASYNC110 - no child of ours
            await asyncio.sleep(_POLL)

    def _start_shell(self) -> int:
        """A shell starts it in the background and ends, so that it is init's; gives the shell's id."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
        actions = [
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, os.fspath(self.log), flags, 0o600),
            (os.POSIX_SPAWN_DUP2, 1, 2),
        ]
        try:
            return os.posix_spawn(
                _SHELL,
                [_SHELL, "-c", f"{shlex.join(self.command)} &"],
                os.environ,
                file_actions=actions,
                setsid=True,
                setsigmask=(),
                setsigdef=(signal.SIGPIPE,),
            )
        except OSError as error:
            raise HalError(f"{self.name} cannot be started: {error.strerror}", code=error.errno) from None
