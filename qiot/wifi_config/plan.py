"""Which methods listen together, and which in turn, on the radios that are there."""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from qiot.errors import NotSupportedError
from qiot.hal.contract import Capabilities, Role
from qiot.wifi_config.methods import Method

__all__ = ["Turn", "can_keep_access_point", "plan_turns"]


@attrs.frozen
class Turn:
    """Methods that listen at the same time."""

    methods: tuple[Method, ...]

    @property
    def access_point(self) -> bool:
        """True where one of them needs our access point."""
        return any(method.access_point for method in self.methods)


def plan_turns(methods: Sequence[Method], capabilities: Capabilities) -> Sequence[Turn]:
    """Put each method into the first turn whose roles can all be held together.

    A method that a chip runs by itself needs no role of ours and listens in every plan's first turn.

    Raises:
        NotSupportedError: The platform lacks a role that a method needs; names the method and the role.
    """
    turns: list[tuple[list[Method], frozenset[Role]]] = []
    for method in methods:
        needs = frozenset[Role]() if method.name in capabilities.chip else method.listen
        missing = needs - capabilities.roles
        if missing:
            raise NotSupportedError(
                f"{method.name} needs the role {', '.join(sorted(missing))}; this platform does not have it",
                hint="Choose another method, or add a platform that has it with a further --hal.",
            )
        for members, roles in turns:
            if not needs or capabilities.together(*roles, *needs):
                members.append(method)
                turns[turns.index((members, roles))] = (members, roles | needs)
                break
        else:
            turns.append(([method], needs))
    return [Turn(tuple(members)) for members, _ in turns]


def can_keep_access_point(capabilities: Capabilities) -> bool:
    """True where a join does not take our access point away."""
    return capabilities.together(Role.ACCESS_POINT, Role.STATION) is not None
