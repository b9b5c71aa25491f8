"""What a platform can do, and where its ports are."""

from __future__ import annotations

import abc
import enum
from collections.abc import Mapping
from typing import TypeVar

import attrs

from qiot.model import Step

__all__ = ["Capabilities", "Combination", "Platform", "PortT", "Role"]


class Role(enum.StrEnum):
    """What a radio or device can be."""

    STATION = "station"
    ACCESS_POINT = "access point"
    SNIFF = "sniff"
    INJECT = "inject"
    BLE = "ble"
    CAMERA = "camera"


@attrs.frozen
class Combination:
    """Roles that can be held at the same time.

    Attributes:
        roles: The roles.
        same_channel: True where all of them have to share one channel.
    """

    roles: frozenset[Role]
    same_channel: bool = False


@attrs.frozen
class Capabilities:
    """What was found by probing, not guessed.

    Attributes:
        combinations: Every set of roles that can be held together; each role of one is there by itself, too.
        chip: Methods that a chip or modem runs by itself, each with the last step it does.
    """

    combinations: tuple[Combination, ...] = ()
    chip: Mapping[str, Step] = attrs.field(factory=dict, hash=False)

    @property
    def roles(self) -> frozenset[Role]:
        """Every role the platform has at all."""
        return frozenset(role for each in self.combinations for role in each.roles)

    def together(self, *roles: Role) -> Combination | None:
        """The combination that holds all of `roles` at once, one without a shared channel first."""
        wanted = frozenset(roles)
        fitting = [each for each in self.combinations if wanted <= each.roles]
        return min(fitting, key=lambda each: (each.same_channel, len(each.roles)), default=None)


PortT = TypeVar("PortT")


class Platform(abc.ABC):
    """One platform, such as "mock" or "linux:wlan0"; made from a spec by a factory in the registry."""

    @abc.abstractmethod
    async def capabilities(self) -> Capabilities:
        """Probe what this machine can do."""

    @abc.abstractmethod
    def port(self, kind: type[PortT]) -> PortT:
        """The port of this kind (`Wifi`, `SoftAp`, `SmartConfig`, …), the same object each time.

        Raises:
            NotSupportedError: This platform has none; the hint says what to install or choose.
        """

    async def recover(self) -> None:
        """Undo what a killed process left behind: access points, interfaces, half-done joins."""
        return

    @abc.abstractmethod
    async def close(self) -> None:
        """Stop everything and give everything back; pending reads end with a HalError. Idempotent."""
