"""One random run over the plain channel, and one in the simulated air: what was decoded and never sent."""

from __future__ import annotations

import random
from collections.abc import Iterator

import attrs

from qiot.protocols.air.calibration import OVERHEADS
from qiot.protocols.air.observation import Direction, Observation
from qiot.protocols.air.results import Decoded
from qiot.sim.air import Bursts, Cipher, Habits, Heard, House, Link, Manners, Protection, Traffic, neighbours
from tests.protocols.air.channel import Channel, merged
from tests.protocols.air.random_phones import PROTOCOLS, RandomPhones, tracker
from tests.protocols.air.scene import Scene, take

_CIPHERS = (Cipher.OPEN, Cipher.WEP, Cipher.TKIP, Cipher.CCMP, Cipher.CCMP, Cipher.GCMP_256)
_SECONDS = 20.0


@attrs.define
class PlainScene(RandomPhones):
    """Phones over the plain channel."""

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


def in_the_channel(seed: int) -> tuple[list[str], int]:
    """One run over the plain channel: what is wrong, and how many results there were."""
    scene = PlainScene(random.Random(seed))
    access_point = bytes((4,)) + scene.random.randbytes(5)
    phones = [
        scene.phone(scene.random.choice(PROTOCOLS), access_point)
        for _ in range(scene.random.choice((1, 1, 2)))
    ]
    there = tracker()
    results = [result for seen in scene.damaged(merged(*phones)) for result in there.feed(seen)]
    return scene.wrong(results), len(results)


def in_the_air(seed: int) -> tuple[list[str], int]:
    """One run in the simulated air: what is wrong, and how many results there were.

    One or two phones at one access point or at two, busy neighbours, old ciphers, sleepers, interference; and
    sometimes a receiver that does not say which frames are damaged.
    """
    phones = RandomPhones(random.Random(seed))
    source = phones.random
    scene = _random_scene(source, seed)
    access_points = [scene.access_point, scene.add_access_point(bytes((4,)) + source.randbytes(5))]
    macs = [bytes((2,)) + source.randbytes(5) for _ in range(source.choice((1, 1, 2)))]
    for mac in macs:
        access_point = source.choice(access_points)
        scene.phone(
            phones.casts(mac, access_point.bssid, source.choice(PROTOCOLS)),
            mac,
            access_point=access_point,
            habits=Habits(
                quality=source.random() < 0.8,
                ht_control=source.random() < 0.2,
                unheard=source.choice((0.02, 0.2)),
            ),
            traffic=Traffic(up=source.choice((0, 3, 30)), voice=source.choice((0, 10)), nulls=0.5),
            after=source.random(),
        )
    deaf_to = [address for address in (*macs, scene.bssid) if source.random() < 0.2]
    loss, damage = source.random() * 0.5, source.choice((0, 0.02))
    says_nothing = source.random() < 0.2
    there = tracker()
    results: list[Decoded] = []
    for heard in scene.hear(
        _SECONDS,
        link=Link(loss, damage),
        links={address: Link(1.0) for address in deaf_to},
        bursts=Bursts() if source.random() < 0.2 else None,
    ):
        results += take(there, _trusted(heard) if says_nothing else heard)
    return phones.wrong(results), len(results)


def _random_scene(source: random.Random, seed: int) -> Scene:
    scene = Scene(
        seed=seed,
        bssid=bytes((4,)) + source.randbytes(5),
        protection=Protection(source.choice(_CIPHERS), source.choice(_CIPHERS)),
        manners=Manners(
            dozing=source.random() < 0.3,
            dtim_period=source.choice((1, 2, 3)),
            beacons_counted=source.random() < 0.7,
            group_quality=source.random() < 0.2,
            group_rate=source.choice((1.0, 6.0, 6.0, 24.0)),
        ),
        house=House(wired=source.choice((0, 2, 20))),
        heard=source.choice(("everything", "device", "data")),
    )
    neighbours(scene.air, source.choice((0, 0, 2)), channels=(scene.channel,))
    return scene


def _trusted(heard: Heard) -> Heard:
    """As of a driver that passes damaged frames without a word."""
    return attrs.evolve(heard, intact=True)
