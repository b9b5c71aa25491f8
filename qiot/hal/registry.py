"""Platforms by name: `NAME[:ARG][,key=value]*`, such as `linux:wlan0` or `mock,ssid=Home,password=secret123`.

Built-in platforms are known by name; others come from any installed package through the entry-point group
`qiot.hal`, whose entries are factories `(PlatformSpec) -> Platform`. Nothing is imported before it is chosen.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import entry_points
from typing import Final

import attrs

from qiot.errors import ConfigurationError, NotSupportedError
from qiot.hal.contract import Capabilities, Combination, Platform, PortT
from qiot.model import Step

__all__ = ["ENTRY_POINT_GROUP", "PlatformSpec", "open_platform", "parse_spec", "platform_names"]

ENTRY_POINT_GROUP: Final = "qiot.hal"

_BUILT_IN: Final[Mapping[str, str]] = {
    "bumble": "qiot.hal.bumble:BumblePlatform",
    "linux": "qiot.hal.linux:LinuxPlatform",
    "mock": "qiot.hal.mock:MockPlatform",
}


_WHOLE_ARGUMENT: Final = frozenset({"bumble"})
"""Platforms whose argument is a language of its own, with commas and equals signs in it."""


@attrs.frozen
class PlatformSpec:
    """A platform as the user named it.

    Attributes:
        name: The platform.
        argument: What stands behind the colon, such as an interface; empty without one.
        options: The key=value pairs.
    """

    name: str
    argument: str = ""
    options: Mapping[str, str] = attrs.field(factory=dict, hash=False, repr=lambda value: str(sorted(value)))

    def expect(self, *known: str) -> None:
        """Refuse options that the platform does not know.

        Raises:
            ConfigurationError: Names the unknown option and the known ones.
        """
        for key in self.options:
            if key not in known:
                raise ConfigurationError(
                    f"--hal {self.name}: unknown option {key!r}",
                    hint=f"Known options: {', '.join(sorted(known)) or 'none'}.",
                )


def parse_spec(text: str) -> PlatformSpec:
    r"""Read `NAME[:ARG][,key=value]*`; a comma inside a value is written `\,`.

    `NAME:key=value` is read as an option too, since that is how people write it. What stands behind
    `bumble:` is bumble's own name of a transport, as it is.

    Raises:
        ConfigurationError: Not of this form.
    """
    whole, _, transport = text.partition(":")
    if whole in _WHOLE_ARGUMENT:
        return PlatformSpec(name=whole, argument=transport)
    parts = [part.replace("\0", ",") for part in text.replace("\\,", "\0").split(",")]
    name, _, argument = parts[0].partition(":")
    pairs = parts[1:]
    if "=" in argument:
        pairs.insert(0, argument)
        argument = ""
    if not name or not all(char.isalnum() or char in "-_" for char in name):
        raise ConfigurationError(
            f"--hal: {name!r} is no platform name", hint="Write NAME[:ARG][,key=value], such as linux:wlan0."
        )
    options: dict[str, str] = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals or not key:
            raise ConfigurationError(
                f"--hal {name}: an option has no name or no value",
                hint="Write NAME[:ARG][,key=value], such as mock,ap_sta=yes.",
            )
        if key in options:
            raise ConfigurationError(f"--hal {name}: option {key!r} is given twice")
        options[key] = value
    return PlatformSpec(name=name, argument=argument, options=options)


def platform_names() -> Sequence[str]:
    """Every platform that can be named, built in or installed."""
    return sorted({*_BUILT_IN, *(entry.name for entry in entry_points(group=ENTRY_POINT_GROUP))})


def _factory(name: str) -> Callable[[PlatformSpec], Platform]:
    if name in _BUILT_IN:
        module, _, attribute = _BUILT_IN[name].partition(":")
        factory: Callable[[PlatformSpec], Platform] = getattr(importlib.import_module(module), attribute)
        return factory
    for entry in entry_points(group=ENTRY_POINT_GROUP, name=name):
        loaded: Callable[[PlatformSpec], Platform] = entry.load()
        return loaded
    raise ConfigurationError(
        f"--hal: there is no platform {name!r}",
        hint=f"Known here: {', '.join(platform_names())}. A package with the entry point "
        f"{ENTRY_POINT_GROUP}:{name} adds it.",
    )


def open_platform(*specs: str | PlatformSpec) -> Platform:
    """Make the platform that the specs name; with several, each port comes from the first that has it.

    Raises:
        ConfigurationError: Unknown name or option.
        HalError: The platform cannot run here.
    """
    if not specs:
        raise ConfigurationError("no HAL was named", hint="Use --hal mock or --hal linux:wlan0.")
    platforms: list[Platform] = []
    for spec in specs:
        parsed = parse_spec(spec) if isinstance(spec, str) else spec
        platforms.append(_factory(parsed.name)(parsed))
    return platforms[0] if len(platforms) == 1 else _Several(platforms)


class _Several(Platform):
    """Several platforms as one: a Wi-Fi radio here, a Bluetooth dongle there."""

    def __init__(self, platforms: Sequence[Platform]) -> None:
        self._platforms = platforms

    async def capabilities(self) -> Capabilities:
        """All that any of them can do; roles of different platforms can always be held together."""
        combinations: list[Combination] = []
        chip: dict[str, Step] = {}
        for platform in self._platforms:
            found = await platform.capabilities()
            combinations += [
                Combination(mine.roles | theirs.roles, mine.same_channel or theirs.same_channel)
                for mine in combinations
                for theirs in found.combinations
            ] + list(found.combinations)
            chip = {**found.chip, **chip}
        return Capabilities(combinations=tuple(dict.fromkeys(combinations)), chip=chip)

    def port(self, kind: type[PortT]) -> PortT:
        """The port of the first platform that has it."""
        refusals: list[NotSupportedError] = []
        for platform in self._platforms:
            try:
                return platform.port(kind)
            except NotSupportedError as error:
                refusals.append(error)
        raise refusals[0]

    async def recover(self) -> None:
        """Each in turn."""
        for platform in self._platforms:
            await platform.recover()

    async def close(self) -> None:
        """Each in reverse order."""
        failures: list[Exception] = []
        for platform in reversed(self._platforms):
            try:
                await platform.close()
            except Exception as error:  # noqa: BLE001 - the others are closed all the same
                failures.append(error)
        if failures:
            raise failures[0]
