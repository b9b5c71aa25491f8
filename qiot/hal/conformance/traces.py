"""What a platform can leave behind in this process and on this machine, before and after a check."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import sys
import threading
from collections import Counter
from collections.abc import Collection
from pathlib import Path
from typing import Final

import attrs

__all__ = ["Traces", "files_in", "processes_of"]

_COMM_MAX: Final = 15
_POLL: Final = 0.02
_FDS: Final = Path("/proc/self/fd")
_POOL: Final = str(Path("concurrent", "futures", "thread.py"))


@attrs.frozen
class Traces:
    """What there is at one moment.

    Attributes:
        tasks: The loop's tasks.
        threads: Threads, without those of a pool that wait for work.
        descriptors: What is open, by what it leads to; sockets and pipes among them. Linux only.
        children: Child processes, those too that ended and were not waited for. Linux only.
        interfaces: Network interfaces.
    """

    tasks: frozenset[asyncio.Task[object]]
    threads: frozenset[threading.Thread]
    descriptors: Counter[str] = attrs.field(eq=False)
    children: frozenset[str]
    interfaces: frozenset[str]

    @classmethod
    def now(cls) -> Traces:
        """Look; to be called on the loop."""
        return cls(
            tasks=frozenset(asyncio.all_tasks()),
            threads=frozenset(each for each in threading.enumerate() if not _is_idle_in_a_pool(each)),
            descriptors=_descriptors(),
            children=_children(),
            interfaces=frozenset(name for _, name in socket.if_nameindex()),
        )

    def left(self, now: Traces) -> list[str]:
        """What is there now and was not before, for people."""
        new: list[str] = [f"the task {_of_task(each)}" for each in now.tasks - self.tasks if not each.done()]
        new += [f"the thread {each.name}" for each in now.threads - self.threads]
        new += [f"the descriptor of {each}" for each in (now.descriptors - self.descriptors).elements()]
        new += [f"the child process {each}" for each in now.children - self.children]
        new += [f"the network interface {each}" for each in now.interfaces - self.interfaces]
        new += [f"no network interface {each} any more" for each in self.interfaces - now.interfaces]
        return sorted(new)

    async def leaks(self, seconds: float) -> list[str]:
        """What is still left when nothing has gone away for good within `seconds`."""
        end = asyncio.get_running_loop().time() + seconds
        while (left := self.left(Traces.now())) and asyncio.get_running_loop().time() < end:  # noqa: ASYNC110
            await asyncio.sleep(_POLL)
        return left


def processes_of(names: Collection[str]) -> frozenset[str]:
    """Processes that run one of these programs, whoever started them. Linux only."""
    if not names:
        return frozenset()
    # The kernel knows a program by the first 15 octets of its name (proc(5), comm).
    short = {name[:_COMM_MAX] for name in names}
    found: set[str] = set()
    for process in Path("/proc").glob("[0-9]*"):
        name = _command(process.name)
        with contextlib.suppress(OSError):  # it ended meanwhile
            if name in short and not _has_ended(process):
                found.add(f"the program {name} ({process.name})")
    return frozenset(found)


def _has_ended(process: Path) -> bool:
    """True where nobody has waited for it yet (proc(5), stat: the state follows the name in brackets)."""
    return (process / "stat").read_text().rpartition(")")[2].split()[0] == "Z"


def files_in(folders: Collection[Path]) -> frozenset[str]:
    """What is in these folders, at any depth."""
    return frozenset(f"the file {each}" for folder in folders for each in folder.rglob("*"))


def _of_task(task: asyncio.Task[object]) -> str:
    work = task.get_coro()
    return getattr(work, "__qualname__", None) or repr(work)


def _is_idle_in_a_pool(thread: threading.Thread) -> bool:
    """True where it waits for work in a pool, as the threads of `asyncio.to_thread` do for good."""
    frame = sys._current_frames().get(thread.ident or 0)  # noqa: SLF001 - the documented way to a thread's frame
    if frame is None:
        return False
    return frame.f_code.co_name == "_worker" and frame.f_code.co_filename.endswith(_POOL)


def _descriptors() -> Counter[str]:
    held: Counter[str] = Counter()
    if not _FDS.is_dir():
        return held
    for entry in os.listdir(_FDS):  # noqa: PTH208 - it closes its own descriptor before they are looked at
        try:
            held[os.readlink(_FDS / entry)] += 1  # noqa: PTH115 - not a path of a file
        except OSError:  # that of the listing itself
            continue
    return held


def _children() -> frozenset[str]:
    found: set[str] = set()
    for task in Path("/proc/self/task").glob("*/children"):
        try:
            pids = task.read_text().split()
        except OSError:  # the thread has ended
            continue
        found.update(f"{pid} ({_command(pid)})" for pid in pids)
    return frozenset(found)


def _command(pid: str) -> str:
    try:
        return Path("/proc", pid, "comm").read_text().strip()
    except OSError:
        return "gone"
