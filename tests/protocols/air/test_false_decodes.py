"""Never a wrong result: phones, neighbours, restarts, look-alikes and damage at random; a fixed seed.

QIOT_AIR_RUNS makes more runs (10000 take several minutes), QIOT_AIR_SEED others.
"""

from __future__ import annotations

import itertools
import os
import random
from collections.abc import Iterator

import attrs
import pytest

from qiot.model import Secret
from qiot.protocols.air.airkiss import AirKiss, Pacing
from qiot.protocols.air.calibration import OVERHEADS
from qiot.protocols.air.casts import Cast, Encoder
from qiot.protocols.air.esptouch import ORDERS, EspTouch
from qiot.protocols.air.esptouch_v2 import EspTouchV2
from qiot.protocols.air.observation import Direction, Observation
from qiot.protocols.air.realtek import RealtekSimpleConfig
from qiot.protocols.air.results import AIRKISS, ESPTOUCH, ESPTOUCH_V2, REALTEK, Decoded
from qiot.protocols.air.tracker import Tracker, all_decoders
from tests.protocols.air.channel import Channel, merged

RUNS = int(os.environ.get("QIOT_AIR_RUNS", "150"))
SEED = int(os.environ.get("QIOT_AIR_SEED", "0"))
FRAMES = 900
KEY = Secret(b"0123456789abcdef")
PIN = Secret(b"12345678")
ALPHABETS = (range(0x20, 0x7F), range(256))


@attrs.frozen
class Truth:
    """What a phone sends."""

    protocol: str
    phone: bytes
    ssid: bytes
    password: bytes
    bssid: bytes | None
    reserved: bytes = b""

    def allows(self, result: Decoded) -> bool:
        credentials = result.credentials
        return (
            result.protocol == self.protocol
            and result.transmitter == self.phone
            and credentials.ssid in {self.ssid or None, None if self.protocol == ESPTOUCH else self.ssid}
            and (credentials.clue is None) is (credentials.ssid is not None)
            and credentials.password == Secret(self.password)
            and credentials.bssid in {None, self.bssid}
            and result.reserved == self.reserved
        )


