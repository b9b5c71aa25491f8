"""What a platform leaves outside this process: daemons that are nobody's children any more, and files."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from qiot.hal.conformance import Environment, Outcome, run_check_now
from qiot.hal.conformance.checks import checks_of
from qiot.hal.conformance.traces import processes_of
from qiot.hal.contract import Platform
from qiot.hal.mock import MockPlatform
from qiot.hal.registry import PlatformSpec

CHECKS = {each.name: each for each in checks_of(Platform)}
DAEMON = """
import os, sys, time
if os.fork():
    os._exit(0)
os.setsid()
with open("/proc/self/comm", "w") as comm:
    comm.write("qiot-daemon")
with open(sys.argv[1], "w") as started:
    started.write(str(os.getpid()))
time.sleep(60)
"""


def leaking(leak: Callable[[], object]) -> Callable[[], Platform]:
    class Leaking(MockPlatform):
        async def capabilities(self) -> Any:
            leak()
            return await super().capabilities()

    return lambda: Leaking(PlatformSpec("mock"))


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Callable[[], object]]:
    file = tmp_path / "pid"

    def start() -> None:
        if not file.exists():
            subprocess.run([sys.executable, "-c", DAEMON, str(file)], check=True)
            while not (file.exists() and file.read_text()):
                pass

    yield start
    if file.exists():
        subprocess.run(["kill", "-KILL", file.read_text()], check=True)


def test_a_daemon_that_is_left_is_told(daemon: Callable[[], object]) -> None:
    environment = Environment(programs=["qiot-daemon"])
    result = run_check_now(CHECKS["capabilities_are_well_formed"], leaking(daemon), environment)
    assert result.outcome is Outcome.FAIL
    assert "left behind after close: the program qiot-daemon (" in result.why


def test_a_file_that_is_left_is_told(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "before").touch()
    environment = Environment(folders=[folder])
    factory = leaking((folder / "hostapd.conf").touch)
    result = run_check_now(CHECKS["capabilities_are_well_formed"], factory, environment)
    assert (result.outcome, result.why) == (
        Outcome.FAIL,
        f"left behind after close: the file {folder / 'hostapd.conf'}",
    )


def test_a_process_that_ended_does_not_run() -> None:
    with subprocess.Popen(["true"]) as process:
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        assert not any(f"({process.pid})" in each for each in processes_of({"true"}))
