"""Random phones: any credentials and options, from anywhere on, starting over, look-alikes in between."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator

import attrs

from qiot.model import Secret
from qiot.protocols.air.airkiss import AirKiss, Pacing
from qiot.protocols.air.casts import Cast, Encoder
from qiot.protocols.air.esptouch import ORDERS, EspTouch
from qiot.protocols.air.esptouch_v2 import EspTouchV2
from qiot.protocols.air.realtek import RealtekSimpleConfig
from qiot.protocols.air.results import AIRKISS, ESPTOUCH, ESPTOUCH_V2, REALTEK, Decoded
from qiot.protocols.air.tracker import Tracker, all_decoders

PROTOCOLS = (ESPTOUCH, ESPTOUCH_V2, AIRKISS, REALTEK)
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
class RandomPhones:
    """The phones of one random run."""

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
            sent.append(Cast(at, "255.255.255.255", 9, self.random.randrange(1473), "look-alike"))
        return iter(sorted(sent, key=lambda cast: cast.t))

    def wrong(self, results: list[Decoded]) -> list[str]:
        """What was decoded and never sent."""
        return [
            f"{result} password {result.credentials.password.reveal()!r}, sent: {self.truths}"
            for result in results
            if not any(truth.allows(result) for truth in self.truths)
        ]


def tracker() -> Tracker:
    """With the keys that some of the phones use."""
    return Tracker(lambda: all_decoders(esptouch_key=KEY, pin=PIN))
