"""Sniffer: frames as they were in the air, sieved, bounded and counted; the radio is given back."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

from qiot.errors import MediumError
from qiot.hal.conformance.bench import CUTS, Bench
from qiot.hal.conformance.check import Broken, NotClaimed, check, expect, not_claimed
from qiot.hal.conformance.checks import frames
from qiot.hal.contract import Frame, FrameFilter, Role, Sniffer, Wifi
from qiot.model import show_ssid

_EVERYTHING: Final = FrameFilter(kinds=frozenset({"data", "probe request", "beacon"}), group_addressed=False)
_GROUP_DATA: Final = FrameFilter(kinds=frozenset({"data"}))
_LAST_OF_2_4_GHZ: Final = 14
_NO_CHANNELS: Final = (0, 15, 999)
_SIGNALS: Final = range(-128, 1)
_LENGTHS: Final = (36, 78, 300)
_END: Final = 77
"""Octets of the frame that ends a series."""
_AGAIN: Final = 0.5
"""Seconds until a frame that nobody heard is sent again."""
_FLOOD: Final = 20_000


async def _start(bench: Bench, sniffer: Sniffer, wanted: FrameFilter = _EVERYTHING) -> None:
    await bench.call("Sniffer.start", sniffer.start(wanted))


async def _stop(bench: Bench, sniffer: Sniffer) -> None:
    await bench.call("Sniffer.stop", sniffer.stop())


async def _channels(bench: Bench, sniffer: Sniffer) -> Sequence[int]:
    return await bench.call("Sniffer.channels", sniffer.channels())


async def _tuned(bench: Bench, sniffer: Sniffer) -> int:
    """Be on a channel where the environment can send."""
    for channel in bench.environment.sends_frames:
        if channel in await _channels(bench, sniffer):
            found = await bench.call("Sniffer.tune", sniffer.tune(channel))
            expect(found == channel, f"tune({channel}) gave {found}, and nobody else uses the radio")
            return channel
    raise NotClaimed("the environment cannot send frames on a channel of this radio (sends_frames)")


async def _pending(bench: Bench, sniffer: Sniffer) -> asyncio.Future[tuple[Sequence[Frame], int]]:
    """A read that waits; what is in the air besides is read away."""
    for _ in range(50):
        waiting = asyncio.ensure_future(sniffer.read())
        await asyncio.wait({waiting}, timeout=0.1)
        if not waiting.done():
            return waiting
        await bench.call("Sniffer.read", waiting)
    raise NotClaimed("the air is never quiet here, so that no read has to wait")


async def _hear(bench: Bench, sniffer: Sniffer, sent: Sequence[bytes], channel: int) -> Sequence[Frame]:
    """What comes of the frames that are sent; they are sent again until the one behind them has come."""
    sender = frames.new_sender()
    end = frames.data(sender, frames.GROUP, _END)
    heard: list[Frame] = []

    async def read() -> None:
        while not any(each.data[: len(end)] == end for each in heard):
            batch, _ = await sniffer.read()
            heard.extend(batch)

    reading = asyncio.ensure_future(read())
    try:
        for _ in range(20):
            await bench.environment.transmit([*sent, end], channel)
            await asyncio.wait({reading}, timeout=_AGAIN)
            if reading.done():
                break
    finally:
        if not reading.done():
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)
    if reading.cancelled():
        raise Broken(
            f"of {len(sent) + 1} frames sent on channel {channel}, again and again, the last never came"
        )
    await bench.call("Sniffer.read", reading)
    return [each for each in heard if each.data != end]


@check(Sniffer, "stop", disturbs=True)
async def stop_is_idempotent_and_safe_without_a_start(bench: Bench) -> None:
    """However often, before and after; and it starts again."""
    sniffer = bench.port(Sniffer)
    for _ in range(2):
        await _stop(bench, sniffer)
    for _ in range(2):
        await _start(bench, sniffer)
        for _ in range(2):
            await _stop(bench, sniffer)


@check(Sniffer, "channels")
async def the_channels_are_told(bench: Bench) -> None:
    """Each once, those of 2.4 GHz first."""
    found = list(await _channels(bench, bench.port(Sniffer)))
    expect(found and all(isinstance(each, int) and each > 0 for each in found), f"no channels: {found}")
    expect(len(set(found)) == len(found), f"some are told twice: {found}")
    high = [each > _LAST_OF_2_4_GHZ for each in found]
    expect(high == sorted(high), f"those of 2.4 GHz are not the first: {found}")


@check(Sniffer, "tune, read")
async def nothing_works_before_start(bench: Bench) -> None:
    """MediumError."""
    sniffer = bench.port(Sniffer)
    await bench.refused("Sniffer.tune", sniffer.tune(1), MediumError)
    await bench.refused("Sniffer.read", sniffer.read(), MediumError)


@check(Sniffer, "tune", disturbs=True)
async def it_tunes_to_every_channel_it_tells(bench: Bench) -> None:
    """And reads back where it is."""
    sniffer = bench.port(Sniffer)
    if Role.STATION in (await bench.capabilities()).roles:
        now = await bench.call("Wifi.status", bench.port(Wifi).status())
        if now.connected:
            not_claimed(f"the station is in {show_ssid(now.ssid)}, and keeps the radio on its channel")
    await _start(bench, sniffer)
    for channel in await _channels(bench, sniffer):
        found = await bench.call("Sniffer.tune", sniffer.tune(channel))
        expect(found == channel, f"tune({channel}) gave {found}, and nobody else uses the radio")


@check(Sniffer, "tune", disturbs=True)
async def a_channel_that_is_not_there_is_refused(bench: Bench) -> None:
    """MediumError, and it still listens."""
    sniffer = bench.port(Sniffer)
    await _start(bench, sniffer)
    (first, *_) = await _channels(bench, sniffer)
    before = await bench.call("Sniffer.tune", sniffer.tune(first))
    for channel in _NO_CHANNELS:
        await bench.refused("Sniffer.tune", sniffer.tune(channel), MediumError)
    after = await bench.call("Sniffer.tune", sniffer.tune(first))
    expect(after == before, f"tune({first}) gave {before}, and after a refusal {after}")


@check(Sniffer, "start", disturbs=True)
async def a_cancelled_start_leaves_nothing(bench: Bench) -> None:
    """Wherever it is cut off; the next start works."""
    sniffer = bench.port(Sniffer)
    for after in bench.environment.cancel_after:
        await bench.cancelled("Sniffer.start", sniffer.start(_EVERYTHING), after)
        await _stop(bench, sniffer)
    await _start(bench, sniffer)
    await _stop(bench, sniffer)
    await bench.refused("Sniffer.read", sniffer.read(), MediumError)


@check(Sniffer, "stop", disturbs=True)
async def stop_ends_a_pending_read(bench: Bench) -> None:
    """MediumError."""
    sniffer = bench.port(Sniffer)
    await _start(bench, sniffer, _GROUP_DATA)
    waiting = await _pending(bench, sniffer)
    await _stop(bench, sniffer)
    await bench.ends("Sniffer.stop", waiting, MediumError)


@check(Sniffer, "stop", disturbs=True)
async def closing_the_platform_ends_a_pending_read(bench: Bench) -> None:
    """MediumError."""
    sniffer = bench.port(Sniffer)
    await _start(bench, sniffer, _GROUP_DATA)
    waiting = await _pending(bench, sniffer)
    await bench.close(bench.platform)
    await bench.ends("Platform.close", waiting, MediumError)


@check(Sniffer, "read", disturbs=True)
async def frames_come_as_they_were_in_the_air(bench: Bench) -> None:
    """From frame control to the end of the body: no radiotap, no FCS; with channel, time and signal."""
    sniffer = bench.port(Sniffer)
    await _start(bench, sniffer)
    channel = await _tuned(bench, sniffer)
    sender = frames.new_sender()
    sent = [frames.data(sender, frames.GROUP, length) for length in _LENGTHS]
    before = asyncio.get_running_loop().time()
    heard = await _hear(bench, sniffer, sent, channel)
    after = asyncio.get_running_loop().time()
    ours = [each for each in heard if frames.of_sender(each.data, sender)]
    lengths = {len(each) for each in sent}
    missing = lengths - {len(each.data) for each in ours}
    strange = {len(each.data) for each in ours} - lengths
    expect(not strange, f"frames of {sorted(lengths)} octets were sent, there came some of {sorted(strange)}")
    expect(not missing, f"frames of {sorted(missing)} octets did not come")
    for each in ours:
        as_sent = any(frames.alike(each.data, frame) for frame in sent)
        expect(as_sent, f"a frame of {len(each.data)} octets has others than were sent: {each.data.hex()}")
        expect(each.channel == channel, f"heard on channel {channel}, it says {each.channel}")
        expect(before - 1 <= each.t <= after + 1, f"t is {each.t}, the monotonic clock is at {after}")
        expect(each.signal is None or each.signal in _SIGNALS, f"a signal of {each.signal} dBm")


@check(Sniffer, "start", disturbs=True)
async def only_what_is_wanted_comes(bench: Bench) -> None:
    """Group addressed data only: neither management frames, nor data for one station."""
    sniffer = bench.port(Sniffer)
    await _start(bench, sniffer, _GROUP_DATA)
    channel = await _tuned(bench, sniffer)
    sender = frames.new_sender()
    wanted = frames.data(sender, frames.GROUP, 40)
    others = [frames.probe_request(sender), frames.beacon(sender), frames.data(sender, frames.STATION, 41)]
    heard = await _hear(bench, sniffer, [*others, wanted], channel)
    ours = [each.data for each in heard if frames.of_sender(each.data, sender)]
    expect(len(wanted) in {len(each) for each in ours}, "the wanted frame did not come")
    strange = [each[:2].hex() for each in ours if len(each) != len(wanted)]
    expect(not strange, f"frames that are not wanted came up, with the frame control {strange}")


@check(Sniffer, "read", disturbs=True)
async def a_cancelled_read_loses_nothing(bench: Bench) -> None:
    """Wherever it is cut off: the next read gives the frames."""
    if not bench.environment.lossless:
        not_claimed("the environment's air may lose frames by itself (lossless)")
    sniffer = bench.port(Sniffer)
    await _start(bench, sniffer)
    channel = await _tuned(bench, sniffer)
    sender = frames.new_sender()
    for turns in range(CUTS):
        sent = frames.data(sender, frames.GROUP, 100 + turns)
        waiting = asyncio.ensure_future(sniffer.read())
        await asyncio.sleep(0)
        await bench.environment.transmit([sent], channel)
        for _ in range(turns):
            await asyncio.sleep(0)
        waiting.cancel()
        (result,) = await asyncio.gather(waiting, return_exceptions=True)
        heard = [] if isinstance(result, BaseException) else list(result[0])
        lost = f"a read that was cut off after {turns} turns lost its frame"
        while len(sent) not in {len(each.data) for each in heard if frames.of_sender(each.data, sender)}:
            batch, _ = await bench.call("Sniffer.read", sniffer.read(), hanging=lost)
            heard.extend(batch)


@check(Sniffer, "read", disturbs=True)
async def what_is_not_read_is_bounded_and_counted(bench: Bench) -> None:
    """Every frame comes or is counted, and the queue does not grow for ever."""
    if not bench.environment.lossless:
        not_claimed("the environment's air may lose frames by itself (lossless)")
    sniffer = bench.port(Sniffer)
    await _start(bench, sniffer)
    channel = await _tuned(bench, sniffer)
    sender = frames.new_sender()
    await bench.environment.transmit([frames.data(sender, frames.GROUP, 10)] * _FLOOD, channel)
    end = frames.data(sender, frames.GROUP, _END)
    received = dropped = 0
    ended = False
    while not ended:
        await bench.environment.transmit([end], channel)
        batch, more = await bench.call("Sniffer.read", sniffer.read())
        dropped += more
        ours = [len(each.data) for each in batch if frames.of_sender(each.data, sender)]
        ended = len(end) in ours
        received += sum(length != len(end) for length in ours)
    expect(received < _FLOOD, f"{_FLOOD} frames wait unread: the queue has no bound")
    lost = _FLOOD - received
    expect(dropped >= lost, f"{lost} frames were lost, {dropped} are counted")


@check(Sniffer, "start", disturbs=True)
async def it_starts_after_a_restart_that_did_not_stop_it(bench: Bench) -> None:
    """Close gives the radio back as stop does."""
    await _start(bench, bench.port(Sniffer))
    await bench.reopen()
    sniffer = bench.port(Sniffer)
    try:
        await _start(bench, sniffer)
    except NotClaimed as reason:
        raise Broken(f"the sniffer is gone after a restart: {reason}") from reason
    await _stop(bench, sniffer)
