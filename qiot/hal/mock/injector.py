"""Raw frames from the mock's radio into the simulated air."""

from __future__ import annotations

from qiot.hal.contract import Injector
from qiot.hal.mock.sniffer import MockSniffer

__all__ = ["MockInjector"]


class MockInjector(Injector):
    """Sends where the sniffer is tuned.

    Args:
        sniffer: The sniffer of the same radio.
    """

    def __init__(self, sniffer: MockSniffer) -> None:
        self._sniffer = sniffer

    async def send(self, frame: bytes) -> None:
        """Send one frame as it is, once."""
        self._sniffer.send(frame)
