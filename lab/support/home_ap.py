"""The home access point: hostapd with a DHCP server, in a namespace of its own."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal

from lab.support.namespaces import Namespace
from lab.support.programs import Daemon
from lab.support.radios import Radio

__all__ = ["HomeAp", "Security"]

Security = Literal["open", "wpa2", "wpa3", "wpa2+wpa3"]

_KEY_MANAGEMENT = {"wpa2": "WPA-PSK", "wpa3": "SAE", "wpa2+wpa3": "WPA-PSK SAE"}
_LAST_CHANNEL_OF_2_GHZ = 13
_FRAME_PROTECTION = {"wpa2": 0, "wpa3": 2, "wpa2+wpa3": 1}  # 802.11w: none, required, offered


class HomeAp:
    """An access point at 192.168.77.1/24.

    Args:
        radio: what it uses, already in `namespace`.
        namespace: where it lives, and whatever is behind it, as the cloud.
        ssid: the network's name, 1 to 32 bytes of any value.
        password: 8 to 63 characters; None only with security "open".
        security: what it offers.
        hidden: whether its beacons keep the name to themselves.
        channel: 1 to 13 on 2.4 GHz, 36 to 165 on 5 GHz.
        dhcp: whether it gives addresses; False is an access point that joins and then says nothing.
        unicast_only: whether it sends what is for everybody to each other station by itself, as routers with
            "multicast enhancement" do: nothing of what a phone broadcasts comes from it to everybody.
    """

    address = "192.168.77.1"

    def __init__(
        self,
        radio: Radio,
        namespace: Namespace,
        *,
        ssid: bytes = b"LAB-HOME",
        password: str | None = "labpass1234",
        security: Security = "wpa2",
        hidden: bool = False,
        channel: int = 6,
        dhcp: bool = True,
        unicast_only: bool = False,
    ) -> None:
        self.radio = radio
        self.namespace = namespace
        self.ssid = ssid
        self.password = password if security != "open" else None
        self.security = security
        self.hidden = hidden
        self.channel = channel
        self.dhcp = dhcp
        self.unicast_only = unicast_only
        self._folder = Path("/run/home-ap", namespace.name)
        self._hostapd: Daemon | None = None
        self._dnsmasq: Daemon | None = None
        self._earlier = ""

    @property
    def frequency(self) -> int:
        """The channel's middle in MHz."""
        return 2407 + 5 * self.channel if self.channel <= _LAST_CHANNEL_OF_2_GHZ else 5000 + 5 * self.channel

    @property
    def bssid(self) -> str:
        """Its hardware address."""
        return self.radio.address

    def start(self) -> None:
        """Bring it on the air, with its address and, unless it is silent, its DHCP server."""
        self._folder.mkdir(parents=True, exist_ok=True)
        config = self._folder / "hostapd.conf"
        config.write_text(self._config())
        config.chmod(0o600)
        self._hostapd = hostapd = Daemon(
            "hostapd", ["hostapd", "-t", str(config)], namespace=self.namespace.name
        )
        hostapd.start(lambda: "AP-ENABLED" in hostapd.text())
        address = f"{self.address}/24"
        self.radio.run("ip", "addr", "replace", address, "dev", self.radio.interface)
        if self.dhcp:
            self.start_dhcp()

    def start_dhcp(self) -> None:
        """Give addresses from now on: 192.168.77.10 to 192.168.77.99."""
        words = ["dnsmasq", "--keep-in-foreground", "--no-resolv", "--no-hosts", "--conf-file=/dev/null"]
        words += [
            "--bind-interfaces",
            f"--interface={self.radio.interface}",
            "--user=root",
            "--log-facility=-",
        ]
        words += ["--dhcp-range=192.168.77.10,192.168.77.99,1h", "--dhcp-authoritative", "--log-dhcp"]
        words += ["--no-ping"]  # else each new address is tried for three seconds before it is given
        words += [f"--dhcp-leasefile={self._folder / 'leases'}", "--pid-file"]
        self._dnsmasq = dnsmasq = Daemon("home-dnsmasq", words, namespace=self.namespace.name)
        dnsmasq.start(lambda: "IP range" in dnsmasq.text())

    def stop_dhcp(self) -> None:
        """Give no address from now on."""
        if self._dnsmasq is not None:
            self._dnsmasq.stop()

    def stop(self) -> None:
        """Leave the air politely: stations are told. Stopping twice is harmless."""
        self.stop_dhcp()
        if self._hostapd is not None:
            self._hostapd.stop()
            self._earlier += self._hostapd.text()
            self._hostapd = None

    def vanish(self) -> None:
        """Be gone at once, as without power: no station is told."""
        if self._hostapd is not None:
            self._hostapd.kill()
            self._earlier += self._hostapd.text()
            self._hostapd = None
        self.radio.down()
        self.stop_dhcp()

    def log(self) -> str:
        """What hostapd has said since the first start."""
        return self._earlier + (self._hostapd.text() if self._hostapd else "")

    def joins(self, address: str | None = None) -> int:
        """How often a station came in, keys and all; with `address`, how often that one did."""
        return len(re.findall(rf"AP-STA-CONNECTED {address or ''}", self.log()))

    def wrong_passwords(self, address: str | None = None) -> int:
        """How often a WPA2 station's key did not fit; with `address`, how often that one's did not."""
        return len(re.findall(rf"AP-STA-POSSIBLE-PSK-MISMATCH {address or ''}", self.log()))

    def stations(self) -> list[str]:
        """The hardware addresses of the stations that are in now, according to hostapd."""
        if self._hostapd is None:
            return []
        command = ["hostapd_cli", "-p", str(self._folder / "control"), "-i", self.radio.interface, "list_sta"]
        return self.namespace.run(command).split()

    def _config(self) -> str:
        fields: dict[str, object] = {
            "interface": self.radio.interface,
            "driver": "nl80211",
            "ctrl_interface": self._folder / "control",
            "ssid2": self.ssid.hex(),
            "ignore_broadcast_ssid": int(self.hidden),
            "hw_mode": "g" if self.channel <= _LAST_CHANNEL_OF_2_GHZ else "a",
            "channel": self.channel,
            "country_code": "US",
            "ieee80211n": 1,
            "wmm_enabled": 1,
            "multicast_to_unicast": int(self.unicast_only),
        }
        if self.security != "open":
            fields |= {
                "wpa": 2,
                "wpa_key_mgmt": _KEY_MANAGEMENT[self.security],
                "rsn_pairwise": "CCMP",
                "wpa_passphrase": self.password,
                "ieee80211w": _FRAME_PROTECTION[self.security],
                "sae_require_mfp": 1,
            }
        return "".join(f"{name}={value}\n" for name, value in fields.items())
