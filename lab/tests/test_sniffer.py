"""The sniffer and the injector on simulated radios: what is heard, how long it is, and what is left after."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import struct
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from qiot.errors import MediumError
from qiot.hal.contract import Frame, FrameFilter
from qiot.hal.linux.injector import RadioInjector
from qiot.hal.linux.radio import Radio
from qiot.hal.linux.sniffer import QUEUE_MAX, RadioSniffer
from qiot.protocols.air.dot11 import parse_header

from lab.support.bench import Bench
from lab.support.phone import Phone
from lab.support.programs import run
from lab.tests.stations import join_home

GROUP_DATA = FrameFilter(frozenset({"data"}))
EVERYTHING = FrameFilter(frozenset({"data", "probe request", "beacon"}), group_addressed=False)
PORT = 7001
# The lengths of a short ESP-TOUCH round: guide codes, then one triplet after the other.
BURST = [515, 514, 513, 512, *(40 + (7 * n if n % 3 != 1 else 256 + n) for n in range(32))]
SENDER = """
import json, socket, sys, time
sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sender.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
lengths, host, gap = json.loads(sys.argv[1]), sys.argv[2], float(sys.argv[3])
for length in lengths:
    sender.sendto(b"1" * length, (host, 7001))
    time.sleep(gap)
"""


@asynccontextmanager
async def sniffing(
    interface: str, state: Path, wanted: FrameFilter = GROUP_DATA
) -> AsyncIterator[tuple[Radio, RadioSniffer]]:
    radio = Radio(interface, state)
    sniffer = RadioSniffer(radio)
    try:
        await sniffer.start(wanted)
        yield radio, sniffer
    finally:
        await sniffer.stop()
        await radio.close()


async def hear(sniffer: RadioSniffer, enough, seconds: float = 20.0) -> list[Frame]:
    """Read until it is enough."""
    heard: list[Frame] = []
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            while not enough(heard):
                heard += (await sniffer.read())[0]
    return heard


async def send_burst(phone: Phone, lengths: Sequence[int] = BURST, host: str = "255.255.255.255") -> None:
    words = [sys.executable, "-c", SENDER, json.dumps(list(lengths)), host, "0.008"]
    await asyncio.to_thread(phone.run, words)


def octets(address: str) -> bytes:
    return bytes.fromhex(address.replace(":", ""))


def interfaces() -> dict[str, str]:
    """Name and mode of what `iw` sees in the root namespace."""
    found: dict[str, str] = {}
    name = ""
    for line in run(["iw", "dev"]).splitlines():
        match line.split():
            case ["Interface", name] | ["Unnamed/non-netdev", name]:
                pass
            case ["type", mode] if name != "interface":
                found[name] = mode
    return found


def is_up(interface: str) -> bool:
    return bool(int(Path(f"/sys/class/net/{interface}/flags").read_text(), 16) & 1)


def bursts(frames: Sequence[Frame], phone: bytes) -> tuple[list[int], list[int]]:
    """Lengths of the phone's group data on the way to the access point, and from it, without repeats."""
    ways: tuple[list[int], list[int]] = ([], [])
    seen = set()
    for frame in frames:
        header = parse_header(frame.data)
        key = (header.transmitter, header.sequence, header.tid, header.retry and header.from_ds)
        if header.source == phone and header.group_addressed and header.carries_data and key not in seen:
            seen.add(key)
            ways[header.from_ds].append(header.total)
    return ways


