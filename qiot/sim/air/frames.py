"""802.11 frames as octets, without check sum (IEEE 802.11, 9.2 and 9.3)."""

from __future__ import annotations

import struct
from typing import Final

from qiot.sim.air.ciphers import Cipher, Protection
from qiot.sim.air.packets import BROADCAST

__all__ = [
    "MODULUS",
    "as_retry",
    "beacon",
    "data_from_ap",
    "data_to_ap",
    "null_to_ap",
    "probe_request",
    "sealed",
]

MODULUS: Final = 4096
"""Sequence numbers are counted modulo this (9.2.4.4.2)."""

_DATA: Final = 0x08
_NULL: Final = 0x48
_QOS: Final = 0x80
_BEACON: Final = 0x80
_PROBE_REQUEST: Final = 0x40

_TO_DS: Final = 0x01
_FROM_DS: Final = 0x02
_RETRY: Final = 0x08
_POWER: Final = 0x10
_MORE: Final = 0x20
_PROTECTED: Final = 0x40
_ORDER: Final = 0x80

_ACKNOWLEDGED: Final = b"\x2c\x00"
"""Duration of the acknowledgement that follows, microseconds."""
_UNACKNOWLEDGED: Final = b"\x00\x00"
_HT_CONTROL: Final = b"\x00\x00\x00\x00"

_SSID, _RATES, _CHANNEL, _TIM, _RSN, _VENDOR = 0, 1, 3, 5, 48, 221
_SUITES: Final = b"\x00\x0f\xac"
_WPA: Final = b"\x00\x50\xf2"
_PSK: Final = 2
_ESS: Final = 0x0001
_PRIVACY: Final = 0x0010
_BASIC_RATES: Final = bytes((0x82, 0x84, 0x8B, 0x96, 0x0C, 0x12, 0x18, 0x24))
_LAST_OF_2_4_GHZ: Final = 14
TIME_UNIT: Final = 0.001024
"""Seconds; beacon intervals are given in it (9.4.1.3)."""


def _control(subtype: int, flags: int, duration: bytes) -> bytes:
    return bytes((subtype, flags)) + duration


def _sequence(number: int, fragment: int = 0) -> bytes:
    return struct.pack("<H", (number % MODULUS) << 4 | fragment)


def _quality(tid: int | None, *, ht_control: bool) -> bytes:
    """QoS control with its traffic identifier, and HT control behind it (9.2.4.5, 9.2.4.6)."""
    return b"" if tid is None else bytes((tid, 0)) + (_HT_CONTROL if ht_control else b"")


def data_to_ap(
    *,
    bssid: bytes,
    source: bytes,
    destination: bytes,
    sequence: int,
    body: bytes,
    tid: int | None = None,
    ht_control: bool = False,
    protected: bool = True,
) -> bytes:
    """A data frame from a station to its access point.

    Args:
        bssid: The access point (address 1).
        source: The station (address 2).
        destination: For whom it is in the end (address 3).
        sequence: Sequence number.
        body: The frame body, as `sealed` gives it.
        tid: Traffic identifier, 0 to 15; None without QoS control.
        ht_control: With the four octets of HT control; only with QoS.
        protected: The body is encrypted.
    """
    flags = _TO_DS | (_PROTECTED if protected else 0)
    if tid is not None and ht_control:
        flags |= _ORDER
    kind = _DATA | (0 if tid is None else _QOS)
    return (
        _control(kind, flags, _ACKNOWLEDGED)
        + bssid
        + source
        + destination
        + _sequence(sequence)
        + _quality(tid, ht_control=ht_control)
        + body
    )


def data_from_ap(
    *,
    bssid: bytes,
    source: bytes,
    destination: bytes,
    sequence: int,
    body: bytes,
    tid: int | None = None,
    more: bool = False,
    protected: bool = True,
) -> bytes:
    """A data frame that the access point sends on, to one station or to all of them.

    Args:
        bssid: The access point (address 2).
        source: Who it is from in the beginning (address 3).
        destination: The station or the group (address 1).
        sequence: Sequence number.
        body: The frame body.
        tid: Traffic identifier, or None without QoS control.
        more: The access point has more for those that listen now.
        protected: The body is encrypted.
    """
    flags = _FROM_DS | (_PROTECTED if protected else 0) | (_MORE if more else 0)
    kind = _DATA | (0 if tid is None else _QOS)
    duration = _UNACKNOWLEDGED if destination[0] & 1 else _ACKNOWLEDGED
    return (
        _control(kind, flags, duration)
        + destination
        + bssid
        + source
        + _sequence(sequence)
        + _quality(tid, ht_control=False)
        + body
    )


