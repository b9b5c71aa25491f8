"""A result, as a program or a person reads it."""

from __future__ import annotations

from collections.abc import Iterable

from qiot.model import Credentials, Network, show_ssid
from qiot.protocols.air.results import Decoded
from qiot.wifi_config.clue import describe_clue, resolve

__all__ = ["as_object", "as_text"]

_HIDDEN = "***"


def as_object(
    result: Decoded, networks: Iterable[Network], *, show_secrets: bool
) -> dict[str, str | int | float | bool | dict[str, int | None] | None]:
    """One JSON object.

    The password, and the application's data, which may hold a token, are null unless asked for.

    Args:
        result: What was decoded.
        networks: What beacons were heard of, to find the SSID where the phone has not sent it.
        show_secrets: Show the password and the application's data.
    """
    credentials = result.credentials
    found = _named(credentials, networks)
    password = credentials.password.reveal()
    line: dict[str, str | int | float | bool | dict[str, int | None] | None] = {
        "protocol": result.protocol,
        "ssid": None if found.ssid is None else show_ssid(found.ssid),
        "ssid_hex": None if found.ssid is None else found.ssid.hex(),
        "password": password.decode(errors="backslashreplace") if show_secrets else None,
        "password_hex": password.hex() if show_secrets else None,
        "open": not password,
        "bssid": None if found.bssid is None else found.bssid.hex(":"),
        "ip": result.ip,
        "phone": result.transmitter.hex(":"),
        "channel": result.channel,
        "frames_seen": result.frames,
        "seconds": round(result.seconds, 3),
        "complete": result.complete,
        "ack_port": result.ack.port,
    }
    clue = credentials.clue
    if clue is not None:
        line["ssid_from"] = None if found.ssid is None else "beacon"
        line["ssid_clue"] = {"length": clue.length, "crc8": clue.crc8, "bssid_crc8": clue.bssid_crc8}
    if result.reserved:
        line["reserved_hex"] = result.reserved.hex() if show_secrets else None
    return line | dict(result.fields)


def as_text(result: Decoded, networks: Iterable[Network], *, show_secrets: bool) -> str:
    """The same in a few lines for people; nothing in it moves the cursor."""
    credentials = result.credentials
    found = _named(credentials, networks)
    password = credentials.password.reveal()
    shown = _readable(password) if show_secrets else _HIDDEN
    facts = [
        f"{result.protocol} from {result.transmitter.hex(':')}",
        f"  network   {show_ssid(found.ssid) if found.ssid else describe_clue(credentials)}",
        f"  password  {shown if password else 'none, the network is open'}",
    ]
    if credentials.clue is not None and found.ssid is not None:
        facts[1] += " (by its beacon: the phone has not sent the name)"
    if found.bssid is not None:
        facts.append(f"  bssid     {found.bssid.hex(':')}")
    if result.ip is not None:
        facts.append(f"  phone     {result.ip}, as it says")
    if result.reserved:
        facts.append(f"  reserved  {_readable(result.reserved) if show_secrets else _HIDDEN}")
    own = [f"{name} {value}" for name, value in result.fields.items()]
    facts.append(f"  answer    UDP port {result.ack.port}; {', '.join(own)}")
    where = "" if result.channel is None else f" on channel {result.channel}"
    facts.append(f"  heard     {result.frames} frames in {result.seconds:.1f} s{where}")
    return "\n".join(facts)


def _named(credentials: Credentials, networks: Iterable[Network]) -> Credentials:
    return credentials if credentials.clue is None else resolve(credentials, networks) or credentials


def _readable(octets: bytes) -> str:
    text = octets.decode(errors="backslashreplace")
    return "".join(each if each.isprintable() else repr(each)[1:-1] for each in text)