@pytest.mark.smoke
@pytest.mark.duration(45)
async def test_every_length_of_a_burst_is_right_in_both_directions(bench: Bench, tmp_path: Path) -> None:
    _, first, second = bench.radios(3)
    home = bench.home_ap(first)
    phone = bench.phone(second)
    await asyncio.to_thread(phone.join, home.ssid, home.password, frequencies=[home.frequency])
    sender = octets(phone.radio.address)
    async with sniffing("wlan0", tmp_path) as (_, sniffer):
        assert await sniffer.tune(6) == 6
        sending = asyncio.ensure_future(send_burst(phone))
        heard = await hear(sniffer, lambda heard: min(map(len, bursts(heard, sender))) >= len(BURST))
        await sending
        counts = sniffer.counts
    to_ap, from_ap = bursts(heard, sender)
    udp_to_ap = [length - 78 for length in to_ap]  # QoS: 26, CCMP 8 and 8, LLC 8, IP 20, UDP 8
    udp_from_ap = [length - 76 for length in from_ap]
    assert udp_to_ap == BURST
    assert udp_from_ap == BURST
    assert {frame.channel for frame in heard} == {6}
    assert all(frame.signal is not None and frame.signal < 0 for frame in heard)
    assert (counts.dropped, counts.strange, counts.damaged) == (0, 0, 0)
    # The kernel passed nothing else: beacons, acknowledgements and what goes to one station stayed there.
    assert counts.passed == len(heard)
    assert all(parse_header(frame.data).group_addressed for frame in heard)
    times = [frame.t for frame in heard]
    assert times == sorted(times)
    assert abs(times[-1] - time.monotonic()) < 60
    assert interfaces()["wlan0"] == "managed"
    assert "wlan0-mon" not in interfaces()


@pytest.mark.duration(40)
async def test_multicast_keeps_its_address(bench: Bench, tmp_path: Path) -> None:
    _, first, second = bench.radios(3)
    home = bench.home_ap(first)
    phone = bench.phone(second)
    await asyncio.to_thread(phone.join, home.ssid, home.password, frequencies=[home.frequency])
    async with sniffing("wlan0", tmp_path) as (_, sniffer):
        await sniffer.tune(6)
        await send_burst(phone, [40, 50], host="234.7.7.7")
        heard = await hear(
            sniffer, lambda heard: min(map(len, bursts(heard, octets(phone.radio.address)))) >= 2
        )
    wanted = [
        each
        for each in map(parse_header, (f.data for f in heard))
        if each.source == octets(phone.radio.address)
    ]
    addressed = {(each.from_ds, each.destination) for each in wanted if each.destination != b"\xff" * 6}
    assert (False, bytes.fromhex("01005e070707")) in addressed
    assert (True, bytes.fromhex("01005e070707")) in addressed


@pytest.mark.duration(25)
async def test_the_channel_is_read_back(bench: Bench, tmp_path: Path) -> None:
    bench.radios(1)
    async with sniffing("wlan0", tmp_path) as (_, sniffer):
        channels = await sniffer.channels()
        assert channels[:13] == [*range(1, 12), 36, 40]
        assert {36, 40, 44, 48} <= set(channels)
        assert 14 not in channels  # not in the US
        for channel in (1, 6, 11, 36, 44, 1):
            assert await sniffer.tune(channel) == channel
            shown = run(["iw", "dev", "wlan0-mon", "info"])
            assert f"channel {channel} (" in shown
        began = time.monotonic()
        for channel in (1, 2, 3, 4, 5, 6, 7, 8, 9, 10):
            await sniffer.tune(channel)
        print(f"one change of channel takes {(time.monotonic() - began) * 100:.1f} ms")
        with pytest.raises(MediumError, match="no channel 14"):
            await sniffer.tune(14)
        assert not is_up("wlan0")
    assert interfaces() == {"wlan0": "managed"}


@pytest.mark.duration(45)
async def test_beside_a_joined_station(bench: Bench, tmp_path: Path) -> None:
    """A second interface; the station stays joined, holds the channel, and its neighbours are heard."""
    device, first, second = bench.radios(3)
    home = bench.home_ap(first)
    phone = bench.phone(second)
    await asyncio.to_thread(phone.join, home.ssid, home.password, frequencies=[home.frequency])
    ours = bench.supplicant(device)
    await asyncio.to_thread(join_home, ours, home)
    sender = octets(phone.radio.address)
    async with sniffing("wlan0", tmp_path) as (radio, sniffer):
        assert interfaces() == {"wlan0": "managed", "wlan0-mon": "monitor"}
        assert await sniffer.tune(1) == 6
        sending = asyncio.ensure_future(send_burst(phone))
        heard = await hear(sniffer, lambda heard: min(map(len, bursts(heard, sender))) >= len(BURST))
        await sending
        own = octets(device.address)
        assert not [frame for frame in heard if parse_header(frame.data).transmitter == own]
        assert (await radio.nl80211.interface("wlan0")).ssid == home.ssid
    to_ap, from_ap = bursts(heard, sender)
    assert [length - 78 for length in to_ap] == BURST
    assert [length - 76 for length in from_ap] == BURST
    assert home.stations().count(device.address) == 1
    assert "wpa_state=COMPLETED" in ours.command("status")
    assert interfaces() == {"wlan0": "managed"}


