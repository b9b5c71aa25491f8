"""The networks that a wpa_supplicant knows, and the way back to what it did before a try."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import attrs

from qiot.errors import HalError, MediumError
from qiot.hal.linux.backends import Target
from qiot.hal.linux.supplicant.control import Control
from qiot.hal.linux.supplicant.settings import NOT_SETTLED, TAG, settings_of
from qiot.hal.linux.undo import Change
from qiot.log import get_logger

__all__ = ["STATION", "Listed", "Networks", "reassociate", "restore", "unescape"]

log = get_logger()

STATION: Final = "wpa_supplicant"
"""Kind of the change that a try is; `restore` puts it back."""

_ESCAPE: Final = re.compile(rb'\\(x[0-9a-fA-F]{2}|[nrte"\\])')
_ESCAPES: Final = {b"n": b"\n", b"r": b"\r", b"t": b"\t", b"e": b"\x1b", b'"': b'"', b"\\": b"\\"}
_COLUMNS: Final = 4
_PRIORITY_MAX: Final = 1_000_000
_BEGIN_LIMIT: Final = 3.0
"""Seconds in which wpa_supplicant begins to look for a network; a refused scan it repeats after one."""
_POLL: Final = 0.05


def unescape(text: str) -> bytes:
    """An SSID as wpa_supplicant prints it (printf_encode of its utils/common.c)."""

    def octet(match: re.Match[bytes]) -> bytes:
        code = match[1]
        return bytes.fromhex(code[1:].decode()) if len(code) > 1 else _ESCAPES[code]

    return _ESCAPE.sub(octet, text.encode(errors="replace"))


@attrs.frozen
class Listed:
    """A network that wpa_supplicant knows.

    Attributes:
        number: Its number there.
        ssid: Its name; empty where none is set.
        enabled: It may be joined.
        current: It is the one that is being used.
    """

    number: int
    ssid: bytes
    enabled: bool
    current: bool


class Networks:
    """The networks of one wpa_supplicant.

    Args:
        control: Its socket.
    """

    def __init__(self, control: Control) -> None:
        self._control = control

    async def listed(self) -> Sequence[Listed]:
        """All that it knows."""
        found = []
        for line in (await self._control.ask("LIST_NETWORKS")).splitlines():
            columns = line.split("\t")
            if len(columns) == _COLUMNS and columns[0].isdecimal():
                flags = columns[3]
                # A temporary ban has its own flag, "[TEMP-DISABLED]".
                enabled = "[DISABLED]" not in flags
                found.append(
                    Listed(int(columns[0]), unescape(columns[1]), enabled, current="[CURRENT]" in flags)
                )
        return found

    async def first(self, among: Sequence[str] | None = None) -> Listed | None:
        """The one it would choose: the one in use, else the enabled one of the highest priority.

        Args:
            among: Numbers of the networks to choose from; None for those that are enabled.
        """
        enabled = [
            each
            for each in await self.listed()
            if each.ssid and (each.enabled if among is None else str(each.number) in among)
        ]
        ranked = [(each.current, await self._priority(each.number), -each.number) for each in enabled]
        return enabled[ranked.index(max(ranked))] if enabled else None

    async def facts(self) -> dict[str, str]:
        """What `restore` has to know of the time before a try."""
        listed = await self.listed()
        return {
            "path": str(self._control.path),
            "known": " ".join(str(each.number) for each in listed),
            "enabled": " ".join(str(each.number) for each in listed if each.enabled),
        }

    async def add(self, target: Target) -> int:
        """Add a network as a try, not enabled; gives its number.

        Raises:
            HalError: wpa_supplicant refuses it; nothing of it is left.
        """
        settings = await asyncio.to_thread(settings_of, target)
        answer = await self._control.ask("ADD_NETWORK")
        if not answer.isdecimal():
            raise HalError(f"wpa_supplicant takes no more networks: {answer[:40]}")
        number = int(answer)
        for name, value in (("id_str", TAG), *settings):
            try:
                await self.set(number, name, value)
            except HalError:
                # Built without management frame protection or its keys: the rest may do.
                if name != "ieee80211w" or value == "2":
                    await self._control.ask(f"REMOVE_NETWORK {number}")
                    raise
        return number

    async def set(self, number: int, name: str, value: str) -> None:
        """Set one variable."""
        await self._control.do(f"SET_NETWORK {number} {name} {value}", f"{name} of a network")

    async def settle(self, number: int, enabled: Sequence[int]) -> None:
        """Make a try one of the networks: before all others, which are enabled again, and free to roam."""
        for name, value in NOT_SETTLED:
            await self._control.ask(f"SET_NETWORK {number} {name} {value}")
        for each in await self.ours(settled=True):
            await self._control.ask(f"REMOVE_NETWORK {each}")
        for each in enabled:
            await self._control.ask(f"ENABLE_NETWORK {each} no-connect")
        priorities = [await self._priority(each.number) for each in await self.listed()]
        priority = min(max(0, *priorities) + 1, _PRIORITY_MAX)
        await self.set(number, "priority", str(priority))

    async def ours(self, *, settled: bool) -> Sequence[int]:
        """Numbers of the networks that are ours: those that were settled, or those that are tried."""
        return [
            each.number
            for each in await self.listed()
            if await self._control.ask(f"GET_NETWORK {each.number} id_str") == TAG
            and (await self._priority(each.number) > 0) is settled
        ]

    async def remove(self, numbers: Sequence[int]) -> None:
        """Remove networks; what is gone already is fine."""
        for number in numbers:
            await self._control.ask(f"REMOVE_NETWORK {number}")

    async def _priority(self, number: int) -> int:
        answer = await self._control.ask(f"GET_NETWORK {number} priority")
        return int(answer) if answer.removeprefix("-").isdecimal() else 0


async def reassociate(control: Control) -> None:
    """Have wpa_supplicant join one of its networks; returns once it has begun.

    Where a scan is still pending it begins a second later, and until then it looks as if it wanted nothing:
    whoever asked for its state then would believe that there is no network to come back to.
    """
    await control.ask("REASSOCIATE")
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_BEGIN_LIMIT):
            # It tells no event when a state begins.
            while (await control.fields("STATUS")).get("wpa_state") == "DISCONNECTED":  # noqa: ASYNC110
                await asyncio.sleep(_POLL)


async def restore(change: Change) -> None:
    """Take the tries out, and let wpa_supplicant go on with what it had; nothing where it has ended."""
    control = Control(Path(change.facts["path"]))
    try:
        if not await control.alive():
            return
        networks = Networks(control)
        known = set(change.facts["known"].split())
        nameless = [
            each.number for each in await networks.listed() if not each.ssid and str(each.number) not in known
        ]
        await networks.remove([*await networks.ours(settled=False), *nameless])
        enabled = change.facts["enabled"].split()
        for number in enabled:
            await control.ask(f"ENABLE_NETWORK {number} no-connect")
        # What was refused on the way is no reason to avoid the access point of the earlier network.
        await control.ask("BSSID_IGNORE clear")
        if enabled:
            await reassociate(control)
        else:
            await control.ask("DISCONNECT")
    except MediumError as error:
        log.debug(f"wpa_supplicant has ended meanwhile: {error}")
    finally:
        control.close()
