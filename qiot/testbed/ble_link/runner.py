"""Drives the phone's side of a codec over a link: what comes is fed, what it says is written."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Final

from qiot.errors import ProtocolError
from qiot.model import Peer
from qiot.protocols.base import Codec, Connected, Drop, Input, Learned, Lost, Mtu, Output, Send, Subscribed
from qiot.testbed.ble_link.advertisement import Advertisement, Wanted
from qiot.testbed.ble_link.central import Central, LinkError, Notified

__all__ = ["CodecRunner"]

_AGAIN: Final = 0.2
"""Seconds before a lost device is looked for again."""


class CodecRunner:
    """One codec on one link.

    Args:
        central: The phone's Bluetooth; closing it is the caller's.
        codec: The phone's side.
        method: Name for the peer, "blufi".
        notify: Characteristics to subscribe to, in this order.
        on_learned: Told what the codec learned, as it does.
        on_step: Told what happens on the link, in a word or two with facts.
        reconnects: How often a lost device is looked for again.
        mtu: ATT MTU to ask for; 23 asks for none.
        find_timeout: Seconds to see the device.
        connect_timeout: Seconds to connect.
    """

    def __init__(
        self,
        central: Central,
        codec: Codec,
        *,
        method: str,
        notify: Sequence[str],
        on_learned: Callable[[Learned], None] | None = None,
        on_step: Callable[[str, dict[str, str | int]], None] | None = None,
        reconnects: int = 0,
        mtu: int = 517,
        find_timeout: float = 20.0,
        connect_timeout: float = 20.0,
    ) -> None:
        self._central = central
        self._codec = codec
        self._method = method
        self._notify = notify
        self._on_learned = on_learned or (lambda _learned: None)
        self._on_step = on_step or (lambda _step, _facts: None)
        self._reconnects = reconnects
        self._mtu = mtu
        self._find_timeout = find_timeout
        self._connect_timeout = connect_timeout
        self._peer = Peer(method, "")
        self._turn = asyncio.Lock()
        self._waiting: asyncio.Timeout | None = None
        self._seen: Advertisement | None = None
        self.last: Learned | None = None

    @property
    def seen(self) -> Advertisement | None:
        """The device, once it was found."""
        return self._seen

    async def connect(self, wanted: Wanted) -> None:
        """Find the device, connect, and let the codec begin.

        Raises:
            LinkError: It was not found or does not connect.
        """
        self._on_step("looking for", {"device": str(wanted)})
        seen = self._seen = await self._central.find(wanted, self._find_timeout)
        self._on_step("found", {"address": seen.address, "name": seen.name, "signal": seen.signal})
        await self._central.connect(seen, self._connect_timeout, mtu=self._mtu)
        self._peer = Peer(self._method, seen.address, self._peer.link + 1)
        self._on_step("connected", {"mtu": self._central.mtu})
        await self._feed("", Connected())
        await self._feed("", Mtu(self._central.mtu))
        for char in self._notify:
            await self._central.subscribe(char)
            self._on_step("subscribed", {"char": char})
            await self._feed(char, Subscribed(char))

    async def run(self) -> Learned:
        """Go on until the codec has finished; gives its last word.

        A lost link is opened again as often as it was allowed.

        Raises:
            LinkError: The link is lost for good.
        """
        while self.last is None:
            item = await self._next()
            if item is None:
                await self.put(self._codec.tick(self._now()))
            elif isinstance(item, Lost):
                await self._on_lost()
            else:
                self._on_step("received", {"char": item.char, "octets": len(item.data)})
                await self._feed(item.char, item.data)
        return self.last

    async def put(self, outputs: Sequence[Output]) -> None:
        """Carry out what the codec said, in this order, also outside of `run`.

        Raises:
            LinkError: The link is gone.
        """
        async with self._turn:
            for output in outputs:
                if isinstance(output, Send):
                    self._on_step(
                        "send", {"what": output.label, "char": output.port, "octets": len(output.data)}
                    )
                    await self._central.write(output.port, output.data, response=output.confirm)
                elif isinstance(output, Drop):
                    await self._central.disconnect()
                elif isinstance(output, Learned):
                    self._on_learned(output)
                    if output.last:
                        self.last = output
        if self._waiting is not None and not self._waiting.expired():
            self._waiting.reschedule(self._now() if self.last is not None else self._codec.deadline())

    async def _feed(self, char: str, data: Input) -> None:
        try:
            outputs = self._codec.feed(char, data, self._peer, self._now())
        except ProtocolError as error:
            self._on_step("not understood", {"text": str(error)})
            return
        await self.put(outputs)

    async def _next(self) -> Notified | Lost | None:
        try:
            async with asyncio.timeout_at(self._codec.deadline()) as self._waiting:
                return await self._central.next_notification()
        except TimeoutError:
            return None
        finally:
            self._waiting = None

    async def _on_lost(self) -> None:
        self._on_step("lost", {})
        await self._feed("", Lost())
        if self.last is not None:
            return
        if not self._reconnects or self._seen is None:
            raise LinkError("the device disconnected before it was done", hint="See the device's log.")
        self._reconnects -= 1
        await asyncio.sleep(_AGAIN)
        await self.connect(Wanted(address=self._seen.address))

    def _now(self) -> float:
        return asyncio.get_running_loop().time()