def data_frame(
    number: int, source: bytes = bytes.fromhex("02aabbccdd01"), destination: bytes = b"\xff" * 6
) -> bytes:
    """A data frame of an access point, with its own sequence number."""
    head = struct.pack("<HH", 0x4208, 0) + destination + bytes.fromhex("02aabbccddee") + source
    return head + struct.pack("<H", number << 4) + bytes(100 + number)


@asynccontextmanager
async def two_radios(
    tmp_path: Path, wanted: FrameFilter = GROUP_DATA
) -> AsyncIterator[tuple[RadioSniffer, RadioSniffer]]:
    async with (
        sniffing("wlan0", tmp_path / "a", wanted) as (_, sender),
        sniffing("wlan1", tmp_path / "b", wanted) as (_, receiver),
    ):
        await sender.tune(6)
        await receiver.tune(6)
        yield sender, receiver


@pytest.mark.duration(25)
async def test_what_is_injected_is_heard_by_others_and_not_by_us(bench: Bench, tmp_path: Path) -> None:
    bench.radios(2)
    with pytest.raises(MediumError, match="not started"):
        await RadioInjector(RadioSniffer(Radio("wlan0", tmp_path))).send(data_frame(0))
    async with two_radios(tmp_path) as (sender, receiver):
        injector = RadioInjector(sender)
        for number in range(20):
            await injector.send(data_frame(number))
        heard = await hear(receiver, lambda heard: len(heard) >= 20)
        assert [frame.data for frame in heard] == [data_frame(number) for number in range(20)]
        assert not any(frame.retry for frame in heard)
        # Another radio answers: its frames come, ours have not.
        answer = data_frame(1, source=bytes.fromhex("02aabbccdd02"))
        await RadioInjector(receiver).send(answer)
        assert [frame.data for frame in await hear(sender, len)] == [answer]
        # On another channel nobody hears it.
        assert await receiver.tune(1) == 1
        await injector.send(data_frame(21))
        assert await receiver.tune(6) == 6
        await injector.send(data_frame(22))
        assert [frame.data for frame in await hear(receiver, len)] == [data_frame(22)]


@pytest.mark.duration(25)
async def test_the_kernel_passes_only_what_is_wanted(bench: Bench, tmp_path: Path) -> None:
    bench.radios(2)
    probe = bytes.fromhex("40000000ffffffffffff02aabbccdd01ffffffffffff1000") + b"\0\0"
    beacon = bytes.fromhex("80000000ffffffffffff02aabbccddee02aabbccddee2000") + bytes(12) + b"\0\0"
    station = data_frame(3, destination=bytes.fromhex("02aabbccdd09"))
    to_ap = (
        struct.pack("<HH", 0x4188, 0)
        + bytes.fromhex("02aabbccddee02aabbccdd01ffffffffffff")
        + b"\x40\0\0\0"
        + bytes(50)
    )
    null = (
        struct.pack("<HH", 0x01C8, 0) + bytes.fromhex("02aabbccddee02aabbccdd01ffffffffffff") + b"\x50\0\0\0"
    )
    group, last = data_frame(7), data_frame(9)
    sent = [probe, beacon, station, null, to_ap, group, last]
    cases = {
        GROUP_DATA: [to_ap, group, last],
        FrameFilter(frozenset({"data"}), group_addressed=False): [station, to_ap, group, last],
        FrameFilter(frozenset({"probe request", "data"})): [probe, to_ap, group, last],
        FrameFilter(frozenset({"beacon", "data"})): [beacon, to_ap, group, last],
        EVERYTHING: [probe, beacon, station, to_ap, group, last],
    }
    for wanted, expected in cases.items():
        async with two_radios(tmp_path, wanted) as (sender, receiver):
            for frame in sent:
                await RadioInjector(sender).send(frame)
            heard = await hear(receiver, lambda heard: last in [frame.data for frame in heard])
            # The kernel fills in the duration.
            assert [frame.data[:2] + b"\0\0" + frame.data[4:] for frame in heard] == expected
            assert receiver.counts.passed == len(expected)
            assert sender.counts.passed == 0


