"""How a session ended."""

from __future__ import annotations

from collections.abc import Mapping

import attrs

from qiot.model import CloudLink, Failure, Step

__all__ = ["SessionResult"]


@attrs.frozen
class SessionResult:
    """How a session ended.

    Attributes:
        step: BOUND, JOINED or FAILED.
        failure: Why, where it failed.
        link: The open connection, where it is bound; closing it is the caller's.
        method: The method that brought the credentials.
        params: What else the phone gave with its grant, such as thing.network's `tz`, `country`, `areaCode`
            and `userId`; as it gave them, and after a resume as they were when it was bound.
        reserved: What the phone's application sent along for the device's (ESP-TOUCH v2), as it came.
    """

    step: Step
    failure: Failure | None = None
    link: CloudLink | None = attrs.field(default=None, eq=False)
    method: str = ""
    params: Mapping[str, str] = attrs.field(factory=dict, hash=False)
    reserved: bytes = attrs.field(default=b"", repr=False)

    @property
    def successful(self) -> bool:
        """True where the goal was reached."""
        return self.step in (Step.BOUND, Step.JOINED)
