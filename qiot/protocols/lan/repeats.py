"""What goes out again, because UDP may lose it; and to whom an answer may go."""

from __future__ import annotations

import ipaddress
from collections.abc import Hashable, Sequence
from typing import Final

import attrs

from qiot.protocols.base import Send

__all__ = ["Repeats", "answerable_host"]

_PLANS_MAX: Final = 64
_EVERYBODY: Final = "255.255.255.255"


@attrs.define
class _Plan:
    """Datagrams that go out again.

    Attributes:
        due: When, monotonic seconds, earliest first.
        sends: What.
    """

    due: list[float]
    sends: Sequence[Send]


class Repeats:
    """Plans of copies, at most 64; the oldest makes room."""

    def __init__(self) -> None:
        self._plans: dict[Hashable, _Plan] = {}

    def __len__(self) -> int:
        return len(self._plans)

    def __contains__(self, key: object) -> bool:
        return key in self._plans

    def plan(self, key: Hashable, sends: Sequence[Send], copies: Sequence[float], now: float) -> list[Send]:
        """Send at each of `copies` seconds from now; a plan of the same key is replaced.

        Returns:
            What is due at once.
        """
        self._plans.pop(key, None)
        if not sends or not copies:
            return []
        if len(self._plans) >= _PLANS_MAX:
            del self._plans[next(iter(self._plans))]
        self._plans[key] = _Plan([now + offset for offset in copies], sends)
        return self._run(key, now)

    def drop(self, key: Hashable) -> None:
        """No more copies of this. Idempotent."""
        self._plans.pop(key, None)

    def clear(self) -> None:
        """No more copies of anything."""
        self._plans.clear()

    def deadline(self) -> float | None:
        """When the next copy is due, in monotonic seconds."""
        return min((plan.due[0] for plan in self._plans.values()), default=None)

    def tick(self, now: float) -> list[Send]:
        """The copies that are due."""
        return [send for key in list(self._plans) for send in self._run(key, now)]

    def _run(self, key: Hashable, now: float) -> list[Send]:
        plan = self._plans[key]
        sends: list[Send] = []
        while plan.due and plan.due[0] <= now:
            del plan.due[0]
            sends += plan.sends
        if not plan.due:
            del self._plans[key]
        return sends


def answerable_host(address: str, broadcast: str = _EVERYBODY) -> str | None:
    """The host of "host:port" where it is one that can be answered.

    None for a broadcast or group address, which would answer everybody, and for what is no address.

    Args:
        address: As `Peer.address` has it.
        broadcast: The network's broadcast address; it may name one host, in tests, which is answered.
    """
    host, _, port = address.rpartition(":")
    try:
        parsed, number = ipaddress.ip_address(host.strip("[]")), int(port)
    except ValueError:
        return None
    ours = host == broadcast and host.endswith(".255")
    everybody = parsed.is_multicast or parsed.is_unspecified or ours or host == _EVERYBODY
    return None if everybody or number <= 0 else host
