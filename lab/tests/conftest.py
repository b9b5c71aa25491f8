"""Fixtures of lab tests, and the daemons' logs in a failure's report."""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest

from lab.support.bench import Bench
from lab.support.programs import open_logs

_LINES = 40


def pytest_runtest_setup() -> None:
    """These tests load kernel modules and start daemons: never on the machine itself."""
    if "LAB_OUT" not in os.environ or not Path("/out/booted").exists():
        pytest.exit("lab tests run inside the lab: lab/run TEST", returncode=2)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Add the end of each running daemon's log to the report of a failure."""
    report = yield
    if report.failed and report.when != "teardown":
        for log in open_logs():
            lines = log.read_text(errors="replace").splitlines()[-_LINES:] if log.exists() else []
            report.sections.append((f"log of {log.name}, last lines", "\n".join(lines)))
    return report


@pytest.fixture
def bench() -> Iterator[Bench]:
    """What the test stands on; taken away after it."""
    with Bench() as made:
        yield made


@pytest.fixture(scope="module")
def module_bench() -> Iterator[Bench]:
    """What a module's tests stand on together; taken away after the last of them."""
    with Bench() as made:
        yield made