@pytest.mark.duration(40)
async def test_what_nobody_reads_is_counted(bench: Bench, tmp_path: Path) -> None:
    bench.radios(2)
    async with two_radios(tmp_path) as (sender, receiver):
        total = QUEUE_MAX + 200
        injector = RadioInjector(sender)
        for number in range(total):
            await injector.send(data_frame(number % 50))
            if number % 50 == 0:
                await asyncio.sleep(0)
        kept: list[Frame] = []
        dropped = 0
        async with asyncio.timeout(30):
            while len(kept) + dropped < total:
                frames, lost = await receiver.read()
                kept += frames
                dropped += lost
        assert len(kept) + dropped == total
        assert dropped > 0
        # And it goes on.
        await injector.send(data_frame(49))
        assert ((await receiver.read())[0][-1]).data == data_frame(49)


@pytest.mark.duration(25)
async def test_a_read_that_is_cancelled_loses_nothing(bench: Bench, tmp_path: Path) -> None:
    bench.radios(2)
    async with two_radios(tmp_path) as (sender, receiver):
        heard: list[bytes] = []
        reading = asyncio.ensure_future(receiver.read())
        for number in range(40):
            await RadioInjector(sender).send(data_frame(number))
            reading.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                heard += [frame.data for frame in (await reading)[0]]
            reading = asyncio.ensure_future(receiver.read())
        while len(heard) < 40:
            heard += [frame.data for frame in (await asyncio.wait_for(reading, 10))[0]]
            reading = asyncio.ensure_future(receiver.read())
        reading.cancel()
        assert heard == [data_frame(number) for number in range(40)]


KILLED = f"""
import asyncio, pathlib, sys
sys.path[:0] = {sys.path!r}
from qiot.hal.contract import FrameFilter
from qiot.hal.linux.radio import Radio
from qiot.hal.linux.sniffer import RadioSniffer

async def main(interface, state):
    sniffer = RadioSniffer(Radio(interface, pathlib.Path(state)))
    await sniffer.start(FrameFilter(frozenset({{"data"}})))
    print("sniffing", flush=True)
    await asyncio.sleep(3600)

asyncio.run(main(*sys.argv[1:]))
"""


@pytest.mark.duration(30)
async def test_what_a_killed_process_left_is_undone(bench: Bench, tmp_path: Path) -> None:
    [device] = bench.radios(1)
    device.up()
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", KILLED, "wlan0", str(tmp_path), stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    assert await process.stdout.readline() == b"sniffing\n"
    assert set(interfaces()) == {"wlan0", "wlan0-mon"}
    assert not is_up("wlan0")
    os.kill(process.pid, signal.SIGKILL)
    await process.wait()
    radio = Radio("wlan0", tmp_path)
    RadioSniffer(radio)
    await radio.undo.recover()
    assert interfaces() == {"wlan0": "managed"}
    assert is_up("wlan0")
    assert json.loads((tmp_path / "undo-wlan0.json").read_text()) == []
    await radio.close()


