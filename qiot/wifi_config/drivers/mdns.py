"""DNS-SD (RFC 6763): how a phone finds the joined device's command service, `_qiot._udp.local.`.

A record that cannot be announced costs no device its bind: that is a warning, for the phone has other ways.
"""

from __future__ import annotations

import asyncio
import importlib
import ipaddress
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

from qiot.finishing import finish
from qiot.hal.contract import ListenContext, Listener
from qiot.log import get_logger
from qiot.protocols.base import Heard, News

if TYPE_CHECKING:  # loaded where a device has joined
    from zeroconf.asyncio import AsyncZeroconf

__all__ = ["SERVICE_TYPE", "ServiceRecord"]

log = get_logger()

SERVICE_TYPE: Final = "_qiot._udp.local."
_LABEL_MAX: Final = 63
"""Octets of an instance name (RFC 6763, 4.1.1)."""


class ServiceRecord(Listener):
    """Announces one UDP service for as long as it listens; it hears nothing itself.

    Args:
        name: The instance's name, cut to 63 octets; a number is added where another device has it.
        address: IPv4 address where the service is; the record goes out at its interface.
        port: UDP port of the service.
        text: TXT record.
    """

    def __init__(self, *, name: str, address: str, port: int, text: Mapping[str, str]) -> None:
        self._name = name.encode()[:_LABEL_MAX].decode(errors="ignore").replace(".", "-")
        self._address = address
        self._port = port
        self._text = dict(text)
        self._zeroconf: AsyncZeroconf | None = None

    async def start(self, context: ListenContext) -> None:
        """Nothing to do: announcing takes a second, and begins with `read`."""

    async def read(self) -> Sequence[Heard]:
        """Announce the service, and wait until that is cancelled."""
        if self._zeroconf is None:
            try:
                await self._announce()
            except Exception as error:  # noqa: BLE001 - OSError, and the library's own of several roots
                log.warning(f"mDNS: {SERVICE_TYPE} is not announced: {error}")
        await asyncio.get_running_loop().create_future()
        return ()

    async def tell(self, news: News) -> None:
        """Nothing to say."""

    async def stop(self) -> None:
        """Withdraw the record (RFC 6762, 10.1: a goodbye) and close. Idempotent."""
        zeroconf, self._zeroconf = self._zeroconf, None
        if zeroconf is not None:
            await finish(_withdraw(zeroconf))

    async def _announce(self) -> None:
        for name in ("zeroconf", "zeroconf.asyncio"):
            await asyncio.to_thread(importlib.import_module, name)  # a second on a small board
        from zeroconf import IPVersion, ServiceInfo
        from zeroconf.asyncio import AsyncZeroconf

        info = ServiceInfo(
            SERVICE_TYPE,
            f"{self._name}.{SERVICE_TYPE}",
            port=self._port,
            properties=self._text,
            addresses=[ipaddress.IPv4Address(self._address).packed],
        )
        self._zeroconf = AsyncZeroconf(interfaces=[self._address], ip_version=IPVersion.V4Only)
        await (await self._zeroconf.async_register_service(info, allow_name_change=True))
        log.info(f"mDNS: {info.name} at {self._address}:{self._port}")


async def _withdraw(zeroconf: AsyncZeroconf) -> None:
    await zeroconf.async_unregister_all_services()
    await zeroconf.async_close()
