"""The one tracker of what is heard in the air: frames in, results out, for every protocol and phone at once.

It keeps phones, directions and destinations apart, drops what was heard before, puts the rest in order and
lets each decoder make of it what it can. A decoder on a wrong track keeps nobody else from a right one.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Sequence

from qiot.errors import ConfigurationError
from qiot.model import Secret
from qiot.protocols.air.airkiss import BLOCK
from qiot.protocols.air.airkiss_decoder import AirKissDecoder
from qiot.protocols.air.decoder import Decoder
from qiot.protocols.air.dot11 import BEACON, MANAGEMENT, Header
from qiot.protocols.air.esptouch_decoder import EspTouchDecoder
from qiot.protocols.air.esptouch_v2 import KEY_SIZE
from qiot.protocols.air.esptouch_v2_decoder import EspTouchV2Decoder
from qiot.protocols.air.observation import Direction, Observation
from qiot.protocols.air.order import Heard
from qiot.protocols.air.realtek_decoder import RealtekDecoder
from qiot.protocols.air.results import Decoded, Progress
from qiot.protocols.air.tracks import Station, Stations, Track

__all__ = ["Tracker", "all_decoders"]


def all_decoders(
    *, esptouch_key: Secret | None = None, airkiss_key: Secret | None = None, pin: Secret | None = None
) -> Sequence[Decoder]:
    """A fresh decoder of every protocol.

    Args:
        esptouch_key: The device's key for ESP-TOUCH v2, 16 octets.
        airkiss_key: The device's key for AirKiss, 1 to 16 octets.
        pin: The device's PIN for Simple Config.

    Raises:
        ConfigurationError: A key's length is wrong.
    """
    if esptouch_key is not None and len(esptouch_key) != KEY_SIZE:
        raise ConfigurationError(f"an ESP-TOUCH key has {KEY_SIZE} octets")
    if airkiss_key is not None and not 0 < len(airkiss_key) <= BLOCK:
        raise ConfigurationError(f"an AirKiss key has 1 to {BLOCK} octets")
    return (
        EspTouchDecoder(),
        EspTouchV2Decoder(esptouch_key),
        AirKissDecoder(airkiss_key),
        RealtekDecoder(pin),
    )


class Tracker:
    """Decodes everything at once.

    Args:
        decoders: Makes the decoders for a phone.
    """

    def __init__(self, decoders: Callable[[], Sequence[Decoder]] = all_decoders) -> None:
        self._decoders = decoders
        self._stations = Stations()
        self.frames = 0

    def feed(self, seen: Observation) -> Sequence[Decoded]:
        """Take one frame; what became complete with it, mostly nothing."""
        if seen.fragment or not seen.destination[0] & 1:
            if not seen.fragment:
                self._skip(seen, None)
            return ()
        self.frames += 1
        station = self._stations.get(seen.transmitter)
        heard = station.hear(seen)
        self._skip(seen, station.heard_on)
        if heard is None:
            return ()
        if station.decoders:
            return self._decode(station, heard)
        station.waiting.append(heard)
        if not station.is_busy():
            return ()
        station.decoders = self._decoders()
        results: list[Decoded] = []
        for waiting in station.waiting:
            results.extend(self._decode(station, waiting))
        station.waiting.clear()
        return results

    def hear(self, header: Header, channel: int | None, time: float) -> Sequence[Decoded]:
        """Take any frame by its header, the check sum left out; `feed` or `skip`, as it deserves.

        Args:
            header: What `dot11.parse_header` says. Its `total` is the length in the air: for a frame that the
                capture has cut off, that has to be put right.
            channel: Where it was heard, if known.
            time: When, in monotonic seconds.
        """
        if header.sequence is None or header.transmitter is None:
            return ()
        if (
            header.carries_data
            and not header.fragmented
            and header.to_ds is not header.from_ds
            and header.destination is not None
            and header.source is not None
            and header.bssid is not None
            and header.group_addressed
        ):
            return self.feed(
                Observation(
                    transmitter=header.source,
                    bssid=header.bssid,
                    direction=Direction.TO_AP if header.to_ds else Direction.FROM_AP,
                    destination=header.destination,
                    length=header.body,
                    sequence=header.sequence,
                    fragment=0,
                    retry=header.retry,
                    tid=header.tid,
                    channel=channel,
                    time=time,
                )
            )
        if header.transmitter in self._stations.senders and (header.carries_data or header.tid is None):
            # QoS frames without data have no number of their own (IEEE 802.11, 10.3.2.14).
            if header.type == MANAGEMENT and header.subtype == BEACON:
                for track in self._stations.senders[header.transmitter]:
                    track.order.beacon(header.sequence, time)
            else:
                self.skip(header.transmitter, header.sequence, header.tid)
        return ()

    @property
    def senders(self) -> Container[bytes]:
        """Transmitter addresses (TA) whose other frames are worth a `skip`."""
        return self._stations.senders

    def skip(self, sender: bytes, sequence: int, tid: int | None) -> None:
        """A frame that says nothing itself, such as a beacon or a frame to one station, used this number.

        Decoders do without, but need less time where they know. Fragments count once.

        Args:
            sender: Transmitter address (TA), six octets.
            sequence: Sequence number, 0 to 4095.
            tid: Traffic identifier of a QoS data frame to one station, else None: they are counted apart.
        """
        for track in self._stations.senders.get(sender, ()):
            track.order.skip(sequence, tid)

    def _skip(self, seen: Observation, heard_on: Track | None) -> None:
        """A number is used up on all tracks but the frame's own."""
        sender = seen.transmitter if seen.direction is Direction.TO_AP else seen.bssid
        for track in self._stations.senders.get(sender, ()):
            if track is not heard_on:
                track.order.skip(seen.sequence, seen.tid)

    def _decode(self, station: Station, heard: Heard) -> Sequence[Decoded]:
        results: Sequence[Decoded] = ()
        for decoder in station.decoders:
            result = decoder.feed(heard)
            if result is not None:
                results = (*results, result)
            if decoder.recognised and not station.kept:
                self._stations.keep(heard.seen.transmitter)
        return results

    def progress(self) -> Sequence[Progress]:
        """What was recognised so far, the nearest to completion first."""
        found = [
            progress
            for station in self._stations
            for decoder in station.decoders
            if (progress := decoder.progress()) is not None
        ]
        return sorted(found, key=lambda progress: progress.weight, reverse=True)

    @property
    def weight(self) -> float:
        """The best of all phones': 0 where nothing was recognised, 1 where something is complete."""
        return max((station.weight() for station in self._stations), default=0.0)

    def clear(self) -> None:
        """Forget everything, as after a change of the network or a new session."""
        self._stations.clear()
