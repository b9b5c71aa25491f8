"""The kernel's network side: interfaces up and down, their addresses, routes and neighbours."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import ipaddress
import socket
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, Final

from qiot.errors import MediumError
from qiot.hal.linux.netlink import ROUTE, Netlink, codec
from qiot.hal.linux.refusals import index_of, refusals
from qiot.model import Reason

__all__ = ["Links"]

# Kinds of messages and groups: linux/rtnetlink.h. Flags: linux/if.h, linux/neighbour.h.
_SET_LINK: Final = 19
_GET_LINK: Final = 18
_NEW_ADDRESS: Final = 20
_DEL_ADDRESS: Final = 21
_GET_ADDRESS: Final = 22
_GET_ROUTE: Final = 26
_GET_NEIGHBOUR: Final = 30
_GROUP_LINK: Final = 1
_UP: Final = 0x1
_MAIN_TABLE: Final = 254
_UNREACHABLE: Final = 0x20 | 0x01
"""NUD_FAILED and NUD_INCOMPLETE: asked for, and nobody answered."""


class Links:
    """Requests to rtnetlink, IPv4. Errors have the kernel's errno as their code.

    Every verb raises MediumError: NO_PERMISSION where we may not, MEDIUM where there is no such interface.
    """

    def __init__(self) -> None:
        self._netlink = Netlink(ROUTE)

    async def up(self, name: str) -> None:
        """Bring an interface up; nothing happens where it is."""
        await self._set_flag(name, up=True)

    async def down(self, name: str) -> None:
        """Take an interface down; nothing happens where it is."""
        await self._set_flag(name, up=False)

    async def is_up(self, name: str) -> bool:
        """True where it is up, with or without a link."""
        return bool((await self._link(name))["flags"] & _UP)

    async def exists(self, name: str) -> bool:
        """True where there is such an interface."""
        return name in {each for _, each in socket.if_nameindex()}

    async def set_mac(self, name: str, mac: bytes) -> None:
        """Give an interface another hardware address; most drivers want it down."""
        ifinfmsg = (await codec("rtnl.ifinfmsg")).ifinfmsg
        with refusals(f"the address of {name}", name):
            message = ifinfmsg()
            message["index"] = index_of(name)
            message["attrs"] = [("IFLA_ADDRESS", mac.hex(":"))]
            await self._netlink.ask(message, _SET_LINK)

    async def addresses(self, name: str) -> Sequence[tuple[str, int]]:
        """IPv4 addresses with their prefix lengths, in the kernel's order."""
        with refusals(f"the addresses of {name}", name):
            index = index_of(name)
            return [
                (address, prefix) for owner, address, prefix in await self._all_addresses() if owner == index
            ]

    async def add_address(self, name: str, address: str, prefix: int) -> None:
        """Give an interface an address; nothing happens where it has it."""
        with refusals(f"{address}/{prefix} on {name}", name):
            await self._change_address(name, address, prefix, _NEW_ADDRESS, errno.EEXIST)

    async def remove_address(self, name: str, address: str, prefix: int) -> None:
        """Take an address away. Idempotent, also where the interface is gone."""
        with refusals(f"{address}/{prefix} on {name}", name, gone_is_fine=True):
            await self._change_address(name, address, prefix, _DEL_ADDRESS, errno.EADDRNOTAVAIL)

    async def flush(self, name: str) -> None:
        """Take every IPv4 address away."""
        for address, prefix in await self.addresses(name):
            await self.remove_address(name, address, prefix)

    async def gateway(self, name: str) -> str | None:
        """The default router by way of this interface, of several the one that is taken."""
        rtmsg = (await codec("rtnl.rtmsg")).rtmsg
        with refusals(f"the routes of {name}", name):
            index = index_of(name)
            message = rtmsg()
            message["family"] = socket.AF_INET
            found: list[tuple[int, str]] = []
            for packet in await self._netlink.ask(message, _GET_ROUTE, dump=True):
                route = _decode(rtmsg, packet.data)
                router = route.get_attr("RTA_GATEWAY")
                if (
                    route["dst_len"] == 0
                    and route["table"] == _MAIN_TABLE
                    and route.get_attr("RTA_OIF") == index
                    and router is not None
                ):
                    found.append((route.get_attr("RTA_PRIORITY") or 0, str(router)))
            return min(found)[1] if found else None

    async def neighbours(self, name: str) -> Mapping[bytes, str]:
        """IPv4 addresses of those around that the kernel has heard, by their MAC address."""
        ndmsg = (await codec("rtnl.ndmsg")).ndmsg
        with refusals(f"the neighbours of {name}", name):
            index = index_of(name)
            message = ndmsg()
            message["family"] = socket.AF_INET
            found: dict[bytes, str] = {}
            for packet in await self._netlink.ask(message, _GET_NEIGHBOUR, dump=True):
                entry = _decode(ndmsg, packet.data)
                mac, address = entry.get_attr("NDA_LLADDR"), entry.get_attr("NDA_DST")
                if entry["ifindex"] == index and mac and address and not entry["state"] & _UNREACHABLE:
                    found[bytes.fromhex(mac.replace(":", ""))] = str(address)
            return found

    async def wait_present(self, name: str, timeout: float) -> None:
        """Return when there is such an interface.

        Raises:
            MediumError: TIMEOUT.
        """
        await self._wait(name, timeout, present=True)

    async def wait_gone(self, name: str, timeout: float) -> None:
        """Return when there is no such interface any more.

        Raises:
            MediumError: TIMEOUT.
        """
        await self._wait(name, timeout, present=False)

    async def close(self) -> None:
        """Close the socket. Idempotent; the next verb opens it again."""
        self._netlink.close()

    async def _link(self, name: str) -> Any:
        ifinfmsg = (await codec("rtnl.ifinfmsg")).ifinfmsg
        with refusals(name, name):
            message = ifinfmsg()
            message["index"] = index_of(name)
            return _decode(ifinfmsg, (await self._netlink.ask(message, _GET_LINK))[0].data)

    async def _set_flag(self, name: str, *, up: bool) -> None:
        ifinfmsg = (await codec("rtnl.ifinfmsg")).ifinfmsg
        if await self.is_up(name) == up:
            return
        with refusals(f"{name} {'up' if up else 'down'}", name):
            message = ifinfmsg()
            message["index"] = index_of(name)
            message["flags"] = _UP if up else 0
            message["change"] = _UP
            await self._netlink.ask(message, _SET_LINK)

    async def _all_addresses(self) -> Sequence[tuple[int, str, int]]:
        ifaddrmsg = (await codec("rtnl.ifaddrmsg")).ifaddrmsg
        message: Any = ifaddrmsg()
        message["family"] = socket.AF_INET
        found = []
        for packet in await self._netlink.ask(message, _GET_ADDRESS, dump=True):
            entry = _decode(ifaddrmsg, packet.data)
            # On a point-to-point link IFA_ADDRESS is the other end.
            address = entry.get_attr("IFA_LOCAL") or entry.get_attr("IFA_ADDRESS")
            found.append((int(entry["index"]), str(address), int(entry["prefixlen"])))
        return found

    async def _change_address(self, name: str, address: str, prefix: int, kind: int, fine: int) -> None:
        ifaddrmsg = (await codec("rtnl.ifaddrmsg")).ifaddrmsg
        message: Any = ifaddrmsg()
        message["family"] = socket.AF_INET
        message["index"] = index_of(name)
        message["prefixlen"] = prefix
        message["attrs"] = [("IFA_LOCAL", address), ("IFA_ADDRESS", address)]
        if kind == _NEW_ADDRESS:
            network = ipaddress.IPv4Interface(f"{address}/{prefix}").network
            message["attrs"].append(("IFA_BROADCAST", str(network.broadcast_address)))
        try:
            await self._netlink.ask(message, kind)
        except OSError as error:
            if error.errno != fine:
                raise

    async def _wait(self, name: str, timeout: float, *, present: bool) -> None:
        try:
            async with asyncio.timeout(timeout), self._listening() as news:
                while await self.exists(name) != present:
                    with contextlib.suppress(OSError):  # news were lost: look again
                        await news.heard()
        except TimeoutError:
            state = "did not come" if present else "is still there"
            raise MediumError(f"{name} {state} within {timeout:g} s", reason=Reason.TIMEOUT) from None

    @contextlib.asynccontextmanager
    async def _listening(self) -> AsyncIterator[Netlink]:
        news = Netlink(ROUTE, (_GROUP_LINK,))
        with refusals("the news of links"):
            news.open()
        try:
            yield news
        finally:
            news.close()


def _decode(kind: Any, data: bytes) -> Any:
    message = kind(data)
    message.decode()
    return message
