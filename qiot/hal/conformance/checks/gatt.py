"""Gatt: advertising, centrals and what they do, each told with its peer."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

import attrs

from qiot.hal.conformance.bench import CUTS, Bench
from qiot.hal.conformance.check import Broken, check, expect
from qiot.hal.contract import Gatt, GattEvent, GattProfile, Written
from qiot.model import Peer
from qiot.protocols.base import Connected, Lost, Subscribed

_SERVICE: Final = "0000fff0-0000-1000-8000-00805f9b34fb"
_CHAR: Final = "0000fff1-0000-1000-8000-00805f9b34fb"
_NAME: Final = "fff1"
"""The characteristic as the contract names it."""
_ADVERTISING: Final = bytes.fromhex("020106") + bytes.fromhex("0303f0ff")
"""Flags and a list of 16-bit services (Core Specification Supplement, part A)."""
_PROFILE: Final = GattProfile(
    service=_SERVICE,
    characteristics={_CHAR: frozenset({"write", "notify"})},
    advertising=_ADVERTISING,
)
_BURST: Final = 8
_NOBODY: Final = Peer(method="conformance", address="00:00:5E:00:53:01")


async def _start(bench: Bench, gatt: Gatt) -> None:
    await bench.call("Gatt.start", gatt.start([_PROFILE]))


async def _stop(bench: Bench, gatt: Gatt) -> None:
    await bench.call("Gatt.stop", gatt.stop())


class _Events:
    """What comes, kept until it is asked for."""

    def __init__(self, bench: Bench, gatt: Gatt) -> None:
        self._bench = bench
        self._gatt = gatt
        self._waiting: list[tuple[Peer, GattEvent]] = []

    async def next(self, kind: type[GattEvent]) -> tuple[Peer, GattEvent]:
        """The next of this kind; others before it are passed over."""
        missing = f"no {kind.__name__} came"
        while True:
            while self._waiting:
                peer, event = self._waiting.pop(0)
                if isinstance(event, kind):
                    return peer, event
            self._waiting += await self._bench.call("Gatt.read", self._gatt.read(), hanging=missing)


@check(Gatt, "address")
async def the_address_is_one_or_empty(bench: Bench) -> None:
    """In capital letters, and the same when asked again."""
    await bench.address("Gatt.address", bench.port(Gatt).address)


@check(Gatt, "stop")
async def stop_is_idempotent_and_safe_without_a_start(bench: Bench) -> None:
    """However often, before and after; and it starts again."""
    gatt = bench.port(Gatt)
    for _ in range(2):
        await _stop(bench, gatt)
    for _ in range(2):
        await _start(bench, gatt)
        for _ in range(2):
            await _stop(bench, gatt)


@check(Gatt, "start")
async def what_cannot_be_served_is_refused(bench: Bench) -> None:
    """More than 31 octets of advertisement or scan response, and a service twice; then it starts."""
    gatt = bench.port(Gatt)
    for profiles in (
        [attrs.evolve(_PROFILE, advertising=bytes(32))],
        [attrs.evolve(_PROFILE, scan_response=bytes(32))],
        [_PROFILE, _PROFILE],
    ):
        await bench.refused("Gatt.start", gatt.start(profiles))
    await _start(bench, gatt)
    await _stop(bench, gatt)


@check(Gatt, "start")
async def a_cancelled_start_leaves_nothing(bench: Bench) -> None:
    """Wherever it is cut off; the next start works."""
    gatt = bench.port(Gatt)
    for after in bench.environment.cancel_after:
        await bench.cancelled("Gatt.start", gatt.start([_PROFILE]), after)
        await _stop(bench, gatt)
    await _start(bench, gatt)
    await _stop(bench, gatt)


@check(Gatt, "stop")
async def stop_and_close_end_a_pending_read(bench: Bench) -> None:
    """HalError."""
    gatt = bench.port(Gatt)
    await _start(bench, gatt)
    waiting = await bench.pending(gatt.read())
    await _stop(bench, gatt)
    await bench.ends("Gatt.stop", waiting)
    await _start(bench, gatt)
    waiting = await bench.pending(gatt.read())
    await bench.close(bench.platform)
    await bench.ends("Platform.close", waiting)


@check(Gatt, "start, stop")
async def it_advertises_from_start_to_stop(bench: Bench) -> None:
    """As seen from outside."""
    gatt, environment = bench.port(Gatt), bench.environment
    await _start(bench, gatt)
    seconds = environment.shows_within
    await bench.until(environment.advertised, "it does not advertise after start", seconds=seconds)
    await _stop(bench, gatt)

    async def is_silent() -> bool:
        return not await environment.advertised()

    await bench.until(is_silent, "it still advertises after stop", seconds=seconds)


@check(Gatt, "read, notify")
async def a_central_writes_and_is_notified(bench: Bench) -> None:
    """Each event with its peer, every octet as it was sent."""
    gatt = bench.port(Gatt)
    await _start(bench, gatt)
    events = _Events(bench, gatt)
    async with bench.environment.central() as central:
        peer, _ = await events.next(Connected)
        served: Sequence[str] = [each.lower() for each in await central.services()]
        expect(_SERVICE in served, f"the central sees {served}")
        for data in (b"\x00\xff", bytes(range(20))):
            await central.write(_CHAR, data)
            sender, event = await events.next(Written)
            expect(sender == peer, f"written by {sender}, connected was {peer}")
            came = isinstance(event, Written) and (event.char, event.data) == (_NAME, data)
            expect(came, f"{data!r} was written, {event} came")
        await central.subscribe(_CHAR)
        sender, event = await events.next(Subscribed)
        subscribed = isinstance(event, Subscribed) and (event.char, event.on) == (_NAME, True)
        expect(sender == peer and subscribed, f"{event} of {sender} came")
        for data in (b"first", b"second"):
            await bench.call("Gatt.notify", gatt.notify(_NAME, data, peer))
            char, value = await bench.call(
                "a notification", central.notified(), hanging="a notification did not arrive"
            )
            expect((char.lower(), value) == (_CHAR, data), f"{data!r} was notified, {value!r} came")
    sender, _ = await events.next(Lost)
    expect(sender == peer, f"{sender} is lost, connected was {peer}")


@check(Gatt, "read, notify")
async def a_burst_keeps_its_order(bench: Bench) -> None:
    """What is written before anybody reads, and what is notified before the central looks."""
    gatt = bench.port(Gatt)
    await _start(bench, gatt)
    events = _Events(bench, gatt)
    burst = [bytes((number, 255 - number)) for number in range(_BURST)]
    async with bench.environment.central() as central:
        peer, _ = await events.next(Connected)
        for data in burst:
            await central.write(_CHAR, data)
        came = [(await events.next(Written))[1] for _ in burst]
        written = [each.data for each in came if isinstance(each, Written)]
        expect(written == burst, f"{_BURST} values were written, they came as {_shown(written)}")
        await central.subscribe(_CHAR)
        await events.next(Subscribed)
        for data in burst:
            await bench.call("Gatt.notify", gatt.notify(_NAME, data, peer))
        lost = "a notification of a burst did not arrive"
        heard = [(await bench.call("a notification", central.notified(), hanging=lost))[1] for _ in burst]
        expect(heard == burst, f"{_BURST} values were notified, they came as {_shown(heard)}")


def _shown(values: Sequence[bytes]) -> str:
    return " ".join(each.hex() for each in values)


@check(Gatt, "disconnect")
async def a_central_can_be_sent_away(bench: Bench) -> None:
    """It is told as Lost, and the central sees it."""
    gatt = bench.port(Gatt)
    await _start(bench, gatt)
    events = _Events(bench, gatt)
    async with bench.environment.central() as central:
        peer, _ = await events.next(Connected)
        await bench.call("Gatt.disconnect", gatt.disconnect(peer))
        await bench.call("the end", central.wait_disconnected(), hanging="the central is still connected")
        sender, _ = await events.next(Lost)
        expect(sender == peer, f"{sender} is lost, sent away was {peer}")


@check(Gatt, "notify")
async def nobody_cannot_be_notified(bench: Bench) -> None:
    """HalError, where the peer is not connected."""
    gatt = bench.port(Gatt)
    await _start(bench, gatt)
    await bench.refused("Gatt.notify", gatt.notify(_NAME, b"x", _NOBODY))


@check(Gatt, "stop")
async def stop_sends_centrals_away(bench: Bench) -> None:
    """Nothing of the service is left for them."""
    gatt = bench.port(Gatt)
    await _start(bench, gatt)
    events = _Events(bench, gatt)
    async with bench.environment.central() as central:
        await events.next(Connected)
        await _stop(bench, gatt)
        await bench.call("the end", central.wait_disconnected(), hanging="stop leaves a central connected")


@check(Gatt, "read")
async def a_cancelled_read_loses_nothing(bench: Bench) -> None:
    """Wherever it is cut off: the next read gives the event."""
    gatt = bench.port(Gatt)
    await _start(bench, gatt)
    events = _Events(bench, gatt)
    async with bench.environment.central() as central:
        await events.next(Connected)
        for turns in range(CUTS):
            data = f"kept {turns}".encode()
            waiting = asyncio.ensure_future(gatt.read())
            await asyncio.sleep(0)
            writing = asyncio.ensure_future(central.write(_CHAR, data))
            for _ in range(turns):
                await asyncio.sleep(0)
            waiting.cancel()
            (result,) = await asyncio.gather(waiting, return_exceptions=True)
            await writing
            heard = [] if isinstance(result, BaseException) else [event for _, event in result]
            while not any(isinstance(each, Written) and each.data == data for each in heard):
                lost = f"a read that was cut off after {turns} turns lost a write"
                heard += [event for _, event in await bench.call("Gatt.read", gatt.read(), hanging=lost)]
                if any(isinstance(each, Lost) for each in heard):
                    raise Broken("the central was lost in the middle")
