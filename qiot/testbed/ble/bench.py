"""One codec on the bench: what comes in goes to it, what it wants comes out, and the script answers it."""

from __future__ import annotations

import heapq
import json
from collections.abc import Callable, Sequence
from typing import Final

from qiot.errors import ConfigurationError, ProtocolError
from qiot.model import Offer, Peer
from qiot.protocols.base import Ask, Codec, News, Output
from qiot.testbed.ble.codecs import PROTOCOLS, Side
from qiot.testbed.ble.fields import Fields
from qiot.testbed.ble.lines import Line, Show, Shown, read_line
from qiot.testbed.ble.script import Script, Timed, read_script
from qiot.testbed.ble.sources import Clock, random_source

__all__ = ["Bench", "make_bench"]

_TICKS_MAX: Final = 100_000
"""Deadlines in one stretch of time; more are a codec that does not come to rest."""
_RUN_MAX: Final = 3600.0
"""Seconds that "run" goes on after the end of the input."""
_OF_PHONES: Final = ("phone",)
_OF_DEVICES: Final = ("identity", "options", "wifi", "bind", "networks", "log", "errors", "unbind", "reset")
"""What the other side has in a configuration that serves both."""


class Bench:
    """A codec, its clock and its script.

    Args:
        codec: The side that is played.
        script: What the session would say; None on the phone's side.
        clock: Time.
        show: How things are shown.
        write: Gets every line that comes out.
        takes: The characteristic whose values this side is given.
        notify: The characteristic that a phone listens to.
        step: Seconds that pass before each line of input.
        at_end: Seconds that pass after the last one.
    """

    def __init__(
        self,
        codec: Codec,
        *,
        script: Script | None,
        clock: Clock,
        show: Show,
        write: Callable[[str], None],
        takes: str,
        notify: str,
        step: float,
        at_end: float,
    ) -> None:
        self._codec = codec
        self._script = script
        self._clock = clock
        self._show = show
        self._write = write
        self._takes = takes
        self._notify = notify
        self._step = step
        self._at_end = at_end
        self._pending: list[tuple[float, int, News]] = []
        self._count = 0

    def line(self, text: str) -> None:
        """Take one line of input.

        Raises:
            ConfigurationError: It is not understood, or time would go back.
        """
        line = read_line(text, self._notify)
        if line is None:
            return
        self._pass(self._when(line))
        if line.port not in ("", self._takes):
            self._say({"error": f"{line.port} is not what this side is given; that is {self._takes}"})
        elif line.data is not None:
            self._carry_out(
                lambda: self._codec.feed(line.port, line.data or b"", self._peer(line), self._clock.now)
            )
            self._pass(self._clock.now)

    def end(self) -> None:
        """The input is over."""
        self._pass(self._clock.now + self._at_end)

    def _when(self, line: Line) -> float:
        now = self._clock.now
        if line.after is not None:
            return now + line.after
        if line.at is None:
            return now + self._step
        if line.at < now:
            raise ConfigurationError(f"time goes back from {now:g} to {line.at:g} s")
        return line.at

    def _peer(self, line: Line) -> Peer:
        default = self._show.default
        link = default.link if line.link is None else line.link
        return Peer(default.method, line.peer or default.address, link)

    def _pass(self, until: float) -> None:
        """Let time pass, with every deadline and every scripted event in it."""
        for _ in range(_TICKS_MAX):
            deadline = self._codec.deadline()
            told = self._pending[0][0] if self._pending else None
            due = min((each for each in (deadline, told) if each is not None), default=None)
            if due is None or due > until:
                self._clock.now = max(self._clock.now, until)
                return
            self._clock.now = max(self._clock.now, due)
            if told is not None and told <= self._clock.now:
                news = heapq.heappop(self._pending)[2]
                self._say(self._show.news(news))
                self._carry_out(lambda news=news: self._codec.tell(news, self._clock.now))  # type: ignore[misc]
            else:
                self._carry_out(lambda: self._codec.tick(self._clock.now))
        raise ConfigurationError("the codec does not come to rest")

    def _carry_out(self, run: Callable[[], Sequence[Output]]) -> None:
        try:
            outputs = run()
        except ProtocolError as error:
            self._say({"error": str(error)})
            return
        for output in outputs:
            self._say(self._show.output(output))
            if self._script is not None and isinstance(output, Offer):
                self._plan(self._script.offered(output))
            elif self._script is not None and isinstance(output, Ask):
                self._plan(self._script.asked(output))

    def _plan(self, timed: Sequence[Timed]) -> None:
        for delay, news in timed:
            self._count += 1
            heapq.heappush(self._pending, (self._clock.now + delay, self._count, news))

    def _say(self, shown: Shown) -> None:
        self._write(json.dumps(shown))


def make_bench(protocol: str, side: Side, config: object, write: Callable[[str], None]) -> Bench:
    """A bench by its configuration (docs/ble_bench.md).

    Args:
        protocol: One of `PROTOCOLS`.
        side: Which side is played.
        config: The configuration, a JSON object.
        write: Gets every line that comes out.

    Raises:
        ConfigurationError: A field is not known or cannot be used; the message says which.
    """
    fields = Fields(config, "")
    entry = PROTOCOLS[protocol]
    clock, step = _clock(fields)
    peer = fields.inner("peer")
    default = Peer(
        peer.text("method", protocol),
        peer.text("address", "11:22:33:44:55:66"),
        peer.integer("link", 1, 0, 2**31),
    )
    peer.end()
    bench = Bench(
        (entry.device if side == "device" else entry.phone)(fields, random_source(fields), clock),
        script=read_script(fields) if side == "device" else None,
        clock=clock,
        show=Show(fields.boolean("show_secrets", default=False), default),
        write=write,
        takes=entry.write if side == "device" else entry.notify,
        notify=entry.notify,
        step=step,
        at_end=_at_end(fields),
    )
    for key in _OF_PHONES if side == "device" else _OF_DEVICES:
        fields.raw(key)
    fields.end()
    return bench


def _clock(fields: Fields) -> tuple[Clock, float]:
    """`clock`, and how much passes before each line; a number alone is the time of day."""
    value = fields.raw("clock", {})
    if isinstance(value, int | float) and not isinstance(value, bool):
        value = {"wall": value}
    times = Fields(value, "clock")
    clock = Clock(times.number("start", 0.0), times.number("wall", 0.0))
    step = times.number("step", 0.0)
    times.end()
    return clock, step


def _at_end(fields: Fields) -> float:
    value = fields.raw("at_end", "stop")
    if value in ("stop", "run"):
        return _RUN_MAX if value == "run" else 0.0
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= _RUN_MAX:
        raise fields.wrong("at_end", f'is neither "stop", "run" nor seconds up to {_RUN_MAX:g}')
    return float(value)
