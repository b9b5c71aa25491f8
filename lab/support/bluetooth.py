"""Bluetooth on a machine that has none: BlueZ, an air that bumble's controllers share, and who is on it."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from contextlib import AsyncExitStack
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from lab.support.device import SystemBus
from lab.support.programs import Daemon, run
from lab.support.waiting import until

if TYPE_CHECKING:
    from bumble.device import Device

    from lab.support.bluetooth_radio import Link

__all__ = ["BlueZ", "BluetoothAir"]

_ADAPTERS = Path("/sys/class/bluetooth")
_STATE = Path("/var/lib/bluetooth")


class BlueZ:
    """bluetoothd as Debian starts it, without a memory of earlier tests. It powers each adapter that comes.

    Args:
        bus: the system bus, running.
        settings: the content of its main.conf; Debian's own when "".
    """

    def __init__(self, bus: SystemBus, settings: str = "") -> None:
        self._bus = bus
        self._settings = settings
        self._daemon = Daemon("bluetoothd", self._command())

    def _command(self) -> list[str]:
        command = ["/usr/libexec/bluetooth/bluetoothd", "--nodetach", "--debug"]
        return [*command, f"--configfile={self._file}"] if self._settings else command

    @property
    def _file(self) -> Path:
        return Path("/run/lab-bluetooth.conf")

    def start(self) -> None:
        """Start it and wait until it answers on the bus."""
        run(["modprobe", "hci_vhci"])
        if self._settings:
            self._file.write_text(self._settings)
        _STATE.mkdir(mode=0o700, exist_ok=True)
        run(["mount", "-t", "tmpfs", "-o", "mode=700", "tmpfs", str(_STATE)])
        self.start_again()

    def start_again(self) -> None:
        """Start it with the memory it has, as after `kill`."""
        self._daemon.start(lambda: self._bus.has("org.bluez"), 60)

    def kill(self) -> None:
        """End it at once; its adapters stay as they were."""
        self._daemon.kill()

    def powered(self, adapter: str) -> bool:
        """Whether BlueZ knows `adapter`, for example "hci0", and has it powered."""
        answer = self._bus.send(
            "org.bluez",
            f"/org/bluez/{adapter}",
            "org.freedesktop.DBus.Properties.Get",
            "string:org.bluez.Adapter1",
            "string:Powered",
        )
        return "boolean true" in answer

    def stop(self) -> None:
        """Stop it. Stopping twice is harmless."""
        self._daemon.stop()
        self._file.unlink(missing_ok=True)
        if _STATE.is_mount():
            run(["umount", "--lazy", str(_STATE)])


class BluetoothAir:
    """What some Bluetooth controllers share. Enter it in the loop that is to move their packets.

    BlueZ and the programs that use it live outside of this loop, and are answered only while it runs: what
    blocks belongs into a thread.
    """

    def __init__(self) -> None:
        self._stack = AsyncExitStack()
        self._link: Link | None = None

    async def __aenter__(self) -> Self:
        from lab.support.bluetooth_radio import Link

        await self._stack.__aenter__()
        self._link = Link()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.__aexit__(kind, error, trace)

    async def adapter(self, bluez: BlueZ, address: str = "00:AA:01:02:03:04") -> str:
        """An adapter of the kernel's, powered by BlueZ.

        Args:
            bluez: running.
            address: its public address.

        Returns:
            its name, for example "hci0".
        """
        from bumble.transport import open_transport

        before = _adapters()
        transport = await open_transport("vhci:")
        self._stack.push_async_callback(transport.close)
        self._controller(address, transport)
        (name,) = await asyncio.to_thread(until, lambda: _adapters() - before, "an adapter")
        await asyncio.to_thread(until, lambda: bluez.powered(name), f"{name} is powered")
        return str(name)

    async def device(self, address: str = "F0:F1:F2:F3:F4:F5", name: str = "LAB-BUMBLE") -> Device:
        """A bumble device in this process, powered on: a phone, or a device, as the test makes it.

        Args:
            address: its static random address; its highest two bits are set.
            name: for its GAP service.
        """
        from bumble.device import Device
        from bumble.hci import Address
        from bumble.host import Host

        host = Host()
        host.controller = self._controller(address)
        device = Device(name=name, address=Address(address), host=host)
        await device.power_on()
        self._stack.push_async_callback(device.power_off)
        return device

    async def transport(self, address: str = "F5:F4:F3:F2:F1:F0") -> str:
        """A controller for bumble in another process.

        Args:
            address: its public address.

        Returns:
            what bumble opens, for example "tcp-client:127.0.0.1:40123".
        """
        from bumble.transport.tcp_server import open_tcp_server_transport_with_socket

        listener = socket.create_server(("127.0.0.1", 0))
        transport = await open_tcp_server_transport_with_socket(listener)
        self._stack.callback(transport.server.close)
        self._controller(address, transport)
        return f"tcp-client:127.0.0.1:{listener.getsockname()[1]}"

    def _controller(self, address: str, transport: Any = None) -> Any:
        from lab.support.bluetooth_radio import Radio

        source, sink = transport or (None, None)
        return Radio(address, source, sink, self._link, address)


def _adapters() -> set[str]:
    with contextlib.suppress(FileNotFoundError):
        return {path.name for path in _ADAPTERS.iterdir() if ":" not in path.name}  # hci0:1 is a connection
    return set()
