"""One end of a link that speaks BluFi frames: numbering, protection, fragments, both directions."""

from __future__ import annotations

import attrs

from qiot.errors import ProtocolError
from qiot.protocols.ble.frames import (
    MESSAGE_MAX,
    Bit,
    ErrorCode,
    Reassembler,
    Sealer,
    cut,
    encode,
    parse,
    unseal,
)

__all__ = ["FrameLink", "Taken"]


@attrs.frozen
class Taken:
    """What one value brought.

    Attributes:
        type: The frame's type octet.
        sequence: Its number.
        wants_ack: It wants an ack.
        sealed: It was encrypted.
        message: The message that is complete now, or None.
        lost: What was lost, or None.
        repeated: The frame came before; there is nothing new in it.
    """

    type: int
    sequence: int
    wants_ack: bool
    sealed: bool
    message: bytes | None = None
    lost: ProtocolError | None = None
    repeated: bool = False


class FrameLink:
    """Counters, key and fragments of one link.

    Args:
        strict: Take a frame only with the number that is due, as ESP-IDF does. Otherwise a gap is taken as
            it is, and only a copy of the last frame is left out.
        exact: Refuse octets behind a frame.
        message_max: Octets of the longest message.

    Attributes:
        sealer: The key, once negotiated.
    """

    def __init__(self, *, strict: bool, exact: bool, message_max: int = MESSAGE_MAX) -> None:
        self.sealer: Sealer | None = None
        self._strict = strict
        self._exact = exact
        self._expected = 0
        self._next = 0
        self._parts = Reassembler(message_max)
        self._last: bytes | None = None

    def take(self, data: bytes) -> Taken:
        """Take one value.

        Raises:
            ProtocolError: Too short, too long, out of order, not to be decrypted, or damaged; its code says
                which.
        """
        frame = parse(data, exact=self._exact)
        wants_ack, sealed = bool(frame.control & Bit.ACK), bool(frame.control & Bit.ENCRYPTED)
        if frame.sequence != self._expected:
            if self._strict:
                text = f"frame {frame.sequence} came where {self._expected} was due"
                raise ProtocolError(text, code=ErrorCode.SEQUENCE)
            if data == self._last:
                return Taken(frame.type, frame.sequence, wants_ack, sealed, repeated=True)
        self._expected, self._last = (frame.sequence + 1) % 256, data
        try:
            plain = unseal(frame, self.sealer)
        except ProtocolError:
            self._parts.spoil(frame)
            raise
        message, lost = self._parts.feed(frame, plain)
        return Taken(frame.type, frame.sequence, wants_ack, sealed, message, lost)

    def put(self, type_: int, message: bytes, control: int, room: int, *, stretch: int = 0) -> list[bytes]:
        """The frames of a message, numbered on.

        Args:
            type_: The type octet.
            message: The message.
            control: Frame control bits of each; MORE is added.
            room: Octets of the message in a fragment.
            stretch: As for `cut`.

        Raises:
            ProtocolError: No key to encrypt with, or the message is too long.
        """
        frames: list[bytes] = []
        for more, data in cut(message, room, stretch=stretch):
            bits = control | Bit.MORE if more else control
            frames.append(encode(type_, bits, self._next, data, self.sealer))
            self._next = (self._next + 1) % 256
        return frames
