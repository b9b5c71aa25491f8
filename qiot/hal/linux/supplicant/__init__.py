"""The station by wpa_supplicant's control interface, where NetworkManager does not run."""

from __future__ import annotations

from qiot.hal.linux.supplicant.station import SupplicantStation

__all__ = ["SupplicantStation"]
