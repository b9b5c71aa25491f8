"""What every test needs: the installed package first, and the checkout where none is installed."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).resolve().parent.parent))  # behind site-packages: tox tests the wheel


def pytest_configure() -> None:
    """Take Ctrl-C, for the programs that tests start, also where a shell has started us in the background."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def silent_log() -> Iterator[None]:
    """Leave the log as it was for the tests that follow: not configured."""
    from qiot.log import silence

    silence()
    yield
    silence()