def null_to_ap(bssid: bytes, source: bytes, sequence: int, *, dozing: bool) -> bytes:
    """A frame without data that says whether the station goes to sleep (11.2.3)."""
    flags = _TO_DS | (_POWER if dozing else 0)
    return _control(_NULL, flags, _ACKNOWLEDGED) + bssid + source + bssid + _sequence(sequence)


def as_retry(frame: bytes) -> bytes:
    """The frame as it is sent again: the same in everything but the retry bit (9.2.4.1.6)."""
    return frame[:1] + bytes((frame[1] | _RETRY,)) + frame[2:]


def sealed(cipher: Cipher, content: bytes, number: int, key: int, noise: bytes) -> bytes:
    """The frame body for a content. Nobody without the key can tell encryption from noise of its length.

    Args:
        cipher: The cipher.
        content: In the clear.
        number: Packet number.
        key: Key number.
        noise: As many octets as the content and the cipher's tail.
    """
    return content if cipher is Cipher.OPEN else cipher.header(number, key) + noise


def probe_request(source: bytes, ssid: bytes, sequence: int) -> bytes:
    """A station looks for a network; for any with an empty name."""
    head = _control(_PROBE_REQUEST, 0, _UNACKNOWLEDGED) + BROADCAST + source + BROADCAST + _sequence(sequence)
    return head + _element(_SSID, ssid) + _element(_RATES, _BASIC_RATES)


def beacon(
    *,
    bssid: bytes,
    ssid: bytes,
    sequence: int,
    timestamp: int,
    interval: int,
    channel: int,
    protection: Protection,
    dtim_count: int,
    dtim_period: int,
    group_waits: bool,
) -> bytes:
    """A beacon.

    Args:
        bssid: The access point.
        ssid: Its name; empty where it hides that.
        sequence: Sequence number.
        timestamp: Microseconds of its clock.
        interval: Between two beacons, in units of 1024 microseconds.
        channel: IEEE channel number.
        protection: Its ciphers.
        dtim_count: Beacons until those that sleep wake up for what is for everybody; 0 for now.
        dtim_period: So many beacons from one such to the next.
        group_waits: Something for everybody follows a beacon with count 0.
    """
    privacy = protection.pairwise is not Cipher.OPEN
    fixed = struct.pack("<QHH", timestamp, interval, _ESS | (_PRIVACY if privacy else 0))
    elements = _element(_SSID, ssid) + _element(_RATES, _BASIC_RATES)
    if channel <= _LAST_OF_2_4_GHZ:
        elements += _element(_CHANNEL, bytes((channel,)))
    elements += _element(_TIM, bytes((dtim_count, dtim_period, int(group_waits), 0)))
    elements += _security(protection)
    head = _control(_BEACON, 0, _UNACKNOWLEDGED) + BROADCAST + bssid + bssid + _sequence(sequence)
    return head + fixed + elements


def _security(protection: Protection) -> bytes:
    """RSN, or the element that came before it for TKIP alone (9.4.2.23; WPA 3.1)."""
    pairwise, group = protection.pairwise, protection.group
    if pairwise in {Cipher.OPEN, Cipher.WEP}:
        return b""
    old = pairwise is Cipher.TKIP
    space = _WPA if old else _SUITES
    suites = (
        struct.pack("<H", 1)
        + space
        + bytes((group.suite,))
        + struct.pack("<H", 1)
        + space
        + bytes((pairwise.suite,))
        + struct.pack("<H", 1)
        + space
        + bytes((_PSK,))
    )
    return _element(_VENDOR, _WPA + b"\x01" + suites) if old else _element(_RSN, suites + b"\x00\x00")


def _element(number: int, content: bytes) -> bytes:
    return bytes((number, len(content))) + content
