"""The outer side of the worker: it waits for results, and ends a worker that gives none."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Generator, Sequence
from typing import Any, Final, Self

import attrs

from qiot.errors import ConfigurationError
from qiot.hal.conformance.check import Check, Outcome, Result
from qiot.hal.conformance.children import child_environment

__all__ = ["Job", "run_job"]

_STARTS: Final = 60.0
"""Seconds until a worker has begun its first check."""
_CLOSES: Final = 120.0
"""Seconds beyond a check's own limit, to close platforms and look for leaks."""
_ENDS: Final = 90.0
_CHUNK: Final = 65536


@attrs.frozen
class Job:
    """What is to be run.

    Attributes:
        specs: The platform.
        environment: The description of its environment.
        disturb: Whether the machine's network may change.
        patience: Factor on every time limit.
    """

    specs: Sequence[str]
    environment: dict[str, Any]
    disturb: bool
    patience: float


def run_job(job: Job, checks: Sequence[Check]) -> Generator[Result, None, None]:
    """Run the checks one after the other, each result as it comes; a worker that hangs is replaced.

    Raises:
        ConfigurationError: The platform or the environment refuses what the user wrote.
    """
    left = list(checks)
    while left:
        with _Worker(job, left) as worker:
            while left:
                result = worker.result_of(left[0])
                yield result
                left.pop(0)
                if worker.is_gone:
                    break


class _Worker:
    def __init__(self, job: Job, checks: Sequence[Check]) -> None:
        self.is_gone = False
        self._patience = job.patience
        self._buffer = b""
        self._reading, writing = os.pipe()
        command = [sys.executable, "-m", "qiot.hal.conformance.worker", str(writing)]
        self._process = subprocess.Popen(  # noqa: S603 - our own module
            command,
            stdin=subprocess.PIPE,
            stdout=2,  # what the platform prints is no result
            pass_fds=[writing],
            start_new_session=True,  # a Ctrl-C comes here; the worker is told, and closes the platform
            env=child_environment(),
        )
        os.close(writing)
        text = json.dumps(
            {
                "specs": list(job.specs),
                "environment": job.environment,
                "disturb": job.disturb,
                "checks": [each.key for each in checks],
            }
        )
        pipe = self._process.stdin
        if pipe is not None:
            with contextlib.suppress(BrokenPipeError), pipe:
                pipe.write(text.encode())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.poll() is None and not self.is_gone:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(timeout=0.5)
        if self._process.poll() is None and not self.is_gone:
            self._process.send_signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(timeout=_ENDS * self._patience)
        self._kill()
        os.close(self._reading)

    def result_of(self, check: Check) -> Result:
        start = time.monotonic()
        self._line(_STARTS * max(self._patience, 1.0))  # it begins
        limit = (check.seconds + _CLOSES) * self._patience
        line = None if self.is_gone else self._line(limit)
        seconds = time.monotonic() - start
        if line is not None:
            return Result(check, Outcome(line["outcome"]), line["why"], line["seconds"])
        status = self._process.poll()
        self._kill()
        if status is None:
            why = f"the process hangs: nothing came for {limit:g} s, and it was killed"
        else:
            why = f"the platform ended the process (exit status {status})"
        return Result(check, Outcome.FAIL, why, seconds)

    def _line(self, seconds: float) -> dict[str, Any] | None:
        end = time.monotonic() + seconds
        while b"\n" not in self._buffer:
            readable, _, _ = select.select([self._reading], [], [], max(end - time.monotonic(), 0.0))
            chunk = os.read(self._reading, _CHUNK) if readable else b""
            if not chunk:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    self._process.wait(timeout=1.0 if readable else 0.0)
                self.is_gone = True
                return None
            self._buffer += chunk
        line, _, self._buffer = self._buffer.partition(b"\n")
        fields: dict[str, Any] = json.loads(line)
        if "usage" in fields:
            raise ConfigurationError(fields["usage"], hint=fields["hint"])
        return fields

    def _kill(self) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
