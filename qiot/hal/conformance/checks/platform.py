"""The platform as a whole: what it claims, its ports, recover and close."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from qiot.errors import NotSupportedError
from qiot.hal.conformance.bench import METHOD_OF, ROLES, Bench
from qiot.hal.conformance.check import Broken, check, expect
from qiot.hal.contract import (
    Camera,
    Capabilities,
    FrameFilter,
    Gatt,
    Platform,
    Role,
    Sniffer,
    SoftAp,
    Storage,
    Transport,
    Udp,
    Wifi,
)

_OF_METHOD: Final[dict[str, type]] = {method.name: kind for kind, method in METHOD_OF.items()}
_KINDS: Final = (*ROLES, *_OF_METHOD.values(), Udp, Storage, Transport)


class _NoSuchPort:
    """A port of a later version, which no platform can know."""


def _has(platform: Platform, kind: type) -> bool:
    try:
        found: object = platform.port(kind)
    except NotSupportedError as error:
        expect(error.hint, f"port({kind.__name__}) is refused without a hint")
        return False
    except Exception as error:
        raise Broken(
            f"port({kind.__name__}) raised {type(error).__name__}, where NotSupportedError was due"
        ) from error
    expect(isinstance(found, kind), f"port({kind.__name__}) is a {type(found).__name__}")
    return True


@check(Platform, "open")
async def it_opens_and_closes(bench: Bench) -> None:
    """Its factory makes it at once; whatever takes longer begins with the first verb."""
    await bench.close(bench.platform)


@check(Platform, "capabilities")
async def capabilities_are_well_formed(bench: Bench) -> None:
    """They name known roles and steps, and say the same when asked again."""
    found = await bench.capabilities()
    expect(isinstance(found, Capabilities), f"capabilities() gave {type(found).__name__}")
    for each in found.combinations:
        expect(each.roles, "a combination holds no role")
        expect(all(isinstance(role, Role) for role in each.roles), f"{each.roles} are not all of Role")
    for method in found.chip:
        expect(method in _OF_METHOD, f"chip names {method!r}; known are {', '.join(_OF_METHOD)}")
    again = await bench.capabilities()
    expect(found == again, f"they changed from {found} to {again}, with nothing done in between")


@check(Platform, "capabilities")
async def a_role_is_claimed_alone_too(bench: Bench) -> None:
    """Every role of a combination is also one that can be held by itself."""
    found = await bench.capabilities()
    alone = {role for each in found.combinations if len(each.roles) == 1 for role in each.roles}
    missing = ", ".join(sorted(found.roles - alone))
    expect(not missing, f"only in combination, not by itself: {missing}")


@check(Platform, "port")
async def what_is_claimed_is_there(bench: Bench) -> None:
    """Each claimed role and each method of the chip has its port."""
    found = await bench.capabilities()
    for kind, role in ROLES.items():
        is_there = role not in found.roles or _has(bench.platform, kind)
        expect(is_there, f"{role} is claimed, but there is no {kind.__name__}")
    for method in sorted(found.chip):
        listener = _OF_METHOD.get(method)
        is_there = listener is None or _has(bench.platform, listener)
        expect(is_there, f"the chip has {method}, but there is no port for it")


@check(Platform, "capabilities", disturbs=True)
async def what_is_not_claimed_is_refused(bench: Bench) -> None:
    """A role that works and is not claimed would never be used; a port that is there says why it cannot."""
    platform, roles = bench.platform, (await bench.capabilities()).roles

    async def refused(kind: type, verb: str, start: Callable[[], Awaitable[object]]) -> None:
        if ROLES[kind] not in roles and _has(platform, kind):
            await bench.refused(f"{kind.__name__}.{verb}, where {ROLES[kind]} is not claimed,", start())

    everything = FrameFilter(kinds=frozenset({"data"}))
    await refused(SoftAp, "start", lambda: platform.port(SoftAp).start(bench.environment.access_point))
    await refused(Sniffer, "start", lambda: platform.port(Sniffer).start(everything))
    await refused(Gatt, "start", lambda: platform.port(Gatt).start([]))
    await refused(Camera, "start", lambda: platform.port(Camera).start())
    home = bench.environment.home
    if home is not None:
        seconds = bench.environment.join_seconds
        await refused(Wifi, "join", lambda: platform.port(Wifi).join(home, seconds))


@check(Platform, "port")
async def what_is_not_there_says_so_with_a_hint(bench: Bench) -> None:
    """NotSupportedError with what to do, also for a port that the platform cannot know."""
    for kind in (*_KINDS, _NoSuchPort):
        _has(bench.platform, kind)
    expect(not _has(bench.platform, _NoSuchPort), "port() gives something for a class that is no port")


@check(Platform, "port")
async def a_port_is_the_same_object_each_time(bench: Bench) -> None:
    """Ports have state: two objects for one radio would not know of each other."""
    for kind in _KINDS:
        if _has(bench.platform, kind):
            same = bench.platform.port(kind) is bench.platform.port(kind)
            expect(same, f"port({kind.__name__}) gives another object each time")


@check(Platform, "recover")
async def recover_is_harmless_and_idempotent(bench: Bench) -> None:
    """Where nothing was left behind, nothing happens, however often."""
    before = await bench.capabilities()
    for _ in range(2):
        await bench.call("Platform.recover", bench.platform.recover())
    expect(await bench.capabilities() == before, "the capabilities are others after recover")


@check(Platform, "close")
async def close_is_idempotent(bench: Bench) -> None:
    """Also without any use before it."""
    for _ in range(3):
        await bench.close(bench.platform)


@check(Platform, "close")
async def close_after_a_cancelled_verb(bench: Bench) -> None:
    """A probe that was cut off leaves nothing that close could stumble over."""
    for after in bench.environment.cancel_after:
        await bench.cancelled("Platform.capabilities", bench.platform.capabilities(), after)
    await bench.capabilities()
    await bench.close(bench.platform)


@check(Platform, "open")
async def it_opens_again_after_close(bench: Bench) -> None:
    """Everything was given back, so the next one finds the same."""
    before = await bench.capabilities()
    await bench.reopen()
    after = await bench.capabilities()
    expect(before == after, f"the second platform claims {after}, the first {before}")


@check(Platform, "open")
async def verbs_of_different_ports_run_at_once(bench: Bench) -> None:
    """Asking for the capabilities several times at once gives one answer."""
    found = await asyncio.gather(*(bench.capabilities() for _ in range(3)))
    expect(all(each == found[0] for each in found), "capabilities() differ between calls at the same time")
