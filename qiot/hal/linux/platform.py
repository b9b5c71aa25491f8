"""The Linux platform. This version has UDP and storage, no radio; `port` says so."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from pathlib import Path
from typing import cast

from qiot.errors import MediumError, NotSupportedError
from qiot.hal.contract import Capabilities, Platform, PortT, Storage, Udp
from qiot.hal.linux.storage import FileStorage, default_folder
from qiot.hal.linux.udp import SocketUdp
from qiot.hal.registry import PlatformSpec

__all__ = ["LinuxPlatform"]


class LinuxPlatform(Platform):
    """A Linux host: `linux`, or `linux:IFACE` for one interface.

    Options: `state=DIR`, the folder of what survives a reboot (/var/lib/qiot for root, else the user's state
    folder).

    Raises:
        ConfigurationError: An unknown option.
        MediumError: There is no such interface.
    """

    def __init__(self, spec: PlatformSpec) -> None:
        spec.expect("state")
        if spec.argument:
            _check_interface(spec.argument)
        folder = spec.options.get("state")
        self._udp = SocketUdp()
        self._storage = FileStorage(Path(folder) if folder else default_folder())
        self._ports: Mapping[type, object] = {Udp: self._udp, Storage: self._storage}

    async def capabilities(self) -> Capabilities:
        """Nothing: no radio is driven in this version."""
        return Capabilities()

    def port(self, kind: type[PortT]) -> PortT:
        """`Udp` or `Storage`."""
        if kind not in self._ports:
            raise NotSupportedError(
                f"{kind.__name__}: in this version the linux platform has only Udp and Storage, no radio",
                hint="Use --hal mock: its radio is simulated, its UDP sockets are real.",
            )
        return cast(PortT, self._ports[kind])

    async def recover(self) -> None:
        """Remove what saves that were killed left behind."""
        await self._storage.clean_up()

    async def close(self) -> None:
        """Close every endpoint."""
        await self._udp.close()


def _check_interface(name: str) -> None:
    present = [interface for _, interface in socket.if_nameindex()]
    if name not in present:
        raise MediumError(
            f"there is no network interface {name!r}",
            hint=f"Here are: {', '.join(sorted(present)) or 'none'}.",
        )
