"""AirKiss near-field discovery on UDP 12476: how WeChat finds devices in its network, both sides.

Source: the packets of WeChat's own library (`airkiss_lan_pack`, `airkiss_lan_recv`), which looks only at the
magic octets and at the whole length. The phone broadcasts a request; the device answers its sender, and tells
everybody of itself every 5 s.
"""

from __future__ import annotations

import enum
import json
import struct
from collections.abc import Sequence
from typing import Final

import attrs

from qiot.errors import ProtocolError
from qiot.model import Event, Outcome, Peer, Step
from qiot.protocols.base import Input, News, Output, Send
from qiot.protocols.lan.repeats import answerable_host

__all__ = ["PORT", "AirKissLanDevice", "LanCommand", "LanMessage", "request"]

PORT: Final = 12476
NOTIFY_INTERVAL: Final = 5.0

_MAGIC: Final = bytes.fromhex("fd01fefc")
_HEADER: Final = struct.Struct(">4sHHII")
_VERSION: Final = 1
_DATAGRAM_MAX: Final = 1024


class LanCommand(enum.IntEnum):
    """What a packet is."""

    REQUEST = 1
    RESPONSE = 0x1001
    NOTIFY = 0x1002


@attrs.frozen
class LanMessage:
    """One packet.

    Attributes:
        command: One of `LanCommand`.
        device_type: WeChat's id of the vendor's account, "gh_…"; empty in a request.
        device_id: The device's id in it.
    """

    command: LanCommand
    device_type: str = ""
    device_id: str = ""

    def build(self) -> bytes:
        """The datagram."""
        body = b""
        if self.command is not LanCommand.REQUEST:
            info = {"deviceType": self.device_type, "deviceId": self.device_id}
            body = json.dumps({"deviceInfo": info}, separators=(",", ":"), ensure_ascii=False).encode()
        size = _HEADER.size + len(body)
        return _HEADER.pack(_MAGIC, _HEADER.size, _VERSION, size, self.command) + body

    @classmethod
    def parse(cls, data: bytes) -> LanMessage:
        """Read a datagram.

        Raises:
            ProtocolError: Not of this protocol, cut off, an unknown command, or no device in it.
        """
        if len(data) < _HEADER.size or len(data) > _DATAGRAM_MAX or not data.startswith(_MAGIC):
            raise ProtocolError("no AirKiss discovery packet")
        _, header, _, size, number = _HEADER.unpack_from(data)
        if size != len(data):
            raise ProtocolError(f"an AirKiss discovery packet says {size} octets and has {len(data)}")
        try:
            command = LanCommand(number)
        except ValueError:
            raise ProtocolError(f"AirKiss discovery command {number:#x} is not known") from None
        if command is LanCommand.REQUEST:
            return cls(command)
        try:
            info = json.loads(data[max(header, _HEADER.size) :].rstrip(b"\0"))["deviceInfo"]
            return cls(command, str(info["deviceType"]), str(info["deviceId"]))
        except (ValueError, TypeError, KeyError, RecursionError):
            raise ProtocolError("an AirKiss discovery packet names no device") from None


def request() -> bytes:
    """What the phone broadcasts to port 12476."""
    return LanMessage(LanCommand.REQUEST).build()


class AirKissLanDevice:
    """The device's side, as `qiot.protocols.base.Codec` describes it.

    Args:
        device_type: WeChat's id of the vendor's account.
        device_id: The device's id in it.
        broadcast: Where notifications go.
    """

    def __init__(self, *, device_type: str, device_id: str, broadcast: str = "255.255.255.255") -> None:
        self._response = LanMessage(LanCommand.RESPONSE, device_type, device_id).build()
        self._notice = LanMessage(LanCommand.NOTIFY, device_type, device_id).build()
        self._broadcast = broadcast
        self._due: float | None = None

    def feed(self, port: str, data: Input, peer: Peer, now: float) -> Sequence[Output]:  # noqa: ARG002 - Codec
        """Answer a request.

        Raises:
            ProtocolError: Not of this protocol.
        """
        if not isinstance(data, bytes) or answerable_host(peer.address, self._broadcast) is None:
            return ()
        if LanMessage.parse(data).command is not LanCommand.REQUEST:
            return ()
        return (Send(port, self._response, peer, label="Report AirKiss device"),)

    def tell(self, news: News, now: float) -> Sequence[Output]:
        """Tell everybody, from the moment on at which the device is in the network."""
        if not isinstance(news, Event) or (news.step, news.outcome) != (Step.JOINING, Outcome.OK):
            return ()
        self._due = now
        return self.tick(now)

    def deadline(self) -> float | None:
        """When everybody is told again."""
        return self._due

    def tick(self, now: float) -> Sequence[Output]:
        """Tell everybody, where it is time."""
        if self._due is None or self._due > now:
            return ()
        self._due = now + NOTIFY_INTERVAL
        peer = Peer("airkiss", f"{self._broadcast}:{PORT}")
        return (Send(str(PORT), self._notice, peer, label="Notify AirKiss device"),)
