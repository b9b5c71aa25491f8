"""Methods are rows: what a method needs of the platform, and by which doors it speaks.

A door is a medium, a place on it and a codec. Doors with the same three are one endpoint, however many
methods name them. A new method is a codec and a row.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, Literal

import attrs

from qiot.errors import ConfigurationError
from qiot.hal.contract import AirKiss, BtCombo, ChipSoftAp, Listener, Role, SimpleConfig, SmartConfig

__all__ = ["COMMAND_DOOR", "MDNS_DOOR", "METHODS", "NOT_BUILT", "Door", "Method", "parse_methods"]


@attrs.frozen
class Door:
    """Where a codec is spoken.

    Attributes:
        medium: The medium.
        place: The port on it, the first one where a codec has several; of GATT the service by its short UUID.
        codec: The codec's name.
    """

    medium: Literal["udp", "mdns", "gatt"]
    place: int | str
    codec: str


COMMAND_DOOR: Final = Door("udp", 8266, "app_message")
"""The C SDK's command service (contract section 1)."""

MDNS_DOOR: Final = Door("mdns", 5353, "service")
"""Where a phone finds the command service of a device in its network."""

_JOINED: Final = (COMMAND_DOOR, MDNS_DOOR)
"""Open first: a phone may send its token as soon as it knows the device's address."""


@attrs.frozen
class Method:
    """One way for credentials to come in.

    Attributes:
        name: As --method takes it.
        cloud: The cloud whose grants it brings.
        listen: Roles that it needs while it listens.
        port: The HAL port that runs it, where the platform may do that by itself.
        access_point: It needs our access point, and loses it to a join on a single radio.
        doors: Where it is spoken while listening.
        after_join: Where it is spoken once the device is in the network, in the order of opening.
    """

    name: str
    cloud: str
    listen: frozenset[Role]
    port: type[Listener] | None = None
    access_point: bool = False
    doors: tuple[Door, ...] = ()
    after_join: tuple[Door, ...] = (COMMAND_DOOR,)

    @property
    def gatt(self) -> Door | None:
        """Its door on Bluetooth, where it has one."""
        return next((door for door in self.doors if door.medium == "gatt"), None)


def _over_ble(name: str, cloud: str, service: str) -> Method:
    """A method that says everything over the Bluetooth connection, which stays after the join."""
    door = Door("gatt", service, name)
    return Method(name, cloud, frozenset({Role.BLE}), doors=(door,), after_join=())


METHODS: Final[Mapping[str, Method]] = {
    method.name: method
    for method in (
        Method(
            "soft_ap",
            "tencent",
            frozenset({Role.ACCESS_POINT}),
            ChipSoftAp,
            access_point=True,
            doors=(COMMAND_DOOR,),
        ),
        Method(
            "smart_config",
            "tencent",
            frozenset({Role.SNIFF}),
            SmartConfig,
            after_join=(*_JOINED, Door("udp", 7001, "air_ack")),
        ),
        Method(
            "airkiss",
            "tencent",
            frozenset({Role.SNIFF}),
            AirKiss,
            after_join=(*_JOINED, Door("udp", 10001, "air_ack"), Door("udp", 12476, "airkiss_lan")),
        ),
        Method(
            "simple_config",
            "tencent",
            frozenset({Role.SNIFF}),
            SimpleConfig,
            after_join=(*_JOINED, Door("udp", 8864, "realtek")),
        ),
        Method(
            "bt_combo",
            "tencent",
            frozenset({Role.BLE}),
            BtCombo,
            doors=(Door("gatt", "ffff", "bt_combo"),),
        ),
        _over_ble("blufi", "tencent", "ffff"),
        _over_ble("llsync", "tencent", "fff0"),
        _over_ble("thing", "rlink", "1910"),
    )
}

_ALIASES: Final = {"esptouch": "smart_config", "esptouch_v1": "smart_config", "esptouch_v2": "smart_config"}
"""Other names of a row: it hears both versions of ESP-TOUCH."""

NOT_BUILT: Final = (
    "awss",
    "dev_ap",
    "phone_ap",
    "zero_config",
    "breeze",
    "qr",
)
"""Methods that have a name here and no row yet."""

_KNOWN: Final = f"Built: {', '.join(METHODS)}. Not yet: {', '.join(NOT_BUILT)}."


def parse_methods(text: str) -> Sequence[Method]:
    """Methods of a comma list; `all` names every one that is built, `esptouch_v2` the row that hears it too.

    Raises:
        ConfigurationError: A name is unknown, not built yet, or there is none.
    """
    names = [name.strip().replace("-", "_").lower() for name in text.split(",") if name.strip()]
    if "all" in names:
        names = list(METHODS)
    chosen: dict[str, Method] = {}
    for given in names:
        name = _ALIASES.get(given, given)
        if name in NOT_BUILT:
            raise ConfigurationError(f"--method {name}: not built yet in this version", hint=_KNOWN)
        if name not in METHODS:
            raise ConfigurationError(f"--method {name}: there is no such method", hint=_KNOWN)
        chosen[name] = METHODS[name]
    if not chosen:
        raise ConfigurationError("--method: no method is named", hint=_KNOWN)
    return list(chosen.values())
