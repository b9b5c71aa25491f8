"""The frames of LLSync's assisted provisioning: types, slices, fields, advertisement.

Sources: the protocol document of the LLSync SDK (1.4.1, sections 4 to 6), and what Tencent's own device code
and mini program do where the document is silent. All numbers are big endian. A packet is a type octet, two
octets that hold the slice's place and the length of what follows in this packet, and that.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from typing import Final

import attrs

from qiot.errors import ConfigurationError, ProtocolError
from qiot.model import SSID_MAX, Reason
from qiot.protocols.ble.att import ATT_DEFAULT, ATT_HEADER, ATT_MAX
from qiot.protocols.ble.profile import ADVERTISING_MAX, GattProfile

__all__ = [
    "DOWN_PORT",
    "MESSAGE_MAX",
    "MTU_DEFAULT",
    "MTU_FAILED",
    "PASSWORD_MAX",
    "UP_PORT",
    "DeviceInfo",
    "Down",
    "Slices",
    "Up",
    "WifiResult",
    "device_info",
    "llsync_profile",
    "packets",
    "parse_device_info",
    "parse_result",
    "parse_wifi_info",
    "parse_wifi_result",
    "wifi_groups",
    "wifi_result",
]

DOWN_PORT: Final = "ffe1"
"""The characteristic that the phone writes."""
UP_PORT: Final = "ffe3"
"""The characteristic that the device notifies."""

MTU_DEFAULT: Final = ATT_DEFAULT - ATT_HEADER
"""Octets of a packet before anything is agreed: the LLSync MTU is the ATT MTU without its header."""
MTU_MAX: Final = ATT_MAX - ATT_HEADER
MTU_FAILED: Final = 0xFFFF
"""What the phone says where it could not set the MTU."""
MESSAGE_MAX: Final = 1024
"""Octets of a message put together from slices; the device code's buffer."""
PASSWORD_MAX: Final = 64
NAME_MAX: Final = 48
PRODUCT_ID_SIZE: Final = 10
MAC_SIZE: Final = 6
VERSION: Final = 2
STATION: Final = 1
"""The one Wi-Fi mode: the device is a station."""

_BASE: Final = "-65d0-4e20-b56a-e493541ba4e2"
_HEADER: Final = 3
_FIXED: Final = 4
"""Octets before the name, in the device information and in the connect result."""
_PLACE: Final = 0xC0
_LENGTH: Final = 0x1FFF
_WANTS_MTU: Final = 0x8000


class Down(enum.IntEnum):
    """What the phone sends."""

    MTU_RESULT = 0x09
    GET_INFO = 0xE0
    SET_MODE = 0xE1
    SET_WIFI = 0xE2
    CONNECT = 0xE3
    SET_TOKEN = 0xE4
    GET_LOG = 0xE5


class Up(enum.IntEnum):
    """What the device sends."""

    INFO = 0x08
    MTU = 0x0C
    MODE_RESULT = 0xE0
    WIFI_RESULT = 0xE1
    CONNECT_RESULT = 0xE2
    TOKEN_RESULT = 0xE3
    LOG = 0xE4


class Place(enum.IntEnum):
    """Where in a message a packet is: the two highest bits of the length."""

    WHOLE = 0x00
    HEAD = 0x40
    BODY = 0x80
    TAIL = 0xC0


# --- packets and slices ------------------------------------------------------------------------------------


def packets(kind: int, groups: Sequence[bytes], mtu: int, *, length: int | None = None) -> list[bytes]:
    """A message as packets of at most `mtu` octets.

    Args:
        kind: The type.
        groups: The payload in parts that no slice may mix: the phone slices name and password apart.
        mtu: The LLSync MTU, 20 to 514.
        length: What an unsliced packet says of its length; where None, the true one. The mini program counts
            name and password without the octets that say how long each is.
    """
    payload = b"".join(groups)
    if _HEADER + len(payload) <= mtu:
        said = len(payload) if length is None else length
        return [bytes([kind]) + said.to_bytes(2, "big") + payload]
    room = mtu - _HEADER
    chunks = [group[start : start + room] for group in groups for start in range(0, len(group), room)]
    places = [Place.HEAD, *[Place.BODY] * (len(chunks) - 2), Place.TAIL]
    return [
        bytes([kind, place | len(chunk) >> 8, len(chunk) & 0xFF]) + chunk
        for place, chunk in zip(places, chunks, strict=True)
    ]


