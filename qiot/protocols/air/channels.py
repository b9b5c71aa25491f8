"""Channel numbers and their frequencies (IEEE 802.11, annex E; 17.3.8.4.2, 27.3.23.2)."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Final

from qiot.model import Band

__all__ = ["channel_of", "frequency_of"]

_JAPAN: Final = {14: 2484}
_FIRST_6_GHZ: Final = {2: 5935}
_FREQUENCIES: Final[Mapping[Band, Mapping[int, int]]] = {
    Band.GHZ_2_4: {number: 2407 + 5 * number for number in range(1, 14)} | _JAPAN,
    # 182 to 196 lie below the rest of the band, at 4.9 GHz.
    Band.GHZ_5: {number: 5000 + 5 * number for number in range(7, 182)}
    | {number: 4000 + 5 * number for number in range(182, 197)},
    Band.GHZ_6: {number: 5950 + 5 * number for number in range(1, 234, 4)} | _FIRST_6_GHZ,
}


def frequency_of(number: int, band: Band) -> int | None:
    """Centre frequency of a channel of 20 MHz in MHz; None where the band has no such channel."""
    return _FREQUENCIES[band].get(number)


@cache
def _channels() -> Mapping[int, tuple[int, Band]]:
    # 5 and 6 GHz overlap in the table, never in the air: nobody uses 5 GHz channels above 177.
    found: dict[int, tuple[int, Band]] = {}
    for band in (Band.GHZ_5, Band.GHZ_6, Band.GHZ_2_4):
        for number, frequency in _FREQUENCIES[band].items():
            found[frequency] = (number, band)
    return found


def channel_of(frequency: int) -> tuple[int, Band] | None:
    """Number and band of the channel with this centre frequency in MHz; None where there is none."""
    return _channels().get(frequency)
