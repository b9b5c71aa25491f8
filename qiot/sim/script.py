"""Script files: JSON lists of networks and of offers. What a file must not say is refused with its place."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, TypeVar

from qiot.errors import ConfigurationError
from qiot.model import SSID_MAX, Reason, Secret, Security, Step
from qiot.sim.faults import Fault, Faults
from qiot.sim.offers import ScriptedOffer
from qiot.sim.wifi import HomeNetwork

__all__ = ["load_networks", "load_offers"]

T = TypeVar("T")


def load_networks(path: Path) -> Sequence[HomeNetwork]:
    """Read `[{"ssid": "Home", "password": "…", "security": "wpa2", "channel": 6, "signal": -50, …}]`.

    Further keys: `ssid_hex` instead of `ssid`, `hidden` (true or false), `bssid` (twelve hexadecimal digits,
    with or without colons) and `faults` (a list such as `["dhcp*2", "wrong_password"]`).

    Raises:
        ConfigurationError: The file cannot be read, or names the entry and the key that is wrong.
    """
    return _load(path, _NETWORK, _network)


def load_offers(path: Path) -> Sequence[ScriptedOffer]:
    """Read `[{"method": "airkiss", "after": 2, "ssid": "Home", "password": "…", "token": "…"}]`.

    Further keys: `ssid_hex` instead of `ssid`, `cloud`, `endpoint` ("HOST[:PORT]" of that cloud), `params`
    (an object of texts that come with the token), `address`, `reached` ("listening" or "joining") and
    `failure` (a reason's name in small letters, such as `platform`: the method breaks down with it instead).

    Raises:
        ConfigurationError: The file cannot be read, or names the entry and the key that is wrong.
    """
    return _load(path, _OFFER, _offer)


def _network(fields: dict[str, Any]) -> HomeNetwork:
    if "ssid" not in fields:
        raise ValueError("ssid is missing")
    return HomeNetwork(**fields)


def _offer(fields: dict[str, Any]) -> ScriptedOffer:
    if "method" not in fields:
        raise ValueError("method is missing")
    return ScriptedOffer(**fields)


def _load(
    path: Path, keys: Mapping[str, Callable[[Any], Any]], make: Callable[[dict[str, Any]], T]
) -> Sequence[T]:
    try:
        entries = json.loads(path.read_bytes())
    except OSError as error:
        raise ConfigurationError(
            f"{path} cannot be read: {error.strerror}",
            code=error.errno,
            hint="Check the file's name and mode.",
        ) from None
    except (ValueError, RecursionError):
        # The parser's own error carries the whole text, passwords too: it is not chained.
        raise ConfigurationError(
            f"{path} is no JSON", hint="Write a JSON list of objects in UTF-8."
        ) from None
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise ConfigurationError(f"{path} is no JSON list of objects")
    return [_entry(f"{path}, entry {number}", entry, keys, make) for number, entry in enumerate(entries, 1)]


def _entry(
    place: str,
    entry: dict[str, Any],
    keys: Mapping[str, Callable[[Any], Any]],
    make: Callable[[dict[str, Any]], T],
) -> T:
    fields: dict[str, Any] = {}
    for key, value in entry.items():
        if key not in keys:
            raise ConfigurationError(
                f"{place}: {key!r} is unknown", hint=f"Known keys: {', '.join(sorted(keys))}."
            )
        name = "ssid" if key == "ssid_hex" else key
        if name in fields:
            raise ConfigurationError(f"{place}: give ssid or ssid_hex, not both")
        try:
            fields[name] = keys[key](value)
        except ConfigurationError as error:
            raise ConfigurationError(f"{place}, {key}: {error}", hint=error.hint) from None
        except ValueError as error:
            raise ConfigurationError(f"{place}, {key}: {error}") from None
    try:
        return make(fields)
    except ValueError as error:
        raise ConfigurationError(f"{place}: {error.args[0]}") from None


# --- values: each takes what JSON gave, and raises ValueError without showing it -------------------------


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError("must be a text")  # noqa: TRY004 - one error for every bad value
    return value


def _texts(value: Any) -> dict[str, str]:
    if not isinstance(value, dict) or not all(isinstance(each, str) for each in value.values()):
        raise ValueError("must be an object of texts")
    return value


def _bytes(value: Any) -> bytes:
    # A lone surrogate in the JSON would raise an error that shows the text.
    try:
        return _text(value).encode()
    except UnicodeEncodeError:
        raise ValueError("must be a text that UTF-8 can hold") from None


def _hex(value: Any) -> bytes:
    try:
        return bytes.fromhex(_text(value).replace(":", ""))
    except ValueError:
        raise ValueError("must be hexadecimal digits in pairs") from None


def _ssid(octets: Callable[[Any], bytes]) -> Callable[[Any], bytes]:
    def read(value: Any) -> bytes:
        ssid = octets(value)
        if not 1 <= len(ssid) <= SSID_MAX:
            raise ValueError("must have 1 to 32 octets")
        return ssid

    return read


def _bssid(value: Any) -> bytes:
    octets = _hex(value)
    if len(octets) != 6:  # noqa: PLR2004 - a MAC address
        raise ValueError("must have six octets")
    return octets


def _secret(value: Any) -> Secret:
    return Secret(_bytes(value))


def _password(value: Any) -> Secret | None:
    return None if value is None or value == "" else _secret(value)


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError("must be true or false")  # noqa: TRY004
    return value


def _whole(low: int, high: int) -> Callable[[Any], int]:
    def read(value: Any) -> int:
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            raise ValueError(f"must be a whole number from {low} to {high}")
        return value

    return read


def _seconds(value: Any) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value <= 86400:  # noqa: PLR2004
        raise ValueError("must be a number of seconds from 0 to 86400")
    return float(value)


def _security(value: Any) -> Security:
    try:
        return Security(_text(value))
    except ValueError:
        raise ValueError(f"must be one of {', '.join(Security)}") from None


def _reached(value: Any) -> Step:
    if _text(value) not in {Step.LISTENING.value, Step.JOINING.value}:
        raise ValueError(
            "must be listening or joining; further on, the chip's own cloud connection is needed"
        )
    return Step(value)


def _faults(value: Any) -> Faults:
    if not isinstance(value, list):
        raise ValueError("must be a list of texts")  # noqa: TRY004
    return Faults(*(Fault.parse(_text(each)) for each in value))


def _reason(value: Any) -> Reason:
    try:
        return Reason[_text(value).upper()]
    except KeyError:
        raise ValueError("must be a reason's name, such as platform") from None


_NETWORK: Final[Mapping[str, Callable[[Any], Any]]] = {
    "ssid": _ssid(_bytes),
    "ssid_hex": _ssid(_hex),
    "password": _password,
    "security": _security,
    "channel": _whole(1, 196),
    "signal": _whole(-100, 0),
    "hidden": _flag,
    "bssid": _bssid,
    "faults": _faults,
}

_OFFER: Final[Mapping[str, Callable[[Any], Any]]] = {
    "method": _text,
    "after": _seconds,
    "ssid": _ssid(_bytes),
    "ssid_hex": _ssid(_hex),
    "password": _secret,
    "token": _secret,
    "cloud": _text,
    "endpoint": _text,
    "params": _texts,
    "address": _text,
    "reached": _reached,
    "failure": _reason,
}
