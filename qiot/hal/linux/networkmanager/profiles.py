"""Connection profiles: what NetworkManager is given for a try, for keeps, and for an access point.

The settings and their values stand in nm-settings-dbus(5). Octets stay octets: SSIDs have no character set.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any, Final, TypeAlias

import attrs
from dbus_fast import Variant, unpack_variants

from qiot.errors import JoinError
from qiot.hal.contract import SoftApSpec
from qiot.hal.linux.backends import Target
from qiot.model import Reason, Secret, Security, show_ssid

__all__ = [
    "Profile",
    "Settings",
    "access_point_profile",
    "kept",
    "preferred",
    "station_profile",
    "without_marks",
]

Settings: TypeAlias = dict[str, dict[str, Variant]]

_CONNECTION: Final = "connection"
_WIRELESS: Final = "802-11-wireless"
_PROTECTION: Final = "802-11-wireless-security"
_USER: Final = "user"
_MARK: Final = "qiot.role"
"""Key of the user data that makes a profile one of ours."""
_DHCP_LIMIT: Final = 20
"""Seconds for an address in a try; NetworkManager's own default of 45 is longer than most phones wait."""
_PRIORITY_MAX: Final = 999
_PMF_OFF: Final = 1
_LAST_OF_2_4_GHZ: Final = 2484
_FIRST_OF_5_GHZ: Final = 5150
_LAST_OF_5_GHZ: Final = 5895
_UNSAVED: Final = 0x1 | 0x2 | 0x4 | 0x8
"""NMSettingsConnectionFlags of what does not outlive a reboot: unsaved, generated, volatile, external."""


@attrs.frozen
class Profile:
    """A profile that NetworkManager has.

    Attributes:
        path: Its object.
        settings: What it says, without secrets and D-Bus's type marks.
        flags: NMSettingsConnectionFlags.
    """

    path: str
    settings: Mapping[str, Mapping[str, Any]] = attrs.field(hash=False)
    flags: int = 0

    @property
    def uuid(self) -> str:
        """Its UUID."""
        return str(self._connection("uuid", ""))

    @property
    def ssid(self) -> bytes:
        """The network it is for."""
        return bytes(self.settings.get(_WIRELESS, {}).get("ssid", b""))

    @property
    def station(self) -> bool:
        """True where it joins a wireless network."""
        mode = self.settings.get(_WIRELESS, {}).get("mode", "infrastructure")
        return _WIRELESS in self.settings and mode in ("", "infrastructure")

    @property
    def sae(self) -> bool:
        """True where it takes SAE."""
        return self.settings.get(_PROTECTION, {}).get("key-mgmt") == "sae"

    @property
    def saved(self) -> bool:
        """True where it is there after a reboot."""
        return not self.flags & _UNSAVED

    @property
    def autoconnect(self) -> bool:
        """True where NetworkManager joins it by itself."""
        return bool(self._connection("autoconnect", True))

    @property
    def priority(self) -> int:
        """Which profile NetworkManager takes first: the higher."""
        return int(self._connection("autoconnect-priority", 0))

    @property
    def timestamp(self) -> int:
        """When it was last in use, seconds since 1970; 0 for never."""
        return int(self._connection("timestamp", 0))

    @property
    def ours(self) -> bool:
        """True where qiot made it."""
        data = self.settings.get(_USER, {}).get("data", {})
        return isinstance(data, Mapping) and _MARK in data

    def fits(self, interface: str) -> bool:
        """True where it may be used on an interface."""
        return self._connection("interface-name", "") in ("", interface)

    def _connection(self, key: str, default: Any) -> Any:
        return self.settings.get(_CONNECTION, {}).get(key, default)


def preferred(profiles: Iterable[Profile], interface: str) -> list[Profile]:
    """Those that are joined after a reboot, in NetworkManager's order: by priority, then the last used."""
    fitting = [
        each for each in profiles if each.station and each.saved and each.autoconnect and each.fits(interface)
    ]
    return sorted(fitting, key=lambda each: (-each.priority, -each.timestamp))


def station_profile(target: Target, interface: str, uuid: str) -> Settings:
    """The profile of a try.

    Raises:
        JoinError: The password cannot be given to NetworkManager.
    """
    wireless = {
        "ssid": Variant("ay", target.ssid),
        "mode": Variant("s", "infrastructure"),
        "hidden": Variant("b", target.hidden),
    }
    if target.bssid is not None:
        wireless["bssid"] = Variant("ay", target.bssid)
    if target.frequency is not None:
        wireless.update(_channel(target.frequency))
    settings: Settings = {
        _CONNECTION: _connection(f"qiot {show_ssid(target.ssid)}", interface, uuid),
        _USER: _mark("station"),
        _WIRELESS: wireless,
        "ipv4": {
            "method": Variant("s", "auto"),
            "may-fail": Variant("b", False),
            "dhcp-timeout": Variant("i", _DHCP_LIMIT),
        },
        # Whether or not there is IPv6, the join counts as done when there is an IPv4 address.
        "ipv6": {"method": Variant("s", "auto"), "may-fail": Variant("b", True)},
    }
    if target.security is not Security.OPEN:
        settings[_PROTECTION] = _protection(target)
    return settings


