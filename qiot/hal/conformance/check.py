"""What a check is, and what can come of one."""

from __future__ import annotations

import enum
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, NoReturn

import attrs

if TYPE_CHECKING:
    from qiot.hal.conformance.bench import Bench

__all__ = ["Broken", "Check", "NotClaimed", "Outcome", "Result", "check", "expect", "not_claimed"]


class Broken(AssertionError):  # noqa: N818 - a promise is
    """The platform does not do what the contract promises; the text says which promise and what was seen."""


class NotClaimed(Exception):  # noqa: N818 - no error: the check does not apply
    """The platform does not claim this, or the environment does not offer what the check needs."""


class Outcome(enum.StrEnum):
    """What came of a check."""

    PASS = "pass"  # noqa: S105 - no password
    FAIL = "FAIL"
    NOT_CLAIMED = "not claimed"


@attrs.frozen
class Check:
    """One promise of the contract, put to the test.

    Attributes:
        kind: The port's class in the contract; `Platform` for the platform as a whole.
        verb: The verb that is tested.
        name: Which promise, in snake case; unique within its port.
        run: The check itself.
        disturbs: True where the machine's network changes while it runs.
        seconds: How long it may take altogether; the verbs have bounds of their own.
    """

    kind: type
    verb: str
    name: str
    run: Callable[[Bench], Awaitable[None]]
    disturbs: bool = False
    seconds: float = 120.0

    @property
    def port(self) -> str:
        """The port's name."""
        return self.kind.__name__

    @property
    def title(self) -> str:
        """The promise, for people."""
        return self.name.replace("_", " ")

    @property
    def key(self) -> str:
        """What tells it from every other check, such as "Wifi.a_wrong_password_is_told"."""
        return f"{self.port}.{self.name}"


@attrs.frozen
class Result:
    """What came of one check.

    Attributes:
        check: The check.
        outcome: Pass, fail or not claimed.
        why: One line of why, where it is no pass.
        seconds: How long it took.
    """

    check: Check
    outcome: Outcome
    why: str = ""
    seconds: float = 0.0


def check(
    kind: type, verb: str, *, disturbs: bool = False, seconds: float = 120.0
) -> Callable[[Callable[[Bench], Awaitable[None]]], Check]:
    """Make a `Check` of a coroutine function, which gives it its name."""

    def made(run: Callable[[Bench], Awaitable[None]]) -> Check:
        name: str = getattr(run, "__name__", verb)
        return Check(kind=kind, verb=verb, name=name, run=run, disturbs=disturbs, seconds=seconds)

    return made


def expect(condition: object, why: str) -> None:
    """Go on where the condition holds.

    Raises:
        Broken: It does not.
    """
    if not condition:
        raise Broken(why)


def not_claimed(why: str) -> NoReturn:
    """End the check: it does not apply.

    Raises:
        NotClaimed: Always.
    """
    raise NotClaimed(why)
