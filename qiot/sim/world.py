"""The world that mock radios and simulated phones share: one per test or fleet."""

from __future__ import annotations

import random
from collections.abc import Iterable

from qiot.sim.air.live import LiveAir
from qiot.sim.bluetooth import BluetoothAir
from qiot.sim.clock import Clock, LoopClock
from qiot.sim.faults import Faults
from qiot.sim.offers import Offers
from qiot.sim.phone import Phone
from qiot.sim.station import Delays, Station
from qiot.sim.wifi import HomeNetwork, Neighbourhood

__all__ = ["World"]


class World:
    """Everything in memory; nothing of it runs by itself, so there is nothing to close.

    Without any home network, stations join whatever they are given.

    Args:
        networks: Home networks that are up from the start.
        seed: Of the world's random source; the same seed gives the same losses for the same traffic.
        clock: Where time comes from; the running loop's clock by default.
        loss: Share of UDP datagrams that get lost, 0 to 1, for every device that has no figure of its own.
        duplication: Share of UDP datagrams that arrive twice, 0 to 1, likewise.
        air_loss: Share of frames that a device does not hear in the air, 0 to 1, likewise.
    """

    def __init__(
        self,
        networks: Iterable[HomeNetwork] = (),
        *,
        seed: int | None = None,
        clock: Clock | None = None,
        loss: float = 0.0,
        duplication: float = 0.0,
        air_loss: float = 0.0,
    ) -> None:
        self.random = random.Random(seed)  # noqa: S311 - losses, not keys
        self.clock: Clock = clock or LoopClock()
        self.loss = loss
        self.duplication = duplication
        self.wifi = Neighbourhood()
        self.offers = Offers(self.clock)
        air_seed = self.random.getrandbits(64) if seed is None else seed
        self.air = LiveAir(self.clock, self.wifi, seed=air_seed, loss=air_loss)
        self.bluetooth = BluetoothAir()
        for network in networks:
            self.wifi.add(network)

    def station(self, *, delays: Delays | None = None, faults: Faults | None = None) -> Station:
        """A new station, with a MAC address of its own: a device's radio, or a phone."""
        return Station(self.wifi, self.clock, delays=delays, faults=faults)

    def phone(self, *, delays: Delays | None = None, faults: Faults | None = None) -> Phone:
        """A new phone: a station that can also be heard in the air."""
        return Phone(self.station(delays=delays, faults=faults), self.air)
