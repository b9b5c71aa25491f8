"""An access point in the air: its beacons, and how it sends on what a station sends to everybody.

All frames to everybody and all management frames share one sequence counter, as in Linux (net/mac80211/tx.c)
and in most firmware; those to one station are counted for it and for each traffic identifier apart. While
some station sleeps, what is for everybody waits for the next DTIM beacon and follows it in one burst
(IEEE 802.11, 11.2.3.4).
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from typing import Final

import attrs

from qiot.sim.air.ciphers import Protection
from qiot.sim.air.frames import MODULUS, TIME_UNIT, as_retry, beacon, data_from_ap, sealed
from qiot.sim.air.medium import Air
from qiot.sim.air.packets import Packet
from qiot.sim.air.receiver import Emission

__all__ = ["AirAccessPoint", "Manners"]

_WAITING_MAX: Final = 128
"""Frames kept for those that sleep; the oldest go first (AP_MAX_BC_BUFFER of net/mac80211)."""
_UNSENT_MAX: Final = 256
"""Frames to everybody that wait for a free channel; further ones are lost."""
_TRIES: Final = 7
_GROUP_KEY: Final = 1
_PAIRWISE_KEY: Final = 0
_BRIDGE_SECONDS: Final = (0.0001, 0.0006)
"""How long the access point takes to send on what it has received."""


@attrs.define(kw_only=True)
class Manners:
    """How an access point goes about it.

    Attributes:
        forwards: It sends on what its stations send to everybody. Some do not ("client isolation").
        dozing: Some station sleeps, so that what is for everybody waits for the DTIM beacon.
        dtim_period: Every so many beacons is one, 1 to 255.
        beacon_interval: In units of 1024 microseconds.
        beacons_counted: Beacons use up numbers of the same counter. In some firmware they do not.
        group_quality: Frames to everybody have QoS control, with traffic identifier 0.
        group_rate: Of frames to everybody and beacons, Mbit/s.
        rate: Of frames to one station, Mbit/s.
        unacknowledged: Share of frames to one station that have to be sent again, 0 to 1.
    """

    forwards: bool = True
    dozing: bool = False
    dtim_period: int = attrs.field(default=2, validator=[attrs.validators.ge(1), attrs.validators.le(255)])
    beacon_interval: int = attrs.field(default=100, validator=attrs.validators.ge(1))
    beacons_counted: bool = True
    group_quality: bool = False
    group_rate: float = 6.0
    rate: float = 54.0
    unacknowledged: float = 0.05


class AirAccessPoint:
    """One access point (BSS).

    Args:
        air: Where it is.
        bssid: Six octets.
        ssid: 1 to 32 octets.
        channel: IEEE channel number.
        protection: Its ciphers.
        hidden: Its beacons do not tell the name.
        signal: How strongly it is heard, dBm.
        manners: How it goes about it.

    Attributes:
        lost: Frames to everybody that found no room.
    """

    def __init__(
        self,
        air: Air,
        bssid: bytes,
        *,
        ssid: bytes = b"Home",
        channel: int = 6,
        protection: Protection | None = None,
        hidden: bool = False,
        signal: int = -50,
        manners: Manners | None = None,
    ) -> None:
        self.bssid = bssid
        self.ssid = ssid
        self.channel = channel
        self.protection = protection or Protection()
        self.hidden = hidden
        self.signal = signal
        self.manners = manners or Manners()
        self.lost = 0
        self._air = air
        self._random = air.source(f"access point {bssid.hex()}")
        self._sequence = self._random.randrange(MODULUS)
        self._sequences: dict[tuple[bytes, int], int] = {}
        self._packet_number = self._random.randrange(1 << 20)
        self._waiting: deque[Packet] = deque()
        self._unsent = 0
        self._bridge_free = 0.0
        self._up = False
        self._starts = 0
        self._began = 0.0
        self._beacons = 0

    # --- beacons --------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin to send beacons. Idempotent."""
        if not self._up:
            self._up = True
            self._starts += 1
            self._began = self._air.now + self._random.random() * self._interval
            self._beacons = 0
            self._air.at(self._began, self._beacon_of(self._starts))

    def stop(self) -> None:
        """Send no more beacons. Idempotent."""
        self._up = False
        self._waiting.clear()

    @property
    def router(self) -> bytes:
        """Address of the router behind it: one beside the radio's own, as in many a box."""
        return self.bssid[:5] + bytes((self.bssid[5] ^ 1,))

    @property
    def _interval(self) -> float:
        return self.manners.beacon_interval * TIME_UNIT

    def _beacon_of(self, start: int) -> Callable[[], None]:
        """The next beacon, as long as there was no other start since."""

        def happen() -> None:
            if self._up and self._starts == start:
                self._beacon()

        return happen

    def _beacon(self) -> None:
        manners = self.manners
        count = -self._beacons % manners.dtim_period
        frame = beacon(
            bssid=self.bssid,
            ssid=b"" if self.hidden else self.ssid,
            sequence=self._next() if manners.beacons_counted else self._beacons % MODULUS,
            timestamp=round((self._air.now - self._began) * 1e6),
            interval=manners.beacon_interval,
            channel=self.channel,
            protection=self.protection,
            dtim_count=count,
            dtim_period=manners.dtim_period,
            group_waits=count == 0 and bool(self._waiting),
        )
        self._send(frame, manners.group_rate)
        if count == 0:
            while self._waiting:
                packet = self._waiting.popleft()
                self._send_to_all(packet, more=bool(self._waiting))
        self._plan_beacon()

    def _plan_beacon(self) -> None:
        """The next one that anybody can hear; those before it have been sent all the same."""
        heard = math.ceil((self._air.unheard_until - self._began) / self._interval)
        unheard = max(0, heard - self._beacons - 1)
        self._beacons += 1 + unheard
        if self.manners.beacons_counted:
            self._sequence = (self._sequence + unheard) % MODULUS
        self._air.at(self._began + self._beacons * self._interval, self._beacon_of(self._starts))

    # --- data -----------------------------------------------------------------------------------------------

    def bridge(self, packet: Packet) -> None:
        """A station has sent this; what is for everybody goes on to everybody."""
        if not packet.for_everybody or not self.manners.forwards:
            return
        ready = max(self._bridge_free, self._air.now + self._random.uniform(*_BRIDGE_SECONDS))
        self._bridge_free = ready
        self._air.at(ready, lambda: self.send(packet))

    def send(self, packet: Packet) -> None:
        """Send to everybody, or to one station."""
        if not packet.for_everybody:
            self._send_to_one(packet)
        elif self.manners.dozing and self._up:
            self._waiting.append(packet)
            if len(self._waiting) > _WAITING_MAX:
                self._waiting.popleft()
                self.lost += 1
        else:
            self._send_to_all(packet, more=False)

    def _send_to_all(self, packet: Packet, *, more: bool) -> None:
        if self._unsent >= _UNSENT_MAX:
            self.lost += 1
            return
        self._unsent += 1
        cipher = self.protection.group
        frame = data_from_ap(
            bssid=self.bssid,
            source=packet.source,
            destination=packet.destination,
            sequence=self._next(),
            body=self._sealed(packet, group=True),
            tid=0 if self.manners.group_quality else None,
            more=more,
            protected=cipher.head > 0,
        )
        self._send(frame, self.manners.group_rate, packet.origin, self._group_sent)

    def _group_sent(self) -> None:
        self._unsent -= 1

    def _send_to_one(self, packet: Packet) -> None:
        key = packet.destination, 0
        sequence = self._sequences[key] = (self._sequences.get(key, -1) + 1) % MODULUS
        frame = data_from_ap(
            bssid=self.bssid,
            source=packet.source,
            destination=packet.destination,
            sequence=sequence,
            body=self._sealed(packet, group=False),
            tid=0,
            protected=self.protection.pairwise.head > 0,
        )
        self._try(frame, packet.origin, 1)

    def _try(self, frame: bytes, origin: object, tries: int) -> None:
        def sent() -> None:
            if self._random.random() < self.manners.unacknowledged and tries < _TRIES:
                self._try(as_retry(frame), origin, tries + 1)

        self._send(frame, self.manners.rate, origin, sent)

    def _sealed(self, packet: Packet, *, group: bool) -> bytes:
        cipher = self.protection.group if group else self.protection.pairwise
        self._packet_number += 1
        noise = self._random.randbytes(len(packet.content) + cipher.tail)
        key = _GROUP_KEY if group else _PAIRWISE_KEY
        return sealed(cipher, packet.content, self._packet_number, key, noise)

    def _next(self) -> int:
        self._sequence = (self._sequence + 1) % MODULUS
        return self._sequence

    def _send(
        self,
        frame: bytes,
        rate: float,
        origin: object = None,
        sent: Callable[[], None] | None = None,
    ) -> None:
        self._air.send(Emission(frame, self.bssid, self.channel, rate, self.signal, origin), sent)
