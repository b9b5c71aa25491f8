"""Tencent's BT-Combo: three sets of numbers on BluFi's frame (Lianlian Bluetooth provisioning, PDF V1.1).

What they have in common are BluFi's own numbers, `blufi_wire.Control` and `blufi_wire.Data`. v1 is the PDF.
v2 takes BluFi's for the rest, too, and is what today's mini program speaks best: it cannot read the PDF's
version answer. v3 is v2 with messages that the phone cuts for an MTU of 23.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal

import attrs

from qiot.errors import ProtocolError
from qiot.protocols.ble.blufi_wire import ADVERTISING, NOTIFY, SERVICE, WRITE, StaState, scan_response, tlvs
from qiot.protocols.ble.profile import GattProfile

__all__ = [
    "DIALECTS",
    "NOTIFY",
    "PROBE",
    "WRITE",
    "Dialect",
    "DialectName",
    "WifiReport",
    "btcombo_profile",
]

DialectName = Literal["v1", "v2", "v3"]

PROBE: Final = 0x1C
"""What the phone writes first: "get version" in v2, "get log" in v1."""

_SSID_TLV: Final = 0x02
_REASON_TLV: Final = 0x15
_HEAD: Final = 3


def btcombo_profile(name: str = "BLECOMBO") -> GattProfile:
    """The service and its advertisement; the phone looks for the advertised service alone.

    Args:
        name: In the scan response: 1 to 29 octets of UTF-8.

    Raises:
        ConfigurationError: The name is empty or too long.
    """
    return GattProfile(
        SERVICE,
        {WRITE: frozenset({"write"}), NOTIFY: frozenset({"read", "write", "notify"})},
        ADVERTISING,
        scan_response(name),
    )


@attrs.frozen
class Dialect:
    """Type octets that differ.

    Attributes:
        name: As the option has it.
        status: The phone asks for the Wi-Fi state.
        close: The phone ends the connection.
        version: The phone asks for the version.
        log: The phone asks for the log; None where it does so in JSON.
        report: The device reports the Wi-Fi state.
        token: Token of the phone, bind result of the device.
        version_answer: The device answers with its version.
        log_line: The device sends its log.
    """

    name: DialectName
    status: int
    close: int
    version: int
    log: int | None
    report: int
    token: int
    version_answer: int
    log_line: int

    @property
    def json(self) -> bool:
        """True where token and log query are JSON in custom data."""
        return self.log is None


_V2: Final = Dialect("v2", 0x14, 0x20, 0x1C, None, 0x3D, 0x4D, 0x41, 0x4D)

DIALECTS: Final[Mapping[str, Dialect]] = {
    "v1": Dialect("v1", 0x10, 0x14, 0x18, 0x1C, 0x11, 0x15, 0x19, 0x1D),
    "v2": _V2,
    "v3": attrs.evolve(_V2, name="v3"),
}


@attrs.frozen
class WifiReport:
    """A Wi-Fi report.

    Attributes:
        op_mode: 1 station.
        state: A `StaState`; every other than 0 is a failure for the mini program.
        ssid: The network, where it is connected: exactly as the phone sent it.
        reason: Why not, as ESP-IDF numbers it; no part of the PDF.
    """

    op_mode: int
    state: int
    ssid: bytes | None = None
    reason: int | None = None

    def encode(self) -> bytes:
        """`op mode | state | 0 | 02 length SSID`; the mini program reads the SSID at this very place."""
        out = bytes((self.op_mode, self.state, 0))
        if self.ssid is not None:
            out += bytes((_SSID_TLV, len(self.ssid))) + self.ssid
        if self.reason is not None:
            out += bytes((_REASON_TLV, 1, self.reason & 0xFF))
        return out

    @classmethod
    def parse(cls, data: bytes) -> WifiReport:
        """Read a report, BluFi's, too; where it is no list of TLVs, the SSID is where the mini program looks.

        Raises:
            ProtocolError: Shorter than 3 octets.
        """
        if len(data) < _HEAD:
            raise ProtocolError("a Wi-Fi report of less than 3 octets")
        try:
            found = dict(tlvs(data[_HEAD:]))
        except ProtocolError:
            found = {_SSID_TLV: data[_HEAD + 2 :]}
        reason = found.get(_REASON_TLV)
        return cls(data[0], data[1], found.get(_SSID_TLV), reason[0] if reason else None)

    @property
    def connected(self) -> bool:
        """True where the device is in the network and has an address."""
        return self.state == StaState.CONNECTED