@attrs.define
class Scene:
    """One random run."""

    random: random.Random
    truths: list[Truth] = attrs.field(factory=list)

    def octets(self, most: int, least: int = 0) -> bytes:
        size = self.random.choice(
            (least, self.random.randint(least, most), self.random.randint(least, most // 2))
        )
        return bytes(self.random.choices(self.random.choice(ALPHABETS), k=size))

    def encoder(self, phone: bytes, access_point: bytes, protocol: str, like: Truth | None = None) -> Encoder:
        """A phone with credentials of its own, or with another password for the same network."""
        ssid = self.octets(32, 1) if like is None else like.ssid
        password = self.octets(64)
        if like is not None and like.password and self.random.random() < 0.5:
            place = self.random.randrange(len(like.password))
            typo = bytearray(like.password)
            typo[place] ^= 1 << self.random.randrange(7)
            password = bytes(typo)
        reserved = self.octets(64) if protocol == ESPTOUCH_V2 and self.random.random() < 0.3 else b""
        bssid = None if protocol in {AIRKISS, REALTEK} else access_point
        self.truths.append(Truth(protocol, phone, ssid, password, bssid, reserved))
        if protocol == ESPTOUCH:
            return EspTouch(
                ssid,
                Secret(password),
                access_point,
                "192.168.1.2",
                ssid_in_datum=self.random.random() < 0.8,
                order=self.random.choice(ORDERS),
            )
        if protocol == ESPTOUCH_V2:
            return EspTouchV2(
                ssid,
                Secret(password),
                access_point,
                self.random.randbytes,
                reserved=reserved,
                key=self.random.choice((None, KEY)),
                security=self.random.choice((1, 2)),
            )
        if protocol == AIRKISS:
            pacing = Pacing(
                guides=self.random.choice((10, 50)), magics=10, rounds=self.random.choice((1, 2, 15))
            )
            return AirKiss(ssid, Secret(password), self.random.randrange(256), pacing=pacing)
        return RealtekSimpleConfig(
            ssid,
            Secret(password),
            "192.168.1.2",
            phone,
            self.random.randbytes,
            pattern=self.random.choice((2, 4)),
        )

    def casts(self, phone: bytes, access_point: bytes, protocol: str) -> Iterator[Cast]:
        """What a phone sends: from anywhere on, perhaps starting over with another password."""
        encoder = self.encoder(phone, access_point, protocol)
        start = self.random.choice((0, self.random.randrange(2000)))
        before = self.random.choice((FRAMES, self.random.randrange(1, FRAMES)))
        sent = list(itertools.islice(encoder.casts(), start, start + before))
        sent = [attrs.evolve(cast, t=cast.t - sent[0].t) for cast in sent]
        if before < FRAMES:
            again = self.encoder(phone, access_point, protocol, self.truths[-1])
            pause = sent[-1].t + self.random.choice((0.02, self.random.random() * 4))
            sent += [attrs.evolve(cast, t=cast.t + pause) for cast in itertools.islice(again.casts(), FRAMES)]
        for _ in range(self.random.choice((0, 0, 5, 40))):
            at = self.random.random() * sent[-1].t
            sent.append(Cast(at, "255.255.255.255", 9, self.random.randrange(1500), "look-alike"))
        return iter(sorted(sent, key=lambda cast: cast.t))

    def phone(self, protocol: str, access_point: bytes) -> list[Observation]:
        """One phone, to the access point, from it, or both."""
        phone = bytes((2,)) + self.random.randbytes(5)
        casts = list(self.casts(phone, access_point, protocol))
        directions = self.random.choice(([Direction.TO_AP], [Direction.FROM_AP], list(Direction)))
        return merged(
            *(self.channel(phone, access_point, direction).carry(casts) for direction in directions)
        )

    def channel(self, phone: bytes, access_point: bytes, direction: Direction) -> Channel:
        return Channel(
            self.random,
            loss=self.random.random() * 0.6,
            overhead=self.random.choice((*OVERHEADS, self.random.randint(36, 90))),
            direction=direction,
            phone=phone,
            access_point=access_point,
            others=self.random.choice((0, 0, 5, 40)),
            others_heard=self.random.random() < 0.5,
            retries=self.random.choice((0, 0.1)),
            numbered=self.random.random() < 0.9,
            sequence=self.random.randrange(4096),
            start=self.random.random() * 0.05,
        )

    def damaged(self, heard: list[Observation]) -> Iterator[Observation]:
        """Some frames have another length, number or sender than they were sent with."""
        share = self.random.choice((0, 0, 0.002, 0.02))
        for seen in heard:
            if self.random.random() >= share:
                yield seen
                continue
            yield self.random.choice(
                (
                    attrs.evolve(seen, length=self.random.randrange(1600)),
                    attrs.evolve(seen, length=seen.length ^ 1 << self.random.randrange(9)),
                    attrs.evolve(seen, sequence=seen.sequence ^ 1 << self.random.randrange(12)),
                    attrs.evolve(seen, transmitter=bytes((2,)) + self.random.randbytes(5)),
                )
            )


def wrong_results(seed: int) -> tuple[list[str], int]:
    """One run: what was decoded and never sent, and how many results there were."""
    scene = Scene(random.Random(seed))
    access_point = bytes((4,)) + scene.random.randbytes(5)
    protocols = (ESPTOUCH, ESPTOUCH_V2, AIRKISS, REALTEK)
    phones = [
        scene.phone(scene.random.choice(protocols), access_point)
        for _ in range(scene.random.choice((1, 1, 2)))
    ]
    tracker = Tracker(lambda: all_decoders(esptouch_key=KEY, pin=PIN))
    results = [result for seen in scene.damaged(merged(*phones)) for result in tracker.feed(seen)]
    wrong = [
        f"{result} password {result.credentials.password.reveal()!r}, sent: {scene.truths}"
        for result in results
        if not any(truth.allows(result) for truth in scene.truths)
    ]
    return wrong, len(results)


@pytest.mark.parametrize("part", range(10))
def test_nothing_is_decoded_that_was_not_sent(part: int) -> None:
    runs, found = -(-RUNS // 10), 0
    for run in range(runs):
        seed = SEED * 1_000_003 + part * runs + run
        wrong, count = wrong_results(seed)
        assert not wrong, f"seed {seed}: {wrong[0]}"
        found += count
    assert found > runs / 4  # the runs are not so hard that they show nothing
