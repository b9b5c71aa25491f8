"""The station's address: from who gives it on this host already, else by a DHCP client of ours.

A client of ours is a program that may outlive us: a device that has been provisioned keeps its address, and
the lease is renewed, when our process has ended. Ending a client takes nothing from the interface.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shlex
import socket
import subprocess
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Final

import attrs

from qiot.errors import HalError, MediumError, NotSupportedError
from qiot.hal.linux.programs import PROCESS, find_processes, find_program, undo_process
from qiot.hal.linux.radio import Radio
from qiot.hal.linux.supplicant import resolver
from qiot.hal.linux.supplicant.dhcp_script import SCRIPT
from qiot.hal.linux.supplicant.lasting import Lasting
from qiot.hal.linux.undo import Change
from qiot.log import get_logger
from qiot.model import IpConfig

__all__ = ["ADDRESS", "Dhcp"]

log = get_logger()

ADDRESS: Final = "address"
"""Kind of the change that leaving a network's address is."""

_POLL: Final = 0.1
_ROUTER_LIMIT: Final = 0.5
"""Seconds for a router after the address, where somebody else sets both."""
_LINK_LOCAL: Final = "169.254."
_LIMIT: Final = 10.0


@attrs.frozen
class _Client:
    """How to run a DHCP client; {interface}, {script}, {leases} and {pid} are filled in."""

    program: str
    arguments: str
    applet: str = ""


_CLIENTS: Final = (
    _Client("udhcpc", "-i {interface} -f -t 5 -T 1 -A 1 -s {script}"),
    _Client("busybox", "udhcpc -i {interface} -f -t 5 -T 1 -A 1 -s {script}", "udhcpc"),
    _Client("dhclient", "-4 -d -sf {script} -lf {leases} -pf {pid} {interface}"),
    # It sets address, routes and DNS itself, and runs no script that needs to be ours.
    _Client("dhcpcd", "-4 -B -L -p --env qiot_file={script} {interface}"),
)


