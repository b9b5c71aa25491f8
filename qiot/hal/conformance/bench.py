"""What a check stands on: fresh platforms, verbs that are bounded and typed, cancellations that must hold."""

from __future__ import annotations

import asyncio
import contextlib
import re
import traceback
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Mapping, Sequence
from typing import Any, Final, TypeVar

from qiot.errors import HalError, NotSupportedError, QiotError
from qiot.hal.conformance.check import Broken, expect, not_claimed
from qiot.hal.conformance.environment import Environment
from qiot.hal.conformance.loop_watch import BlockedError, LoopWatch
from qiot.hal.contract import (
    Camera,
    Capabilities,
    Gatt,
    Injector,
    Platform,
    PortT,
    Role,
    Sniffer,
    SoftAp,
    Wifi,
)
from qiot.model import Reason
from qiot.wifi_config.methods import METHODS, Method

__all__ = ["CUTS", "METHOD_OF", "ROLES", "Bench", "abandon"]

CUTS: Final = 16
"""A read is cut off after each number of turns of the loop below this, one try each."""

_T = TypeVar("_T")

_LIMITS: Final[dict[str, float]] = {
    "Platform.capabilities": 30.0,
    "Platform.recover": 60.0,
    "Platform.close": 60.0,
    "Wifi.scan": 30.0,
    "Wifi.settle": 60.0,
    "SoftAp.start": 60.0,
    "SoftAp.stop": 30.0,
    "Gatt.start": 30.0,
    "Sniffer.start": 30.0,
    "Sniffer.stop": 30.0,
    "Camera.start": 30.0,
}
"""Seconds within which a verb has to return; 10 for every other. Verbs with a time-out have that on top."""

_USUAL: Final = 10.0
ROLES: Final[Mapping[type, Role]] = {
    Wifi: Role.STATION,
    SoftAp: Role.ACCESS_POINT,
    Sniffer: Role.SNIFF,
    Injector: Role.INJECT,
    Gatt: Role.BLE,
    Camera: Role.CAMERA,
}
"""The role that each port of the radio plays."""
METHOD_OF: Final[Mapping[type, Method]] = {
    method.port: method for method in METHODS.values() if method.port is not None
}
"""The method that each listener is."""
_END_OF_CANCELLED: Final = 30.0
"""A cancelled verb may have to undo a lot, such as to bring a network back."""
_BLOCK: Final = 2.0
"""Longest that a verb may keep the loop from running, in seconds; a busy machine has its own pauses."""
_INTERRUPT: Final = 10.0
"""Seconds after which a verb that blocks the loop is interrupted."""
_ADDRESS: Final = re.compile(r"(?:[0-9A-F]{2}:){5}[0-9A-F]{2}|")
_LEAST_PATIENCE: Final = 0.2


class Hangs(Broken):
    """A verb did not end in time."""


