"""A device and a phone pushed through each other, without Bluetooth: queues, an ATT MTU, and time by hand."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from qiot.model import Event, Failure, Offer, Outcome, Peer, Step
from qiot.protocols.base import (
    Answer,
    Ask,
    Codec,
    Connected,
    Drop,
    Learned,
    Lost,
    Mtu,
    News,
    Output,
    Refused,
    Seen,
    Send,
    Subscribed,
)

VECTORS = Path(__file__).parent / "vectors"

PHONE = Peer("ble", "11:22:33:44:55:66", 1)
"""How the device sees the phone."""
DEVICE = Peer("ble", "CB:D5:2F:25:B5:E1", 1)
"""How the phone sees the device."""

Air = Callable[[bytes], Sequence[bytes]]
"""What becomes of one write or notification: nothing, itself, several."""


def vector(name: str) -> Any:
    return json.loads((VECTORS / f"{name}.json").read_text())


def event(
    step: Step,
    outcome: Outcome = Outcome.OK,
    *,
    peer: Peer | None = PHONE,
    failure: Failure | None = None,
    **detail: str | float | bool,
) -> Event:
    return Event(1, 0.0, 1, step, outcome, peer, failure, detail)


def sent(outputs: Iterable[Output]) -> list[bytes]:
    """The octets of the sends among outputs."""
    return [output.data for output in outputs if isinstance(output, Send)]


def of(kind: type, outputs: Iterable[Output]) -> list:
    """The outputs of one kind."""
    return [output for output in outputs if isinstance(output, kind)]


class Pair:
    """Both ends of one link.

    Args:
        device: The device's side.
        phone: The phone's side.
        notify: The characteristic that the phone listens to, four hexadecimal digits.
        mtu: ATT MTU; nothing longer than three octets less goes through. None: nobody tells, nothing is cut.
        answer: What the session would tell the device for something that it heard.
        up: What becomes of notifications.
        down: What becomes of writes.

    Attributes:
        heard: What the device gave beside sends.
        learned: What the phone gave beside sends.
        trace: Everything that was sent: ("phone" or "device", port, octets).
        now: The time in seconds.
    """

    def __init__(
        self,
        device: Codec,
        phone: Codec,
        *,
        notify: str,
        mtu: int | None = None,
        answer: Callable[[Ask | Offer | Refused | Seen], Sequence[News]] = lambda heard: (),
        up: Air = lambda data: [data],
        down: Air = lambda data: [data],
    ) -> None:
        self.device, self.phone = device, phone
        self.heard: list[Ask | Offer | Refused | Seen] = []
        self.learned: list[Learned] = []
        self.trace: list[tuple[str, str, bytes]] = []
        self.now = 100.0
        self.connected = False
        self.dropped = False
        self._notify, self._mtu, self._answer = notify, mtu, answer
        self._up, self._down = up, down
        self._queue: deque[tuple[str, str, bytes]] = deque()

    def connect(self) -> None:
        """Connect, agree on the MTU, listen; then everything that follows from it."""
        self.connected = True
        steps = [Connected(), *([] if self._mtu is None else [Mtu(self._mtu)]), Subscribed(self._notify)]
        for step in steps:
            self._from_device(self.device.feed("", step, PHONE, self.now))
            self._from_phone(self.phone.feed("", step, DEVICE, self.now))
        self.run()

    def lose(self) -> None:
        """The link is gone, and what was under way with it."""
        self.connected = False
        self._queue.clear()
        self._from_device(self.device.feed("", Lost(), PHONE, self.now))
        self._from_phone(self.phone.feed("", Lost(), DEVICE, self.now))

    def tell(self, *news: News) -> None:
        """The session tells the device; then everything that follows from it."""
        for each in news:
            self._from_device(self.device.tell(each, self.now))
        self.run()

    def run(self) -> None:
        """Deliver until nothing is under way."""
        while self._queue:
            side, port, data = self._queue.popleft()
            self.trace.append((side, port, data))
            assert self._mtu is None or len(data) <= self._mtu - 3, f"{side} sent more than the link takes"
            if side == "phone":
                for each in self._down(data):
                    self._from_device(self.device.feed(port, each, PHONE, self.now))
            else:
                for each in self._up(data):
                    self._from_phone(self.phone.feed(port, each, DEVICE, self.now))

    def wait(self, seconds: float) -> None:
        """Let time pass, with every tick that is due in it."""
        end = self.now + seconds
        for _ in range(10_000):
            due = [each for each in (self.device.deadline(), self.phone.deadline()) if each is not None]
            if not due or min(due) > end:
                break
            self.now = max(self.now, min(due))
            self._from_device(self.device.tick(self.now))
            self._from_phone(self.phone.tick(self.now))
            self.run()
        else:
            raise AssertionError("a deadline that is over and over due")
        self.now = end

    def writes(self) -> list[bytes]:
        """What the phone has written until now."""
        return [data for side, _, data in self.trace if side == "phone"]

    def notifications(self) -> list[bytes]:
        """What the device has notified until now."""
        return [data for side, _, data in self.trace if side == "device"]

    def _from_device(self, outputs: Sequence[Output]) -> None:
        for output in outputs:
            match output:
                case Send():
                    if self.connected:
                        self._queue.append(("device", output.port, output.data))
                case Drop():
                    self.dropped = True
                case Learned():
                    raise AssertionError("a device learns nothing")
                case _:
                    self.heard.append(output)
                    for news in self._answer(output):
                        self._from_device(self.device.tell(news, self.now))

    def _from_phone(self, outputs: Sequence[Output]) -> None:
        for output in outputs:
            match output:
                case Send():
                    if self.connected:
                        self._queue.append(("phone", output.port, output.data))
                case Drop():
                    self.dropped = True
                case Learned():
                    self.learned.append(output)
                case _:
                    raise AssertionError(f"a phone gives no {output}")


def session(
    *,
    joined: Failure | None = None,
    bound: Failure | None = None,
    **detail: str | float | bool,
) -> Callable[[Ask | Offer | Refused | Seen], Sequence[News]]:
    """A session that answers each offer at once with a way that ends as given."""

    def answer(heard: Ask | Offer | Refused | Seen) -> Sequence[News]:
        if isinstance(heard, Ask) and heard.what == "log":
            return [Answer("log", heard.peer, (b"one\r\n", b"two\r\n"))]
        if not isinstance(heard, Offer):
            return []
        told = []
        if heard.credentials is not None:
            told.append(_ended(Step.JOINING, joined, heard.peer))
        if joined is None and heard.grant is not None:
            told.append(_ended(Step.BINDING, bound, heard.peer, **detail))
            if bound is None:
                told.append(event(Step.BOUND, peer=heard.peer))
        return told

    return answer


def _ended(step: Step, failure: Failure | None, peer: Peer, **detail: str | float | bool) -> Event:
    outcome = Outcome.OK if failure is None else Outcome.FAILED
    return event(step, outcome, peer=peer, failure=failure, **detail)
