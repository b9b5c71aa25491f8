"""Scripted offers: what phones will send by methods whose radio is not simulated, one queue per method."""

from __future__ import annotations

import asyncio
import bisect
import itertools
from collections.abc import Mapping

import attrs

from qiot.model import SSID_MAX, CloudLink, Reason, Secret, Step
from qiot.sim.clock import Clock, sleep_or_change

__all__ = ["METHODS", "Offers", "ScriptedOffer"]

METHODS = ("soft_ap", "smart_config", "airkiss", "simple_config", "bt_combo")
"""The methods that can be scripted; `soft_ap` is the one of a chip with its own access point and server."""


@attrs.frozen(kw_only=True)
class ScriptedOffer:
    """One thing that a method will hear.

    Attributes:
        method: One of `METHODS`.
        after: Seconds after the method first listened in this world, from 0; it then waits until it is heard.
        ssid: Network, or None for an offer that is only a token.
        password: Its password; empty for an open network.
        token: The right to bind, or None where it comes by another way.
        cloud: The cloud that the token is for.
        endpoint: Where that cloud is, where the phone says so: "HOST[:PORT]".
        params: What else the phone gives with the token.
        address: Who sends it.
        reached: The last step that the chip does by itself before it offers; LISTENING for none. From JOINING
            on the station really joins; from CONNECTING on `link` is needed.
        link: The chip's own connection to the cloud.
        failure: Instead of an offer the method breaks down with this reason.
    """

    method: str = attrs.field(validator=attrs.validators.in_(METHODS))
    after: float = attrs.field(default=0.0, validator=attrs.validators.ge(0.0))
    ssid: bytes | None = attrs.field(
        default=None,
        validator=attrs.validators.optional(
            attrs.validators.and_(attrs.validators.min_len(1), attrs.validators.max_len(SSID_MAX))
        ),
    )
    password: Secret = attrs.field(factory=lambda: Secret(b""))
    token: Secret | None = None
    cloud: str = "tencent"
    endpoint: str | None = None
    params: Mapping[str, str] = attrs.field(factory=dict, hash=False)
    address: str = "192.168.4.2:8266"
    reached: Step = Step.LISTENING
    link: CloudLink | None = attrs.field(default=None, eq=False)
    failure: Reason | None = None

    def __attrs_post_init__(self) -> None:
        if self.link is None and Step.CONNECTING.rank <= self.reached.rank < Step.FAILED.rank:
            raise ValueError(f"an offer that reached {self.reached.value!r} has a link")
        if self.ssid is None and self.token is None and self.link is None and self.failure is None:
            raise ValueError("an offer has an ssid, a token or both")


@attrs.define
class _Queue:
    waiting: list[tuple[float, int, ScriptedOffer]] = attrs.field(factory=list)
    changed: asyncio.Event = attrs.field(factory=asyncio.Event)
    origin: float | None = None
    furthest: Step = Step.LISTENING


class Offers:
    """The script of one world, by method."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._queues: dict[str, _Queue] = {}
        self._numbers = itertools.count()

    def put(self, offer: ScriptedOffer) -> None:
        """Add an offer; while its method listens already, `after` counts from now."""
        queue = self._queues.setdefault(offer.method, _Queue())
        due = offer.after if queue.origin is None else self._clock.now() - queue.origin + offer.after
        bisect.insort(queue.waiting, (due, next(self._numbers), offer))
        queue.furthest = max(queue.furthest, offer.reached, key=lambda step: step.rank)
        queue.changed.set()

    def scripted(self, method: str) -> bool:
        """True where anything was ever put in for this method."""
        return method in self._queues

    def furthest(self, method: str) -> Step:
        """The last step that any offer of this method says the chip does by itself."""
        return self._queues[method].furthest

    def begin(self, method: str) -> None:
        """The method listens: from the first time on, its offers' seconds run."""
        queue = self._queues[method]
        if queue.origin is None:
            queue.origin = self._clock.now()

    async def due(self, method: str) -> None:
        """Return when an offer of this method is due; `take` gives it."""
        queue = self._queues[method]
        while (left := self._seconds_left(queue)) is None or left > 0:
            queue.changed.clear()
            await sleep_or_change(self._clock, left, queue.changed)

    def take(self, method: str) -> ScriptedOffer | None:
        """The next offer, where one is due."""
        queue = self._queues[method]
        left = self._seconds_left(queue)
        return queue.waiting.pop(0)[-1] if left is not None and left <= 0 else None

    def _seconds_left(self, queue: _Queue) -> float | None:
        if not queue.waiting or queue.origin is None:
            return None
        return queue.origin + queue.waiting[0][0] - self._clock.now()
