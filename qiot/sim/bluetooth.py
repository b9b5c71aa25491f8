"""Bluetooth Low Energy between devices and phones of one process, on bumble's software controllers."""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import importlib.util
import itertools
import socket
from collections.abc import AsyncGenerator
from typing import TYPE_CHECKING, Any

from qiot.finishing import cancellable

if TYPE_CHECKING:
    from bumble.device import Device

__all__ = ["BluetoothAir", "bumble_installed"]


def bumble_installed() -> bool:
    """True where the extra `bumble` is installed; nothing of it is imported for that."""
    return importlib.util.find_spec("bumble") is not None


class BluetoothAir:
    """Who hears whom: everybody on the same air. Nothing is imported before the first device is made."""

    def __init__(self) -> None:
        self._link: Any = None
        self._numbers = itertools.count(1)

    def address(self) -> str:
        """A new public address, "02:00:51:49:00:01" and on."""
        number = next(self._numbers)
        return f"02:00:51:49:{number >> 8 & 0xFF:02X}:{number & 0xFF:02X}"

    @contextlib.asynccontextmanager
    async def device(self, address: str, name: str = "qiot") -> AsyncGenerator[Device, None]:
        """A host with a controller on this air, powered on; gone from the air at the end of the block."""
        await asyncio.to_thread(importlib.import_module, "qiot.sim.bluetooth_controller")
        from bumble.device import Device
        from bumble.host import Host

        from qiot.sim.bluetooth_controller import SimulatedController

        controller = SimulatedController(name, link=self._air(), public_address=address)
        host = Host()
        host.controller = controller
        device = Device(name=name, host=host)
        try:
            await cancellable(device.power_on())
            yield device
        finally:
            # Whoever was connected sees it, as when a controller loses its power.
            controller.vanish()
            self._link.remove_controller(controller)
            with contextlib.suppress(Exception):
                await device.power_off()

    @contextlib.asynccontextmanager
    async def transport(self) -> AsyncGenerator[str, None]:
        """A controller on this air for another program: the name by which its bumble opens it."""
        await asyncio.to_thread(importlib.import_module, "qiot.sim.bluetooth_controller")
        from bumble.transport.tcp_server import open_tcp_server_transport_with_socket

        from qiot.sim.bluetooth_controller import SimulatedController

        listening = socket.create_server(("127.0.0.1", 0))
        port = listening.getsockname()[1]
        transport: Any = await open_tcp_server_transport_with_socket(listening)
        controller = SimulatedController(
            "transport", transport.source, transport.sink, self._air(), self.address()
        )
        try:
            yield f"tcp-client:127.0.0.1:{port}"
        finally:
            controller.vanish()
            self._link.remove_controller(controller)
            transport.server.close()

    def _air(self) -> Any:
        from qiot.sim.bluetooth_controller import Link

        if self._link is None:
            self._link = Link()  # type: ignore[no-untyped-call]
        return self._link
