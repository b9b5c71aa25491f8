"""Tests that go wrong on purpose: ``lab/run lab/faults/test_faults.py`` must call each of them by its name.

`tests/lab/test_truth.py` says what the runner must make of them.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest


def test_that_passes() -> None:
    assert Path("/out/booted").exists()


def test_that_fails() -> None:
    assert Path("/out/nothing").exists()


def test_that_is_skipped() -> None:
    pytest.skip("on purpose")


@pytest.mark.may_skip
def test_that_may_be_skipped() -> None:
    pytest.skip("on purpose")


@pytest.mark.limit(2)
def test_that_never_ends() -> None:
    while True:
        time.sleep(0.1)


@pytest.fixture
def broken_end() -> Iterator[None]:
    yield
    raise RuntimeError("the end of the fixture is broken")


def test_whose_end_is_broken(broken_end: None) -> None:
    pass


@pytest.mark.vm("exit")
def test_that_ends_the_interpreter() -> None:
    os._exit(0)


@pytest.mark.vm("exit")
def test_after_the_end_of_the_interpreter() -> None:
    pass


@pytest.mark.vm("deaf")
@pytest.mark.limit(2)
def test_that_never_ends_and_hears_no_signal() -> None:
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGALRM})
    while True:
        time.sleep(0.1)


@pytest.mark.vm("crash")
def test_that_crashes_the_kernel() -> None:
    Path("/proc/sysrq-trigger").write_text("c")


@pytest.mark.vm("crash")
def test_after_the_crash() -> None:
    pass


@pytest.mark.vm("hang")
@pytest.mark.limit(2)
def test_that_stops_everything() -> None:
    os.kill(os.getpid(), signal.SIGSTOP)


@pytest.mark.vm("off")
def test_that_switches_the_machine_off() -> None:
    Path("/proc/sysrq-trigger").write_text("o")
    time.sleep(60)
