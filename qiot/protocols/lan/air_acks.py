"""What a device says to the phone when it has joined by credentials from the air; builders and parsers.

Sources: ESP-IDF `smartconfig_ack.c` (ESP-TOUCH v1 and v2, AirKiss); older AirKiss devices' single octet;
Realtek's `wifi_simple_config.c` and the phone's side of 2014 (Simple Config). All of it is UDP; nothing is
encrypted or signed, so that an answer proves only that its sender has heard the credentials' token.
"""

from __future__ import annotations

import enum
import hashlib
import struct
from ipaddress import IPv4Address
from typing import Final

import attrs

from qiot.errors import ProtocolError

__all__ = [
    "AIRKISS_ACK_PORT",
    "AIRKISS_LISTEN_PORTS",
    "ESPTOUCH_ACK_PORT",
    "ESPTOUCH_ACK_PORT_STEP",
    "ESPTOUCH_LISTEN_PORT",
    "ESPTOUCH_V2_CONFIRM_PORT",
    "NONCE_SIZE",
    "REALTEK_ACK_PORT",
    "REALTEK_CONTROL_PORT",
    "V2_CONFIRMATION",
    "JoinedDevice",
    "RealtekAsk",
    "RealtekCode",
    "RealtekReport",
    "RealtekRequest",
    "airkiss_ack",
    "esptouch_ack",
    "esptouch_v2_ack",
    "parse_airkiss_ack",
    "parse_esptouch_ack",
    "parse_esptouch_v2_ack",
]

ESPTOUCH_LISTEN_PORT: Final = 7001
"""Where phones send ESP-TOUCH to: what arrives after the join shows the phone's address."""
ESPTOUCH_ACK_PORT: Final = 18266
ESPTOUCH_ACK_PORT_STEP: Final = 10000
"""Times the port mark of ESP-TOUCH v2, 0 to 3."""
ESPTOUCH_V2_CONFIRM_PORT: Final = 7002
V2_CONFIRMATION: Final = b"\x01"
"""The phone's answer to the answer, to the device's port 7002."""
AIRKISS_ACK_PORT: Final = 10000
AIRKISS_LISTEN_PORTS: Final = (10001, 10000)
"""Where phones send AirKiss to."""
REALTEK_ACK_PORT: Final = 8864
"""On both sides."""
REALTEK_CONTROL_PORT: Final = 18864
"""The device's, for discovery and control."""

_MAC: Final = 6
_ESPTOUCH_SIZE: Final = 1 + _MAC + 4
_SHORT_SIZE: Final = 1 + _MAC


@attrs.frozen
class JoinedDevice:
    """What an answer says.

    Attributes:
        token: The octet that the phone compares: of the datum, the port mark, or AirKiss's random octet.
        mac: The device's MAC address, six octets; empty where an old AirKiss device leaves it out.
        ip: The device's IPv4 address, where the wire has it; else the header's is the one.
    """

    token: int
    mac: bytes
    ip: str | None = None


def esptouch_ack(token: int, mac: bytes, ip: str) -> bytes:
    """ESP-TOUCH v1: 11 octets to port 18266.

    Args:
        token: Octet 0 of the datum: 9 and the lengths of SSID and password, modulo 256.
        mac: The station's MAC address.
        ip: The station's IPv4 address.
    """
    return bytes((token,)) + _check_mac(mac) + IPv4Address(ip).packed


def parse_esptouch_ack(data: bytes) -> JoinedDevice:
    """Read it.

    Raises:
        ProtocolError: Not 11 octets.
    """
    if len(data) != _ESPTOUCH_SIZE:
        raise ProtocolError(f"an ESP-TOUCH answer has {_ESPTOUCH_SIZE} octets, this one {len(data)}")
    return JoinedDevice(data[0], data[1:7], str(IPv4Address(data[7:])))


def esptouch_v2_ack(port_mark: int, mac: bytes) -> bytes:
    """ESP-TOUCH v2: 7 octets to port 18266 + 10000 * port mark."""
    return bytes((port_mark,)) + _check_mac(mac)


