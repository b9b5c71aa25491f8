"""Network namespaces: the phone and the home access point live in some, the device in the root one."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Sequence

from lab.support.programs import run
from lab.support.waiting import until

__all__ = ["Namespace"]


class Namespace:
    """A network namespace, from `create` to `delete`.

    Args:
        name: as `ip netns` shows it.
    """

    def __init__(self, name: str) -> None:
        self.name = name

    def create(self) -> None:
        """Make it, with its loopback up."""
        run(["ip", "netns", "add", self.name])
        run(["ip", "link", "set", "lo", "up"], namespace=self.name)

    def delete(self) -> None:
        """Kill what still runs in it and remove it; radios in it go back to the root namespace."""
        pids = [int(pid) for pid in run(["ip", "netns", "pids", self.name], check=False).split()]
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        if pids:
            until(lambda: not self._pids(), f"namespace {self.name} is empty")
        run(["ip", "netns", "delete", self.name], check=False)

    def _pids(self) -> str:
        return run(["ip", "netns", "pids", self.name], check=False).strip()

    def run(self, command: Sequence[str], *, seconds: float = 60.0, check: bool = True) -> str:
        """Run a program in it to its end; see `programs.run`."""
        return run(command, namespace=self.name, seconds=seconds, check=check)

    def ping(self, host: str, count: int = 1) -> None:
        """Have `host` answer.

        Raises:
            FailedError: it did not.
        """
        self.run(["busybox", "ping", "-c", str(count), "-W", "5", host])
