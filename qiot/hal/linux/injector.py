"""The injector: raw frames through the sniffer's socket."""

from __future__ import annotations

from qiot.hal.contract import Injector
from qiot.hal.linux.sniffer import RadioSniffer
from qiot.protocols.air.radiotap import make_transmit

__all__ = ["RadioInjector"]

_TRANSMIT = make_transmit()


class RadioInjector(Injector):
    """Sends where the sniffer is tuned.

    Args:
        sniffer: The sniffer of the same radio.
    """

    def __init__(self, sniffer: RadioSniffer) -> None:
        self._sniffer = sniffer

    async def send(self, frame: bytes) -> None:
        """Send one frame as it is, with its own sequence number, once."""
        await self._sniffer.send(_TRANSMIT + frame)
