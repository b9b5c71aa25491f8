"""A process that drives the platform until it is killed, so that `recover` has something to undo.

It reads one JSON object from its standard input (specs, role, network), says in one line that it holds the
role, or why not, and waits for its end.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Sequence
from typing import Any, Final, NoReturn

from qiot.errors import QiotError
from qiot.hal.conformance.children import child_environment
from qiot.hal.contract import Platform, Role, SoftAp, SoftApSpec, Wifi
from qiot.hal.registry import open_platform
from qiot.model import Credentials, Secret

__all__ = ["left_by", "main"]

_STARTS: Final = 30.0
"""Seconds until the interpreter and the platform are there."""
_HELD: Final = "held"


async def left_by(specs: Sequence[str], role: Role, network: Credentials | SoftApSpec, seconds: float) -> str:
    """Hold a role in a process of its own and kill that by SIGKILL; gives what went wrong before, or "".

    Args:
        specs: The platform.
        role: STATION to join `network`, ACCESS_POINT to start it.
        network: The network.
        seconds: For the verb that takes the role.
    """
    job = {
        "specs": list(specs),
        "role": role.value,
        "ssid": (network.ssid or b"").hex(),
        "password": network.password.reveal().hex() if network.password else "",
        "channel": network.channel if isinstance(network, SoftApSpec) else 0,
        "seconds": seconds,
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "qiot.hal.conformance.victim",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        env=child_environment(),
    )
    if process.stdin is None or process.stdout is None:
        raise AssertionError("both were asked for")
    try:
        process.stdin.write(json.dumps(job).encode())
        process.stdin.close()
        async with asyncio.timeout(seconds + _STARTS):
            said = await process.stdout.readline()
    except TimeoutError:
        return f"it did not hold the role within {seconds + _STARTS:g} s"
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
    word = said.decode(errors="replace").strip()
    return "" if word == _HELD else word or "it ended before it was killed"


def main() -> NoReturn:
    """Do what standard input says, and wait."""
    out = os.dup(1)
    os.dup2(2, 1)  # what the platform prints is no answer
    job: dict[str, Any] = json.load(sys.stdin)
    asyncio.run(_hold(job, out))
    sys.exit(1)


async def _hold(job: dict[str, Any], out: int) -> None:
    try:
        platform = open_platform(*job["specs"])
        await platform.recover()
        await _take(platform, job)
    except QiotError as error:
        os.write(out, f"{type(error).__name__}: {' '.join(str(error).split())}\n".encode())
        return
    os.write(out, f"{_HELD}\n".encode())
    await asyncio.Event().wait()


async def _take(platform: Platform, job: dict[str, Any]) -> None:
    ssid, password = bytes.fromhex(job["ssid"]), Secret(bytes.fromhex(job["password"]))
    if job["role"] == Role.STATION.value:
        await platform.port(Wifi).join(Credentials(ssid=ssid, password=password), job["seconds"])
    else:
        spec = SoftApSpec(ssid=ssid, password=password or None, channel=job["channel"])
        await platform.port(SoftAp).start(spec)


if __name__ == "__main__":
    main()
