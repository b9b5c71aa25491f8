"""What goes out on one MQTT connection: in order, one packet after the other, and through the faults.

It has a task of its own, so that a fault that waits or says nothing holds up neither the broker nor the
reading of what the client sends.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Final

from qiot.testbed.cloud.faults import Do, Fault, Faults, Point
from qiot.testbed.cloud.mangle import mangled, point_of
from qiot.testbed.cloud.packets import Packet, connack

__all__ = ["Outgoing"]

_WAITING_MAX: Final = 1000
"""Packets that may wait for a client that does not read; one more ends the connection."""
_FLUSH: Final = 1.0
"""Seconds for the packets that are still waiting when the connection ends."""
_ENDS: Final = frozenset({Do.REFUSE, Do.DISCONNECT})


class Outgoing:
    """Sends packets to one client.

    Args:
        writer: Where to.
        faults: What goes wrong.
        on_accepted: Called when a CONNACK 0 has gone out as it should.
    """

    def __init__(self, writer: asyncio.StreamWriter, faults: Faults, on_accepted: Callable[[], None]) -> None:
        self._writer = writer
        self._faults = faults
        self._on_accepted = on_accepted
        self._waiting: asyncio.Queue[Packet | None] = asyncio.Queue()
        self._task = asyncio.create_task(self._run())
        self.muted = False

    def send(self, packet: Packet) -> None:
        """Send it when those before it are out."""
        if self._waiting.qsize() >= _WAITING_MAX:
            self._writer.transport.abort()
        else:
            self._waiting.put_nowait(packet)

    async def flush(self) -> None:
        """Send what is waiting, within a second; nothing can be sent afterwards."""
        self._waiting.put_nowait(None)
        await asyncio.wait({self._task}, timeout=_FLUSH)

    async def close(self) -> None:
        """Stop; what is waiting is lost."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        while (packet := await self._waiting.get()) is not None:
            point = point_of(packet)
            fault = Fault()
            if point is not None and not self.muted:
                fault = await self._faults.take(point)
            if not self.muted and not self._writer.is_closing():
                await self._transmit(packet, point, fault)

    async def _transmit(self, packet: Packet, point: Point | None, fault: Fault) -> None:
        pieces = mangled(packet, fault)
        for piece in pieces:
            self._writer.write(piece)
        if packet == connack(0) and bytes(packet) in pieces:
            self._on_accepted()
        with contextlib.suppress(ConnectionError):
            await self._writer.drain()
        self.muted = fault.do is Do.HANG
        refused = point is Point.CONNACK and fault.do is Do.CODE
        if refused or fault.do in _ENDS or fault.kind in {"garbage", "truncated"}:
            self._writer.close()