def parse_esptouch_v2_ack(data: bytes) -> JoinedDevice:
    """Read it; what some devices have behind it is passed over.

    Raises:
        ProtocolError: Fewer than 7 octets.
    """
    if len(data) < _SHORT_SIZE:
        raise ProtocolError(f"an ESP-TOUCH v2 answer has {_SHORT_SIZE} octets, this one {len(data)}")
    return JoinedDevice(data[0], data[1:_SHORT_SIZE])


def airkiss_ack(random: int, mac: bytes) -> bytes:
    """AirKiss: 7 octets to port 10000."""
    return bytes((random,)) + _check_mac(mac)


def parse_airkiss_ack(data: bytes) -> JoinedDevice:
    """Read it; older devices send the random octet alone.

    Raises:
        ProtocolError: Nothing in it.
    """
    if not data:
        raise ProtocolError("an AirKiss answer has at least one octet")
    return JoinedDevice(data[0], data[1:_SHORT_SIZE] if len(data) >= _SHORT_SIZE else b"")


def _check_mac(mac: bytes) -> bytes:
    if len(mac) != _MAC:
        raise ValueError(f"a MAC address has {_MAC} octets, not {len(mac)}")
    return mac


# --- Realtek Simple Config --------------------------------------------------------------------------------

_REPORT: Final = struct.Struct(">BH6sBH4s64s")
_REQUEST: Final = struct.Struct(">BHB64s16s")
_DISCOVERER: Final = struct.Struct(">6sH")
_RESPONSE: Final = 0x20
_CODE: Final = 0x1F
_VERSION: Final = 0xC0
_NAME: Final = 64
_DIGEST: Final = 16
NONCE_SIZE: Final = 64


class RealtekCode(enum.IntEnum):
    """What a message is about: bits 4 to 0 of its first octet."""

    SUCCESS = 0
    DISCOVERY = 1
    DELETE = 3
    RENAME = 4
    SUCCESS_CONFIRMED = 5
    FINISHED = 6
    NEW_AP = 7


class RealtekAsk(enum.IntEnum):
    """The same octet in what a phone sends."""

    DISCOVER = 0
    DELETE = 2
    RENAME = 3
    CONFIRM = 4
    NEW_AP = 7


@attrs.frozen
class RealtekReport:
    """What a device says of itself: 80 octets, 81 where discovery asks for it.

    Attributes:
        code: What it is about.
        mac: The device's MAC address.
        ip: Its IPv4 address.
        name: Its name, at most 64 octets of UTF-8.
        status: 0 where nothing is wrong; 1 is what the vendor's device sends after a join.
        device_type: The vendor's number of the kind of device.
        pin_enabled: Whether the device has a PIN of its own; only in the answer to a discovery.
    """

    code: int
    mac: bytes
    ip: str
    name: str = ""
    status: int = 1
    device_type: int = 0
    pin_enabled: bool | None = None

    def build(self) -> bytes:
        """The datagram.

        The length counts what follows it, most significant octet first. In the answer to a discovery the
        vendor's device counts everything and has the least significant octet first; so do we.
        """
        name = self.name.encode()[:_NAME].decode(errors="ignore").encode().ljust(_NAME, b"\0")
        body = _REPORT.pack(
            _RESPONSE | self.code,
            _REPORT.size - 3,
            _check_mac(self.mac),
            self.status,
            self.device_type,
            IPv4Address(self.ip).packed,
            name,
        )
        if self.pin_enabled is None:
            return body
        whole = body + bytes((self.pin_enabled,))
        return whole[:1] + len(whole).to_bytes(2, "little") + whole[3:]

    @classmethod
    def parse(cls, data: bytes) -> RealtekReport:
        """Read a datagram; its length field is not looked at, because senders do not agree on it.

        Raises:
            ProtocolError: Too short, of another version, or no response.
        """
        if len(data) < _REPORT.size:
            raise ProtocolError(f"a Simple Config report has {_REPORT.size} octets, this one {len(data)}")
        flag, _, mac, status, device_type, ip, name = _REPORT.unpack_from(data)
        if flag & (_VERSION | _RESPONSE) != _RESPONSE:
            raise ProtocolError(f"flag {flag:#04x} is no Simple Config response")
        return cls(
            code=flag & _CODE,
            mac=mac,
            ip=str(IPv4Address(ip)),
            name=name.split(b"\0", 1)[0].decode(errors="replace"),
            status=status,
            device_type=device_type,
            pin_enabled=bool(data[_REPORT.size]) if len(data) > _REPORT.size else None,
        )


