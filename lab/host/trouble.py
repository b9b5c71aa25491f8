"""The error that ends `lab/run` with exit code 2: the machine or the command line is not fit to run."""

from __future__ import annotations

__all__ = ["CannotRunError"]


class CannotRunError(Exception):
    """No test can be run; the message says why and what to do about it."""