@pytest.mark.duration(25)
async def test_the_own_interface_listens_where_there_is_no_second_one(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    device, _ = bench.radios(2)
    device.up()
    radio = Radio("wlan0", tmp_path)
    sniffer = RadioSniffer(radio)

    async def refused(mode: str) -> str:
        raise MediumError(f"no second interface ({mode})", code=16)

    monkeypatch.setattr(radio, "add_interface", refused)
    for was_up in (True, False):
        (device.up if was_up else device.down)()
        await sniffer.start(GROUP_DATA)
        assert interfaces()["wlan0"] == "monitor"
        assert await sniffer.tune(11) == 11
        async with sniffing("wlan1", tmp_path / "b") as (_, other):
            await other.tune(11)
            await RadioInjector(other).send(data_frame(5))
            assert (await hear(sniffer, len))[0].data == data_frame(5)
        await sniffer.stop()
        await sniffer.stop()
        assert interfaces()["wlan0"] == "managed"
        assert is_up("wlan0") is was_up
    # Killed in between: the next process brings the mode back.
    await sniffer.start(GROUP_DATA)
    await radio.undo.close()
    fresh = Radio("wlan0", tmp_path)
    RadioSniffer(fresh)
    await fresh.undo.recover()
    assert interfaces()["wlan0"] == "managed"
    await fresh.close()
    with pytest.raises(MediumError, match="is gone"):
        await asyncio.wait_for(sniffer.read(), 10)
    await sniffer.stop()
    await radio.close()


@pytest.mark.duration(25)
async def test_the_interface_vanishes(bench: Bench, tmp_path: Path) -> None:
    bench.radios(2)
    async with two_radios(tmp_path) as (sender, receiver):
        await RadioInjector(sender).send(data_frame(1))
        await hear(receiver, len)
        run(["iw", "dev", "wlan1-mon", "del"])
        with pytest.raises(MediumError, match="wlan1-mon is gone"):
            await asyncio.wait_for(receiver.read(), 10)
        with pytest.raises(MediumError, match="is gone"):
            await receiver.tune(1)
        with pytest.raises(MediumError, match="is gone"):
            await RadioInjector(receiver).send(data_frame(1))
    async with sniffing("wlan1", tmp_path / "b") as (_, again):
        assert await again.tune(3) == 3


@pytest.mark.duration(60)
async def test_under_networkmanager(bench: Bench, tmp_path: Path) -> None:
    """It has the interface, with its own wpa_supplicant; both have it again afterwards."""
    _, other = bench.radios(2)
    air = bench.namespace("air")
    other.move(air)
    manager = bench.network_manager()
    await asyncio.to_thread(manager.wait_for, "wlan0", "disconnected")
    async with sniffing("wlan0", tmp_path) as (_, sniffer):
        for channel in (1, 6, 11, 36, 6):
            assert await sniffer.tune(channel) == channel
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(sniffer.read(), 5)  # NetworkManager has its time to interfere
        assert await sniffer.tune(11) == 11
    assert set(interfaces()) == {"wlan0"}
    await asyncio.to_thread(manager.wait_for, "wlan0", "disconnected")


def test_nothing_is_left_of_a_start_that_fails(bench: Bench, tmp_path: Path) -> None:
    [device] = bench.radios(1)
    device.up()

    async def fail() -> None:
        radio = Radio("wlan0", tmp_path)
        sniffer = RadioSniffer(radio)
        with pytest.MonkeyPatch.context() as patch:

            def refused(*_: object) -> None:
                raise MediumError("no socket")

            patch.setattr("qiot.hal.linux.sniffer._open", refused)
            with pytest.raises(MediumError, match="no socket"):
                await sniffer.start(GROUP_DATA)
        assert interfaces() == {"wlan0": "managed"}
        assert is_up("wlan0")
        # Cancelled wherever it is.
        for steps in (1, 4, 9, 14, 19, 24, 30, 36, 44):
            starting = asyncio.ensure_future(sniffer.start(GROUP_DATA))
            for _ in range(steps):
                await asyncio.sleep(0)
            if starting.done():
                break
            starting.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await starting
                break
            assert interfaces() == {"wlan0": "managed"}
            assert is_up("wlan0")
        await sniffer.stop()
        assert interfaces() == {"wlan0": "managed"}
        await radio.close()

    asyncio.run(fail())
