"""Simulated Wi-Fi radios: mac80211_hwsim, loaded anew for each test so that nothing is left from before."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from lab.support.namespaces import Namespace
from lab.support.programs import run
from lab.support.waiting import until

__all__ = ["Radio", "load_radios", "unload_radios"]

_PHYS = Path("/sys/class/ieee80211")
_DEBUG = Path("/sys/kernel/debug/ieee80211")
_MODULE = "mac80211_hwsim"


@dataclass(slots=True)
class Radio:
    """One radio. All of them hear each other when they are on the same channel.

    Attributes:
        phy: its name in nl80211, for example phy3.
        interface: its first network interface, for example wlan0.
        address: the interface's hardware address, lower case with colons.
        namespace: where it is; None in the root namespace.
    """

    phy: str
    interface: str
    address: str
    namespace: Namespace | None = field(default=None)

    def move(self, namespace: Namespace) -> None:
        """Take it, with its interface, into another namespace."""
        self.run("iw", "phy", self.phy, "set", "netns", "name", namespace.name)
        self.namespace = namespace

    @property
    def namespace_name(self) -> str | None:
        """What `programs.run` takes as namespace."""
        return self.namespace.name if self.namespace else None

    def run(self, *command: str, check: bool = True) -> str:
        """Run a program in the radio's namespace; see `programs.run`."""
        return run(command, namespace=self.namespace_name, check=check)

    def place(self, *places: int) -> None:
        """Put it where only radios that share one of the places hear it; all begin at place 0.

        Args:
            places: 0 to 31; two of them for a radio that is heard at both.
        """
        # mac80211_hwsim: a frame is received where the bit masks of both radios overlap.
        group = sum(1 << place for place in set(places))
        (_DEBUG / self.phy / "hwsim" / "group").write_text(f"{group}\n")

    def up(self) -> None:
        """Set the interface up."""
        self.run("ip", "link", "set", self.interface, "up")

    def down(self) -> None:
        """Set the interface down, which ends whatever it was doing on the air."""
        self.run("ip", "link", "set", self.interface, "down")


def load_radios(count: int, channels: int = 1, country: str | None = "US") -> list[Radio]:
    """Load the module with `count` radios: wlan0, wlan1 and so on, all in the root namespace and down.

    Args:
        count: how many.
        channels: on how many channels one radio can be at once. 1, as in most real adapters, lets an access
            point and a station of one radio run together on the same channel only.
        country: the regulatory domain; without one, 5 GHz may not be used. None leaves the world domain.
    """
    unload_radios()
    run(["modprobe", _MODULE, f"radios={count}", f"channels={channels}"])
    until(lambda: len(_found()) == count, f"{count} radios")
    if country is not None:
        run(["iw", "reg", "set", country])
        until(lambda: f"country {country}:" in run(["iw", "reg", "get"]), f"the regulatory domain {country}")
    return _found()


def _found() -> list[Radio]:
    radios = []
    for phy in _PHYS.iterdir():
        for interface in (phy / "device" / "net").iterdir():
            address = (interface / "address").read_text().strip()
            radios.append(Radio(phy.name, interface.name, address))
    return sorted(radios, key=lambda radio: radio.address)


def unload_radios() -> None:
    """Take all radios away. Harmless when there are none."""
    if Path("/sys/module", _MODULE).exists():
        run(["modprobe", "-r", _MODULE])
        until(lambda: not _PHYS.exists() or not list(_PHYS.iterdir()), "no radios")
