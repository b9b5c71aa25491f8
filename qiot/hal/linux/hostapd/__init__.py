"""The access point by hostapd and dnsmasq, where NetworkManager does not run."""

from __future__ import annotations

from qiot.hal.linux.hostapd.access_point import HostapdAccessPoint

__all__ = ["HostapdAccessPoint"]
