"""A pytest plugin for the machine itself: writes down which tests there are and what their markers say."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

__all__ = ["FILE", "described"]

FILE = "LAB_COLLECT"
DEFAULT_LIMIT = 120.0
DEFAULT_DURATION = 10.0


def described(item: pytest.Item) -> dict[str, Any]:
    """What the plan needs to know of a test."""

    def told(name: str, default: Any) -> Any:
        marker = item.get_closest_marker(name)
        return marker.args[0] if marker else default

    return {
        "test": item.nodeid,
        "smoke": item.get_closest_marker("smoke") is not None,
        "may_skip": item.get_closest_marker("may_skip") is not None,
        "duration": float(told("duration", DEFAULT_DURATION)),
        "limit": float(told("limit", DEFAULT_LIMIT)),
        "vm": str(told("vm", "")),
    }


def pytest_collection_finish(session: pytest.Session) -> None:
    """Write the tests to the file that the runner named."""
    Path(os.environ[FILE]).write_text(json.dumps([described(item) for item in session.items]))
