"""Where the bench's codecs take random octets and the time of day from."""

from __future__ import annotations

import random
import secrets
from collections.abc import Callable

from qiot.errors import ConfigurationError
from qiot.testbed.ble.fields import Fields

__all__ = ["Clock", "random_source"]


class Clock:
    """Time by hand.

    Attributes:
        now: Seconds; only goes forward.
        wall: Seconds since 1970 at time 0.
    """

    def __init__(self, start: float, wall: float) -> None:
        self.now = start
        self.wall = wall

    def time_of_day(self) -> float:
        """Seconds since 1970."""
        return self.wall + self.now


class _Stream:
    """Given octets, in order."""

    def __init__(self, octets: bytes) -> None:
        self._octets = octets
        self._used = 0

    def __call__(self, count: int) -> bytes:
        end = self._used + count
        if end > len(self._octets):
            left = len(self._octets) - self._used
            raise ConfigurationError(f"random: {count} octets are wanted and {left} are left")
        taken, self._used = self._octets[self._used : end], end
        return taken


def random_source(fields: Fields) -> Callable[[int], bytes]:
    """`random`: hexadecimal digits, used in order, or an integer that begins an endless series.

    Raises:
        ConfigurationError: Neither.
    """
    if "random" not in fields:
        return secrets.token_bytes
    value = fields.raw("random")
    if isinstance(value, int) and not isinstance(value, bool):
        return random.Random(value).randbytes  # noqa: S311 - repeatable, for tests
    try:
        return _Stream(bytes.fromhex(value if isinstance(value, str) else "?"))
    except ValueError:
        raise fields.wrong("random", "is neither hexadecimal digits nor an integer") from None
