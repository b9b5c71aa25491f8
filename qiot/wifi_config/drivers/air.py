"""One sniffer for every method of the air: who listens shares it, and the decoders with it.

The watch owns the sniffer while at least one method listens and no join is at work. It reads frames in
batches, hops as the hopper says, tells what is recognised, and gives offers to the method they belong to.
"""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, ClassVar, Final, Protocol

import attrs

from qiot.errors import HalError, MediumError, ProtocolError
from qiot.hal.contract import Frame, FrameFilter, ListenContext, Sniffer, Wifi
from qiot.log import get_logger
from qiot.model import Credentials, Offer, Peer, Reason, Secret, show_ssid
from qiot.protocols.air import dot11
from qiot.protocols.air.results import Decoded
from qiot.protocols.base import Heard, Seen
from qiot.wifi_config.clue import describe_clue, resolve
from qiot.wifi_config.drivers.air_report import AirReport, nothing_seen
from qiot.wifi_config.drivers.hopper import Hopper, Sight
from qiot.wifi_config.drivers.neighbours import Neighbours

if TYPE_CHECKING:  # the decoders need cryptography, which is loaded when somebody listens
    from qiot.protocols.air.tracker import Tracker

__all__ = ["KEYS", "AirWatch", "Hearer"]

log = get_logger()

KEYS: Final = ("esptouch_key", "airkiss_key", "pin")
"""The methods' own secrets, as `ListenContext.keys` has them."""

_WANTED: Final = FrameFilter(frozenset({"data", "beacon"}))
_CHUNK: Final = 256
"""Frames that are looked at before others have their turn on the loop."""
_GLANCE: Final = 0.1
"""Seconds between two looks at how far the decoders are."""
_BUSY: Final = 4
"""Frames of one sender to everybody, during one look, that may be a phone that provisions."""
_BUSY_RATE: Final = 25.0
"""The same, per second, where the look goes on: ESP-TOUCH v2 sends 60, AirKiss 250, others a few."""
_BUSY_TOLD: Final = 1.0
"""Seconds of that which are worth a word."""
_BUSY_WEIGHT: Final = 0.1
_CLUE_TIME: Final = 3.0
"""Seconds in which the beacons of a network that was not named are waited for; the session's scan is next."""
_SENDERS_MAX: Final = 64
_BEACON: Final = 0x80


class Hearer(Protocol):
    """A method that listens."""

    method: ClassVar[str]
    protocols: ClassVar[frozenset[str]]

    def hear(self, heard: Heard) -> None:
        """Take an offer or a sign of life."""
        ...

    def fail(self, error: HalError) -> None:
        """The sniffer broke down."""
        ...


@attrs.define
class _Unnamed:
    """An offer whose network has to be found."""

    decoded: Decoded
    until: float


