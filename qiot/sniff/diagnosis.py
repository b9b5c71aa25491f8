"""What to say where nothing could be decoded: what was seen, what is missing, what to do."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from qiot.model import show_ssid
from qiot.protocols.air.observation import Direction
from qiot.protocols.air.results import Progress
from qiot.sniff.ear import Ear
from qiot.wifi_config.drivers.air_report import explain

__all__ = ["diagnose"]

_SHOWN: Final = 5
_LAST_OF_2_4_GHZ: Final = 14
_MANY_DAMAGED: Final = 0.1
_BUSY: Final = 50
"""Frames to everybody that make a sender worth a line."""
_FEW: Final = 3
"""Wrong checksums that lost frames alone may cause."""
_ETHERNET: Final = 1


def diagnose(ear: Ear) -> str:
    """All of it, in lines of text."""
    progress = ear.tracker.progress()
    lines = ["nothing was decoded", *_seen(ear), *(f"  {explain(each)}" for each in progress[:_SHOWN])]
    advice = list(dict.fromkeys(_advice(ear, progress)))
    return "\n".join([*lines, *(f"  → {each}" for each in advice)])


def _seen(ear: Ear) -> Iterator[str]:
    if ear.foreign:
        types = ", ".join(f"{link} ({count} packets)" for link, count in ear.foreign.most_common(_SHOWN))
        yield f"  not 802.11: link type {types}"
    seconds = max(0.0, ear.last - ear.first)
    yield f"  {ear.frames} frames in {seconds:.1f} s, {ear.damaged} damaged, {ear.unreadable} not readable"
    if not ear.frames:
        return
    channels = ", ".join(f"{channel} ({count})" for channel, count in sorted(ear.channels.items()))
    yield f"  channels: {channels or 'not told'}"
    names = [f"{show_ssid(each.ssid) or 'hidden'} (channel {each.channel})" for each in ear.networks.values()]
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    yield f"  networks: {', '.join(names[:_SHOWN]) or 'none'}{more}"
    yield (
        f"  data to everybody: {ear.to_ap} from stations to access points, {ear.from_ap} sent on by these, "
        f"of {len(ear.senders)} senders"
    )
    busy = [(sender, count) for sender, count in ear.senders.most_common(_SHOWN) if count >= _BUSY]
    for sender, count in busy:
        yield f"  {sender.hex(':')} sent {count} of them"


def _advice(ear: Ear, progress: Sequence[Progress]) -> Iterator[str]:
    if ear.foreign and not ear.frames:
        if ear.foreign.get(_ETHERNET):
            yield "this was recorded on a joined interface: record in monitor mode, where 802.11 frames are"
        yield "radiotap (127) and plain 802.11 (105) are understood: use tcpdump -I -y IEEE802_11_RADIO"
        return
    if not ear.frames:
        yield "nothing was heard: does the radio receive in monitor mode, is an antenna on it?"
        return
    if ear.damaged > _MANY_DAMAGED * ear.frames:
        yield "many frames were damaged: move closer, or away from what disturbs"
    if progress:
        yield from _advice_on(progress)
        return
    channels = [channel for channel in ear.channels if channel]
    if channels and min(channels) > _LAST_OF_2_4_GHZ:
        yield (
            "only 5 GHz was heard: most devices have 2.4 GHz only; join the phone to the network's "
            "2.4 GHz half and listen there"
        )
    if not ear.to_ap and not ear.from_ap:
        yield (
            "no data to everybody was heard: wrong channel, or sent as 40 MHz (HT40) or by a modulation "
            "that this radio cannot receive; set the router to 20 MHz and 11bg, and move closer"
        )
        return
    yield (
        "nothing of what was heard follows one of the four protocols: is the phone's application sending, "
        "is the phone in the network that it names, and is this the network's channel?"
    )
    yield from _one_sided(bool(ear.to_ap), bool(ear.from_ap))


def _advice_on(progress: Sequence[Progress]) -> Iterator[str]:
    for each in progress[:_SHOWN]:
        # The decoders say in their own words what is missing: a key, a PIN, the user's start.
        if "key" in each.text or "PIN" in each.text:
            yield "give the device's key or PIN: --esptouch-key, --airkiss-key, --pin"
        elif each.wrong_checksums > _FEW and 2 * each.wrong_checksums > each.have:
            yield (
                "many checksums are wrong: several phones or another program send at once, or the sender "
                "does not follow the protocol"
            )
        elif each.weight < 1 and "waits for its user" in each.text:
            yield "only the waiting signal is sent: type the password into the application and start it"
        elif each.weight < 1:
            yield "symbols are missing: listen longer, or closer to the phone and its access point"
        yield from _one_sided(Direction.TO_AP in each.directions, Direction.FROM_AP in each.directions)


def _one_sided(to_ap: bool, from_ap: bool) -> Iterator[str]:
    if to_ap and not from_ap:
        yield (
            "only the phone's half of the way was heard: the router does not send on what its stations send "
            "to everybody (client isolation, IGMP snooping), or its frames cannot be received here"
        )
    elif from_ap and not to_ap:
        yield (
            "only the router's half of the way was heard: the phone is far away, or sends by a modulation "
            "that this radio cannot receive (40 MHz, 11ac, 11ax)"
        )
