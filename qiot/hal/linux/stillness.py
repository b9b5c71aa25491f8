"""The radio stays on the access point's channel, whoever else would like it to look around."""

from __future__ import annotations

import asyncio

from qiot.errors import HalError
from qiot.hal.linux.radio import Radio
from qiot.log import get_logger

__all__ = ["Stillness"]

log = get_logger()


class Stillness:
    """Ends the scans of others while our access point serves phones.

    NetworkManager scans as long as its station is in no network, and wpa_supplicant as long as its network is
    out of reach: over all bands, for up to 13 s, again and again. Meanwhile no phone gets in, and those who
    are in lose the access point.

    Args:
        radio: The radio.
    """

    def __init__(self, radio: Radio) -> None:
        self._radio = radio
        self._task: asyncio.Task[None] | None = None

    def begin(self) -> None:
        """End scans from now on, and the one that runs. Idempotent."""
        if self._task is None:
            self._task = asyncio.create_task(self._keep(), name=f"stillness of {self._radio.interface}")

    async def end(self) -> None:
        """Let others scan. Idempotent."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.wait({task})

    async def _keep(self) -> None:
        try:
            await self._radio.nl80211.end_scans(self._radio.interface)
        except HalError as error:
            log.debug(f"others may scan beside the access point: {error}")
