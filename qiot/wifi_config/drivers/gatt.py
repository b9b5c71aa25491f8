"""A codec on Bluetooth Low Energy: this device serves, phones write and are notified."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, TypeAlias

import attrs

from qiot.errors import HalError, ProtocolError
from qiot.finishing import finish
from qiot.hal.contract import Gatt, GattEvent, GattProfile, ListenContext, Listener, Written
from qiot.log import get_logger
from qiot.model import Peer, Reason
from qiot.protocols.base import Codec, Connected, Drop, Heard, Lost, Mtu, News, Output, Send, Subscribed
from qiot.wifi_config.drivers.codec_clock import CodecClock

__all__ = ["CodecFactory", "GattListener"]

log = get_logger()

CodecFactory: TypeAlias = Callable[[ListenContext], Awaitable[tuple[GattProfile, Codec]]]
"""Makes what is served and who speaks there, anew for every start."""

_OUT_MAX: Final = 1024
"""What may wait to go out; more than any codec says at once (a list of 64 networks at MTU 23)."""
_NOTIFY_LIMIT: Final = 10.0
"""Seconds that one notification may wait for room; a phone that is gone takes about 20 s to be lost."""


@attrs.define(eq=False)
class _Started:
    """What there is between start and stop.

    Attributes:
        codec: Who speaks.
        clock: Its clock.
        out: What has to go out, in the order the codec said it.
        sender: The task that carries it out.
        peers: Each central's peer as the codec knows it, by the platform's.
        heard: What `tell` made the codec ask; for the next `read`.
    """

    codec: Codec
    clock: CodecClock
    out: asyncio.Queue[Send | Drop]
    sender: asyncio.Task[None]
    peers: dict[Peer, Peer] = attrs.field(factory=dict)
    heard: list[Heard] = attrs.field(factory=list)


class GattListener(Listener):
    """Serves one profile and speaks one codec there.

    The codec is fed with a characteristic's short name ("ff01") as its port; with an empty one where the
    event concerns the link. `read` both receives and runs the codec's clock, so somebody has to be reading.

    Args:
        gatt: The platform's GATT server; this listener has it alone while it is started.
        factory: Makes profile and codec.
        method: Method name that the peers carry.
    """

    def __init__(self, gatt: Gatt, factory: CodecFactory, *, method: str) -> None:
        self._gatt = gatt
        self._factory = factory
        self._method = method
        self._links = 0
        self._started: _Started | None = None

    async def start(self, context: ListenContext) -> None:
        """Serve and advertise."""
        if self._started is not None:
            raise HalError(f"{self._method} listens already", hint="Stop it before the next start.")
        profile, codec = await self._factory(context)
        served = _shown(profile)
        try:
            await self._gatt.start([profile])
        except BaseException:
            await finish(self._gatt.stop())
            raise
        out: asyncio.Queue[Send | Drop] = asyncio.Queue(_OUT_MAX)
        sender = asyncio.create_task(self._send_all(out), name=f"qiot {self._method} notifications")
        self._started = _Started(codec, CodecClock(codec), out, sender)
        log.info(f"{self._method}: Bluetooth service {served}")

    async def read(self) -> Sequence[Heard]:
        """Receive, let the codec's clock run, and give what was heard."""
        while True:
            started = self._started
            if started is None:
                raise HalError(f"{self._method} does not listen", reason=Reason.STOPPED)
            if started.heard:
                heard, started.heard = started.heard, []
                return heard
            events = await started.clock.wait(self._gatt.read())
            now = asyncio.get_running_loop().time()
            if events is None and not started.heard:  # with something heard, `tell` has ended the wait
                self._put(started, started.codec.tick(now))
            for peer, event in events or ():
                self._put(started, self._feed(started, peer, event, now))

    async def tell(self, news: News) -> None:
        """Let the codec report it; it has gone out when this returns."""
        started = self._started
        if started is None:
            return
        self._put(started, started.codec.tell(news, asyncio.get_running_loop().time()))
        if started.heard:
            started.clock.wake()
        await started.out.join()

    async def drain(self) -> None:
        """Return when everything has gone out.

        Deadlines do not count here: on this medium most of them wait for the phone.
        """
        if self._started is not None:
            await self._started.out.join()

    @property
    def occupied(self) -> bool:
        """True while a phone is connected."""
        return self._started is not None and bool(self._started.peers)

    async def stop(self) -> None:
        """End the service; phones are sent away."""
        started, self._started = self._started, None
        if started is None:
            return
        started.clock.end()
        started.sender.cancel()
        try:
            await finish(self._gatt.stop())
        finally:
            await asyncio.wait({started.sender})
            while not started.out.empty():  # who waits in `tell` or `drain` goes on
                started.out.get_nowait()
                started.out.task_done()

    # --- in ---------------------------------------------------------------------------------------------

    def _feed(self, started: _Started, central: Peer, event: GattEvent, now: float) -> Sequence[Output]:
        if isinstance(event, Connected):
            self._links += 1
            started.peers[central] = Peer(self._method, central.address, self._links)
            log.info(f"{self._method}: <{central.address}> connected")
        peer = started.peers.get(central)
        if peer is None:
            log.debug(f"{self._method}: {event} of <{central.address}>, who is not connected, is ignored")
            return ()
        if isinstance(event, Lost):
            del started.peers[central]
            log.info(f"{self._method}: <{central.address}> is gone")
        char, data = _of(event)
        if isinstance(event, Written):
            log.debug(f"{self._method}: <{central.address}> wrote {len(event.data)} octets to {char}")
        try:
            return started.codec.feed(char, data, peer, now)
        except ProtocolError as error:
            log.warning(f"{self._method}: what <{central.address}> sent is ignored: {error}")
            return ()

    # --- out --------------------------------------------------------------------------------------------

    def _put(self, started: _Started, outputs: Sequence[Output]) -> None:
        """Keep what is for the session; the rest goes out in this very order, whoever called the codec."""
        for output in outputs:
            if isinstance(output, Send | Drop):
                try:
                    started.out.put_nowait(output)
                except asyncio.QueueFull:
                    log.warning(f"{self._method}: the phones read too slowly, a message to them is lost")
            elif isinstance(output, Heard):
                started.heard.append(output)
        started.clock.rearm()

    async def _send_all(self, out: asyncio.Queue[Send | Drop]) -> None:
        while True:
            output = await out.get()
            try:
                await self._carry_out(output)
            except HalError as error:
                log.warning(f"{self._method}: {error}")
            except TimeoutError:
                log.warning(f"{self._method}: a phone did not take a message within {_NOTIFY_LIMIT:g} s")
            except Exception:
                log.exception(f"{self._method}: a message could not be sent")
            finally:
                out.task_done()

    async def _carry_out(self, output: Send | Drop) -> None:
        peer = output.to if isinstance(output, Send) else output.peer
        central = self._central(peer)
        if central is None:
            log.debug(f"{self._method}: <{peer.address}> is gone and gets no answer")
        elif isinstance(output, Drop):
            await self._gatt.disconnect(central)
        else:
            log.debug(f"{self._method}: {output.label} ({len(output.data)}) to <{peer.address}>")
            async with asyncio.timeout(_NOTIFY_LIMIT):
                await self._gatt.notify(output.port, output.data, central, confirm=output.confirm)

    def _central(self, peer: Peer) -> Peer | None:
        """The platform's name of a peer that is connected."""
        known = self._started.peers if self._started is not None else {}
        return next((central for central, each in known.items() if each == peer), None)


def _of(event: GattEvent) -> tuple[str, bytes | Connected | Mtu | Subscribed | Lost]:
    """An event as a codec is fed with it: port and input."""
    if isinstance(event, Written):
        return event.char, event.data
    return (event.char if isinstance(event, Subscribed) else ""), event


def _shown(profile: GattProfile) -> str:
    """What phones look for, and where they go then: thing.network advertises another service than it has."""
    advertised = ", ".join(profile.advertised)
    if not advertised or advertised == profile.service:
        return f"{profile.service} is {'advertised' if advertised else 'served'}"
    return f"{advertised} is advertised, {profile.service} is served"
