"""The GATT server on BlueZ.

BlueZ sends a notification to every central that listens to the characteristic, so it cannot say different
things to different ones. Provisioning needs that. Therefore one central is served at a time: the first that
asks for notifications or writes, until it is gone; another one is sent away and may come again then.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, Final

import attrs
from dbus_fast import Message

from qiot.errors import HalError, MediumError, NotSupportedError, StorageError
from qiot.finishing import finish
from qiot.hal.contract import Gatt, GattEvent, GattProfile, Written
from qiot.hal.gatt_events import GattEvents
from qiot.hal.gatt_profiles import check_profiles
from qiot.hal.linux.bluez.adapter import SWITCHES, Adapter, find_adapter, undo_switches
from qiot.hal.linux.bluez.advertiser import INSTANCE, Advertiser, undo_instance
from qiot.hal.linux.bluez.application import APPLICATION_PATH, Application, Asked
from qiot.hal.linux.bluez.names import BLUEZ, DEVICE, GATT_MANAGER, device_address
from qiot.hal.linux.bluez.notifier import Notifier
from qiot.hal.linux.bus import Bus, BusError, Signal, Signals
from qiot.hal.linux.undo import Change, UndoLog
from qiot.log import get_logger
from qiot.model import Peer
from qiot.protocols.base import Connected, Lost, Mtu, Subscribed
from qiot.protocols.ble.att import ATT_DEFAULT

__all__ = ["BluezGatt"]

log = get_logger()

_GOODBYE: Final = 8.0
"""Seconds that a central may take to be sent away; BlueZ itself waits 2 s before it does that."""
_BUSY: Final = "another phone is being served"


@attrs.define(eq=False)
class _Central:
    """A device that is connected.

    Attributes:
        peer: As it is told to our reader.
        path: Its object.
        mtu: ATT MTU, as BlueZ said it last.
        notifiers: What it listens to.
        values: What it was notified last.
        gone: Set when it is lost.
    """

    peer: Peer
    path: str
    mtu: int = ATT_DEFAULT
    notifiers: dict[str, Notifier] = attrs.field(factory=dict)
    values: dict[str, bytes] = attrs.field(factory=dict)
    gone: asyncio.Event = attrs.field(factory=asyncio.Event)


class _Devices(Signals):
    """Takes each signal as it comes: what a device did before it wrote has to be known before the write.

    Args:
        take: Gets a signal, or None where the bus is lost.
    """

    def __init__(self, take: Callable[[Signal | None], None]) -> None:
        super().__init__()
        self._take = take

    def put(self, signal: Signal | None) -> None:
        self._take(signal)


class BluezGatt(Gatt):
    """Serves on one adapter of BlueZ.

    Args:
        state: Folder of what survives the process.
        adapter: "hci0", or "" for the first one.
    """

    def __init__(self, state: Path, adapter: str = "") -> None:
        self._wanted = adapter
        self._undo = UndoLog(state / f"undo-bluetooth{f'-{adapter}' if adapter else ''}.json")
        self._undo.register(SWITCHES, self._undo_switches)
        self._undo.register(INSTANCE, undo_instance)
        self._events = GattEvents()
        self._turn = asyncio.Lock()
        self._stack: AsyncExitStack | None = None
        self._bus: Bus | None = None
        self._adapter: Adapter | None = None
        self._centrals: dict[str, _Central] = {}
        self._served: _Central | None = None
        self._strangers: set[str] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._links = 0

    async def problem(self) -> NotSupportedError | None:
        """Why there is no peripheral here, with what to install or plug in; None where there is one."""
        bus = Bus()
        try:
            await find_adapter(bus, self._wanted)
        except NotSupportedError as error:
            return error
        finally:
            await bus.close()
        return None

    async def address(self) -> str:
        """The adapter's address; empty where there is none."""
        bus = Bus()
        try:
            return await Adapter(bus, await find_adapter(bus, self._wanted), self._undo).address()
        except HalError:
            return ""
        finally:
            await bus.close()

    async def recover(self) -> None:
        """Put back what a killed process left; nothing happens where another process is at work.

        Raises:
            StorageError: The list cannot be read.
        """
        try:
            await self._undo.recover()
        except StorageError:
            raise
        except HalError as error:
            log.debug(f"Bluetooth is left alone: {error}")
        finally:
            if self._stack is None:
                await self._undo.close()

    async def start(self, profiles: Sequence[GattProfile]) -> None:
        """Take the adapter, serve and advertise."""
        check_profiles(profiles)
        async with self._turn:
            if self._stack is not None:
                raise HalError("the GATT server is started already", hint="Stop it before the next start.")
            self._stack = AsyncExitStack()
            try:
                await self._start(self._stack, profiles)
            except BaseException:
                await finish(self._stop())
                raise

    async def read(self) -> Sequence[tuple[Peer, GattEvent]]:
        """What came, each with its central."""
        return await self._events.read()

    async def notify(self, char: str, data: bytes, to: Peer, *, confirm: bool = False) -> None:
        """Notify, or indicate where the characteristic has nothing else.

        BlueZ chooses by what the central asked for. A central that does not listen gets nothing.
        """
        del confirm
        central = self._connected(to)
        central.values[char] = data
        notifier = central.notifiers.get(char)
        if notifier is not None:
            await notifier.send(data)

    async def disconnect(self, to: Peer) -> None:
        """End one central's connection."""
        await self._send_away(self._connected(to))

    async def stop(self) -> None:
        """Stop advertising, send the centrals away, and give the adapter back as it was."""
        await finish(self._stop_in_turn())

    async def close(self) -> None:
        """Stop, and let another process have the adapter. Idempotent."""
        await self.stop()
        await self._undo.close()

    # --- start and stop: what is put on the stack is undone in reverse -----------------------------------

    async def _start(self, stack: AsyncExitStack, profiles: Sequence[GattProfile]) -> None:
        bus = self._bus = Bus(descriptors=True)
        stack.push_async_callback(bus.close)
        name = await find_adapter(bus, self._wanted)
        adapter = self._adapter = Adapter(bus, name, self._undo)
        stack.push_async_callback(adapter.give_back)
        await adapter.take()
        self._strangers = await adapter.connected()
        advertiser = Advertiser(bus, adapter, self._undo, profiles)
        application = Application(
            profiles,
            await advertiser.prepare(),
            owner=await bus.owner(BLUEZ),
            on_write=self._on_write,
            on_notify=self._on_notify,
            on_read=lambda asked: self._central(asked.device).values.get(asked.char, b""),
            on_released=lambda: log.warning("BlueZ does not advertise any more"),
        )
        stack.callback(await bus.serve(application.handle))
        stack.push_async_callback(self._end_tasks)
        await self._watch(stack, bus)
        self._events.open()
        stack.callback(self._events.close)
        stack.push_async_callback(self._unregister, bus, adapter)
        await bus.call(
            BLUEZ, adapter.path, GATT_MANAGER, "RegisterApplication", "oa{sv}", APPLICATION_PATH, {}
        )
        stack.push_async_callback(self._send_all_away)
        stack.push_async_callback(advertiser.stop)
        await advertiser.start()

    async def _stop_in_turn(self) -> None:
        async with self._turn:
            await self._stop()

    async def _stop(self) -> None:
        stack, self._stack = self._stack, None
        if stack is not None:
            try:
                await stack.aclose()
            finally:
                self._bus = self._adapter = self._served = None
                self._centrals.clear()

    async def _unregister(self, bus: Bus, adapter: Adapter) -> None:
        with contextlib.suppress(HalError):  # it was not registered, or BlueZ is gone
            await bus.call(BLUEZ, adapter.path, GATT_MANAGER, "UnregisterApplication", "o", APPLICATION_PATH)

    async def _send_all_away(self) -> None:
        for central in list(self._centrals.values()):
            try:
                await self._send_away(central)
            except HalError as error:
                log.warning(f"<{central.peer.address}> was not sent away: {error}")
            self._release(central)

    async def _end_tasks(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _spawn(self, work: Coroutine[Any, Any, None], name: str) -> None:
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # --- who is connected -------------------------------------------------------------------------------

    async def _watch(self, stack: AsyncExitStack, bus: Bus) -> None:
        await stack.enter_async_context(
            bus.signals(
                f"sender='{BLUEZ}',interface='org.freedesktop.DBus.Properties',member='PropertiesChanged',"
                f"arg0='{DEVICE}'",
                f"sender='{BLUEZ}',interface='org.freedesktop.DBus.ObjectManager'",
                into=_Devices(self._take),
            )
        )

    def _take(self, signal: Signal | None) -> None:
        if signal is None:
            log.error("Bluetooth ends: the system bus was lost")
            self._events.close()
            return
        match signal.member, signal.body:
            case "PropertiesChanged", [str(interface), {"Connected": bool(connected)}, *_]:
                if interface == DEVICE:
                    self._on_device(signal.path, connected=connected)
            case "InterfacesAdded", [str(path), dict(interfaces)]:
                if interfaces.get(DEVICE, {}).get("Connected"):
                    self._on_device(path, connected=True)
            case "InterfacesRemoved", [str(path), list(interfaces)]:
                if DEVICE in interfaces:
                    self._on_device(path, connected=False)

    def _on_device(self, path: str, *, connected: bool) -> None:
        if self._adapter is None or not path.startswith(self._adapter.path + "/dev_"):
            return
        if connected:
            self._strangers.discard(path)
            self._central(path)
            return
        self._strangers.discard(path)
        central = self._centrals.pop(path, None)
        if central is None:
            return
        self._release(central)
        central.gone.set()
        self._events.put(central.peer, Lost())
        if self._served is central:
            self._served = None
            # BlueZ tells us of a central's wish to be notified only once for all of them: whoever came
            # meanwhile has to come again.
            for other in self._centrals.values():
                self._dismiss(other)

    def _central(self, path: str) -> _Central:
        """The central of an object; one that we did not see connecting has connected now."""
        central = self._centrals.get(path)
        if central is None:
            self._links += 1
            central = self._centrals[path] = _Central(Peer("gatt", device_address(path), self._links), path)
            self._events.put(central.peer, Connected())
        return central

    def _connected(self, peer: Peer) -> _Central:
        for central in self._centrals.values():
            if central.peer == peer:
                return central
        raise MediumError(f"<{peer.address}> is not connected")

    def _release(self, central: _Central) -> None:
        for notifier in central.notifiers.values():
            notifier.close()
        central.notifiers.clear()

    # --- what a central does ----------------------------------------------------------------------------

    def _may_speak(self, asked: Asked) -> _Central | None:
        """The central, where it is its turn; else it is sent away."""
        central = self._central(asked.device)
        if self._served is None:
            self._served = central
        if self._served is not central:
            log.info(f"<{central.peer.address}> is sent away: {_BUSY}")
            self._dismiss(central)
            return None
        if asked.mtu and asked.mtu != central.mtu:
            central.mtu = asked.mtu
            self._events.put(central.peer, Mtu(asked.mtu))
        return central

    def _dismiss(self, central: _Central) -> None:
        self._spawn(self._try_send_away(central), "qiot BlueZ disconnect")

    def _on_write(self, asked: Asked, data: bytes) -> str:
        central = self._may_speak(asked)
        if central is None:
            return _BUSY
        self._events.put(central.peer, Written(asked.char, data))
        return ""

    def _on_notify(self, asked: Asked) -> None:
        central = self._may_speak(asked)
        self._spawn(self._answer_notify(asked, central), "qiot BlueZ notifications")

    async def _answer_notify(self, asked: Asked, central: _Central | None) -> None:
        bus = self._bus
        if bus is None:
            return
        if central is None:
            await bus.send(Message.new_error(asked.message, "org.bluez.Error.NotPermitted", _BUSY))
            return

        def ended() -> None:
            if central.notifiers.get(asked.char) is notifier:
                del central.notifiers[asked.char]
                self._events.put(central.peer, Subscribed(asked.char, on=False))

        notifier = Notifier(ended)
        earlier = central.notifiers.pop(asked.char, None)
        if earlier is not None:
            earlier.close()
        central.notifiers[asked.char] = notifier
        with notifier.theirs() as descriptor:
            reply = Message.new_method_return(asked.message, "hq", [0, central.mtu], [descriptor])
            await bus.send(reply)
        self._events.put(central.peer, Subscribed(asked.char))

    async def _send_away(self, central: _Central) -> None:
        bus = self._bus
        if bus is None or central.gone.is_set():
            return
        try:
            await bus.call(BLUEZ, central.path, DEVICE, "Disconnect")
            async with asyncio.timeout(_GOODBYE):
                await central.gone.wait()
        except TimeoutError:
            raise HalError(f"<{central.peer.address}> does not disconnect") from None
        except BusError:
            if not central.gone.is_set():
                raise

    async def _try_send_away(self, central: _Central) -> None:
        try:
            await self._send_away(central)
        except HalError as error:
            log.warning(f"<{central.peer.address}> was not sent away: {error}")

    async def _undo_switches(self, change: Change) -> None:
        bus = Bus()
        try:
            await undo_switches(bus, change)
        finally:
            await bus.close()
