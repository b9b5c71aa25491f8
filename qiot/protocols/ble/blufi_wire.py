"""BluFi's numbers, and the messages that are more than a number (ESP-IDF, "BluFi"; blufi_int.h)."""

from __future__ import annotations

import enum
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import attrs

from qiot.errors import ConfigurationError, ProtocolError
from qiot.model import SSID_MAX, Failure, Network, Reason, Security
from qiot.protocols.ble.frames import CONTROL, DATA, ErrorCode, type_byte
from qiot.protocols.ble.profile import ADVERTISING_MAX, GattProfile

__all__ = [
    "NOTIFY",
    "STATION",
    "WRITE",
    "Control",
    "Data",
    "Report",
    "StaState",
    "blufi_profile",
    "end_reason",
    "name_of",
    "reason_of",
]

SERVICE: Final = "ffff"
WRITE: Final = "ff01"
NOTIFY: Final = "ff02"
STATION: Final = 1
"""Operation mode: the device is a station."""
_NAME_MAX: Final = ADVERTISING_MAX - 2
_NETWORKS_MAX: Final = 64
_BSSID: Final = 6

ADVERTISING: Final = bytes.fromhex("0201060303ffff")
"""Flags (general discoverable, no classic Bluetooth) and the service."""


def blufi_profile(name: str = "BLUFI_DEVICE") -> GattProfile:
    """The service and its advertisement; Espressif's apps look for a name that begins with BLUFI.

    Args:
        name: In the scan response: 1 to 29 octets of UTF-8.

    Raises:
        ConfigurationError: The name is empty or too long.
    """
    return GattProfile(
        SERVICE,
        {WRITE: frozenset({"write"}), NOTIFY: frozenset({"read", "notify"})},
        ADVERTISING,
        scan_response(name),
    )


def scan_response(name: str) -> bytes:
    """A scan response with the complete local name.

    Raises:
        ConfigurationError: The name is not 1 to 29 octets.
    """
    octets = name.encode()
    if not 1 <= len(octets) <= _NAME_MAX:
        raise ConfigurationError(
            f"a Bluetooth name of {len(octets)} octets does not fit a scan response",
            hint=f"Choose a name of 1 to {_NAME_MAX} octets.",
        )
    return bytes((len(octets) + 1, 0x09)) + octets


class Control(enum.IntEnum):
    """Type octets of control frames."""

    ACK = type_byte(CONTROL, 0)
    SECURITY_MODE = type_byte(CONTROL, 1)
    OP_MODE = type_byte(CONTROL, 2)
    CONNECT = type_byte(CONTROL, 3)
    DISCONNECT = type_byte(CONTROL, 4)
    STATUS = type_byte(CONTROL, 5)
    DEAUTHENTICATE = type_byte(CONTROL, 6)
    VERSION = type_byte(CONTROL, 7)
    CLOSE = type_byte(CONTROL, 8)
    NETWORKS = type_byte(CONTROL, 9)


class Data(enum.IntEnum):
    """Type octets of data frames."""

    NEGOTIATION = type_byte(DATA, 0x0)
    BSSID = type_byte(DATA, 0x1)
    SSID = type_byte(DATA, 0x2)
    PASSWORD = type_byte(DATA, 0x3)
    AP_SSID = type_byte(DATA, 0x4)
    AP_PASSWORD = type_byte(DATA, 0x5)
    AP_CONNECTIONS = type_byte(DATA, 0x6)
    AP_SECURITY = type_byte(DATA, 0x7)
    AP_CHANNEL = type_byte(DATA, 0x8)
    USER_NAME = type_byte(DATA, 0x9)
    CA = type_byte(DATA, 0xA)
    CLIENT_CERTIFICATE = type_byte(DATA, 0xB)
    SERVER_CERTIFICATE = type_byte(DATA, 0xC)
    CLIENT_KEY = type_byte(DATA, 0xD)
    SERVER_KEY = type_byte(DATA, 0xE)
    REPORT = type_byte(DATA, 0xF)
    VERSION = type_byte(DATA, 0x10)
    NETWORKS = type_byte(DATA, 0x11)
    ERROR = type_byte(DATA, 0x12)
    CUSTOM = type_byte(DATA, 0x13)


_NAMES: Final[Mapping[int, str]] = {
    int(each): each.name.lower().replace("_", " ") for each in (*Control, *Data)
}


def name_of(type_: int) -> str:
    """What a frame of this type is called, for those who watch: "ssid", "op mode"."""
    return _NAMES.get(type_, f"type {type_:02x}")


ACCESS_POINT: Final = range(Data.AP_SSID, Data.AP_CHANNEL + 1)
"""Settings of the device's own access point."""
ENTERPRISE: Final = range(Data.USER_NAME, Data.SERVER_KEY + 1)
"""What an enterprise network needs."""


class StaState(enum.IntEnum):
    """Second octet of a connection report; 2 and 3 since version 1.3."""

    CONNECTED = 0
    FAILED = 1
    CONNECTING = 2
    NO_ADDRESS = 3


_BSSID_TLV: Final = 0x1
_SSID_TLV: Final = 0x2
_RETRY_TLV: Final = 0x14
_REASON_TLV: Final = 0x15
_RSSI_TLV: Final = 0x16
_NO_RSSI: Final = -128