class Dhcp:
    """The address of one radio's interface.

    Args:
        radio: The radio.
    """

    def __init__(self, radio: Radio) -> None:
        self._radio = radio
        self._client: Lasting | None = None
        self._change: Change | None = None
        radio.undo.register(ADDRESS, self._restore)

    async def problem(self) -> NotSupportedError | None:
        """Why there can be no address; None where there can."""
        if await self._somebody_else():
            return None
        try:
            await asyncio.to_thread(_choose)
        except NotSupportedError as error:
            return error
        return None

    async def leave(self) -> None:
        """Give up the present address, which is of no use in another network; `restore` brings it back.

        A second call before `restore` or `keep` gives up that of the try before.
        """
        if self._change is None:
            interface = self._radio.interface
            held = await self._radio.links.addresses(interface)
            how = await asyncio.to_thread(resolver.keeper)
            content = await asyncio.to_thread(resolver.read) if how == "file" else None
            facts = {
                "addresses": " ".join(f"{address}/{prefix}" for address, prefix in held),
                "gateway": await self._radio.links.gateway(interface) or "",
                "client": json.dumps(await asyncio.to_thread(self._our_clients)),
                "resolver": how,
                "servers": json.dumps(content),
            }
            self._change = await self._radio.undo.note(ADDRESS, **facts)
        await self._end_clients()
        if not await self._somebody_else():
            await self._radio.links.flush(self._radio.interface)

    async def get(self) -> IpConfig:
        """Get an address; it is tried until the caller gives up.

        Raises:
            NotSupportedError: There is no DHCP client; the hint names a package.
            HalError: The client cannot be started.
        """
        if await self._somebody_else():
            await _until(self._has_address)
        else:
            lease = self._lease
            await asyncio.to_thread(lease.unlink, missing_ok=True)
            await self._start_client()
            await _until(lambda: self._granted(lease))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_ROUTER_LIMIT):
                await _until(self._has_router)
        found = await self.config()
        if found is None:
            raise MediumError(f"{self._radio.interface} lost its address at once")
        return found

    async def config(self) -> IpConfig | None:
        """The address that the interface has; None where it has none that leads anywhere."""
        for address, prefix in await self._radio.links.addresses(self._radio.interface):
            if not address.startswith(_LINK_LOCAL):
                gateway = await self._radio.links.gateway(self._radio.interface)
                return IpConfig(address, prefix, gateway)
        return None

    async def keep(self) -> None:
        """What was got is meant to stay, and the lease is renewed when we have ended."""
        if self._client is not None:
            await self._client.keep()
        if self._change is not None:
            await self._radio.undo.forget(self._change)
            self._change = None

    async def restore(self) -> None:
        """Go back to the address before the first `leave`. Idempotent."""
        change, self._change = self._change, None
        if change is not None:
            try:
                await self._restore(change)
            except BaseException:
                self._change = change
                raise
            await self._radio.undo.forget(change)

    async def _restore(self, change: Change) -> None:
        facts = change.facts
        interface = self._radio.interface
        await self._end_clients()
        await resolver.restore(facts["resolver"], interface, json.loads(facts["servers"]))
        if not await self._radio.links.exists(interface) or await self._somebody_else():
            return
        await self._radio.links.flush(interface)
        if clients := json.loads(facts["client"]):
            # It asks until the station is in the earlier network again.
            self._write_script()
            self._client = await Lasting.start(*clients[0], log=self._log, undo=self._radio.undo)
            await self._client.keep()
            return
        for each in facts["addresses"].split():
            address, _, prefix = each.partition("/")
            await self._radio.links.add_address(interface, address, int(prefix))
        if facts["gateway"]:
            await self._radio.links.up(interface)
            words = ["ip", "route", "replace", "default", "via", facts["gateway"], "dev", interface]
            await asyncio.to_thread(_run, words)

    @property
    def _lease(self) -> Path:
        return self._radio.runtime / "dhcp-lease"

    @property
    def _log(self) -> Path:
        return self._radio.runtime / "dhcp.log"

    @property
    def _script(self) -> Path:
        # Where programs may be run: many hosts mount /run so that none may.
        folder = self._radio.runtime
        with contextlib.suppress(OSError):
            if os.statvfs(folder if folder.exists() else folder.parent.parent).f_flag & os.ST_NOEXEC:
                folder = self._radio.state
        return folder / f"dhcp-{self._radio.interface}"

    def _write_script(self) -> None:
        self._radio.make_runtime()
        text = SCRIPT
        facts = {
            "INTERFACE": self._radio.interface,
            "RESOLVER": resolver.keeper(),
            "LEASE": os.fspath(self._lease),
        }
        for name, value in facts.items():
            text = text.replace(f"__{name}__", shlex.quote(value))
        try:
            self._script.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._script.write_text(text)
            self._script.chmod(0o700)
        except OSError as error:
            raise HalError(f"{self._script} cannot be written: {error.strerror}", code=error.errno) from None

    def _command(self, client: _Client) -> Sequence[str]:
        """Program and arguments; one of them is a file of ours."""
        facts = {
            "interface": self._radio.interface,
            "script": os.fspath(self._script),
            "leases": os.fspath(self._radio.runtime / "dhclient.leases"),
            "pid": os.fspath(self._radio.runtime / "dhclient.pid"),
        }
        return [client.program, *(word.format_map(facts) for word in client.arguments.split())]

    async def _start_client(self) -> None:
        client = await asyncio.to_thread(_choose)
        await asyncio.to_thread(self._write_script)
        self._client = await Lasting.start(*self._command(client), log=self._log, undo=self._radio.undo)

    def _our_clients(self) -> Sequence[Sequence[str]]:
        """Command lines of clients of ours that run, of this process or an earlier one."""
        found = []
        for client in _CLIENTS:
            command = self._command(client)
            with contextlib.suppress(NotSupportedError):
                if find_processes([find_program(command[0]), *command[1:]]):
                    found.append(command)
        return found

    async def _end_clients(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            await client.stop()
        for command in await asyncio.to_thread(self._our_clients):
            full = [find_program(command[0]), *command[1:]]
            await undo_process(Change(PROCESS, {"command": json.dumps(full)}))

    async def _somebody_else(self) -> bool:
        return await asyncio.to_thread(_is_managed, self._radio.interface)

    async def _has_address(self) -> bool:
        return await self.config() is not None

    async def _granted(self, lease: Path) -> bool:
        client = self._client
        if client is not None and not client.running:
            raise HalError(f"{client.name} ended: {client.last_line()}")
        if client is not None and client.name == "dhcpcd":
            return await self._has_address()
        return await asyncio.to_thread(lease.exists) and await self._has_address()

    async def _has_router(self) -> bool:
        return await self._radio.links.gateway(self._radio.interface) is not None


async def _until(condition: Callable[[], Awaitable[bool]]) -> None:
    while not await condition():  # noqa: ASYNC110 - the kernel and files tell nobody
        await asyncio.sleep(_POLL)


def _choose() -> _Client:
    problem: NotSupportedError | None = None
    for client in _CLIENTS:
        try:
            program = find_program(client.program)
        except NotSupportedError as error:
            problem = problem or error
            continue
        if not client.applet or client.applet in _run([program, "--list"]).split():
            return client
    raise NotSupportedError(
        "there is no DHCP client for the station", hint="Install one: apt install udhcpc (or dhcpcd-base)."
    ) from problem


def _is_managed(interface: str) -> bool:
    """True where a daemon gives the interface its address by itself when it joins a network."""
    return _by_networkd(interface) or _by_dhcpcd(interface)


def _by_networkd(interface: str) -> bool:
    """systemd-networkd keeps a file for each link, with what it does of it (sd-network.h: ADMIN_STATE)."""
    with contextlib.suppress(OSError):
        path = Path("/run/systemd/netif/links", str(socket.if_nametoindex(interface)))
        states = [line for line in path.read_text().splitlines() if line.startswith("ADMIN_STATE=")]
        return bool(states) and states[0] not in {"ADMIN_STATE=unmanaged", "ADMIN_STATE=linger"}
    return False


def _by_dhcpcd(interface: str) -> bool:
    """Dhcpcd for all interfaces, or for this one, which is not ours."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            with contextlib.suppress(OSError):
                words = (entry / "cmdline").read_bytes().decode(errors="replace").rstrip("\0").split("\0")
                name = Path(words[0].removesuffix(":")).name
                if name != "dhcpcd" or any(word.startswith("qiot_file=") for word in words):
                    continue
                named = [word for word in words[1:] if Path("/sys/class/net", word).exists()]
                if not named or interface in named:
                    return True
    return False


def _run(command: Sequence[str]) -> str:
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        done = subprocess.run(command, capture_output=True, text=True, timeout=_LIMIT, check=False)  # noqa: S603
        return done.stdout
    return ""
