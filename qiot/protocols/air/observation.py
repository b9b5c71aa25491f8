"""What a decoder is told of one frame in the air, whatever header it came with.

Nobody outside the network can read the frames; what is left is who sent them, to which group address, how
long they are and in what order. Of frames that say nothing of the kind (to one station, management) only the
sequence number matters, and not even that has to be told.
"""

from __future__ import annotations

import enum
from typing import Final

import attrs

__all__ = ["BROADCAST", "Direction", "Observation"]

BROADCAST: Final = b"\xff" * 6


class Direction(enum.Enum):
    """Which half of the way a frame is on (IEEE 802.11, 9.2.4.1.4: To DS, From DS)."""

    TO_AP = "to the access point"
    FROM_AP = "from the access point"


@attrs.frozen
class Observation:
    """One data frame, to a group address as a rule; of one to a station only the number is looked at.

    Attributes:
        transmitter: Source address (SA), six octets: the phone, on both halves of the way.
        bssid: The access point, six octets.
        direction: To the access point, or sent on by it.
        destination: Destination address (DA), six octets.
        length: Octets of the frame body: the frame without its FCS and without its MAC header, of which the
            fourth address, QoS control, HT control and mesh control are part. What is left beside the
            datagram is LLC, IP, UDP and what the cipher adds.
        sequence: Sequence number, 0 to 4095.
        fragment: Fragment number, 0 to 15.
        retry: The header's retry bit.
        tid: Traffic identifier of a QoS frame, 0 to 15, else None; sequence numbers count per TID.
        channel: IEEE channel number, where it is known.
        time: Monotonic seconds.
    """

    transmitter: bytes
    bssid: bytes
    direction: Direction
    destination: bytes
    length: int
    sequence: int
    fragment: int
    retry: bool
    tid: int | None
    channel: int | None
    time: float
