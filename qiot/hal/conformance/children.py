"""What the kit's own processes inherit."""

from __future__ import annotations

import os
import sys

__all__ = ["child_environment"]


def child_environment() -> dict[str, str]:
    """Environment variables of another Python that finds what this one finds, wherever it was started."""
    paths = os.pathsep.join(path or os.getcwd() for path in sys.path)  # noqa: PTH109 - what "" stands for
    return {**os.environ, "PYTHONPATH": paths}
