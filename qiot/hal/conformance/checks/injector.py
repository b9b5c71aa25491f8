"""Injector: what is sent is heard outside, octet by octet, and not by ourselves."""

from __future__ import annotations

import asyncio
from typing import Final

from qiot.errors import MediumError
from qiot.hal.conformance.bench import Bench
from qiot.hal.conformance.check import Broken, check, expect
from qiot.hal.conformance.checks import frames
from qiot.hal.contract import Frame, FrameFilter, Injector, Sniffer

_WANTED: Final = FrameFilter(kinds=frozenset({"data"}))
_HEARD_WITHIN: Final = 0.5
_TRIES: Final = 20


async def _started(bench: Bench) -> tuple[Injector, Sniffer, int]:
    """Injector and sniffer, on a channel of both; the environment's first, where it names one."""
    injector, sniffer = bench.port(Injector), bench.port(Sniffer)
    await bench.call("Sniffer.start", sniffer.start(_WANTED))
    channels = await bench.call("Sniffer.channels", sniffer.channels())
    wanted = [each for each in bench.environment.sends_frames if each in channels]
    channel = await bench.call("Sniffer.tune", sniffer.tune((wanted or list(channels))[0]))
    return injector, sniffer, channel


async def _send(bench: Bench, injector: Injector, frame: bytes) -> None:
    await bench.call("Injector.send", injector.send(frame))


@check(Injector, "send", disturbs=True)
async def the_sniffer_has_to_be_started_first(bench: Bench) -> None:
    """MediumError before start and after stop."""
    injector = bench.port(Injector)
    frame = frames.probe_request(frames.new_sender())
    await bench.refused("Injector.send", injector.send(frame), MediumError)
    _, sniffer, _ = await _started(bench)
    await _send(bench, injector, frame)
    await bench.call("Sniffer.stop", sniffer.stop())
    await bench.refused("Injector.send", injector.send(frame), MediumError)


@check(Injector, "send", disturbs=True)
async def a_frame_is_heard_outside_octet_by_octet(bench: Bench) -> None:
    """On the channel where the sniffer is tuned."""
    injector, _, channel = await _started(bench)
    sender = frames.new_sender()
    for frame in (frames.data(sender, frames.GROUP, 60), frames.probe_request(sender)):
        async with bench.environment.ear(channel) as ear:
            for _ in range(_TRIES):
                await _send(bench, injector, frame)
                if await ear.hears(frame, _HEARD_WITHIN):
                    break
            else:
                raise Broken(f"a frame of {len(frame)} octets was sent {_TRIES} times, nobody heard it")


@check(Injector, "send", disturbs=True)
async def own_frames_do_not_come_up(bench: Bench) -> None:
    """The sniffer tells what others send."""
    injector, sniffer, _ = await _started(bench)
    frame = frames.data(frames.new_sender(), frames.GROUP, 60)
    for _ in range(5):
        await _send(bench, injector, frame)
    heard: list[Frame] = []

    async def read() -> None:
        while True:
            batch, _ = await sniffer.read()
            heard.extend(batch)

    reading = asyncio.ensure_future(read())
    await asyncio.wait({reading}, timeout=_HEARD_WITHIN)
    if reading.done():
        await bench.call("Sniffer.read", reading)
    reading.cancel()
    await asyncio.gather(reading, return_exceptions=True)
    ours = [each for each in heard if each.data[: len(frame)] == frame]
    expect(not ours, "a frame that this device sent came up in its own sniffer")


@check(Injector, "send", disturbs=True)
async def a_cancelled_send_leaves_it_usable(bench: Bench) -> None:
    """The next frame goes out."""
    injector, _, _ = await _started(bench)
    frame = frames.probe_request(frames.new_sender())
    for after in bench.environment.cancel_after:
        await bench.cancelled("Injector.send", injector.send(frame), after)
    await _send(bench, injector, frame)
