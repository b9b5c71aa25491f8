"""When a phone writes what: pauses between messages, and what goes out again."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

__all__ = ["Pacing"]


class Pacing:
    """Writes wait until the pause after the message before is over; unanswered ones can be repeated.

    Args:
        gap: Seconds between two messages; 0: none.

    Attributes:
        unanswered: Frames since the last answer, in order.
    """

    def __init__(self, gap: float) -> None:
        self._gap = gap
        self._free = float("-inf")
        self._planned: deque[tuple[float, Sequence[bytes]]] = deque()
        self.unanswered: list[bytes] = []
        self._again: float | None = None

    def put(self, frames: Sequence[bytes], now: float, *, keep: bool = True) -> Sequence[bytes]:
        """Send the frames of a message in its turn.

        Args:
            frames: The frames.
            now: The time in seconds.
            keep: They are answered one day, and repeated until then.

        Returns:
            What to write now; the rest comes from `due`.
        """
        if keep:
            self.unanswered += frames
        at = max(now, self._free)
        self._free = at + self._gap
        if at > now:
            self._planned.append((at, frames))
            return ()
        return frames

    def free(self, now: float) -> float:
        """When the next message may go out."""
        return max(now, self._free)

    def answered(self) -> None:
        """Everything that was sent has been answered."""
        self.unanswered.clear()
        self._again = None

    def repeat(self, at: float) -> None:
        """Send everything unanswered again at this time."""
        self._again = at

    @property
    def repeats(self) -> bool:
        """True where something is going to be sent again."""
        return self._again is not None

    def clear(self) -> None:
        """Send nothing more."""
        self._planned.clear()
        self.answered()

    def deadline(self) -> float | None:
        """When `due` has something."""
        times = [self._again, self._planned[0][0] if self._planned else None]
        return min((each for each in times if each is not None), default=None)

    def due(self, now: float) -> list[bytes]:
        """What to write now."""
        frames: list[bytes] = []
        while self._planned and self._planned[0][0] <= now:
            frames += self._planned.popleft()[1]
        if self._again is not None and self._again <= now:
            self._again = None
            frames += self.unanswered
        return frames