class Slices:
    """Puts the slices of one direction together.

    A packet in the wrong place breaks its message once; what is left of that message is passed over in
    silence, so that one loss gives one error.
    """

    def __init__(self) -> None:
        self._kind: int | None = None
        self._parts = bytearray()
        self._broken: int | None = None

    def clear(self) -> None:
        """Forget what was under way."""
        self._kind, self._broken = None, None
        self._parts.clear()

    def feed(self, packet: bytes) -> tuple[int, bytes] | None:
        """Take a packet of at least one octet; give type and payload of a message that is complete with it.

        A packet of at most three octets, or with a place of 0, is a whole message; its payload then still has
        the length in front, which some messages have and some have not.

        Raises:
            ProtocolError: BAD_MESSAGE; the slice does not follow on, or is not as long as it says.
        """
        kind = packet[0]
        if len(packet) <= _HEADER or not packet[1] & _PLACE:
            self.clear()
            return kind, packet[1:]
        place = Place(packet[1] & _PLACE)
        chunk = packet[_HEADER:]
        if place is Place.HEAD:
            self.clear()
            self._kind = kind
        elif kind != self._kind:
            known = self._broken == kind
            self._break(kind if place is Place.BODY else None)
            if known:
                return None
            raise ProtocolError("a slice came without the one before it")
        if len(chunk) != int.from_bytes(packet[1:3], "big") & _LENGTH:
            self._break(kind if place is not Place.TAIL else None)
            raise ProtocolError(f"a slice has {len(chunk)} octets, not as many as it says")
        if len(self._parts) + len(chunk) > MESSAGE_MAX:
            self._break(kind if place is not Place.TAIL else None)
            raise ProtocolError(f"a message has more than {MESSAGE_MAX} octets")
        self._parts += chunk
        if place is not Place.TAIL:
            return None
        message = bytes(self._parts)
        self.clear()
        return kind, len(message).to_bytes(2, "big") + message

    def _break(self, kind: int | None) -> None:
        self.clear()
        self._broken = kind


# --- fields ------------------------------------------------------------------------------------------------


@attrs.frozen
class DeviceInfo:
    """What a device says of itself.

    Attributes:
        version: Of the protocol.
        mtu: The ATT MTU it goes by. The older plug-in takes it for the LLSync MTU, without 3 octets less.
        wants_mtu: The phone is to set the MTU.
        name: The device's name in the cloud.
    """

    version: int
    mtu: int
    wants_mtu: bool
    name: str


@attrs.frozen
class WifiResult:
    """How a connect ended: 0 is connected; the network's name comes back."""

    state: int
    ssid: bytes

    @property
    def connected(self) -> bool:
        """True where the device is in the network."""
        return self.state == 0


def device_info(name: bytes, mtu: int, *, wants_mtu: bool) -> bytes:
    """The payload of 08."""
    said = (mtu | _WANTS_MTU) if wants_mtu else mtu
    return bytes([VERSION]) + said.to_bytes(2, "big") + bytes([len(name)]) + name


def parse_device_info(payload: bytes) -> DeviceInfo:
    """Read the payload of 08.

    Raises:
        ProtocolError: BAD_FIELD: too short, or a name that is not as long as it says.
    """
    if len(payload) < _FIXED or payload[3] != len(payload) - _FIXED:
        raise ProtocolError("the device information is not as long as it says", reason=Reason.BAD_FIELD)
    said = int.from_bytes(payload[1:3], "big")
    return DeviceInfo(
        payload[0], said & _LENGTH, bool(said & _WANTS_MTU), payload[_FIXED:].decode(errors="replace")
    )