class Bench:
    """What one check stands on. Everything that is opened here is closed by `finish`.

    Args:
        factory: Makes a platform, each time as after a start of the process.
        environment: The world around it.
        kind: The port that is tested.
    """

    def __init__(self, factory: Callable[[], Platform], environment: Environment, kind: type) -> None:
        self.environment = environment
        self.kind = kind
        self._factory = factory
        self._claimed: Capabilities | None = None
        self._opened: list[Platform] = []
        self._closed: list[Platform] = []

    @property
    def patience(self) -> float:
        """Factor on every time limit."""
        return self.environment.patience

    @property
    def platform(self) -> Platform:
        """The platform of this check, the last that was opened."""
        return self._opened[-1]

    async def open(self) -> Platform:
        """Open a fresh platform, as after a start of the process."""

        async def made() -> Platform:
            return self._factory()

        platform = await self.call("Platform", made())
        self.environment.opened(platform)
        self._opened.append(platform)
        return platform

    async def reopen(self) -> Platform:
        """Close the platform and open a fresh one, as a restart does."""
        await self.close(self.platform)
        return await self.open()

    async def close(self, platform: Platform) -> None:
        """Close it; `finish` does not close it again."""
        self._closed.append(platform)
        await self.call("Platform.close", platform.close())

    async def finish(self) -> None:
        """Close what is open, all of it, the last first.

        Raises:
            Broken: The first close that failed.
        """
        failures: list[Broken] = []
        for platform in reversed([each for each in self._opened if each not in self._closed]):
            try:
                await self.close(platform)
            except Broken as failure:
                failures.append(failure)
        if failures:
            raise failures[0]

    async def capabilities(self) -> Capabilities:
        """What the platform claims."""
        self._claimed = await self.call("Platform.capabilities", self.platform.capabilities())
        return self._claimed

    async def begin(self) -> None:
        """Open the platform, and see that it claims the port that is tested.

        Raises:
            NotClaimed: It has no such port, or does not claim what that needs.
        """
        await self.open()
        if self.kind in ROLES or self.kind in METHOD_OF:
            self.port(self.kind)
            await self.capabilities()
        if self.kind is not Platform:
            self.port(self.kind)

    def port(self, kind: type[PortT]) -> PortT:
        """The port.

        Raises:
            NotClaimed: The platform has none, and says so as it should, or does not claim what it needs.
        """
        if self._claimed is not None:
            _expect_claimed(kind, self._claimed)
        try:
            found = self.platform.port(kind)
        except NotSupportedError as error:
            not_claimed(str(error))
        except Exception as error:
            raise Broken(f"port({kind.__name__}) raised {_named(error)}") from error
        expect(isinstance(found, kind), f"port({kind.__name__}) is a {type(found).__name__}")
        return found

    async def call(self, verb: str, work: Awaitable[_T], *, seconds: float = 0.0, hanging: str = "") -> _T:
        """Run a verb that has to work.

        Args:
            verb: Its name, such as "Wifi.join"; it gives the time limit.
            work: What the verb gave.
            seconds: The time-out that the verb itself was given.
            hanging: What it means when it does not return.

        Raises:
            Broken: It raised, or hangs, or blocks the loop.
        """
        try:
            done = await self._ended(verb, work, seconds)
        except Hangs as failure:
            raise Broken(hanging or str(failure)) from failure
        error = _error_of(verb, done)
        if error is not None:
            raise Broken(f"{verb} raised {_named(error)}") from error
        return done.result()

    async def refused(
        self,
        verb: str,
        work: Awaitable[object],
        kind: type[QiotError] = HalError,
        *,
        reasons: Sequence[Reason] = (),
        seconds: float = 0.0,
    ) -> QiotError:
        """Run a verb that has to raise an error of `kind`, with one of `reasons` where any are given.

        Raises:
            Broken: It works, or raises something else, or hangs, or blocks the loop.
        """
        done = await self._ended(verb, work, seconds)
        error = _error_of(verb, done)
        wanted = " or ".join(reason.name for reason in reasons)
        expect(error is not None, f"{verb} worked, where {kind.__name__} {wanted} was due".replace("  ", " "))
        if not isinstance(error, kind):
            raise Broken(f"{verb} raised {_named(error)}, where {kind.__name__} {wanted} was due") from error
        if reasons and error.reason not in reasons:
            raise Broken(f"{verb} raised {_named(error)}, where {wanted} was due") from error
        expect(error.hint, f"{verb} raised {_named(error)} without a hint")
        return error

    async def address(self, verb: str, ask: Callable[[], Awaitable[str]]) -> None:
        """Ask twice for a MAC address; empty is one that the platform does not know.

        Raises:
            Broken: It is none in capital letters, or another one the second time.
        """
        first = await self.call(verb, ask())
        expect(isinstance(first, str) and _ADDRESS.fullmatch(first), f"{first!r} is no AA:BB:CC:DD:EE:FF")
        second = await self.call(verb, ask())
        expect(first == second, f"the address was {first}, and is {second} with nothing done in between")

    async def attempted(
        self, verb: str, work: Awaitable[object], *, seconds: float = 0.0
    ) -> QiotError | None:
        """Run a verb that may refuse; gives its error, or None where it worked.

        Raises:
            Broken: It raised no typed error, or hangs, or blocks the loop.
        """
        error = _error_of(verb, await self._ended(verb, work, seconds))
        return error if isinstance(error, QiotError) else None

    async def cancelled(self, verb: str, work: Awaitable[object], after: float) -> bool:
        """Cancel a verb after some seconds; gives False where it was over before that.

        Raises:
            Broken: It goes on, or returns or raises as if it had not been cancelled.
        """
        with self._watched(verb):
            task = asyncio.ensure_future(work)
            await asyncio.sleep(0)
            if after and not task.done():
                await asyncio.wait({task}, timeout=after)
            if task.done():
                error = _error_of(verb, task)
                if error is not None:
                    raise Broken(f"{verb} raised {_named(error)}") from error
                return False
            task.cancel()
            await self._wait(f"{verb}, cancelled after {after:g} s,", task, _END_OF_CANCELLED)
        if task.cancelled():
            return True
        error = task.exception()
        if error is None:
            raise Broken(f"{verb} swallowed its cancellation after {after:g} s: it returned")
        raise Broken(f"{verb}, cancelled after {after:g} s, raised {_named(error)}") from error

    async def pending(self, work: Awaitable[_T]) -> asyncio.Future[_T]:
        """Begin a read that has to wait; gives it while it waits.

        Raises:
            Broken: It returned or raised at once.
        """
        task = asyncio.ensure_future(work)
        await asyncio.wait({task}, timeout=0.05)
        if task.done():
            error = task.exception()
            raise Broken(
                f"a read with nothing to read {'returned' if error is None else f'raised {_named(error)}'}"
            )
        return task

    async def ends(self, verb: str, task: asyncio.Future[Any], kind: type[QiotError] = HalError) -> None:
        """A read that waits has been ended by `verb`: it has to raise.

        Raises:
            Broken: It still waits, or returned, or raised something else.
        """
        try:
            await self._wait(f"a pending read after {verb}", task, _USUAL)
        except Broken as failure:
            raise Broken(f"{verb} does not end a pending read") from failure
        error = None if task.cancelled() else task.exception()
        if not isinstance(error, kind):
            saw = "was cancelled" if task.cancelled() else "returned" if error is None else _named(error)
            raise Broken(f"{verb} has to end a pending read with {kind.__name__}; it {saw}") from error

    async def until(
        self, condition: Callable[[], Awaitable[object]], why: str, *, seconds: float = _USUAL
    ) -> None:
        """Return when the condition holds.

        Raises:
            Broken: `why`, where it does not hold in time.
        """
        end = asyncio.get_running_loop().time() + seconds * self.patience
        while not await condition():
            if asyncio.get_running_loop().time() > end:
                raise Broken(why)
            await asyncio.sleep(0.02)

    async def _ended(self, verb: str, work: Awaitable[_T], seconds: float) -> asyncio.Future[_T]:
        with self._watched(verb):
            task = asyncio.ensure_future(work)
            await self._wait(verb, task, seconds + _LIMITS.get(verb, _USUAL))
        return task

    async def _wait(self, verb: str, task: asyncio.Future[Any], seconds: float) -> None:
        limit = seconds * self.patience
        try:
            await asyncio.wait({task}, timeout=limit)
        except asyncio.CancelledError:
            await abandon(task)
            raise
        if not task.done():
            where = _where(task)
            await abandon(task)
            raise Hangs(f"{verb} hangs: no end within {limit:g} s{where}")

    @contextlib.contextmanager
    def _watched(self, verb: str) -> Iterator[None]:
        watch = LoopWatch(_INTERRUPT * max(self.patience, _LEAST_PATIENCE))
        with watch.watching():
            yield
        # Who makes a platform may import what it needs, which takes its time.
        limit = (_INTERRUPT if verb == "Platform" else _BLOCK) * max(self.patience, 1.0)
        expect(watch.worst < limit, f"{verb} blocked the event loop for {watch.worst:.1f} s")