@attrs.frozen
class RealtekRequest:
    """What a phone sends to port 18864: discovery, or a control message.

    Attributes:
        ask: One of `RealtekAsk`.
        nonce: 64 octets.
        digest: MD5 over nonce and the default PIN.
        user_digest: MD5 over nonce and the device's own PIN; in control messages.
        mac: The phone's MAC address; in discoveries.
        name: The new name, UTF-8; in a rename.
    """

    ask: int
    nonce: bytes
    digest: bytes
    user_digest: bytes = b""
    mac: bytes = b""
    name: bytes = b""

    @classmethod
    def make(
        cls,
        ask: int,
        nonce: bytes,
        pin: bytes,
        *,
        user_pin: bytes = b"",
        mac: bytes = bytes(6),
        name: str = "",
    ) -> RealtekRequest:
        """A request whose digests come from the PINs; control messages prove the device's own PIN, too."""
        control = ask not in (RealtekAsk.DISCOVER, RealtekAsk.CONFIRM)
        return cls(
            ask=ask,
            nonce=nonce,
            digest=_digest(nonce, pin),
            user_digest=_digest(nonce, user_pin or pin) if control else b"",
            mac=b"" if control else mac,
            name=name.encode()[:_NAME] if ask == RealtekAsk.RENAME else b"",
        )

    def proves(self, pin: bytes) -> bool:
        """True where the sender knows this PIN."""
        return self.digest == _digest(self.nonce, pin)

    def proves_user(self, pin: bytes) -> bool:
        """True where the sender of a control message knows the device's own PIN."""
        return bool(self.user_digest) and self.user_digest == _digest(self.nonce, pin)

    def build(self) -> bytes:
        """The datagram: 92 octets for a discovery, 100 and the name for a control message."""
        tail = self.user_digest + self.name if self.user_digest else _DISCOVERER.pack(self.mac, 0)
        return _REQUEST.pack(self.ask, _REQUEST.size - 3 + len(tail), 1, self.nonce, self.digest) + tail

    @classmethod
    def parse(cls, data: bytes) -> RealtekRequest:
        """Read a datagram, also with the security octet before the length, as the iOS phone of 2014 has it.

        Raises:
            ProtocolError: Too short, of another version, or a response.
        """
        if len(data) < _REQUEST.size + _DISCOVERER.size:
            raise ProtocolError(f"a Simple Config request of {len(data)} octets is too short")
        flag, _, _, nonce, digest = _REQUEST.unpack_from(data)
        if flag & (_VERSION | _RESPONSE):
            raise ProtocolError(f"flag {flag:#04x} is no Simple Config request")
        ask, tail = flag & _CODE, data[_REQUEST.size :]
        if ask in (RealtekAsk.DELETE, RealtekAsk.RENAME, RealtekAsk.NEW_AP):
            if len(tail) < _DIGEST:
                raise ProtocolError(f"a Simple Config control message of {len(data)} octets is too short")
            return cls(ask, nonce, digest, user_digest=tail[:_DIGEST], name=tail[_DIGEST:].rstrip(b"\0"))
        return cls(ask, nonce, digest, mac=tail[:_MAC])


def _digest(nonce: bytes, pin: bytes) -> bytes:
    return hashlib.md5(nonce + pin, usedforsecurity=False).digest()