@attrs.frozen
class Report:
    """A connection report.

    Attributes:
        op_mode: 0 none, 1 station, 2 access point, 3 both.
        state: A `StaState`, or what a foreign device says.
        bssid: Of the access point, six octets.
        ssid: Of the network.
        retry: How often the device tries at most.
        reason: Why the connection ended, as ESP-IDF numbers it (wifi_err_reason_t).
        rssi: dBm; None where it is not known (-128 on the wire).
    """

    op_mode: int
    state: int
    bssid: bytes | None = None
    ssid: bytes | None = None
    retry: int | None = None
    reason: int | None = None
    rssi: int | None = None

    def encode(self) -> bytes:
        """`op mode | station state | stations of the access point | TLV*`."""
        out = bytes((self.op_mode, self.state, 0))
        for type_, value in (
            (_BSSID_TLV, self.bssid),
            (_SSID_TLV, self.ssid),
            (_RETRY_TLV, None if self.retry is None else bytes((self.retry,))),
            (_REASON_TLV, None if self.reason is None else bytes((self.reason & 0xFF,))),
            (_RSSI_TLV, None if self.rssi is None else signed(self.rssi)),
        ):
            if value is not None:
                out += bytes((type_, len(value))) + value
        return out

    @classmethod
    def parse(cls, data: bytes) -> Report:
        """Read a report; unknown TLVs are left out.

        Raises:
            ProtocolError: DATA_FORMAT: cut off.
        """
        if len(data) < 3:  # noqa: PLR2004
            raise ProtocolError("a connection report of less than 3 octets", code=ErrorCode.DATA_FORMAT)
        found = dict(tlvs(data[3:]))
        rssi = found.get(_RSSI_TLV)
        signal = int.from_bytes(rssi[:1], "big", signed=True) if rssi else _NO_RSSI
        return cls(
            data[0],
            data[1],
            bssid=found.get(_BSSID_TLV),
            ssid=found.get(_SSID_TLV),
            retry=_octet(found.get(_RETRY_TLV)),
            reason=_octet(found.get(_REASON_TLV)),
            rssi=None if signal == _NO_RSSI else signal,
        )


def signed(number: int) -> bytes:
    """A signal in dBm as one octet."""
    return max(-128, min(127, number)).to_bytes(1, "big", signed=True)


def _octet(value: bytes | None) -> int | None:
    return value[0] if value else None


def tlvs(data: bytes) -> Iterator[tuple[int, bytes]]:
    """`type | length | value`, each.

    Raises:
        ProtocolError: DATA_FORMAT: cut off.
    """
    start = 0
    while start < len(data):
        end = start + 2 + (data[start + 1] if start + 1 < len(data) else len(data))
        if end > len(data):
            raise ProtocolError("a connection report is cut off", code=ErrorCode.DATA_FORMAT)
        yield data[start], data[start + 2 : end]
        start = end


def encode_networks(networks: Sequence[Network]) -> bytes:
    """The Wi-Fi list: `length of what follows | signal | SSID`, each; hidden networks are left out."""
    named = [network for network in networks if 1 <= len(network.ssid) <= SSID_MAX]
    entries = (signed(each.signal) + each.ssid for each in named[:_NETWORKS_MAX])
    return b"".join(bytes((len(entry),)) + entry for entry in entries)


def parse_networks(data: bytes) -> list[Network]:
    """Read a Wi-Fi list as far as it can be read; it names neither BSSID nor security."""
    found: list[Network] = []
    start = 0
    while start + 1 < len(data) and data[start] >= 1:
        end = start + 1 + data[start]
        signal = int.from_bytes(data[start + 1 : start + 2], "big", signed=True)
        ssid = data[start + 2 : end]
        if end > len(data) or len(ssid) > SSID_MAX:
            break
        found.append(Network(ssid, bytes(_BSSID), 0, signal, Security.UNKNOWN))
        start = end
    return found


_END_REASONS: Final[Mapping[Reason, int]] = {
    Reason.WRONG_PASSWORD: 15,
    Reason.HANDSHAKE_TIMEOUT: 204,
    Reason.NO_SUCH_AP: 201,
    Reason.ASSOCIATION_REFUSED: 203,
    Reason.UNSUPPORTED_SECURITY: 210,
    Reason.JOIN_TIMEOUT: 200,
}
"""wifi_err_reason_t: an ESP32 gives 15 (4-way handshake time-out) where the password is wrong."""
_CONNECTION_FAILED: Final = 205

_REASONS: Final[Mapping[int, Reason]] = {
    **{number: reason for reason, number in _END_REASONS.items()},
    2: Reason.WRONG_PASSWORD,
    14: Reason.WRONG_PASSWORD,
    202: Reason.WRONG_PASSWORD,
    211: Reason.UNSUPPORTED_SECURITY,
    212: Reason.NO_SUCH_AP,
}


def end_reason(failure: Failure | None) -> int:
    """A failure as the number of ESP-IDF that its users know."""
    return _CONNECTION_FAILED if failure is None else _END_REASONS.get(failure.reason, _CONNECTION_FAILED)


def reason_of(number: int | None) -> Reason:
    """What an end reason says."""
    return Reason.JOIN_OTHER if number is None else _REASONS.get(number, Reason.JOIN_OTHER)
