"""Runs one shell command in a machine."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from lab.host.machine import Image, Job, Machine
from lab.host.run_folder import run_folder
from lab.host.slots import machine_count, slot

__all__ = ["run_shell"]


class _Follow:
    """Copies what is added to a file to one of our descriptors."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self._path = path
        self._descriptor = descriptor
        self._read = 0

    def look(self) -> None:
        try:
            with self._path.open("rb") as file:
                file.seek(self._read)
                fresh = file.read()
        except FileNotFoundError:
            return
        self._read += len(fresh)
        while fresh:
            fresh = fresh[os.write(self._descriptor, fresh) :]


async def run_shell(command: str, image: Image, limit: float) -> int:
    """Run `command` with bash as root in the checkout; its output comes as it is written.

    Args:
        command: what to run. /out is the only place whose content stays.
        image: what to boot.
        limit: seconds after which the machine is stopped.

    Returns:
        the command's exit status, 1 when the machine ended without one.
    """
    with run_folder("shell") as out:
        follows = [_Follow(out / "stdout", sys.stdout.fileno()), _Follow(out / "stderr", sys.stderr.fileno())]

        def look(_up: bool = True) -> str:
            for follow in follows:
                follow.look()
            return ""

        async with slot(machine_count(), _complain) as descriptor:
            ending = await Machine(image, Job(command, limit=limit), out, look).run([descriptor])
        look()
    if ending.fault:
        _complain(f"{ending.fault}; its files are in {out}")
    else:
        _complain(f"booted in {ending.booted or 0:.1f} s, {ending.seconds:.1f} s in all; /out is {out}")
    return 1 if ending.status is None else ending.status


def _complain(text: str) -> None:
    print(f"lab: {text}", file=sys.stderr, flush=True)
