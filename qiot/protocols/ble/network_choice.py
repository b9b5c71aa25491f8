"""The network that a phone names piece by piece, in any order, before it says "connect"."""

from __future__ import annotations

from qiot.errors import ProtocolError
from qiot.model import SSID_MAX, Credentials, Secret
from qiot.protocols.ble.frames import ErrorCode

__all__ = ["PASSWORD_MAX", "NetworkChoice"]

PASSWORD_MAX = 64
"""Octets of a password: a passphrase, or 64 hexadecimal digits."""
_BSSID = 6


class NetworkChoice:
    """SSID, password and BSSID as they came.

    Attributes:
        offered: The credentials of the last connect.
    """

    def __init__(self) -> None:
        self._ssid = b""
        self._password: Secret | None = None
        self._bssid: bytes | None = None
        self._fresh: set[str] = set()
        self.offered: Credentials | None = None

    def set_ssid(self, ssid: bytes) -> None:
        """The network's name.

        Raises:
            ProtocolError: DATA_FORMAT: longer than 32 octets.
        """
        if len(ssid) > SSID_MAX:
            raise ProtocolError(f"an SSID of {len(ssid)} octets", code=ErrorCode.DATA_FORMAT)
        self._ssid = ssid
        self._fresh.add("ssid")

    def set_password(self, password: bytes) -> None:
        """Its password, empty for an open network.

        Raises:
            ProtocolError: DATA_FORMAT: longer than 64 octets.
        """
        if len(password) > PASSWORD_MAX:
            raise ProtocolError(f"a password of {len(password)} octets", code=ErrorCode.DATA_FORMAT)
        self._password = Secret(password)
        self._fresh.add("password")

    def set_bssid(self, bssid: bytes) -> None:
        """One access point of it.

        Raises:
            ProtocolError: DATA_FORMAT: not six octets.
        """
        if len(bssid) != _BSSID:
            raise ProtocolError(f"a BSSID of {len(bssid)} octets", code=ErrorCode.DATA_FORMAT)
        self._bssid = bssid
        self._fresh.add("bssid")

    def connect(self) -> Credentials | None:
        """What to join, or None where no network was named.

        A phone that tries again may repeat only what changed; but what it said for another network does not
        count for this one.
        """
        fresh, self._fresh = self._fresh, set()
        if not self._ssid:
            return None
        if self.offered is not None and self.offered.ssid != self._ssid:
            self._password = self._password if "password" in fresh else None
            self._bssid = self._bssid if "bssid" in fresh else None
        self.offered = Credentials(self._ssid, self._password or Secret(b""), self._bssid)
        return self.offered
