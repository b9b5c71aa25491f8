"""What the decoders say: a result, or how far they are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import attrs

from qiot.model import AckRecipe, Credentials
from qiot.protocols.air.observation import Direction

__all__ = ["AIRKISS", "ESPTOUCH", "ESPTOUCH_V2", "REALTEK", "Decoded", "Progress"]

ESPTOUCH: Final = "esptouch-v1"
ESPTOUCH_V2: Final = "esptouch-v2"
AIRKISS: Final = "airkiss"
REALTEK: Final = "realtek-simpleconfig"


@attrs.frozen
class Decoded:
    """Credentials out of the air.

    Attributes:
        protocol: "esptouch-v1", "esptouch-v2", "airkiss" or "realtek-simpleconfig".
        transmitter: The phone's MAC address.
        credentials: How to join. Where the datum does not carry the SSID, a clue to find it in a scan.
        ack: What the phone wants to hear after the join.
        ip: The phone's IPv4 address as the datum has it: a hint, some senders fill in anything.
        reserved: The application's own octets (ESP-TOUCH v2).
        channel: Where it was heard, if known.
        frames: Frames of the phone that were looked at until now.
        seconds: Since the first of them.
        complete: False where something is left out that the protocol could have carried: the SSID, the BSSID.
        fields: The protocol's own, such as the random byte; never secret.
    """

    protocol: str
    transmitter: bytes
    credentials: Credentials
    ack: AckRecipe
    ip: str | None = None
    reserved: bytes = attrs.field(default=b"", repr=False)
    channel: int | None = None
    frames: int = 0
    seconds: float = 0
    complete: bool = True
    fields: Mapping[str, str | int | bool] = attrs.field(factory=dict, hash=False)


@attrs.frozen
class Progress:
    """How far one decoder is with one phone.

    Attributes:
        protocol: As in `Decoded`.
        transmitter: The phone's MAC address.
        weight: 0 (a hint) to 1 (all there).
        channel: Where it was heard last, if known.
        directions: On which halves of the way something was recognised.
        overhead: Octets that a frame body has beside the payload, where it was measured, one for each track.
        frames: Frames looked at.
        have: Symbols that are there.
        need: Symbols needed, as far as known; 0 where not even that is.
        missing: Names of the missing ones, at most 16.
        wrong_checksums: Checksums that did not match.
        text: All of it in a sentence, for people.
    """

    protocol: str
    transmitter: bytes
    weight: float
    channel: int | None
    directions: frozenset[Direction]
    overhead: tuple[int, ...]
    frames: int
    have: int
    need: int
    missing: tuple[str, ...]
    wrong_checksums: int
    text: str
