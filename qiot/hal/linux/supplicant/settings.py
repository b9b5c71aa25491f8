"""A network in the words of wpa_supplicant's configuration (its wpa_supplicant.conf).

Nothing is quoted: the SSID and an SAE password are given as hexadecimal digits, a passphrase as the PSK that
comes of it. So every octet can be in them, and the passphrase never reaches a configuration file.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Final

from qiot.errors import JoinError
from qiot.hal.linux.backends import Target
from qiot.model import Reason, Secret, Security

__all__ = ["NOT_SETTLED", "TAG", "psk_of", "settings_of"]

TAG: Final = '"qiot"'
"""id_str of a network of ours. It has a priority above 0 as soon as it is settled."""

NOT_SETTLED: Final = (("bssid", "any"),)
"""What holds for the try only is taken back by these.

It cannot be much: any variable of the network in use but bssid and priority, scan_freq too, makes
wpa_supplicant 2.10 forget its PMK and leave an SAE network (wpa_supplicant_ctrl_iface_update_network).
"""

_PSK_DIGITS: Final = 64
_PASSPHRASE: Final = range(8, 64)
_ROUNDS: Final = 4096
_PSK_OCTETS: Final = 32

_PSK_MANAGEMENT: Final = "WPA-PSK WPA-PSK-SHA256"


def psk_of(ssid: bytes, password: Secret) -> str:
    """The PSK as 64 hexadecimal digits: the password itself, or what comes of it (IEEE 802.11, J.4).

    It takes tens of milliseconds on a small board: call it in a thread.
    """
    octets = password.reveal()
    if _is_key(octets):
        return octets.decode("ascii").lower()
    return hashlib.pbkdf2_hmac("sha1", octets, ssid, _ROUNDS, _PSK_OCTETS).hex()


def settings_of(target: Target) -> Sequence[tuple[str, str]]:
    """The variables of a network block, in the order in which they are set; see `psk_of` for the time.

    Raises:
        JoinError: UNSUPPORTED_SECURITY.
    """
    found = [("ssid", target.ssid.hex())]
    found += _protection(target)
    if target.hidden:
        found.append(("scan_ssid", "1"))
    if target.bssid is not None:
        found.append(("bssid", target.bssid.hex(":")))
    return found


def _protection(target: Target) -> list[tuple[str, str]]:
    password = target.password
    octets = password.reveal()
    # SAE wants the password itself, and PSK one of 8 to 63 octets or the key.
    sae = [("sae_password", octets.hex())]
    key_only = _is_key(octets)
    fits_psk = key_only or len(octets) in _PASSPHRASE
    match target.security:
        case Security.OPEN:
            return [("key_mgmt", "NONE")]
        case Security.WPA3:
            return [("key_mgmt", "SAE"), ("ieee80211w", "2"), *sae]
        case Security.WPA2_WPA3 if not fits_psk:
            return [("key_mgmt", "SAE"), ("ieee80211w", "2"), *sae]
        case Security.WPA2_WPA3 if not key_only:
            psk = [("psk", psk_of(target.ssid, password))]
            return [("key_mgmt", f"{_PSK_MANAGEMENT} SAE"), ("ieee80211w", "1"), *psk, *sae]
        case Security.WPA | Security.WPA2 | Security.WPA2_WPA3:
            psk = [("psk", psk_of(target.ssid, password))]
            return [("key_mgmt", _PSK_MANAGEMENT), ("ieee80211w", "1"), *psk]
        case other:
            raise JoinError(f"{other} is not supported", reason=Reason.UNSUPPORTED_SECURITY)


def _is_key(octets: bytes) -> bool:
    return len(octets) == _PSK_DIGITS and all(each in b"0123456789abcdefABCDEF" for each in octets)
