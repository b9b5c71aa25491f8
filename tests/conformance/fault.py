"""What a deliberate fault is, and how it gets into a good platform."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs

__all__ = ["FAULTS", "KEPT", "Fault", "fault", "patch"]


@attrs.frozen
class Fault:
    """One broken promise.

    Attributes:
        name: What is wrong.
        check: The check that has to fail.
        why: Part of what it says.
        inject: Breaks a platform.
        ap_sta: Of the platform that is broken.
        full: Where that is the one with every port.
        patience: Factor on the time limits, small where the fault is a hang.
    """

    name: str
    check: str
    why: str
    inject: Callable[[Any], object]
    ap_sta: bool = False
    full: bool = False
    patience: float = 0.1


FAULTS: list[Fault] = []
KEPT: list[object] = []
"""What leaks is held here, so that the collector does not clean up after it."""


def fault(
    check: str, why: str, *, ap_sta: bool = False, full: bool = False, patience: float = 0.1
) -> Callable[[Callable[[Any], object]], Callable[[Any], object]]:
    def add(inject: Callable[[Any], object]) -> Callable[[Any], object]:
        FAULTS.append(Fault(inject.__name__, check, why, inject, ap_sta, full, patience))
        return inject

    return add


def patch(target: object, verb: str, run: Callable[..., Any]) -> None:
    """Put `run(real, *args)` in the place of a verb."""
    real = getattr(target, verb)
    setattr(target, verb, lambda *args, **kwargs: run(real, *args, **kwargs))
