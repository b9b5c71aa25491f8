"""Failures that are made to happen, by name and number: `wrong_password`, `dhcp*2`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import attrs

from qiot.errors import ConfigurationError
from qiot.model import Reason

__all__ = ["JOIN_REASONS", "Fault", "Faults"]

JOIN_REASONS: Final = (
    Reason.WRONG_PASSWORD,
    Reason.HANDSHAKE_TIMEOUT,
    Reason.NO_SUCH_AP,
    Reason.ASSOCIATION_REFUSED,
    Reason.DHCP,
    Reason.JOIN_TIMEOUT,
    Reason.UNSUPPORTED_SECURITY,
    Reason.JOIN_OTHER,
)
"""Why a join can fail (contract section 16)."""


def _name(reason: Reason) -> str:
    return "other" if reason is Reason.JOIN_OTHER else reason.name.lower()


@attrs.frozen
class Fault:
    """One failure to happen.

    Attributes:
        reason: As what it shows.
        times: How often, at least 1; None for always.
    """

    reason: Reason
    times: int | None = attrs.field(default=None, validator=attrs.validators.optional(attrs.validators.ge(1)))

    @classmethod
    def parse(cls, text: str, allowed: Iterable[Reason] = JOIN_REASONS) -> Fault:
        """Read `REASON` or `REASON*N`; names are the reasons' own in small letters, `other` is "join failed".

        Raises:
            ConfigurationError: Unknown reason, or N is no number from 1.
        """
        name, star, count = text.partition("*")
        known = {_name(reason): reason for reason in allowed}
        if name not in known:
            raise ConfigurationError(
                f"{name!r} is no failure that can happen here", hint=f"Known: {', '.join(sorted(known))}."
            )
        if not star:
            return cls(known[name])
        if not (count.isascii() and count.isdigit() and int(count)):
            raise ConfigurationError(
                f"{text!r}: after the star stands how often, from 1", hint="Write it like dhcp*2."
            )
        return cls(known[name], int(count))


class Faults:
    """Failures that wait for their turn, in the given order."""

    def __init__(self, *faults: Fault) -> None:
        self._waiting = [(fault.reason, fault.times) for fault in faults]

    def add(self, fault: Fault) -> None:
        """Let `fault` happen after those that are waiting."""
        self._waiting.append((fault.reason, fault.times))

    def take(self) -> Reason | None:
        """The failure that happens now, or None."""
        if not self._waiting:
            return None
        reason, times = self._waiting[0]
        if times == 1:
            del self._waiting[0]
        elif times is not None:
            self._waiting[0] = (reason, times - 1)
        return reason
