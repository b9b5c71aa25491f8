"""What wpa_supplicant tells of a join and NetworkManager does not: 802.11 status and reason codes."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping
from typing import Any, Final

from dbus_fast import Variant

from qiot.errors import HalError
from qiot.hal.linux.bus import Bus, BusError, Signal, Signals

__all__ = ["SUPPLICANT_RULE", "Association", "look", "supplicant_path"]

_SUPPLICANT: Final = "fi.w1.wpa_supplicant1"
_SUPPLICANT_PATH: Final = "/fi/w1/wpa_supplicant1"
_INTERFACE: Final = "fi.w1.wpa_supplicant1.Interface"
SUPPLICANT_RULE: Final = (
    f"sender='{_SUPPLICANT}',interface='org.freedesktop.DBus.Properties',"
    f"member='PropertiesChanged',arg0='{_INTERFACE}'"
)
"""Match rule of the signals that `Association.hear` understands."""

_LOOK_LIMIT: Final = 3.0
"""Seconds for one channel; where it takes longer, NetworkManager's own scan does it."""
_REFUSALS: Final = 3
"""Refused associations that make it final: a router that steers to its other band refuses once or twice."""
_SAE_FAILURES: Final = frozenset({1, 15})
"""Status of an SAE exchange with another password: challenge failure, or unspecified, as hostapd 2.10 says.

A device that a filter keeps out gets the latter, too; a wrong password is the likelier of the two.
"""
_NO_REFUSAL: Final = frozenset({0, 30, 76, 77, 126, 127})
"""Status codes of a dance that goes on: success, come back later, and SAE's own (IEEE 802.11, table 9-50)."""


async def supplicant_path(bus: Bus, interface: str) -> str:
    """Where wpa_supplicant has the interface; "" where it does not say, as to users it does not know."""
    with contextlib.suppress(HalError):
        body = await bus.call(_SUPPLICANT, _SUPPLICANT_PATH, _SUPPLICANT, "GetInterface", "s", interface)
        return str(body[0])
    return ""


async def look(bus: Bus, interface: str, ssid: bytes, frequency: int) -> None:
    """Have wpa_supplicant see a network before it is told to join: it does not scan all channels then.

    Args:
        bus: The system bus.
        interface: Name of the interface.
        ssid: The network, which is asked for by name.
        frequency: MHz of its channel.
    """
    path = await supplicant_path(bus, interface)
    if not path:
        return
    options = {
        "Type": Variant("s", "active"),
        "SSIDs": Variant("aay", [ssid]),
        "Channels": Variant("a(uu)", [[frequency, 20]]),
        "AllowRoam": Variant("b", False),
    }
    rule = f"sender='{_SUPPLICANT}',path='{path}',interface='{_INTERFACE}',member='ScanDone'"
    with contextlib.suppress(HalError, TimeoutError):
        async with asyncio.timeout(_LOOK_LIMIT), bus.signals(rule) as signals:
            try:
                await bus.call(_SUPPLICANT, path, _INTERFACE, "Scan", "a{sv}", options)
            except BusError:
                # Another scan is under way, over all channels as a rule.
                await bus.call(_SUPPLICANT, path, _INTERFACE, "AbortScan")
                await _scan_done(signals, path)
                await bus.call(_SUPPLICANT, path, _INTERFACE, "Scan", "a{sv}", options)
            await _scan_done(signals, path)


async def _scan_done(signals: Signals, path: str) -> None:
    while True:
        signal = await signals.next()
        if signal.path == path and signal.member == "ScanDone":
            return


class Association:
    """One join as wpa_supplicant sees it.

    Args:
        sae: True where the network takes SAE.

    Attributes:
        state: wpa_supplicant's state; "" where nothing was heard.
        met: True once an access point answered in any way.
        in_handshake: True where the last connection ended, or is, in the four-way handshake.
        disconnect_reason: 802.11 reason code; negative where this side ended it.
        refusals: How often an access point refused.
        refusal: The status code of the last refusal.
    """

    def __init__(self, *, sae: bool = False) -> None:
        self._sae = sae
        self.state = ""
        self.met = False
        self.in_handshake = False
        self.disconnect_reason: int | None = None
        self.refusals = 0
        self.refusal: int | None = None

    @property
    def wrong_sae_password(self) -> bool:
        """True where the access point did not take our SAE password."""
        return self._sae and self.refusal in _SAE_FAILURES

    @property
    def refused(self) -> bool:
        """True where the access point refused so often that it is meant."""
        return self.refusals >= _REFUSALS

    def hear(self, signal: Signal) -> None:
        """Take a signal of `SUPPLICANT_RULE` in."""
        changed: Mapping[str, Any] = signal.body[1]
        if "DisconnectReason" in changed:
            self.disconnect_reason = int(changed["DisconnectReason"])
        for key in ("AuthStatusCode", "AssocStatusCode"):
            if key in changed:
                self._status(int(changed[key]))
        if "State" in changed:
            self._enter(str(changed["State"]))

    def _status(self, status: int) -> None:
        self.met = True
        if status not in _NO_REFUSAL:
            self.refusals += 1
            self.refusal = status

    def _enter(self, state: str) -> None:
        self.state = state
        if state in {"associated", "4way_handshake", "group_handshake", "completed"}:
            self.met = True
        if state == "4way_handshake":
            self.in_handshake = True
        elif state in {"authenticating", "associating", "completed"}:
            self.in_handshake = False
        if state == "completed":
            self.refusals, self.refusal = 0, None