class AirWatch:
    """The sniffer, the decoders and the hopping of one platform.

    Args:
        sniffer: Monitor mode.
        wifi: Scans before listening, where it can; None does without.
    """

    def __init__(self, sniffer: Sniffer, wifi: Wifi | None = None) -> None:
        self._sniffer = sniffer
        self._neighbours = Neighbours(wifi)
        self._turn = asyncio.Lock()
        self._hearers: list[Hearer] = []
        self._keys: Mapping[str, Secret] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._releasing: asyncio.Task[None] | None = None
        self._resuming: asyncio.Task[None] | None = None
        self._paused = False
        self._failed = False
        self._tracker: Tracker | None = None
        self._hopper = Hopper(())
        self._report = AirReport(0.0)
        self._unnamed: list[_Unnamed] = []
        self._channel = 0
        self._lock_channel: int | None = None
        self._senders: dict[bytes, int] = {}
        self._frames = 0
        self._told_held: int | None = None
        self._since = 0.0
        self._told_busy = 0.0

    @property
    def listening(self) -> bool:
        """True while the sniffer is ours."""
        return bool(self._tasks)

    @property
    def channel(self) -> int:
        """Where the radio is, 0 before the first tune."""
        return self._channel

    async def open(self, hearer: Hearer, context: ListenContext) -> None:
        """Another method listens; the first one takes the sniffer.

        Raises:
            HalError: The sniffer cannot be had; nothing is left of the start.
            ConfigurationError: A key has a wrong length.
        """
        async with self._turn:
            keys = {name: context.keys[name] for name in KEYS if name in context.keys}
            if self._failed:
                await self._give_up()
            if not self.listening or keys != self._keys:
                await self._give_up()
                self._keys = keys
                await self._neighbours.scan()
                await self._take()
            self._hearers.append(hearer)

    async def close(self, hearer: Hearer) -> None:
        """A method listens no more; the last one gives the sniffer back. Idempotent."""
        if hearer in self._hearers:
            self._hearers.remove(hearer)
        if self._resuming is not None:
            await asyncio.wait({self._resuming})
        async with self._turn:
            if not self._hearers:
                await self._give_up()

    async def shut(self) -> None:
        """The platform closes: give the radio back, and let everybody who listens know. Idempotent."""
        async with self._turn:
            self._fail(HalError("the platform is closed", reason=Reason.STOPPED))
            self._hearers.clear()
            await self._give_up()

    async def pause(self) -> None:
        """Give the radio to a join."""
        self._paused = True
        async with self._turn:
            await self._give_up()

    async def resume(self) -> None:
        """Listen again after a join; nothing happens where nobody listens, or the sniffer is ours already.

        It goes on to its end where the caller cannot wait for it: a slow radio is no reason to be deaf.
        """
        self._paused = False
        if self._resuming is None or self._resuming.done():
            self._resuming = asyncio.create_task(self._resume(), name="qiot air resume")
        await asyncio.shield(self._resuming)

    async def _resume(self) -> None:
        async with self._turn:
            # Whoever stops or pauses meanwhile may not be able to wait either.
            while self.listening is not (wanted := bool(self._hearers) and not self._paused):
                if not wanted:
                    await self._give_up()
                    continue
                try:
                    await self._take()
                except HalError as error:
                    self._fail(error)
                    return

    # --- the radio --------------------------------------------------------------------------------------

    async def _take(self) -> None:
        if self._releasing is not None:
            await asyncio.shield(self._releasing)
        self._tracker = await self._new_tracker()
        channels = await self._sniffer.channels()
        await self._sniffer.start(_WANTED)
        now = asyncio.get_running_loop().time()
        self._failed = False
        if self._hopper.all_channels != tuple(channels):  # else it goes on where it was
            self._hopper = Hopper(channels)
        self._hopper.held = None
        self._hopper.prefer(self._neighbours.channels)
        if self._lock_channel is not None:
            self._hopper.remember(self._lock_channel)
        self._report = AirReport(now)
        self._frames, self._told_held = 0, None
        self._unnamed.clear()
        for work, name in ((self._read(), "frames"), (self._hop(), "channels")):
            task = asyncio.create_task(work, name=f"qiot air {name}")
            task.add_done_callback(self._note_end)
            self._tasks.append(task)
        log.info(f"listening to the air on {len(channels)} channels")

    async def _give_up(self) -> None:
        """Give the sniffer back; goes on to its end where the caller cannot wait for it."""
        if self._tasks:
            tasks, self._tasks = self._tasks, []
            for task in tasks:
                task.cancel()
            self._releasing = asyncio.create_task(self._release(tasks), name="qiot air release")
        if self._releasing is not None:
            await asyncio.shield(self._releasing)
            self._releasing = None

    async def _release(self, tasks: Sequence[asyncio.Task[None]]) -> None:
        await asyncio.gather(*tasks, return_exceptions=True)
        try:
            await self._sniffer.stop()
        except HalError as error:
            log.warning(f"the sniffer did not stop cleanly: {error}")

    async def _new_tracker(self) -> Tracker:
        name = "qiot.protocols.air.tracker"
        await asyncio.to_thread(importlib.import_module, name)  # half a second on a small board
        from qiot.protocols.air.tracker import Tracker, all_decoders

        keys = self._keys
        decoders = partial(
            all_decoders,
            esptouch_key=keys.get("esptouch_key"),
            airkiss_key=keys.get("airkiss_key"),
            pin=keys.get("pin"),
        )
        decoders()  # a wrong key is said now, not with the first phone
        return Tracker(decoders)

    def _note_end(self, task: asyncio.Task[None]) -> None:
        if task.cancelled() or task not in self._tasks:
            return
        error = task.exception()
        if error is not None and not isinstance(error, HalError):
            log.error("the watch over the air broke", exc_info=error)
        self._fail(error if isinstance(error, HalError) else HalError(f"the air cannot be heard: {error}"))

    def _fail(self, error: HalError) -> None:
        """Every method ends with it; the next `open` or `close` gives the radio back."""
        self._failed = True
        for hearer in self._hearers:
            hearer.fail(error)

    # --- frames -----------------------------------------------------------------------------------------

    async def _read(self) -> None:
        while True:
            frames, dropped = await self._sniffer.read()
            if dropped:
                log.warning(f"{dropped} frames came faster than they were looked at")
            for begin in range(0, len(frames), _CHUNK):
                self._look_at(frames[begin : begin + _CHUNK])
                await asyncio.sleep(0)

    def _look_at(self, frames: Sequence[Frame]) -> None:
        tracker = self._tracker
        if tracker is None:
            return
        for frame in frames:
            data = frame.data
            is_group = dot11.is_group_data(data)
            if not is_group and data[:1] != bytes((_BEACON,)):
                continue
            try:
                header = dot11.parse_header(data)
            except ProtocolError:
                continue
            if is_group:
                self._count(header.source)
            else:
                found = self._neighbours.hear(header, frame)
                if found is not None:
                    self._hopper.prefer({found})
            for decoded in tracker.hear(header, frame.channel, frame.t):
                self._on_decoded(decoded)

    def _count(self, source: bytes | None) -> None:
        self._frames += 1
        if source is not None and (source in self._senders or len(self._senders) < _SENDERS_MAX):
            self._senders[source] = self._senders.get(source, 0) + 1

    # --- results ----------------------------------------------------------------------------------------

    def _on_decoded(self, decoded: Decoded) -> None:
        self._lock_channel = decoded.channel
        hearer = self._hearer(decoded.protocol)
        if hearer is None:
            text = f"{decoded.protocol} was received, but nobody listens to it: name its method with --method"
            self._tell(Seen(1.0, decoded.channel, text))
            return
        if decoded.credentials.ssid is not None:
            self._offer(hearer, decoded, decoded.credentials)
            return
        now = asyncio.get_running_loop().time()
        self._unnamed.append(_Unnamed(decoded, now + _CLUE_TIME))
        self._name_networks(now)

    def _name_networks(self, now: float) -> None:
        """Find the networks that were not named among those that were heard."""
        for unnamed in list(self._unnamed):
            credentials = resolve(unnamed.decoded.credentials, self._neighbours.networks)
            if credentials is None and now < unnamed.until:
                continue
            self._unnamed.remove(unnamed)
            hearer = self._hearer(unnamed.decoded.protocol)
            if hearer is None:
                continue
            clue = describe_clue(unnamed.decoded.credentials)
            if credentials is None:
                log.info(f"the phone names no network, only {clue}: none of those heard fits, a scan has to")
                credentials = unnamed.decoded.credentials
            else:
                log.info(f"the phone names no network, only {clue}: that is {show_ssid(credentials.ssid)}")
            self._offer(hearer, unnamed.decoded, credentials)

    def _offer(self, hearer: Hearer, decoded: Decoded, credentials: Credentials) -> None:
        peer = Peer(hearer.method, decoded.transmitter.hex(":"))
        log.info(
            f"{decoded.protocol} from <{peer.address}> complete after {decoded.seconds:.1f} s "
            f"and {decoded.frames} frames on channel {decoded.channel}"
        )
        channel = credentials.channel or decoded.channel
        credentials = attrs.evolve(credentials, channel=channel)
        hearer.hear(Offer(peer, credentials, ack=decoded.ack, reserved=decoded.reserved))

    def _hearer(self, protocol: str) -> Hearer | None:
        return next((each for each in self._hearers if protocol in each.protocols), None)

    def _tell(self, seen: Seen, protocol: str = "") -> None:
        """To the method whose protocol it is, else to the first one."""
        hearer = self._hearer(protocol) or next(iter(self._hearers), None)
        if hearer is not None:
            hearer.hear(seen)

    # --- channels ---------------------------------------------------------------------------------------

    async def _hop(self) -> None:
        clock = asyncio.get_running_loop().time
        while True:
            wanted = self._hopper.next()
            if wanted is None:
                raise MediumError("the radio can go to no channel", hint="Set the country, or another radio.")
            try:
                found = await self._sniffer.tune(wanted)
            except MediumError as error:
                log.debug(f"channel {wanted} is left out: {error}")
                self._hopper.refuse(wanted)
                if not self._hopper.channels:
                    raise
                continue
            self._hopper.found(wanted, found)
            self._channel = found
            self._senders.clear()
            self._say_held()
            self._since = begin = clock()
            while self._hopper.stay(found, clock() - begin, self._sight()):
                left = begin + self._hopper.look(found) - clock()
                await asyncio.sleep(min(left, _GLANCE) if left > 0 else _GLANCE)
                self._say_progress(clock())

    def _say_held(self) -> None:
        held = self._hopper.held
        if held is not None and held != self._told_held:
            text = (
                f"the radio stays on channel {held}, where its station or access point holds it: "
                "phones in networks on other channels are not heard"
            )
            self._tell(Seen(0.0, held, text))
            self._told_held = held

    def _sight(self) -> Sight:
        tracker = self._tracker
        progress = tracker.progress() if tracker is not None and tracker.weight > 0 else ()
        wanted = frozenset().union(*(each.protocols for each in self._hearers))
        now = asyncio.get_running_loop().time()
        sight = self._report.sight(progress, self._channel, wanted, now)
        if sight.weight > 0:
            self._lock_channel = self._channel
        # What nobody listens to, or is complete, is no riddle that has to be waited for.
        known = any(each.channel == self._channel for each in progress)
        return attrs.evolve(sight, busy=not known and self._is_busy(now))

    def _is_busy(self, now: float) -> bool:
        """Somebody sends to everybody all the time; what it is may be seen with its next guide."""
        frames = max(self._senders.values(), default=0)
        busy = frames >= max(_BUSY, _BUSY_RATE * (now - self._since))
        if busy and now - self._since > _BUSY_TOLD and now - self._told_busy > _BUSY_TOLD:
            self._told_busy = now
            sender = max(self._senders, key=lambda each: self._senders[each]).hex(":")
            text = f"{sender} sends much to everybody on channel {self._channel}: waiting for its guide"
            self._tell(Seen(_BUSY_WEIGHT, self._channel, text))
        return busy

    def _say_progress(self, now: float) -> None:
        tracker = self._tracker
        progress = tracker.progress() if tracker is not None and tracker.weight > 0 else ()
        for protocol, seen in self._report.follow(progress, now):
            self._tell(seen, protocol)
        if self._unnamed:
            self._name_networks(now)
        if self._hopper.held is None and self._report.nothing_is_due(now):
            text = nothing_seen(
                frames=self._frames, networks=len(self._neighbours), channels=self._hopper.channels
            )
            self._tell(Seen(0.0, self._channel, text))
