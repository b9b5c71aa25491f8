"""A phone: wpa_supplicant and a DHCP client in a namespace of its own."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from lab.support.namespaces import Namespace
from lab.support.programs import Daemon, FailedError
from lab.support.radios import Radio
from lab.support.waiting import NotInTimeError, until

__all__ = ["JoinFailedError", "Phone"]

_LEASE_SCRIPT = """#!/bin/sh
case $1 in
deconfig) ip addr flush dev $interface;;
bound|renew)
  ip addr replace $ip/$mask dev $interface
  for way in $router; do ip route replace default via $way; done;;
esac
"""


class JoinFailedError(AssertionError):
    """The phone could not get into the network, or got no address there."""


class Phone:
    """A phone with one radio.

    Args:
        radio: what it uses, already in `namespace`.
        namespace: where its programs run.
    """

    def __init__(self, radio: Radio, namespace: Namespace) -> None:
        self.radio = radio
        self.namespace = namespace
        self._folder = Path("/run/phone", namespace.name)
        self._supplicant: Daemon | None = None

    def join(
        self,
        ssid: bytes,
        password: str | None = None,
        *,
        hidden: bool = False,
        frequencies: Sequence[int] = (),
        address: bool = True,
        seconds: float = 60.0,
    ) -> str:
        """Leave the present network and join another.

        Args:
            ssid: the network's name.
            password: None for an open network; WPA3 is used where it is offered, WPA2 otherwise.
            hidden: ask for the name, because beacons do not tell it.
            frequencies: MHz; only these are scanned, which saves about nine seconds.
            address: whether to ask for an address as well.
            seconds: for the join without the address.

        Returns:
            the IPv4 address, "" when none was asked for.

        Raises:
            JoinFailedError: it did not get in, or got no address.
        """
        self.leave()
        self._folder.mkdir(parents=True, exist_ok=True)
        config = self._folder / "wpa_supplicant.conf"
        config.write_text(self._config(ssid, password, hidden, frequencies))
        config.chmod(0o600)
        words = ["wpa_supplicant", "-t", "-i", self.radio.interface, "-D", "nl80211", "-c", str(config)]
        self._supplicant = supplicant = Daemon("phone-wpa", words, namespace=self.namespace.name)
        try:
            supplicant.start(lambda: self.status().get("wpa_state") == "COMPLETED", seconds)
        except NotInTimeError as error:
            raise JoinFailedError(f"the phone did not join {ssid!r}:\n{supplicant.text()[-3000:]}") from error
        return self.ask_address() if address else ""

    def ask_address(self) -> str:
        """Get an IPv4 address by DHCP.

        Raises:
            JoinFailedError: nobody gave one.
        """
        script = self._folder / "lease"
        script.write_text(_LEASE_SCRIPT)
        script.chmod(0o755)
        words = ["busybox", "udhcpc", "-i", self.radio.interface, "-f", "-q", "-n"]
        try:
            self.namespace.run([*words, "-t", "10", "-T", "1", "-s", str(script)])
        except FailedError as error:
            raise JoinFailedError(f"the phone got no address: {error}") from error
        return self.ip_address()

    def ip_address(self) -> str:
        """The IPv4 address it has, "" when none."""
        shown = self.radio.run("ip", "-4", "-brief", "address", "show", "dev", self.radio.interface)
        match = re.search(r"(\d+\.\d+\.\d+\.\d+)/", shown)
        return match[1] if match else ""

    def status(self) -> dict[str, str]:
        """What wpa_supplicant says: wpa_state, ssid, bssid, freq, key_mgmt and more; {} when not running."""
        command = ["wpa_cli", "-p", str(self._folder / "control"), "-i", self.radio.interface, "status"]
        lines = self.namespace.run(command, check=False).splitlines()
        return dict(line.split("=", 1) for line in lines if "=" in line)

    def joined(self) -> bool:
        """Whether it is in a network now."""
        return self.status().get("wpa_state") == "COMPLETED"

    def wait_until_out(self, seconds: float = 60.0) -> None:
        """Wait until it noticed that it is in no network any more."""
        until(lambda: not self.joined(), "the phone is out of the network", seconds)

    def leave(self) -> None:
        """Leave the network and forget its address. Harmless when it is in none."""
        if self._supplicant is not None:
            self._supplicant.stop()
            self._supplicant = None
            self.radio.run("ip", "address", "flush", "dev", self.radio.interface)

    def run(self, command: Sequence[str], *, seconds: float = 60.0, check: bool = True) -> str:
        """Run a program on the phone to its end; see `programs.run`."""
        return self.namespace.run(command, seconds=seconds, check=check)

    def daemon(self, name: str, command: Sequence[str]) -> Daemon:
        """A program on the phone in the background, not started yet; stop it before the test ends."""
        return Daemon(name, command, namespace=self.namespace.name)

    def _config(self, ssid: bytes, password: str | None, hidden: bool, frequencies: Sequence[int]) -> str:
        fields: dict[str, object] = {"ssid": ssid.hex(), "scan_ssid": int(hidden)}
        if password is None:
            fields["key_mgmt"] = "NONE"
        else:
            fields |= {"key_mgmt": "WPA-PSK SAE", "psk": f'"{password}"', "ieee80211w": 1}
        if frequencies:
            fields["scan_freq"] = " ".join(str(frequency) for frequency in frequencies)
        lines = "".join(f"  {name}={value}\n" for name, value in fields.items())
        return f"ctrl_interface={self._folder / 'control'}\ncountry=US\nnetwork={{\n{lines}}}\n"
