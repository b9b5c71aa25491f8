"""What nl80211 says of radios, their interfaces and the access points around, read from its messages."""

from __future__ import annotations

import errno
from collections.abc import Sequence
from typing import Any, Final

import attrs

from qiot.hal.linux.nl80211_messages import MODES, message_class
from qiot.model import Band
from qiot.protocols.air.channels import channel_of

__all__ = [
    "Bss",
    "ModeLimit",
    "RadioChannel",
    "Wiphy",
    "WirelessInterface",
    "decode",
    "mode_number",
    "read_bss",
    "read_interface",
    "read_wiphy",
]

_ASSOCIATED: Final = 1
_QUALITY_FLOOR: Final = -100


@attrs.frozen
class RadioChannel:
    """A channel of a radio.

    Attributes:
        number: IEEE channel number.
        frequency: Its centre, MHz.
        band: Its band.
        disabled: The country forbids it, or the radio cannot use it.
        no_ir: Only to listen, until an access point is heard there.
    """

    number: int
    frequency: int
    band: Band
    disabled: bool
    no_ir: bool


@attrs.frozen
class ModeLimit:
    """Interfaces that a driver allows on one radio at the same time.

    Attributes:
        groups: Modes, each set with how many interfaces of them there can be.
        total: How many there can be in all.
        channels: On how many channels they can be.
    """

    groups: tuple[tuple[frozenset[str], int], ...]
    total: int
    channels: int


@attrs.frozen
class Wiphy:
    """A radio.

    Attributes:
        index: The kernel's number of it.
        name: Such as "phy0".
        modes: What an interface of it can be, such as "managed", "ap", "monitor".
        limits: What it can be at the same time; without any, one thing after the other.
        channels: Its channels, in the driver's order.
        software_modes: Modes that the kernel does by itself, so that no limit holds for them.
    """

    index: int
    name: str
    modes: frozenset[str]
    limits: tuple[ModeLimit, ...]
    channels: tuple[RadioChannel, ...]
    software_modes: frozenset[str] = frozenset()


@attrs.frozen
class WirelessInterface:
    """An interface of a radio.

    Attributes:
        name: Such as "wlan0".
        index: The kernel's number of it.
        wiphy: The radio's number.
        mode: Such as "managed".
        mac: Its address, six octets.
        frequency: MHz of the channel it is on, where it is on one.
        ssid: The network it is joined to or provides, where there is one.
    """

    name: str
    index: int
    wiphy: int
    mode: str
    mac: bytes
    frequency: int | None
    ssid: bytes | None


@attrs.frozen
class Bss:
    """What the kernel knows of an access point.

    Attributes:
        bssid: Six octets.
        frequency: MHz.
        signal: dBm.
        capability: Capability information field (IEEE 802.11, 9.4.1.4).
        elements: Information elements of its beacon or probe response.
        age: Seconds since it was heard.
        associated: True where our station is joined to it.
    """

    bssid: bytes
    frequency: int
    signal: int
    capability: int
    elements: bytes
    age: float
    associated: bool = False


def decode(data: bytes) -> Any:
    """A message of nl80211, header first."""
    message = message_class()(data)
    message.decode()
    return message


def mode_number(mode: str) -> int:
    """The kernel's number of a mode."""
    return next(number for number, name in MODES.items() if name == mode)


def read_interface(message: Any) -> WirelessInterface:
    """One answer to NL80211_CMD_GET_INTERFACE."""
    return WirelessInterface(
        name=message.get_attr("INTERFACE_NAME"),
        index=message.get_attr("INTERFACE"),
        wiphy=message.get_attr("WIPHY"),
        mode=MODES.get(message.get_attr("MODE"), "unknown"),
        mac=message.get_attr("MAC") or bytes(6),
        frequency=message.get_attr("FREQUENCY"),
        ssid=message.get_attr("SSID") or None,
    )


def read_wiphy(interface: str, messages: Sequence[Any]) -> Wiphy:
    """Put a radio together: the kernel tells it in pieces (NL80211_ATTR_SPLIT_WIPHY_DUMP)."""
    if not messages:
        raise OSError(errno.ENODEV, f"{interface} has no radio")
    modes: set[str] = set()
    software: set[str] = set()
    limits: list[ModeLimit] = []
    channels: dict[int, RadioChannel] = {}
    for message in messages:
        modes |= _flags(message.get_attr("MODES"))
        software |= _flags(message.get_attr("SOFTWARE_MODES"))
        limits += [_read_limit(each) for each in message.get_attr("COMBINATIONS") or ()]
        bands = message.get_attr("BANDS")
        for band, content in bands["attrs"] if bands is not None else ():
            if band not in set(Band):
                continue
            for each in content.get_attr("FREQUENCIES") or ():
                frequency = each.get_attr("FREQUENCY")
                known = channel_of(frequency)
                if known is not None:
                    channels[frequency] = RadioChannel(
                        number=known[0],
                        frequency=frequency,
                        band=Band(band),
                        disabled=bool(each.get_attr("DISABLED")),
                        no_ir=bool(each.get_attr("NO_IR")),
                    )
    return Wiphy(
        index=messages[0].get_attr("WIPHY"),
        name=messages[0].get_attr("WIPHY_NAME"),
        modes=frozenset(modes),
        limits=tuple(limits),
        channels=tuple(channels.values()),
        software_modes=frozenset(software),
    )


def _read_limit(message: Any) -> ModeLimit:
    return ModeLimit(
        groups=tuple(
            (frozenset(_flags(each.get_attr("MODES"))), each.get_attr("MAX"))
            for each in message.get_attr("LIMITS") or ()
        ),
        total=message.get_attr("TOTAL") or 1,
        channels=message.get_attr("CHANNELS") or 1,
    )


def _flags(message: Any) -> set[str]:
    return {name for name, _ in message["attrs"]} if message is not None else set()


def read_bss(message: Any) -> Bss:
    """NL80211_ATTR_BSS of an answer to NL80211_CMD_GET_SCAN."""
    signal = message.get_attr("SIGNAL")
    quality = message.get_attr("QUALITY")
    return Bss(
        bssid=message.get_attr("BSSID"),
        frequency=message.get_attr("FREQUENCY"),
        # Old drivers give 0 to 100 of no unit; half of it above the floor is the usual guess.
        signal=round(signal / 100) if signal is not None else _QUALITY_FLOOR + (quality or 0) // 2,
        capability=message.get_attr("CAPABILITY") or 0,
        elements=message.get_attr("ELEMENTS") or message.get_attr("BEACON_ELEMENTS") or b"",
        age=(message.get_attr("AGE") or 0) / 1000,
        associated=message.get_attr("STATUS") == _ASSOCIATED,
    )
