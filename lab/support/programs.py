"""Running programs in a network namespace: to their end, or in the background with a log."""

from __future__ import annotations

import contextlib
import itertools
import os
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from lab.support.waiting import until

__all__ = ["Daemon", "FailedError", "open_logs", "run"]

_LOGS = Path(os.environ.get("LAB_OUT", "/out")) / "logs"
_numbers = itertools.count(1)
_open: list[Path] = []


class FailedError(AssertionError):
    """A program ended with a status that was not expected."""


def run(
    command: Sequence[str],
    *,
    namespace: str | None = None,
    seconds: float = 60.0,
    check: bool = True,
    stdin: str | None = None,
) -> str:
    """Run a program to its end.

    Args:
        command: the program and its arguments.
        namespace: a network namespace; the root namespace when None.
        seconds: when it is killed.
        check: whether a status other than 0 is an error.
        stdin: what it reads.

    Returns:
        what it wrote to its standard output.

    Raises:
        FailedError: its status was not 0, or it took too long.
    """
    __tracebackhide__ = True  # in a failure's report, the test's own line says more
    words = [*_inside(namespace), *command]
    try:
        done = subprocess.run(
            words, capture_output=True, text=True, timeout=seconds, check=False, input=stdin
        )
    except subprocess.TimeoutExpired as error:
        raise FailedError(f"{' '.join(command)} took longer than {seconds:g} s") from error
    if check and done.returncode != 0:
        text = f"{' '.join(command)} ended with {done.returncode}"
        raise FailedError(f"{text}\n{done.stdout}{done.stderr}")
    return done.stdout


def _inside(namespace: str | None) -> list[str]:
    return ["ip", "netns", "exec", namespace] if namespace else []


def open_logs() -> list[Path]:
    """The logs of the daemons that run or died by themselves: for a failure's report."""
    return list(_open)


class Daemon:
    """A program in the background. Its output goes to a log in /out that outlives the machine.

    Args:
        name: for its log.
        command: the program and its arguments; it must stay in the foreground.
        namespace: a network namespace; the root namespace when None.
        environment: added to ours.
        folder: where it is started.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        *,
        namespace: str | None = None,
        environment: Mapping[str, str] | None = None,
        folder: Path | None = None,
    ) -> None:
        self.name = name
        self.log = _LOGS / f"{next(_numbers):02d}-{name}"
        self._command = [*_inside(namespace), *command]
        self._environment = {**os.environ, **(environment or {})}
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, ready: Callable[[], object] | None = None, seconds: float = 30.0) -> None:
        """Start it, and wait until `ready` is true.

        Raises:
            FailedError: it ended before it was ready.
            NotInTimeError: it was not ready in `seconds`; it is stopped.
        """
        self.log.parent.mkdir(parents=True, exist_ok=True)
        _open.append(self.log)
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=self._environment,
                cwd=self._folder,
                start_new_session=True,
            )
        try:
            if ready is not None:
                until(lambda: self._alive() and ready(), f"{self.name} is ready", seconds)
        except BaseException:
            self._end(signal.SIGKILL)
            raise

    def _alive(self) -> bool:
        if not self.running:
            raise FailedError(f"{self.name} ended with {self.status}:\n{self.text()[-4000:]}")
        return True

    @property
    def pid(self) -> int:
        """Its process id; 0 when it was never started."""
        return self._process.pid if self._process else 0

    @property
    def status(self) -> int | None:
        """Its exit status, negative for a signal; None while it runs."""
        return self._process.poll() if self._process else None

    @property
    def running(self) -> bool:
        """Whether it has not ended."""
        return self._process is not None and self._process.poll() is None

    def text(self) -> str:
        """What it has written."""
        with contextlib.suppress(FileNotFoundError):
            return self.log.read_text(errors="replace")
        return ""

    def wait(self, seconds: float = 60.0) -> int:
        """Wait for its end by itself.

        Returns:
            its exit status.
        """
        until(lambda: not self.running, f"{self.name} ends", seconds)
        return self.status or 0

    def signal(self, number: int) -> None:
        """Send it, and what it started, a signal."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, number)

    def stop(self, seconds: float = 15.0) -> None:
        """End it: SIGTERM, and SIGKILL when that does not help in `seconds`. Stopping twice is harmless."""
        if self.running:
            self.signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process is not None and self._process.wait(seconds)
        self._end(signal.SIGKILL)

    def kill(self) -> None:
        """End it at once, without a chance to tidy up."""
        self._end(signal.SIGKILL)

    def _end(self, number: int) -> None:
        self.signal(number)
        if self._process is not None:
            self._process.wait()
        with contextlib.suppress(ValueError):
            _open.remove(self.log)
