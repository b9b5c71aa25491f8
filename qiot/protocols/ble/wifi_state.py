"""What a device over Bluetooth can say of its Wi-Fi, followed from the session's events."""

from __future__ import annotations

import enum
from collections.abc import Sequence

from qiot.model import Credentials, Event, Failure, Network, Outcome, Reason, Step

__all__ = ["WifiState"]


class Wifi(enum.Enum):
    """How the station is."""

    IDLE = enum.auto()
    CONNECTING = enum.auto()
    CONNECTED = enum.auto()
    FAILED = enum.auto()


class WifiState:
    """The station as of the last event.

    Attributes:
        state: How it is.
        ssid: Of the network that was tried last, or None.
        failure: Why it failed.
    """

    def __init__(self) -> None:
        self.state = Wifi.IDLE
        self.ssid: bytes | None = None
        self.failure: Failure | None = None
        self._bssid: bytes | None = None
        self._signal: int | None = None
        self._seen: Sequence[Network] = ()

    @property
    def no_address(self) -> bool:
        """True where the station is in the network and got no address."""
        return self.failure is not None and self.failure.reason is Reason.DHCP

    @property
    def network(self) -> Network | None:
        """What the last scan saw of it, the strongest."""
        named = (each for each in self._seen if each.ssid == self.ssid)
        return max(named, key=lambda each: each.signal, default=None)

    @property
    def bssid(self) -> bytes | None:
        """Of the access point: as the platform or the phone said, or by the last scan."""
        return self._bssid or (self.network.bssid if self.network is not None else None)

    @property
    def signal(self) -> int | None:
        """In dBm, where it is known."""
        return self.network.signal if self._signal is None and self.network is not None else self._signal

    def scanned(self, networks: Sequence[Network]) -> None:
        """Remember a scan."""
        self._seen = tuple(networks)

    def follow(self, event: Event, credentials: Credentials | None) -> bool:
        """Take a session event.

        Args:
            event: Any; those of other steps than joining change nothing.
            credentials: What the event's peer has offered here, where it has.

        Returns:
            True where a join has ended, and the phone waits to hear of it.
        """
        if event.step is Step.FAILED and self.state is Wifi.CONNECTING:
            self.state, self.failure = Wifi.FAILED, event.failure  # the session ended in the middle of it
            return True
        if event.step is not Step.JOINING:
            return False
        if event.outcome is Outcome.STARTED:
            self.state, self.failure, self._bssid, self._signal = Wifi.CONNECTING, None, None, None
            self._name(event, credentials)
            return False
        if event.outcome not in (Outcome.OK, Outcome.FAILED):
            return False
        ok = event.outcome is Outcome.OK
        self.state, self.failure = (Wifi.CONNECTED, None) if ok else (Wifi.FAILED, event.failure)
        self._name(event, credentials)
        self._measured(event)
        return True

    def _name(self, event: Event, credentials: Credentials | None) -> None:
        shown = event.detail.get("ssid")
        if credentials is not None:
            self.ssid = credentials.ssid
            self._bssid = credentials.bssid or self._bssid
        elif isinstance(shown, str):
            self.ssid = shown.encode()

    def _measured(self, event: Event) -> None:
        bssid, signal = event.detail.get("bssid"), event.detail.get("signal")
        if isinstance(bssid, str):
            try:
                octets = bytes.fromhex(bssid.replace(":", ""))
            except ValueError:
                octets = b""
            self._bssid = octets if len(octets) == 6 else self._bssid  # noqa: PLR2004
        if isinstance(signal, int):
            self._signal = signal
