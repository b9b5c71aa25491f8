"""Who runs the device's radio in a test, as a user's machine has it: with an earlier network."""

from __future__ import annotations

import abc

from lab.support.bench import Bench
from lab.support.device import NetworkManager, Supplicant
from lab.support.home_ap import HomeAp
from lab.support.programs import run
from lab.support.radios import Radio
from lab.support.waiting import until

__all__ = ["Manager", "WithNetworkManager", "WithSupplicant"]


class Manager(abc.ABC):
    """Runs one radio.

    Args:
        radio: The radio, in the root namespace; the others have been moved away.
    """

    name: str

    def __init__(self, radio: Radio) -> None:
        self.radio = radio

    @abc.abstractmethod
    def start(self, bench: Bench) -> None:
        """Start it and wait until it has the radio."""

    @abc.abstractmethod
    def join(self, access_point: HomeAp) -> None:
        """Join a network as the user did before qiot came."""

    @abc.abstractmethod
    def network(self) -> str:
        """The network the radio is in now; empty for none."""

    def wait_for_network(self, ssid: bytes, seconds: float = 90.0) -> None:
        """Wait until it is there again."""
        until(lambda: self.network() == ssid.decode(), f"the device is in {ssid!r}", seconds)


class WithNetworkManager(Manager):
    """NetworkManager, as on a desktop or a gateway."""

    name = "networkmanager"
    _manager: NetworkManager

    def start(self, bench: Bench) -> None:
        """Start it with an empty memory."""
        self._manager = bench.network_manager()
        self._manager.wait_for(self.radio.interface)

    def join(self, access_point: HomeAp) -> None:
        """By nmcli; the profile stays stored."""
        ssid = access_point.ssid.decode()
        until(
            lambda: ssid in run(["nmcli", "-t", "-f", "SSID", "device", "wifi", "list"]),
            f"{ssid} is seen",
        )
        words = ["nmcli", "device", "wifi", "connect", ssid, "password", access_point.password or ""]
        run([*words, "ifname", self.radio.interface], seconds=120)

    def network(self) -> str:
        """What nmcli shows as the active profile's network."""
        words = ["nmcli", "-t", "-f", "ACTIVE,SSID,DEVICE", "device", "wifi", "list", "--rescan", "no"]
        if self._manager.state(self.radio.interface) != "connected":
            return ""
        for line in run(words, check=False).splitlines():
            active, _, rest = line.partition(":")
            ssid, _, interface = rest.rpartition(":")
            if active == "yes" and interface == self.radio.interface:
                return ssid
        return ""


class WithSupplicant(Manager):
    """wpa_supplicant alone, as on a small board."""

    name = "wpa_supplicant"
    _supplicant: Supplicant

    def start(self, bench: Bench) -> None:
        """Start it without a network."""
        self._supplicant = bench.supplicant(self.radio)

    def join(self, access_point: HomeAp) -> None:
        """By wpa_cli, and save it."""
        command = self._supplicant.command
        number = command("add_network").split()[-1]
        command("set_network", number, "ssid", access_point.ssid.hex())
        command("set_network", number, "psk", f'"{access_point.password}"')
        command("enable_network", number)
        command("save_config")
        self.wait_for_network(access_point.ssid)

    def network(self) -> str:
        """What wpa_cli says, once the handshake is done."""
        lines = self._supplicant.command("status").splitlines()
        status = dict(line.split("=", 1) for line in lines if "=" in line)
        return status.get("ssid", "") if status.get("wpa_state") == "COMPLETED" else ""
