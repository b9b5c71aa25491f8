"""The options of `--hal mock,…`, read and checked."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import attrs

from qiot.errors import ConfigurationError
from qiot.hal.registry import PlatformSpec
from qiot.model import SSID_MAX, Reason, Secret
from qiot.sim.faults import Fault, Faults
from qiot.sim.offers import METHODS
from qiot.sim.script import load_networks, load_offers
from qiot.sim.wifi import HomeNetwork
from qiot.sim.world import World

__all__ = ["START_PORTS", "MockOptions", "make_world"]

START_PORTS: Final = ("soft_ap", *(method for method in METHODS if method != "soft_ap"), "sniffer")
"""Ports whose start can be made to fail; `soft_ap` is the access point."""

_OF_WORLD: Final = ("ssid", "password", "networks", "seed", "loss", "offers")
_OF_DEVICE: Final = (
    "join_delay",
    "join_failure",
    "ap_sta",
    "state",
    "start_delay",
    "start_failure",
    "udp_loss",
    "udp_dup",
    "sniff",
    "air_loss",
)
_SECONDS_MAX: Final = 3600.0
_PASSWORD: Final = range(8, 65)  # a passphrase of 8 to 63 characters, or a PSK of 64 digits


@attrs.frozen
class MockOptions:
    """What one mock device does.

    Attributes:
        join_delay: Seconds that a join takes.
        join_failures: Joins that fail.
        ap_sta: Access point and station at the same time, on one channel.
        state: Folder of what survives the process, or None to keep it in memory.
        start_delay: Seconds until the access point is up.
        start_failures: Starts that fail, by port.
        udp_loss: Share of datagrams lost, 0 to 1; None for the world's.
        udp_duplication: Share of datagrams doubled, 0 to 1; None for the world's.
        sniff: The radio has monitor mode, and can send frames in it.
        air_loss: Share of frames in the air that are not heard, 0 to 1; None for the world's.
    """

    join_delay: float = 0.0
    join_failures: Faults = attrs.field(factory=Faults)
    ap_sta: bool = False
    state: Path | None = None
    start_delay: float = 0.0
    start_failures: Mapping[str, Faults] = attrs.field(factory=dict)
    udp_loss: float | None = None
    udp_duplication: float | None = None
    sniff: bool = True
    air_loss: float | None = None

    @classmethod
    def read(cls, spec: PlatformSpec, *, own_world: bool) -> MockOptions:
        """Read the device's options.

        Args:
            spec: What the user wrote.
            own_world: False where the world was made before and belongs to several.

        Raises:
            ConfigurationError: An argument, an unknown option or a bad value.
        """
        if spec.argument:
            raise ConfigurationError(
                f"--hal mock:{spec.argument}: the mock has no interfaces", hint="Write --hal mock,key=value."
            )
        spec.expect(*_OF_WORLD, *_OF_DEVICE)
        for key in _OF_WORLD:
            if key in spec.options and not own_world:
                raise ConfigurationError(
                    f"--hal mock: {key} is the world's, and this world is shared",
                    hint="Give it to the World when that is made.",
                )
        given = spec.options
        return cls(
            join_delay=_number(given, "join_delay", 0.0, _SECONDS_MAX) or 0.0,
            join_failures=_faults(given, "join_failure"),
            ap_sta=_yes(given, "ap_sta"),
            state=Path(given["state"]) if given.get("state") else None,
            start_delay=_number(given, "start_delay", 0.0, _SECONDS_MAX) or 0.0,
            start_failures=_start_failures(given),
            udp_loss=_number(given, "udp_loss", 0.0, 1.0),
            udp_duplication=_number(given, "udp_dup", 0.0, 1.0),
            sniff=_yes(given, "sniff", "yes"),
            air_loss=_number(given, "air_loss", 0.0, 1.0),
        )


def make_world(spec: PlatformSpec) -> World:
    """The world that the options describe: `ssid` and `password`, or `networks`; `seed`, `loss`, `offers`.

    Raises:
        ConfigurationError: A bad value, or a file that cannot be used.
    """
    given = spec.options
    if "ssid" in given and "networks" in given:
        raise ConfigurationError("--hal mock: ssid and networks exclude each other")
    networks = load_networks(Path(given["networks"])) if "networks" in given else []
    if "ssid" in given:
        networks = [_home(given)]
    elif "password" in given:
        raise ConfigurationError("--hal mock: a password without an ssid", hint="Write ssid=… too.")
    world = World(networks, seed=_seed(given), loss=_number(given, "loss", 0.0, 1.0) or 0.0)
    for offer in load_offers(Path(given["offers"])) if "offers" in given else ():
        world.offers.put(offer)
    return world


def _home(given: Mapping[str, str]) -> HomeNetwork:
    ssid = given["ssid"].encode()
    if not 1 <= len(ssid) <= SSID_MAX:
        raise ConfigurationError("--hal mock: ssid must have 1 to 32 octets")
    password = given.get("password", "").encode()
    if password and len(password) not in _PASSWORD:
        raise ConfigurationError(
            "--hal mock: password must have 8 to 63 octets, or be a PSK of 64 digits",
            hint="Leave it out for an open network.",
        )
    return HomeNetwork(ssid, Secret(password) if password else None)


def _number(given: Mapping[str, str], key: str, low: float, high: float) -> float | None:
    if key not in given:
        return None
    try:
        value = float(given[key])
    except ValueError:
        value = math.nan
    if not low <= value <= high:
        raise ConfigurationError(f"--hal mock: {key}={given[key]!r} is no number from {low:g} to {high:g}")
    return value


def _seed(given: Mapping[str, str]) -> int | None:
    if "seed" not in given:
        return None
    try:
        return int(given["seed"])
    except ValueError:
        raise ConfigurationError(f"--hal mock: seed={given['seed']!r} is no whole number") from None


def _yes(given: Mapping[str, str], key: str, default: str = "no") -> bool:
    value = given.get(key, default)
    if value not in {"yes", "no"}:
        raise ConfigurationError(f"--hal mock: {key}={value!r}", hint=f"Write {key}=yes or {key}=no.")
    return value == "yes"


def _faults(given: Mapping[str, str], key: str) -> Faults:
    if key not in given:
        return Faults()
    try:
        return Faults(Fault.parse(given[key]))
    except ConfigurationError as error:
        raise ConfigurationError(f"--hal mock: {key}: {error}", hint=error.hint) from None


def _start_failures(given: Mapping[str, str]) -> Mapping[str, Faults]:
    if "start_failure" not in given:
        return {}
    name, star, count = given["start_failure"].partition("*")
    port, _, reason = name.partition(":")
    if port not in START_PORTS:
        raise ConfigurationError(
            f"--hal mock: start_failure: {port!r} is no port that starts",
            hint=f"Known: {', '.join(sorted(START_PORTS))}; write PORT, PORT:REASON or PORT*N.",
        )
    allowed = (Reason.PLATFORM, Reason.MEDIUM, Reason.NO_PERMISSION, Reason.NOT_SUPPORTED)
    try:
        fault = Fault.parse(f"{reason or 'platform'}{star}{count}", allowed)
    except ConfigurationError as error:
        raise ConfigurationError(f"--hal mock: start_failure: {error}", hint=error.hint) from None
    return {port: Faults(fault)}