def wifi_groups(ssid: bytes, password: bytes) -> list[bytes]:
    """Name and password for E2, each with its length."""
    return [bytes([len(ssid)]) + ssid, bytes([len(password)]) + password]


def parse_wifi_info(payload: bytes) -> tuple[bytes, bytes]:
    """Name and password out of E2, by the inner lengths alone.

    Raises:
        ProtocolError: BAD_FIELD, with the field's name and never its value.
    """
    ssid, rest = _counted(payload, "the network's name")
    password, rest = _counted(rest, "the password")
    if rest:
        raise ProtocolError(f"{len(rest)} octets are left after the password", reason=Reason.BAD_FIELD)
    if not 1 <= len(ssid) <= SSID_MAX:
        raise ProtocolError(
            f"the network's name has {len(ssid)} octets, not 1 to {SSID_MAX}", reason=Reason.BAD_FIELD
        )
    if len(password) > PASSWORD_MAX:
        raise ProtocolError(
            f"the password has {len(password)} octets, more than {PASSWORD_MAX}", reason=Reason.BAD_FIELD
        )
    return ssid, password


def _counted(data: bytes, what: str) -> tuple[bytes, bytes]:
    if not data or len(data) < 1 + data[0]:
        raise ProtocolError(f"{what} is cut off", reason=Reason.BAD_FIELD)
    return data[1 : 1 + data[0]], data[1 + data[0] :]


def wifi_result(state: int, ssid: bytes) -> bytes:
    """The payload of uplink E2: mode, state, no access point, the network's name."""
    return bytes([STATION, state, 0, len(ssid)]) + ssid


def parse_wifi_result(payload: bytes) -> WifiResult:
    """Read the payload of uplink E2.

    Raises:
        ProtocolError: BAD_FIELD: too short.
    """
    if len(payload) < _FIXED or len(payload) < _FIXED + payload[3]:
        raise ProtocolError("the connect result is cut off", reason=Reason.BAD_FIELD)
    return WifiResult(payload[1], payload[_FIXED : _FIXED + payload[3]])


def parse_result(payload: bytes) -> int:
    """Read the payload of uplink E0, E1 and E3: 0 is ok.

    Raises:
        ProtocolError: BAD_FIELD: empty.
    """
    if not payload:
        raise ProtocolError("the result is missing", reason=Reason.BAD_FIELD)
    return payload[0]


# --- advertisement -----------------------------------------------------------------------------------------


def llsync_profile(*, product_id: str, mac: bytes, name: str) -> GattProfile:
    """The service, and what a phone finds the device by.

    Args:
        product_id: Ten ASCII characters.
        mac: Six octets.
        name: The complete local name, in the scan response; at most 29 octets.

    Raises:
        ConfigurationError: One of them does not fit.
    """
    if len(product_id) != PRODUCT_ID_SIZE or not product_id.isascii():
        raise ConfigurationError(
            f"LLSync advertises a product id of {PRODUCT_ID_SIZE} ASCII characters, not {len(product_id)}"
        )
    if len(mac) != MAC_SIZE:
        raise ConfigurationError(f"a MAC address has {MAC_SIZE} octets, this has {len(mac)}")
    local = name.encode()
    if not 1 <= len(local) <= ADVERTISING_MAX - 2:
        raise ConfigurationError(
            f"the Bluetooth name has {len(local)} octets, not 1 to {ADVERTISING_MAX - 2}",
            hint="Choose a shorter name for the advertisement.",
        )
    maker = b"\xe7\xfe" + bytes([VERSION]) + mac + product_id.encode()
    return GattProfile(
        service="0000fff0" + _BASE,
        characteristics={
            f"0000{DOWN_PORT}{_BASE}": frozenset({"write"}),
            f"0000{UP_PORT}{_BASE}": frozenset({"notify"}),
        },
        advertising=b"\x02\x01\x06\x03\x03\xf0\xff" + bytes([1 + len(maker), 0xFF]) + maker,
        scan_response=bytes([1 + len(local), 0x09]) + local,
    )
