"""What phones have in common that ask their device one thing after the other: LLSync's, thing.network's."""

from __future__ import annotations

import abc
import enum
from collections.abc import Sequence
from typing import Final

from qiot.model import Peer
from qiot.protocols.base import Connected, Input, Lost, Mtu, News, Output, Subscribed

__all__ = ["AskingPhone", "Rest"]

_SUBSCRIBE_TIME: Final = 1.0
"""Seconds after the connection in which it should be said that we listen."""


class Rest(enum.Enum):
    """States in which the phone waits for no answer.

    Attributes:
        IDLE: There is no link, or nobody has said yet that we listen to the device.
        DONE: It reached its goal or gave up.
    """

    IDLE = enum.auto()
    DONE = enum.auto()


class AskingPhone(abc.ABC):
    """The phone's side, as `qiot.protocols.base.Codec` describes it; starts when it listens to the device.

    Args:
        notify: The characteristic that the device notifies.
        first: The state in which a link begins.
    """

    def __init__(self, notify: str, first: enum.Enum) -> None:
        self._notify = notify
        self._first = first
        self._state: enum.Enum = Rest.IDLE
        self._to: Peer | None = None
        self._due: float | None = None
        self._copies = 0

    @property
    def done(self) -> bool:
        """True once it reached its goal or gave up."""
        return self._state is Rest.DONE

    def feed(self, port: str, data: Input, peer: Peer, now: float) -> Sequence[Output]:
        """Take what came from the device; any octets give outputs, and what makes no sense gives none."""
        if self.done:
            return ()
        match data:
            case Connected():
                self._leave(peer)
                self._due = now + _SUBSCRIBE_TIME
            case Mtu(size):
                self._set_att(size)
            case Subscribed(char, on) if char == self._notify and on and self._state is Rest.IDLE:
                self._to = peer
                return self._go(self._first, now)
            case Lost():
                self._leave(None)
                return self._lost()
            case bytes() if port == self._notify:
                return self._packet(data, now)
        return ()

    def tell(self, news: News, now: float) -> Sequence[Output]:  # noqa: ARG002 - as every codec
        """A phone is told nothing."""
        return ()

    def deadline(self) -> float | None:
        """When the answer that is waited for is late."""
        return self._due

    def tick(self, now: float) -> Sequence[Output]:
        """Send again, go on without, or give up."""
        if self._due is None or now < self._due:
            return ()
        if self._state is Rest.IDLE:
            return self._go(self._first, now)  # connected, and nobody says whether we listen
        return self._late(now)

    def _go(self, state: enum.Enum, now: float) -> Sequence[Output]:
        """Ask what this state asks."""
        self._state, self._copies = state, 0
        return self._transmit(now)

    def _leave(self, peer: Peer | None) -> None:
        """Forget what belongs to a link: it is lost, or a new one with `peer` begins."""
        self._state, self._to, self._due = Rest.IDLE, peer, None

    def _lost(self) -> Sequence[Output]:
        """What there is to say when the link is lost."""
        return ()

    @abc.abstractmethod
    def _set_att(self, size: int) -> None:
        """The ATT MTU is known now."""

    @abc.abstractmethod
    def _packet(self, data: bytes, now: float) -> Sequence[Output]:
        """Take what the device notifies."""

    @abc.abstractmethod
    def _transmit(self, now: float) -> Sequence[Output]:
        """Send what the state asks, and say in `_due` when the answer is late."""

    @abc.abstractmethod
    def _late(self, now: float) -> Sequence[Output]:
        """The answer did not come in time."""
