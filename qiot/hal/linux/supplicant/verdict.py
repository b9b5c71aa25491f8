"""What came of a try, by what wpa_supplicant has told since.

Reason and status codes are those of IEEE 802.11, 9.4.1.7 and 9.4.1.9.
"""

from __future__ import annotations

from typing import Final

import attrs

from qiot.errors import JoinError
from qiot.hal.linux.supplicant import events
from qiot.hal.linux.supplicant.events import Event
from qiot.model import Reason

__all__ = ["Verdict"]

_SAE: Final = 3
"""auth_type of AUTH-REJECT (IEEE 802.11, 9.4.1.1)."""
_WRONG_SAE: Final = frozenset({1, 15})
"""Unspecified failure; challenge failure."""
_UNSUPPORTED: Final = frozenset({13, 18, 31, 40, 41, 42, 43, 44, 45, 46, 77, 126})
"""Algorithm, rates, management frame protection, element, ciphers, AKM, SAE group, hash to element."""
_COME_BACK: Final = 30
"""Refused for now, which wpa_supplicant waits for."""
_HANDSHAKE: Final = frozenset({15, 16})
"""Reasons: the four-way handshake, the group key handshake timed out."""
_KEY_MISMATCH: Final = "pre-shared key may be incorrect"
_TIMED_OUT: Final = "timed out"
_DRIVER_REFUSES: Final = "request to the driver failed"
_LOOKS: Final = 3
"""Scans without it after which it counts as gone; the caller has seen it a moment ago."""
_REFUSALS: Final = 2
"""Refusals after which it is believed; another access point of the same network may take us."""


@attrs.define
class Verdict:
    """Listens to a try.

    Attributes:
        name: The network for people.
        number: wpa_supplicant's number of the network, once it has one; None for any.
        connected: True while it is joined, keys and all.
        misses: Scans without it since it was last heard.
    """

    name: str
    number: int | None = None
    connected: bool = False
    misses: int = 0
    _refusals: int = 0
    _refused: JoinError | None = None
    _code: int | None = None
    _associated: bool = False
    _looked: bool = False

    def hear(self, event: Event) -> None:
        """Take an event in.

        Raises:
            JoinError: It is certain that the try has failed.
        """
        match event.name:
            case events.CONNECTED if self._is_ours(event):
                self.connected, self.misses, self._refusals, self._refused = True, 0, 0, None
            case events.DISCONNECTED:
                self._lost(event)
            case events.SCAN_RESULTS:
                self._looked = True
            case events.NOT_FOUND if self._looked:  # else it is what a scan before the try did not see
                self._looked = False
                self.misses += 1
                if self.misses >= _LOOKS:
                    raise self._failed(Reason.NO_SUCH_AP, "is not in reach any more", None)
            case events.ASSOC_REJECT | events.AUTH_REJECT:
                self._reject(event)
            case events.TEMP_DISABLED if self._is_ours(event):
                self._disabled(event)
            case "Associated":
                self._associated = True
                self.misses = 0
            case "WPA:" if _KEY_MISMATCH in event.text:
                raise self._failed(Reason.WRONG_PASSWORD, "has another password", self._code)
            case "SME:" if _DRIVER_REFUSES in event.text:
                self._refused = self._failed(
                    Reason.JOIN_OTHER, "is on a channel that the radio cannot go to", None
                )
                self._refused.hint = "Another interface of the radio holds it on another channel."
            case "Authentication" if _TIMED_OUT in event.text:
                self._refused = self._failed(Reason.HANDSHAKE_TIMEOUT, "does not finish the handshake", None)
            case _:
                pass

    def out_of_time(self) -> JoinError:
        """The error where the time is up."""
        if self._refused is not None:
            return self._refused
        if self.connected:
            return self._failed(Reason.DHCP, "gave no address", None)
        if self.misses:
            return self._failed(Reason.NO_SUCH_AP, "is not in reach any more", None)
        if self._associated:
            return self._failed(Reason.HANDSHAKE_TIMEOUT, "did not finish the handshake", self._code)
        return self._failed(Reason.JOIN_TIMEOUT, "was not joined in time", self._code)

    def _lost(self, event: Event) -> None:
        reason = event.number("reason")
        self.connected = self._associated = False
        if event.fields.get("locally_generated") == "1":
            return  # wpa_supplicant left by itself, as it does the earlier network
        self._code = reason or self._code  # 0: none was given
        if reason in _HANDSHAKE:
            text = "ended the handshake"
            self._refused = self._failed(Reason.HANDSHAKE_TIMEOUT, text, reason)

    def _reject(self, event: Event) -> None:
        status = event.number("status_code")
        sae = event.name == events.AUTH_REJECT and event.number("auth_type") == _SAE
        self._code = status
        self.misses = 0
        if sae and status in _WRONG_SAE:
            raise self._failed(Reason.WRONG_PASSWORD, "has another password", status)
        if status in _UNSUPPORTED:
            text = "wants a protection that is not supported"
            raise self._failed(Reason.UNSUPPORTED_SECURITY, text, status)
        if status != _COME_BACK:
            self._refusals += 1
        self._refused = self._failed(Reason.ASSOCIATION_REFUSED, f"refused us with status {status}", status)
        if self._refusals >= _REFUSALS:
            raise self._refused

    def _disabled(self, event: Event) -> None:
        if event.fields.get("reason") == "WRONG_KEY":
            raise self._failed(Reason.WRONG_PASSWORD, "has another password", self._code)
        if self._refused is not None:
            raise self._refused

    def _is_ours(self, event: Event) -> bool:
        return self.number is None or event.number("id") == self.number

    def _failed(self, reason: Reason, text: str, code: int | None) -> JoinError:
        return JoinError(f"{self.name} {text}", reason=reason, code=code)
