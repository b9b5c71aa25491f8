"""What goes on beside: a phone's other traffic, the house's, and the neighbours'."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random
from typing import Final

import attrs

from qiot.sim.air.access_point import AirAccessPoint, Manners
from qiot.sim.air.ciphers import Cipher, Protection
from qiot.sim.air.medium import Air, Repeating
from qiot.sim.air.packets import BROADCAST, Packet
from qiot.sim.air.station import AirStation

__all__ = ["House", "Traffic", "keep_house_busy", "keep_station_busy", "neighbours"]

_VOICE: Final = 6
_SIZES: Final = (60, 60, 60, 120, 400, 1500)
"""Octets of the frames of ordinary traffic: mostly acknowledgements, and full segments."""
_BURST_MEAN: Final = 3
_HOUSE_SIZES: Final = (36, 36, 36, 150, 330, 420)
"""ARP, mDNS, SSDP."""
_MDNS: Final = b"\x01\x00\x5e\x00\x00\xfb"
_SSDP: Final = b"\x01\x00\x5e\x7f\xff\xfa"
_CHANNELS: Final = (1, 6, 11)


@attrs.frozen
class Traffic:
    """What a station sends beside, on average, in frames per second.

    Attributes:
        up: To one receiver, in short bursts, without priority.
        replies: For each of them, frames that come back, 0 to 1.
        voice: With the priority of voice; they are counted apart.
        nulls: That say whether the station sleeps.
        probes: That look for networks.
    """

    up: float = 0.0
    replies: float = 0.6
    voice: float = 0.0
    nulls: float = 0.0
    probes: float = 0.0


@attrs.frozen
class House:
    """What others in the network send to everybody, on average, in frames per second.

    Attributes:
        wired: From the wired side, sent on by the access point.
    """

    wired: float = 2.0


def keep_station_busy(air: Air, station: AirStation, traffic: Traffic) -> Sequence[Repeating]:
    """Let a station send more; stop what is given back to end it."""
    random = air.source(f"traffic of {station.mac.hex()}")
    router = station.access_point.router

    def burst() -> None:
        for _ in range(1 + int(random.expovariate(1 / (_BURST_MEAN - 1)))):
            station.send(_packet(station.mac, router, random))
            if random.random() < traffic.replies:
                station.access_point.send(_packet(router, station.mac, random))

    def voice() -> None:
        station.send(Packet(station.mac, router, bytes(200)), tid=_VOICE)

    def null() -> None:
        station.send_null(dozing=random.random() < 0.5)  # noqa: PLR2004 - as often as not

    def probe() -> None:
        station.send_probe()

    return _repeated(
        air,
        random,
        (
            (burst, traffic.up / _BURST_MEAN),
            (voice, traffic.voice),
            (null, traffic.nulls),
            (probe, traffic.probes),
        ),
    )


def keep_house_busy(air: Air, access_point: AirAccessPoint, house: House) -> Sequence[Repeating]:
    """Let an access point send on what comes from the wired side; stop what is given back to end it."""
    random = air.source(f"house of {access_point.bssid.hex()}")
    hosts = [bytes((2, 0x11)) + random.randbytes(4) for _ in range(3)]

    def wired() -> None:
        destination = random.choice((BROADCAST, BROADCAST, _MDNS, _SSDP))
        content = bytes(random.choice(_HOUSE_SIZES))
        access_point.send(Packet(random.choice(hosts), destination, content))

    return _repeated(air, random, ((wired, house.wired),))


def neighbours(air: Air, count: int, channels: Sequence[int] = _CHANNELS) -> Sequence[AirAccessPoint]:
    """Other people's networks, each with a station or two, all of them busy.

    Args:
        air: Where.
        count: How many.
        channels: They spread over these.
    """
    random = air.source("neighbours")
    found: list[AirAccessPoint] = []
    for number in range(count):
        access_point = AirAccessPoint(
            air,
            bytes((6,)) + random.randbytes(5),
            ssid=f"Neighbour {number}".encode(),
            channel=channels[number % len(channels)],
            protection=Protection(random.choice((Cipher.CCMP, Cipher.CCMP, Cipher.TKIP, Cipher.OPEN))),
            hidden=random.random() < 0.1,  # noqa: PLR2004 - one in ten
            signal=random.randint(-85, -60),
            manners=Manners(dozing=random.random() < 0.5, dtim_period=random.choice((1, 2, 3))),  # noqa: PLR2004
        )
        access_point.start()
        keep_house_busy(air, access_point, House(wired=random.uniform(0.2, 5)))
        for _ in range(random.randint(1, 2)):
            station = AirStation(
                air, bytes((10,)) + random.randbytes(5), access_point, signal=random.randint(-88, -60)
            )
            keep_station_busy(air, station, Traffic(up=random.uniform(0, 20), nulls=0.5, probes=0.1))
        found.append(access_point)
    return found


def _repeated(
    air: Air, random: Random, parts: Sequence[tuple[Callable[[], None], float]]
) -> Sequence[Repeating]:
    return [
        Repeating(air, action, lambda rate=rate: random.expovariate(rate))  # type: ignore[misc]
        for action, rate in parts
        if rate > 0
    ]


def _packet(source: bytes, destination: bytes, random: Random) -> Packet:
    return Packet(source, destination, bytes(random.choice(_SIZES)))