def _expect_claimed(kind: type, claimed: Capabilities) -> None:
    """A port plays its role; a listener needs those of its method, or a chip that runs it by itself."""
    method = METHOD_OF.get(kind)
    if method is not None and method.name in claimed.chip:
        return
    needed = method.listen if method is not None else {ROLES[kind]} if kind in ROLES else set[Role]()
    for role in sorted(needed - claimed.roles):
        not_claimed(f"the {role} role is not claimed")


async def abandon(task: asyncio.Future[Any]) -> None:
    """Cancel a task; one that swallows that is taken apart, so that the loop can end."""
    task.cancel()
    await asyncio.wait({task}, timeout=1.0)
    for _ in range(100):
        if task.done():
            break
        work = task.get_coro() if isinstance(task, asyncio.Task) else None
        if isinstance(work, Coroutine):
            with contextlib.suppress(BaseException):
                work.close()
        task.cancel()
        await asyncio.wait({task}, timeout=0.05)
    if task.done() and not task.cancelled():
        task.exception()  # seen


def _error_of(verb: str, task: asyncio.Future[Any]) -> BaseException | None:
    if task.cancelled():
        raise Broken(f"{verb} ended as if it had been cancelled, which it was not")
    error = task.exception()
    if isinstance(error, BlockedError):
        raise Broken(f"{verb} {error}") from error
    if error is not None and not isinstance(error, QiotError):
        raise Broken(f"{verb} raised {_named(error)}, which is no typed error") from error
    return error


def _named(error: BaseException | None) -> str:
    if isinstance(error, QiotError):
        return f"{type(error).__name__} {error.reason.name} ({error})"
    text = str(error)
    return f"{type(error).__name__}{f' ({text})' if text else ''}"


def _where(task: asyncio.Future[Any]) -> str:
    if not isinstance(task, asyncio.Task):
        return ""
    frames = [entry for frame in task.get_stack() for entry in traceback.extract_stack(frame, limit=1)]
    return f", at {frames[-1].filename}:{frames[-1].lineno}" if frames else ""
