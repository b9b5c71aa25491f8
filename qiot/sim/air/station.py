"""A station in the air: what it sends goes to its access point, and is sent again until that has it.

Sequence numbers are counted for each traffic identifier apart, and what the station sends to others counts as
well (IEEE 802.11, 10.3.2.14). A frame whose acknowledgement is lost is sent again though the access point has
it; that drops the second one, a receiver beside hears both.
"""

from __future__ import annotations

from collections import deque
from typing import Final

import attrs

from qiot.sim.air.access_point import AirAccessPoint
from qiot.sim.air.frames import MODULUS, as_retry, data_to_ap, null_to_ap, probe_request, sealed
from qiot.sim.air.medium import Air
from qiot.sim.air.packets import Packet
from qiot.sim.air.receiver import Emission

__all__ = ["AirStation", "Habits"]

_TRIES: Final = 7
"""Of one frame, before the station gives it up (dot11ShortRetryLimit)."""
_QUEUE_MAX: Final = 512
_PAIRWISE_KEY: Final = 0
_PROBE_RATE: Final = 6.0


@attrs.define(kw_only=True)
class Habits:
    """How a station sends.

    Attributes:
        quality: With QoS control; without, one counter serves all its frames.
        ht_control: With HT control in QoS frames.
        rate: Mbit/s.
        unheard: Share of its frames that the access point does not hear, 0 to 1.
        unacknowledged: Share of those heard whose acknowledgement is lost, 0 to 1.
    """

    quality: bool = True
    ht_control: bool = False
    rate: float = 54.0
    unheard: float = 0.05
    unacknowledged: float = 0.02


class AirStation:
    """One station, joined to an access point.

    Args:
        air: Where it is.
        mac: Six octets.
        access_point: Where it is joined; it may be given another one later.
        signal: How strongly it is heard, dBm.
        habits: How it sends.

    Attributes:
        lost: Packets that found no room, or were given up.
    """

    def __init__(
        self,
        air: Air,
        mac: bytes,
        access_point: AirAccessPoint,
        *,
        signal: int = -45,
        habits: Habits | None = None,
    ) -> None:
        self.mac = mac
        self.access_point = access_point
        self.signal = signal
        self.habits = habits or Habits()
        self.lost = 0
        self._air = air
        self._random = air.source(f"station {mac.hex()}")
        self._sequences: dict[int | None, int] = {}
        self._packet_number = self._random.randrange(1 << 20)
        self._queue: deque[tuple[Packet, int]] = deque()
        self._sending = False

    def send(self, packet: Packet, tid: int = 0) -> None:
        """Send when those before it are through.

        Args:
            packet: What.
            tid: Traffic identifier, 0 to 7: 0 for what has no priority, 6 for voice.
        """
        if len(self._queue) >= _QUEUE_MAX:
            self.lost += 1
            return
        self._queue.append((packet, tid))
        if not self._sending:
            self._send_next()

    def send_null(self, *, dozing: bool) -> None:
        """Tell the access point that the station goes to sleep, or is awake."""
        access_point = self.access_point
        self._emit(null_to_ap(access_point.bssid, self.mac, self._next(None), dozing=dozing))

    def send_probe(self, ssid: bytes = b"") -> None:
        """Look for networks on the channel."""
        emission = Emission(
            probe_request(self.mac, ssid, self._next(None)),
            self.mac,
            self.access_point.channel,
            _PROBE_RATE,
            self.signal,
        )
        self._air.send(emission)

    def _send_next(self) -> None:
        if not self._queue:
            self._sending = False
            return
        self._sending = True
        packet, tid = self._queue.popleft()
        habits, access_point = self.habits, self.access_point
        cipher = access_point.protection.pairwise
        self._packet_number += 1
        noise = self._random.randbytes(len(packet.content) + cipher.tail)
        number = tid if habits.quality else None
        frame = data_to_ap(
            bssid=access_point.bssid,
            source=packet.source,
            destination=packet.destination,
            sequence=self._next(number),
            body=sealed(cipher, packet.content, self._packet_number, _PAIRWISE_KEY, noise),
            tid=number,
            ht_control=habits.ht_control,
            protected=cipher.head > 0,
        )
        self._try(packet, frame, access_point, tries=1, arrived=False)

    def _try(
        self, packet: Packet, frame: bytes, access_point: AirAccessPoint, *, tries: int, arrived: bool
    ) -> None:
        def sent() -> None:
            heard = self._random.random() >= self.habits.unheard
            acknowledged = heard and self._random.random() >= self.habits.unacknowledged
            if heard and not arrived:
                access_point.bridge(packet)
            if acknowledged:
                self._send_next()
            elif tries < _TRIES:
                self._try(packet, as_retry(frame), access_point, tries=tries + 1, arrived=arrived or heard)
            else:
                self.lost += not (arrived or heard)
                self._send_next()

        emission = Emission(
            frame, self.mac, access_point.channel, self.habits.rate, self.signal, packet.origin
        )
        self._air.send(emission, sent)

    def _emit(self, frame: bytes) -> None:
        emission = Emission(frame, self.mac, self.access_point.channel, self.habits.rate, self.signal)
        self._air.send(emission)

    def _next(self, tid: int | None) -> int:
        last = self._sequences.get(tid)
        number = self._random.randrange(MODULUS) if last is None else (last + 1) % MODULUS
        self._sequences[tid] = number
        return number
