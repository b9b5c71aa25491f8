"""Which methods listen together, and which in turn, on the radios that are there."""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from qiot.errors import NotSupportedError
from qiot.hal.contract import Capabilities, Role
from qiot.wifi_config.methods import Method

__all__ = ["Turn", "can_keep_access_point", "missing_role", "plan_turns"]


@attrs.frozen
class Turn:
    """Methods that listen at the same time."""

    methods: tuple[Method, ...]

    @property
    def access_point(self) -> bool:
        """True where one of them needs our access point."""
        return any(method.access_point for method in self.methods)


def missing_role(method: Method, capabilities: Capabilities) -> NotSupportedError | None:
    """Why a method cannot listen on this platform; None where it can."""
    missing = _needs(method, capabilities) - capabilities.roles
    if not missing:
        return None
    return NotSupportedError(
        f"{method.name} needs the role {', '.join(sorted(missing))}; this platform does not have it",
        hint="Choose another method, or add a platform that has it with a further --hal.",
    )


def plan_turns(methods: Sequence[Method], capabilities: Capabilities) -> Sequence[Turn]:
    """Put each method into the first turn whose roles can all be held together.

    Who listens to the air wants to change the channel, which an access point on the same radio does not do.
    Where both can be held on its channel, they are, and the air has turns of its own besides.
    Methods over Bluetooth take turns: a controller has one advertisement of 31 octets, and phones look
    into it for their service.

    Args:
        methods: Methods that miss no role.
        capabilities: What was probed.
    """
    turns: list[tuple[list[Method], frozenset[Role]]] = []
    for method in methods:
        needs = _needs(method, capabilities)
        for index, (members, roles) in enumerate(turns):
            if _clash(method, members, capabilities):
                continue
            if not needs or _can_share(roles | needs, capabilities):
                turns[index] = ([*members, method], roles | needs)
                break
        else:
            turns.append(([method], needs))
    listening = [
        [each for each in members if Role.SNIFF in _needs(each, capabilities)] for members, _ in turns
    ]
    held = [
        (members, frozenset(role for each in members for role in _needs(each, capabilities)))
        for members in listening
        if members
    ]
    planned = []
    for members, roles in turns:
        for others, needs in held:
            if Role.SNIFF not in roles and capabilities.together(*roles, *needs):
                planned.append(Turn((*members, *others)))
                break
        else:
            planned.append(Turn(tuple(members)))
    return planned


def _can_share(roles: frozenset[Role], capabilities: Capabilities) -> bool:
    """Whether they can be held at once without holding the sniffer on a channel."""
    found = capabilities.together(*roles)
    if found is None or not found.same_channel:
        return found is not None
    return Role.SNIFF not in roles or roles <= {Role.SNIFF, Role.INJECT}


def _clash(method: Method, others: Sequence[Method], capabilities: Capabilities) -> bool:
    """True where another one advertises over Bluetooth already."""
    return _advertises(method, capabilities) and any(_advertises(each, capabilities) for each in others)


def _advertises(method: Method, capabilities: Capabilities) -> bool:
    return method.gatt is not None and method.name not in capabilities.chip


def _needs(method: Method, capabilities: Capabilities) -> frozenset[Role]:
    """Roles of ours; a method that a chip runs by itself needs none."""
    return frozenset() if method.name in capabilities.chip else method.listen


def can_keep_access_point(capabilities: Capabilities) -> bool:
    """True where a join does not take our access point away."""
    return capabilities.together(Role.ACCESS_POINT, Role.STATION) is not None
