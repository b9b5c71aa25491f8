"""What a decoder is: a plug-in of the tracker that reads one protocol of one phone."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import ClassVar, Final

import attrs

from qiot.model import AckRecipe, Credentials
from qiot.protocols.air.observation import BROADCAST, Direction, Observation
from qiot.protocols.air.order import Heard
from qiot.protocols.air.results import Decoded, Progress

__all__ = ["TRACKS_MAX", "Decoder", "State"]

TRACKS_MAX: Final = 8
"""Tracks of one phone that a decoder follows."""

_SILENCE: Final = 2.5
"""Seconds after which the phone may have started over with something else."""
_RECOGNISED: Final = 0.3
_NEARLY: Final = 0.99
_MISSING_SHOWN: Final = 16


@attrs.frozen
class State:
    """How far a decoder is; the fields are those of `Progress`."""

    text: str
    done: bool = False
    directions: frozenset[Direction] = frozenset()
    overhead: tuple[int, ...] = ()
    have: int = 0
    need: int = 0
    missing: tuple[str, ...] = ()
    wrong_checksums: int = 0


class Decoder(ABC):
    """One protocol from one phone; the phone's tracks (to the AP, from the AP, multicast) all come here.

    Takes any frames in bounded memory and time, and gives a result that its checksums stand for, or none.

    Attributes:
        recognised: Something of this protocol was heard.
    """

    protocol: ClassVar[str]

    def __init__(self) -> None:
        self.recognised = False
        self._frames = 0
        self._first_time = self._last_time = 0.0
        self._last: Observation | None = None

    def feed(self, heard: Heard) -> Decoded | None:
        """Take the next frame of this phone; a result when it is complete, once for each datum."""
        seen = heard.seen
        if not self._is_for_us(seen.destination):
            return None
        if self._last is None or seen.time - self._last_time > _SILENCE:
            self._first_time, self._frames = seen.time, 0
            self._start_over()
        self._last, self._last_time = seen, seen.time
        self._frames += 1
        return self._hear(heard)

    def _is_for_us(self, destination: bytes) -> bool:
        """Whether frames to this address can be of this protocol."""
        return destination == BROADCAST

    @abstractmethod
    def _start_over(self) -> None:
        """Forget what was heard; the phone was silent, and may send something else now."""

    @abstractmethod
    def _hear(self, heard: Heard) -> Decoded | None:
        """Take a frame to an address of this protocol."""

    @abstractmethod
    def _state(self) -> State:
        """How far it is; asked for only where something was recognised."""

    def _decoded(
        self,
        credentials: Credentials,
        ack: AckRecipe,
        *,
        ip: str | None = None,
        reserved: bytes = b"",
        complete: bool = True,
        fields: Mapping[str, str | int | bool],
    ) -> Decoded:
        """A result of the frame that was heard last."""
        if self._last is None:
            raise RuntimeError("a result needs a frame")
        return Decoded(
            protocol=self.protocol,
            transmitter=self._last.transmitter,
            credentials=credentials,
            ack=ack,
            ip=ip,
            reserved=reserved,
            channel=self._last.channel,
            frames=self._frames,
            seconds=self._last_time - self._first_time,
            complete=complete,
            fields=fields,
        )

    @property
    def weight(self) -> float:
        """0 where nothing of this protocol was recognised, to 1 where all is there."""
        return _weight(self._state()) if self.recognised else 0.0

    def progress(self) -> Progress | None:
        """How far it is, or None where nothing of this protocol was recognised."""
        if not self.recognised or self._last is None:
            return None
        state = self._state()
        return Progress(
            protocol=self.protocol,
            transmitter=self._last.transmitter,
            weight=_weight(state),
            channel=self._last.channel,
            directions=state.directions,
            overhead=state.overhead,
            frames=self._frames,
            have=state.have,
            need=state.need,
            missing=state.missing[:_MISSING_SHOWN],
            wrong_checksums=state.wrong_checksums,
            text=state.text,
        )


def _weight(state: State) -> float:
    if state.done:
        return 1.0
    share = state.have / state.need if state.need else 0.0
    return min(_NEARLY, _RECOGNISED + (1 - _RECOGNISED) * share)
