"""The session's states, as a literal table.

A step ends in a result; the table says where that leads. What a step does is in `session.py` and
`attempt.py`; nothing else decides where the session goes. An offer leads to the step after the one that it
has reached.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import Final

from qiot.model import Step

__all__ = ["TABLE", "Result", "follow", "step_after"]


class Result(enum.StrEnum):
    """How a step ended."""

    START = "start"
    OK = "ok"
    ENOUGH = "ok, and the goal is reached"
    REFUSED = "refused"
    LOST = "connection lost"
    TIMEOUT = "time-out of the step"
    SUPERSEDED = "newer offer of the same peer"
    STOP = "stop or total time-out"


_ON_THE_WAY: Final = (Step.JOINING, Step.REGISTERING, Step.CONNECTING, Step.AWAITING_GRANT, Step.BINDING)

TABLE: Final[Mapping[tuple[Step, Result], Step]] = {
    (Step.IDLE, Result.START): Step.LISTENING,
    (Step.JOINING, Result.OK): Step.REGISTERING,
    (Step.JOINING, Result.ENOUGH): Step.JOINED,
    (Step.JOINING, Result.REFUSED): Step.LISTENING,
    (Step.REGISTERING, Result.OK): Step.CONNECTING,
    (Step.REGISTERING, Result.REFUSED): Step.LISTENING,
    (Step.CONNECTING, Result.OK): Step.AWAITING_GRANT,
    (Step.CONNECTING, Result.ENOUGH): Step.BOUND,
    (Step.CONNECTING, Result.REFUSED): Step.LISTENING,
    (Step.AWAITING_GRANT, Result.OK): Step.BINDING,
    (Step.AWAITING_GRANT, Result.LOST): Step.CONNECTING,
    (Step.AWAITING_GRANT, Result.TIMEOUT): Step.LISTENING,
    (Step.AWAITING_GRANT, Result.REFUSED): Step.LISTENING,
    (Step.BINDING, Result.OK): Step.BOUND,
    (Step.BINDING, Result.LOST): Step.CONNECTING,
    (Step.BINDING, Result.REFUSED): Step.AWAITING_GRANT,
    **{(step, Result.SUPERSEDED): Step.JOINING for step in (Step.LISTENING, *_ON_THE_WAY)},
    **{(step, Result.STOP): Step.FAILED for step in (Step.IDLE, Step.LISTENING, *_ON_THE_WAY)},
}

_WAY: Final = (Step.LISTENING, *_ON_THE_WAY, Step.BOUND)


def follow(step: Step, result: Result) -> Step:
    """The step that `result` of `step` leads to.

    Raises:
        KeyError: The table has no such row; that is a fault of the caller.
    """
    return TABLE[step, result]


def step_after(reached: Step) -> Step:
    """The first step that is left to do for an offer that has `reached` a step already.

    A chip that has handed in the grant has bound: there is nothing left after binding.
    """
    if reached is Step.JOINED:
        return Step.REGISTERING
    return _WAY[min(_WAY.index(reached) + 1, len(_WAY) - 1)]
