"""The device as a station, by its own wpa_supplicant, for tests that only need it to be joined."""

from __future__ import annotations

from lab.support.device import Supplicant
from lab.support.home_ap import HomeAp
from lab.support.waiting import until

__all__ = ["join_home"]


def join_home(device: Supplicant, home: HomeAp) -> None:
    """Join a WPA2 home access point, without an address."""
    number = device.command("add_network").strip()
    settings = {"ssid": home.ssid.hex(), "psk": f'"{home.password}"', "scan_freq": str(home.frequency)}
    for name, value in settings.items():
        assert "OK" in device.command("set_network", number, name, value)
    device.command("select_network", number)
    until(lambda: "wpa_state=COMPLETED" in device.command("status"), "the device is joined", 60)
