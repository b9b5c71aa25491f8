"""One sniffer for every method of the air: taken once, given to joins, given back; what is seen is said."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence

import pytest

from qiot.errors import ConfigurationError, HalError, MediumError
from qiot.hal.contract import Frame, FrameFilter, ListenContext, Sniffer
from qiot.model import Event, Outcome, Reason, Secret, Step
from qiot.protocols.air.observation import Direction
from qiot.protocols.air.results import Progress
from qiot.protocols.base import Seen
from qiot.wifi_config.drivers.air import AirWatch
from qiot.wifi_config.drivers.air_listener import AirKissByAir, SimpleConfigByAir, SmartConfigByAir
from qiot.wifi_config.drivers.air_report import AirReport, explain, nothing_seen

CONTEXT = ListenContext("pid", "dn")
PATIENCE = 10.0


def started(step: Step) -> Event:
    return Event(1, 0.0, 1, step, Outcome.STARTED)


class FakeSniffer(Sniffer):
    """Frames that a test puts in, channels that a test holds or refuses."""

    def __init__(self, channels: Sequence[int] = (1, 6, 11)) -> None:
        self.has = list(channels)
        self.held: int | None = None
        self.refused: set[int] = set()
        self.starts = self.stops = 0
        self.up = False
        self.tuned: list[int] = []
        self.start_errors: list[HalError] = []
        self.frames: asyncio.Queue[Sequence[Frame] | HalError] = asyncio.Queue()
        self.hopped = asyncio.Event()
        self.starting = asyncio.Event()
        self.may_start = asyncio.Event()
        self.may_start.set()

    async def channels(self) -> Sequence[int]:
        return self.has

    async def start(self, wanted: FrameFilter) -> None:
        if self.start_errors:
            raise self.start_errors.pop(0)
        assert not self.up, "started twice"
        if not self.may_start.is_set():
            self.starting.set()
            await self.may_start.wait()
        assert "data" in wanted.kinds
        self.starts += 1
        self.up = True

    async def tune(self, channel: int) -> int:
        assert self.up, "tuned while it is somebody else's"
        if channel in self.refused:
            raise MediumError("not in this country")
        self.tuned.append(channel)
        self.hopped.set()
        return self.held or channel

    async def read(self) -> tuple[Sequence[Frame], int]:
        item = await self.frames.get()
        if isinstance(item, HalError):
            raise item
        return item, 0

    async def stop(self) -> None:
        self.stops += 1
        self.up = False

    async def hops(self, count: int) -> list[int]:
        """The next channels."""
        begin = len(self.tuned)
        async with asyncio.timeout(PATIENCE):
            while len(self.tuned) < begin + count:
                self.hopped.clear()
                await self.hopped.wait()
        return self.tuned[begin:]


@pytest.fixture
async def three() -> AsyncIterator[Callable[[FakeSniffer], tuple]]:
    made: list = []

    def make(sniffer: FakeSniffer) -> tuple[SmartConfigByAir, AirKissByAir, SimpleConfigByAir]:
        watch = AirWatch(sniffer)
        listeners = SmartConfigByAir(watch), AirKissByAir(watch), SimpleConfigByAir(watch)
        made.extend(listeners)
        return listeners

    yield make
    for each in made:
        await each.stop()
    assert not [task for task in asyncio.all_tasks() if task.get_name().startswith("qiot air")]


async def test_three_methods_share_one_sniffer(three) -> None:
    sniffer = FakeSniffer()
    listeners = three(sniffer)
    for each in listeners:
        await each.start(CONTEXT)
    assert sniffer.starts == 1
    assert set(await sniffer.hops(3)) == {1, 6, 11}
    for each in listeners[:2]:
        await each.stop()
    assert sniffer.up
    await listeners[2].stop()
    await listeners[2].stop()
    assert not sniffer.up
    assert sniffer.stops == 1


async def test_a_join_gets_the_radio_and_the_next_listening_takes_it_back(three) -> None:
    sniffer = FakeSniffer()
    listeners = three(sniffer)
    for each in listeners:
        await each.start(CONTEXT)
    await asyncio.gather(*(each.tell(started(Step.JOINING)) for each in listeners))
    assert not sniffer.up, "given up before the event has been told"
    await asyncio.gather(*(each.tell(started(Step.LISTENING)) for each in listeners))
    assert sniffer.up
    assert sniffer.starts == 2
    assert await sniffer.hops(1)


@pytest.mark.parametrize("then", ["listens", "joins", "joins and listens", "stops"])
async def test_a_radio_that_is_slow_to_come_back_is_waited_for_though_nobody_reports_so_long(
    three, then: str
) -> None:
    sniffer = FakeSniffer()
    smart, _, _ = three(sniffer)
    await smart.start(CONTEXT)
    await smart.tell(started(Step.JOINING))
    sniffer.may_start.clear()
    report = asyncio.create_task(smart.tell(started(Step.LISTENING)))
    async with asyncio.timeout(PATIENCE):
        await sniffer.starting.wait()
    report.cancel()  # as the session does, which waits for a report only so long
    impatient = []
    if then == "stops":
        impatient.append(asyncio.create_task(smart.stop()))
    if then.startswith("joins"):
        impatient.append(asyncio.create_task(smart.tell(started(Step.JOINING))))
    await asyncio.wait([report, *impatient], timeout=0.01)
    for each in impatient:
        each.cancel()
    if then == "joins and listens":
        impatient.append(asyncio.create_task(smart.tell(started(Step.LISTENING))))
    sniffer.may_start.set()
    await asyncio.wait([report, *impatient])
    resuming = smart._watch._resuming
    assert resuming is not None
    await asyncio.wait_for(asyncio.shield(resuming), PATIENCE)
    assert sniffer.up is then.endswith("listens")
    assert smart._watch.listening is sniffer.up


async def test_a_sniffer_that_does_not_come_back_ends_the_methods(three) -> None:
    sniffer = FakeSniffer()
    smart, kiss, _ = three(sniffer)
    await smart.start(CONTEXT)
    await kiss.start(CONTEXT)
    await smart.tell(started(Step.JOINING))
    sniffer.start_errors = [MediumError("the radio is gone")]
    await smart.tell(started(Step.LISTENING))
    for each in (smart, kiss):
        with pytest.raises(HalError, match="the radio is gone"):
            await each.read()


async def test_a_radio_that_goes_away_ends_every_method_and_leaves_nothing(three) -> None:
    sniffer = FakeSniffer()
    smart, kiss, _ = three(sniffer)
    await smart.start(CONTEXT)
    await kiss.start(CONTEXT)
    reading = asyncio.create_task(smart.read())
    sniffer.frames.put_nowait(MediumError("unplugged"))
    with pytest.raises(HalError, match="unplugged"):
        await asyncio.wait_for(reading, PATIENCE)
    with pytest.raises(HalError, match="unplugged"):
        await kiss.read()
    await smart.stop()
    await kiss.stop()
    assert not sniffer.up


async def test_a_platform_that_closes_tells_everybody_and_gives_the_radio_back(three) -> None:
    sniffer = FakeSniffer()
    smart, kiss, _ = three(sniffer)
    await smart.start(CONTEXT)
    await kiss.start(CONTEXT)
    reading = asyncio.create_task(kiss.read())
    await smart._watch.shut()
    assert not sniffer.up
    with pytest.raises(HalError) as error:
        await asyncio.wait_for(reading, PATIENCE)
    assert error.value.reason is Reason.STOPPED
    await smart._watch.shut()


async def test_a_start_that_fails_leaves_nothing_and_may_be_repeated(three) -> None:
    sniffer = FakeSniffer()
    sniffer.start_errors = [MediumError("no permission", reason=Reason.NO_PERMISSION)]
    smart, _, _ = three(sniffer)
    with pytest.raises(MediumError):
        await smart.start(CONTEXT)
    with pytest.raises(HalError) as error:
        await smart.read()
    assert error.value.reason is Reason.STOPPED
    await smart.start(CONTEXT)
    assert sniffer.up
    with pytest.raises(HalError, match="already"):
        await smart.start(CONTEXT)


async def test_a_wrong_key_is_said_at_the_start(three) -> None:
    sniffer = FakeSniffer()
    smart, _, _ = three(sniffer)
    with pytest.raises(ConfigurationError, match="16 octets"):
        await smart.start(ListenContext("pid", "dn", keys={"esptouch_key": Secret("short")}))
    assert not sniffer.up


async def test_a_channel_that_cannot_be_had_is_left_out(three) -> None:
    sniffer = FakeSniffer((1, 6, 11))
    sniffer.refused = {6}
    smart, _, _ = three(sniffer)
    await smart.start(CONTEXT)
    assert set(await sniffer.hops(5)) == {1, 11}


async def test_no_channel_at_all_ends_the_method(three) -> None:
    sniffer = FakeSniffer((1,))
    sniffer.refused = {1}
    smart, _, _ = three(sniffer)
    await smart.start(CONTEXT)
    with pytest.raises(HalError, match="not in this country"):
        await asyncio.wait_for(smart.read(), PATIENCE)


async def test_a_radio_that_others_hold_is_said_once(three) -> None:
    sniffer = FakeSniffer()
    sniffer.held = 9
    smart, _, _ = three(sniffer)
    await smart.start(CONTEXT)
    [seen] = await asyncio.wait_for(smart.read(), PATIENCE)
    assert isinstance(seen, Seen)
    assert seen.channel == 9
    assert "stays on channel 9" in seen.text
    assert len(sniffer.tuned) == 1, "it is not asked again and again"


async def test_what_is_no_frame_does_no_harm(three) -> None:
    sniffer = FakeSniffer()
    smart, _, _ = three(sniffer)
    await smart.start(CONTEXT)
    odd = [
        b"",
        b"\x80",
        b"\x80" * 5,
        b"\x80" + bytes(40),
        b"\x08\x01" + b"\xff" * 22,
        b"\x88\x01" + b"\xff" * 22,
    ]
    sniffer.frames.put_nowait([Frame(data, 0.0, 6) for data in odd])
    sniffer.frames.put_nowait(MediumError("the end"))
    with pytest.raises(HalError, match="the end"):
        await asyncio.wait_for(smart.read(), PATIENCE)


# --- what is said -----------------------------------------------------------------------------------------


def progress(**changes) -> Progress:
    facts = {
        "protocol": "esptouch-v1",
        "transmitter": bytes(6),
        "weight": 0.5,
        "channel": 6,
        "directions": frozenset(),
        "overhead": (),
        "frames": 100,
        "have": 10,
        "need": 40,
        "missing": ("octet 3", "octet 4"),
        "wrong_checksums": 2,
        "text": "ESP-TOUCH: guide heard, 10 octets known, 40 needed",
    }
    return Progress(**(facts | changes))


def test_it_is_said_what_was_seen_and_what_is_missing() -> None:
    text = explain(progress())
    for part in ("guide heard", "channel 6", "missing: octet 3, octet 4", "2 wrong checksums"):
        assert part in text


def test_it_is_said_which_half_of_the_way_is_missing_but_not_too_soon() -> None:
    one = {"directions": frozenset({Direction.TO_AP})}
    assert "router does not send it on" in explain(progress(frames=500, **one))
    assert "router" not in explain(progress(frames=50, **one))
    other = {"directions": frozenset({Direction.FROM_AP})}
    assert "only from the router" in explain(progress(frames=500, **other))


def test_reports_are_rare_and_the_last_one_is_never_left_out() -> None:
    report = AirReport(0.0)
    assert len(report.follow([progress(weight=0.3)], 0.0)) == 1
    assert not report.follow([progress(weight=0.9, have=30)], 0.5)
    assert len(report.follow([progress(weight=0.9, have=30)], 1.1)) == 1
    assert not report.follow([progress(weight=0.92, have=31)], 2.2)
    assert len(report.follow([progress(weight=1.0, have=40)], 2.3)) == 1


def test_a_sight_is_silent_and_stale_by_its_own_clock() -> None:
    report = AirReport(0.0)
    report.follow([progress()], 0.0)
    report.follow([progress(frames=120)], 2.0)
    sight = report.sight([progress(frames=120)], 6, {"esptouch-v1"}, 5.0)
    assert (sight.weight, sight.silent, sight.stale) == (0.5, 3.0, 5.0)
    assert report.sight([progress()], 7, {"esptouch-v1"}, 5.0).weight == 0
    assert report.sight([progress()], 6, {"airkiss"}, 5.0).weight == 0
    assert report.sight([progress(weight=1.0)], 6, {"esptouch-v1"}, 5.0).weight == 0


def test_nothing_seen_has_a_hint_for_each_case() -> None:
    texts = {
        nothing_seen(frames=0, networks=0, channels=(1, 2)),
        nothing_seen(frames=0, networks=3, channels=(1, 2)),
        nothing_seen(frames=9, networks=3, channels=(1, 2)),
    }
    assert len(texts) == 3
    assert any("5 GHz" in text and "20 MHz" in text for text in texts)
    assert any("client isolation" in text for text in texts)
