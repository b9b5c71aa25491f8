"""An environment from words: a JSON file, or the options of the command line."""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from qiot.errors import ConfigurationError
from qiot.hal.conformance.environment import Environment
from qiot.hal.contract import MqttParameters, SoftApSpec
from qiot.hal.registry import PlatformSpec
from qiot.model import SSID_MAX, Credentials, Secret

__all__ = ["describe", "make_environment", "read_description"]

_NETWORKS: Final = (
    "home",
    "second",
    "open_network",
    "hidden_network",
    "wpa3_network",
    "silent_network",
)
_PLAIN: Final[Mapping[str, type | tuple[type, ...]]] = {
    "patience": (int, float),
    "visible": bool,
    "join_seconds": (int, float),
    "shows_within": (int, float),
    "reach": (str, type(None)),
}
_LISTS: Final = ("programs", "folders")
_OWN: Final = ("wrong_password", "absent_ssid", "access_point", "storage_folder", "broker", "factory")
_KNOWN: Final = frozenset({*_NETWORKS, *_PLAIN, *_LISTS, *_OWN})


def read_description(file: Path) -> dict[str, Any]:
    """Read an environment's JSON file; its keys are the attributes of `Environment`.

    Networks are objects with `ssid` (or `ssid_hex`) and `password`; `access_point` has `channel` too,
    `broker` has `host`, `port`, `client_id`, `username` and `password`.

    Raises:
        ConfigurationError: It cannot be read, or says what no environment can be.
    """
    try:
        fields = json.loads(file.read_text())
    except OSError as error:
        raise ConfigurationError(f"{file}: {error.strerror}") from error
    except (ValueError, RecursionError):
        raise ConfigurationError(f"{file} is no JSON") from None  # its own error shows the content
    if not isinstance(fields, dict):
        raise ConfigurationError(f"{file} is no JSON object")
    unknown = sorted(set(fields) - _KNOWN)
    if unknown:
        raise ConfigurationError(
            f"{file}: unknown key {unknown[0]!r}", hint=f"Known keys: {', '.join(sorted(_KNOWN))}."
        )
    make_environment(fields)  # what is wrong with it is said now
    return fields


def describe(
    description: Mapping[str, Any], specs: Sequence[PlatformSpec], *, ssid: str, password: str
) -> dict[str, Any]:
    """Add what the options and the platform's own spec say: a mock knows its network, and its folder."""
    found = dict(description)
    for spec in specs:
        if spec.options.get("state"):
            found.setdefault("storage_folder", spec.options["state"])
        if spec.name == "mock" and "ssid" in spec.options:
            network = {"ssid": spec.options["ssid"], "password": spec.options.get("password", "")}
            found.setdefault("home", network)
    if all(spec.name == "mock" for spec in specs):
        found.setdefault("factory", "qiot.hal.conformance.simulated:SimulatedEnvironment")
    if ssid:
        found["home"] = {"ssid": ssid, "password": password}
    make_environment({key: value for key, value in found.items() if key != "factory"})
    return found


def make_environment(
    description: Mapping[str, Any], *, disturb: bool = False, specs: Sequence[str] = ()
) -> Environment:
    """The environment that the description gives.

    With `factory`, MODULE:NAME, that is called with the attributes and makes it.

    Raises:
        ConfigurationError: It says what no environment can be.
    """
    fields: dict[str, Any] = {"disturb": disturb, "specs": tuple(specs)}
    for key, value in description.items():
        if key in _NETWORKS:
            fields[key] = _credentials(key, value)
        elif key in _PLAIN:
            _expect(isinstance(value, _PLAIN[key]), key, "is not of the right type")
            fields[key] = value
        elif key in _LISTS:
            texts = isinstance(value, list) and all(isinstance(each, str) and each for each in value)
            _expect(texts, key, "is no list of texts")
            fields[key] = [Path(each) for each in value] if key == "folders" else value
    if "wrong_password" in description:
        fields["wrong_password"] = Secret(_text("wrong_password", description))
    if "absent_ssid" in description:
        fields["absent_ssid"] = _text("absent_ssid", description).encode()
    if "storage_folder" in description:
        fields["storage_folder"] = Path(_text("storage_folder", description))
    if "access_point" in description:
        fields["access_point"] = _access_point(description["access_point"])
    if "broker" in description:
        fields["broker"] = _broker(description["broker"])
    return _factory(description.get("factory"))(**fields)


def _factory(name: object) -> Callable[..., Environment]:
    if name is None:
        return Environment
    module, colon, attribute = str(name).partition(":")
    _expect(colon and attribute, "factory", "is not of the form MODULE:NAME")
    try:
        found: Callable[..., Environment] = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise ConfigurationError(f"the environment's factory {name}: {error}") from error
    return found


def _credentials(key: str, value: object) -> Credentials:
    fields = _object(key, value, "ssid", "ssid_hex", "password")
    ssid = _ssid(key, fields)
    return Credentials(ssid=ssid, password=Secret(_text("password", fields) if "password" in fields else ""))


def _ssid(key: str, fields: Mapping[str, Any]) -> bytes:
    if "ssid_hex" in fields:
        try:
            ssid = bytes.fromhex(_text("ssid_hex", fields))
        except ValueError:
            raise ConfigurationError(f"the environment's {key}: ssid_hex is not hexadecimal") from None
    else:
        _expect("ssid" in fields, key, "has no ssid")
        ssid = _text("ssid", fields).encode()
    _expect(
        1 <= len(ssid) <= SSID_MAX, key, f"has an ssid of {len(ssid)} octets, it must have 1 to {SSID_MAX}"
    )
    return ssid


def _access_point(value: object) -> SoftApSpec:
    fields = _object("access_point", value, "ssid", "ssid_hex", "password", "channel")
    channel = fields.get("channel", 6)
    _expect(isinstance(channel, int), "access_point", "has a channel that is no number")
    password = Secret(_text("password", fields)) if fields.get("password") else None
    return SoftApSpec(ssid=_ssid("access_point", fields), password=password, channel=channel)


def _broker(value: object) -> MqttParameters:
    fields = _object("broker", value, "host", "port", "client_id", "username", "password")
    port = fields.get("port", 1883)
    _expect(isinstance(port, int), "broker", "has a port that is no number")
    return MqttParameters(
        host=_text("host", fields),
        port=port,
        client_id=fields.get("client_id", "qiot-conformance"),
        username=fields.get("username"),
        password=Secret(_text("password", fields)) if "password" in fields else None,
    )


def _object(key: str, value: object, *known: str) -> Mapping[str, Any]:
    if not isinstance(value, dict) or set(value) - set(known):
        raise ConfigurationError(
            f"the environment's {key} is no object of the right keys", hint=f"Known keys: {', '.join(known)}."
        )
    return value


def _text(key: str, fields: Mapping[str, Any]) -> str:
    value = fields.get(key)
    if not isinstance(value, str):
        raise ConfigurationError(f"the environment's {key} is no text")
    return value


def _expect(condition: object, key: str, problem: str) -> None:
    if not condition:
        raise ConfigurationError(f"the environment's {key} {problem}")
