"""The system's D-Bus: calls that fail with typed errors, and signals as they come."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable, Sequence
from typing import Any, Final

import attrs
from dbus_fast import (
    AuthError,
    BusType,
    InvalidAddressError,
    Message,
    MessageFlag,
    MessageType,
    Variant,
    unpack_variants,
)
from dbus_fast.aio import MessageBus

from qiot.errors import HalError
from qiot.log import get_logger
from qiot.model import Reason

__all__ = ["Bus", "BusError", "Signal", "Signals"]

log = get_logger()

_CALL_LIMIT: Final = 10.0
"""Seconds until a call must be answered."""
_DBUS: Final = "org.freedesktop.DBus"
_DBUS_PATH: Final = "/org/freedesktop/DBus"
_PROPERTIES: Final = "org.freedesktop.DBus.Properties"

_REFUSED: Final = (".AccessDenied", ".PermissionDenied", ".AuthFailed", ".InteractiveAuthorizationRequired")


class BusError(HalError):
    """A call was answered with an error.

    Args:
        name: D-Bus name of the error.
        text: What came with it.
    """

    def __init__(self, name: str, text: str) -> None:
        refused = name.endswith(_REFUSED)
        super().__init__(
            f"{text or 'no reason given'} ({name.rpartition('.')[2]})",
            reason=Reason.NO_PERMISSION if refused else None,
            hint="Run as root, or allow it in polkit or in the bus's policy." if refused else "",
        )
        self.name = name


@attrs.frozen
class Signal:
    """One signal.

    Attributes:
        path: The object that sent it.
        interface: Its interface.
        member: Its name.
        body: What it says, without D-Bus's type marks.
    """

    path: str
    interface: str
    member: str
    body: Sequence[Any]


class Signals:
    """The signals of one subscription, in the order they came."""

    def __init__(self) -> None:
        self._queue: asyncio.Queue[Signal | None] = asyncio.Queue()

    def put(self, signal: Signal | None) -> None:
        """For the bus: a signal came; None where no more will come."""
        self._queue.put_nowait(signal)

    def clear(self) -> None:
        """Forget those that came until now."""
        while not self._queue.empty():
            if self._queue.get_nowait() is None:
                self._queue.put_nowait(None)
                return

    async def next(self) -> Signal:
        """Wait for and give the next one.

        Raises:
            HalError: The bus is lost.
        """
        signal = await self._queue.get()
        if signal is None:
            self._queue.put_nowait(None)
            raise _lost()
        return signal


class Bus:
    """One connection to the system bus, opened by the first call, and anew by the first call after a loss.

    Args:
        descriptors: Open files can be sent with a message.
    """

    def __init__(self, *, descriptors: bool = False) -> None:
        self._descriptors = descriptors
        self._bus: MessageBus | None = None
        self._watch: asyncio.Task[None] | None = None
        self._opening = asyncio.Lock()
        self._subscriptions: list[tuple[Signals, Sequence[str]]] = []

    async def call(
        self,
        destination: str,
        path: str,
        interface: str,
        member: str,
        signature: str = "",
        *body: object,
        timeout: float = _CALL_LIMIT,
    ) -> list[Any]:
        """Call a method; gives the body of its answer, with D-Bus's type marks.

        Raises:
            BusError: It was refused or failed.
            HalError: The bus cannot be reached or is lost, or nothing came in time.
        """
        bus = await self._open()
        message = Message(
            destination=destination,
            path=path,
            interface=interface,
            member=member,
            signature=signature,
            body=list(body),
            flags=MessageFlag.NO_AUTOSTART,
        )
        try:
            async with asyncio.timeout(timeout):
                reply = await bus.call(message)
        except TimeoutError:
            raise HalError(f"{member} was not answered within {timeout:g} s") from None
        except (OSError, EOFError) as error:
            raise _lost() from error
        if reply is None:
            raise _lost()
        if reply.message_type is MessageType.ERROR:
            raise BusError(reply.error_name or "", str(reply.body[0]) if reply.body else "")
        return list(reply.body)

    async def get(self, destination: str, path: str, interface: str, name: str) -> Any:
        """One property, without D-Bus's type marks."""
        body = await self.call(destination, path, _PROPERTIES, "Get", "ss", interface, name)
        return unpack_variants(body[0])

    async def get_all(self, destination: str, path: str, interface: str) -> dict[str, Any]:
        """All properties of an interface, without D-Bus's type marks."""
        body = await self.call(destination, path, _PROPERTIES, "GetAll", "s", interface)
        return dict(unpack_variants(body[0]))

    async def set(self, destination: str, path: str, interface: str, name: str, value: Variant) -> None:
        """Set a property."""
        await self.call(destination, path, _PROPERTIES, "Set", "ssv", interface, name, value)

    async def has_owner(self, name: str) -> bool:
        """True where somebody answers to a name."""
        body = await self.call(_DBUS, _DBUS_PATH, _DBUS, "NameHasOwner", "s", name)
        return bool(body[0])

    async def owner(self, name: str) -> str:
        """The unique name of who answers to a name.

        Raises:
            BusError: Nobody does.
        """
        body = await self.call(_DBUS, _DBUS_PATH, _DBUS, "GetNameOwner", "s", name)
        return str(body[0])

    async def serve(self, handler: Callable[[Message], Message | bool]) -> Callable[[], None]:
        """Let somebody answer calls to objects of ours, until what this gives is called.

        Args:
            handler: Gets every call to us; gives the answer, True where it will answer later, or False where
                the call is none of its own.
        """
        bus = await self._open()

        def take(message: Message) -> Message | bool | None:
            return handler(message) if message.message_type is MessageType.METHOD_CALL else None

        bus.add_message_handler(take)
        return lambda: bus.remove_message_handler(take)

    async def send(self, message: Message) -> None:
        """Send an answer or a signal of ours."""
        bus = await self._open()
        await bus.send(message)

    @contextlib.asynccontextmanager
    async def signals(self, *rules: str, into: Signals | None = None) -> AsyncGenerator[Signals, None]:
        """Subscribe while the block runs.

        Signals that match a rule of another subscription come, too: the reader looks at what they are.

        Args:
            rules: D-Bus match rules, without the type.
            into: Where they are put, as each comes and before the next call to us is answered; a queue of
                this block's own without it.
        """
        signals = into or Signals()
        whole = [f"type='signal',{rule}" for rule in rules]
        bus = await self._open()
        subscription = (signals, whole)
        self._subscriptions.append(subscription)
        try:
            for rule in whole:
                await self.call(_DBUS, _DBUS_PATH, _DBUS, "AddMatch", "s", rule)
            yield signals
        finally:
            if subscription in self._subscriptions:
                self._subscriptions.remove(subscription)
            if bus is self._bus and bus.connected:
                for rule in whole:
                    # Nobody waits for the answer: this runs in cancelled verbs, too.
                    bus.send(_remove_match(rule)).add_done_callback(_ignore)

    async def close(self) -> None:
        """Close the connection. Idempotent; a later call opens a new one."""
        bus, watch = self._bus, self._watch
        self._bus = self._watch = None
        if bus is not None and bus.connected:
            bus.disconnect()
        if watch is not None:
            await asyncio.wait({watch})

    async def _open(self) -> MessageBus:
        async with self._opening:
            if self._bus is not None and self._bus.connected:
                return self._bus
            await self.close()
            try:
                async with asyncio.timeout(_CALL_LIMIT):
                    bus = await MessageBus(
                        bus_type=BusType.SYSTEM, negotiate_unix_fd=self._descriptors
                    ).connect()
            except (OSError, EOFError, TimeoutError, AuthError, InvalidAddressError) as error:
                raise HalError(
                    f"the system bus cannot be reached: {error or type(error).__name__}",
                    hint="Check that dbus-daemon runs (systemctl status dbus).",
                ) from None
            bus.add_message_handler(self._take)
            self._bus = bus
            self._watch = asyncio.get_running_loop().create_task(self._wait_lost(bus), name="system bus")
            return bus

    async def _wait_lost(self, bus: MessageBus) -> None:
        with contextlib.suppress(Exception):
            await bus.wait_for_disconnect()  # type: ignore[no-untyped-call]
        for signals, _ in self._subscriptions:
            signals.put(None)

    def _take(self, message: Message) -> bool:
        if message.message_type is MessageType.SIGNAL:
            signal = Signal(
                message.path or "",
                message.interface or "",
                message.member or "",
                unpack_variants(list(message.body)),
            )
            for signals, _ in self._subscriptions:
                signals.put(signal)
        return False


def _ignore(sent: asyncio.Future[None]) -> None:
    if not sent.cancelled():
        sent.exception()


def _remove_match(rule: str) -> Message:
    return Message(
        destination=_DBUS,
        path=_DBUS_PATH,
        interface=_DBUS,
        member="RemoveMatch",
        signature="s",
        body=[rule],
        flags=MessageFlag.NO_REPLY_EXPECTED,
    )


def _lost() -> HalError:
    return HalError("the system bus was lost", hint="Check that dbus-daemon runs (systemctl status dbus).")