def kept(settings: Mapping[str, Mapping[str, Variant]], *, hidden: bool, priority: int) -> Settings:
    """The profile of a try as one that stays: joined by itself, free to roam, without the try's limits.

    Args:
        settings: What NetworkManager has; it keeps the secrets, which are not among them.
        hidden: Whether it has to be asked for by name; NetworkManager thinks so of what it has not seen.
        priority: The highest that another profile of this interface has; -1 for none.
    """
    changed: Settings = {name: dict(each) for name, each in settings.items()}
    changed[_CONNECTION]["autoconnect"] = Variant("b", True)
    changed[_CONNECTION]["autoconnect-priority"] = Variant("i", min(priority + 1, _PRIORITY_MAX))
    changed[_WIRELESS]["hidden"] = Variant("b", hidden)
    for key in ("bssid", "band", "channel", "seen-bssids"):
        changed[_WIRELESS].pop(key, None)
    changed.get("ipv4", {}).pop("dhcp-timeout", None)
    return changed


def access_point_profile(spec: SoftApSpec, interface: str, frequency: int, uuid: str) -> Settings:
    """The profile of an access point with DHCP."""
    address = {"address": Variant("s", spec.address), "prefix": Variant("u", spec.prefix)}
    settings: Settings = {
        _CONNECTION: _connection("qiot access point", interface, uuid),
        _USER: _mark("access point"),
        _WIRELESS: {
            "ssid": Variant("ay", spec.ssid),
            "mode": Variant("s", "ap"),
            **_channel(frequency),
        },
        "ipv4": {"method": Variant("s", "shared"), "address-data": Variant("aa{sv}", [address])},
        "ipv6": {"method": Variant("s", "disabled")},
    }
    if spec.password is not None:
        settings[_PROTECTION] = {
            "key-mgmt": Variant("s", "wpa-psk"),
            "psk": Variant("s", _passphrase(spec.password) or _psk(spec.password, spec.ssid)),
            "proto": Variant("as", ["rsn"]),
            "pairwise": Variant("as", ["ccmp"]),
            "group": Variant("as", ["ccmp"]),
            # Phones that are old, and those of some makers, do not join where it is offered.
            "pmf": Variant("i", _PMF_OFF),
        }
    return settings


def _connection(name: str, interface: str, uuid: str) -> dict[str, Variant]:
    return {
        "id": Variant("s", name),
        "uuid": Variant("s", uuid),
        "type": Variant("s", _WIRELESS),
        "interface-name": Variant("s", interface),
        "autoconnect": Variant("b", False),
    }


def _mark(role: str) -> dict[str, Variant]:
    return {"data": Variant("a{ss}", {_MARK: role})}


def _protection(target: Target) -> dict[str, Variant]:
    passphrase = _passphrase(target.password)
    if target.security is Security.WPA3:
        if passphrase is None:
            raise JoinError(
                f"NetworkManager takes no password for {show_ssid(target.ssid)} that is not UTF-8",
                reason=Reason.UNSUPPORTED_SECURITY,
                hint="Choose a password of letters and digits, or set the router to WPA2.",
            )
        return {"key-mgmt": Variant("s", "sae"), "psk": Variant("s", passphrase)}
    # With SAE beside it NetworkManager takes SAE, where radio and network have it.
    protection = {
        "key-mgmt": Variant("s", "wpa-psk"),
        "psk": Variant("s", passphrase or _psk(target.password, target.ssid)),
    }
    if target.security is Security.WPA:
        protection["proto"] = Variant("as", ["wpa"])
    return protection


def _passphrase(password: Secret) -> str | None:
    """The password as a D-Bus string, which is UTF-8 without NUL; None where it cannot be one."""
    try:
        text = password.text()
    except UnicodeDecodeError:
        return None
    return None if "\0" in text else text


def _psk(password: Secret, ssid: bytes) -> str:
    """The key that a passphrase stands for (IEEE 802.11, annex J.4.1)."""
    return hashlib.pbkdf2_hmac("sha1", password.reveal(), ssid, 4096, 32).hex()


def _channel(frequency: int) -> dict[str, Variant]:
    """Band and channel of a frequency in MHz; nothing of a band that NetworkManager has no name for."""
    if frequency == _LAST_OF_2_4_GHZ:
        band, channel = "bg", 14
    elif frequency < _LAST_OF_2_4_GHZ:
        band, channel = "bg", (frequency - 2407) // 5
    elif _FIRST_OF_5_GHZ <= frequency <= _LAST_OF_5_GHZ:
        band, channel = "a", (frequency - 5000) // 5
    else:
        return {}
    return {"band": Variant("s", band), "channel": Variant("u", channel)}


def without_marks(settings: Mapping[str, Mapping[str, Variant]]) -> Mapping[str, Mapping[str, Any]]:
    """Settings as `GetSettings` gives them, without D-Bus's type marks."""
    return dict(unpack_variants(settings))
