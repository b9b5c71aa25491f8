"""The wpa_supplicant of an interface: the system's where one runs, else one of ours."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from qiot.errors import HalError, MediumError, NotSupportedError
from qiot.hal.linux.programs import find_program
from qiot.hal.linux.radio import Radio
from qiot.hal.linux.supplicant.control import Control
from qiot.hal.linux.supplicant.lasting import Lasting

__all__ = ["Daemon"]

_PROGRAM: Final = "wpa_supplicant"
_USUAL: Final = (Path("/run/wpa_supplicant"), Path("/var/run/wpa_supplicant"))
_OWN: Final = "wpa"
"""Folder of our own one's socket, in the radio's runtime folder."""
_START_LIMIT: Final = 15.0
_POLL: Final = 0.05


class Daemon:
    """Finds or starts the wpa_supplicant of one radio.

    Args:
        radio: The radio.
    """

    def __init__(self, radio: Radio) -> None:
        self._radio = radio
        self._control: Control | None = None
        self._started: Lasting | None = None

    async def problem(self) -> NotSupportedError | None:
        """Why there can be none; None where there is one or it can be started."""
        try:
            if await self.find() is None:
                find_program(_PROGRAM)
        except NotSupportedError as error:
            return error
        except MediumError as error:
            return NotSupportedError(str(error), reason=error.reason, code=error.code, hint=error.hint)
        return None

    async def find(self) -> Control | None:
        """The one that runs; None where none does.

        Raises:
            MediumError: NO_PERMISSION.
        """
        if self._control is not None and await self._control.alive():
            return self._control
        self.let_go()
        refusal: MediumError | None = None
        folders = [*_USUAL, *await asyncio.to_thread(lambda: list(_named_folders())), self._own_folder]
        for folder in dict.fromkeys(folders):
            control = Control(folder / self._radio.interface)
            try:
                if await control.alive():
                    self._control = control
                    return control
            except MediumError as error:
                refusal = error
            control.close()
        if refusal is not None:
            raise refusal
        return None

    async def control(self) -> Control:
        """The one that runs, or one of ours, started now.

        Raises:
            NotSupportedError: It is not installed.
            HalError: It cannot be asked or started.
        """
        return await self.find() or await self._start()

    @property
    def is_ours(self) -> bool:
        """True where the one in use is ours, of this process or an earlier one."""
        return self._control is not None and self._control.path.parent == self._own_folder

    async def keep(self) -> None:
        """Let ours go on when we end."""
        if self._started is not None:
            await self._started.keep()
            self._started = None

    def let_go(self) -> None:
        """Close the socket. Idempotent."""
        if self._control is not None:
            self._control.close()
            self._control = None

    async def stop(self) -> None:
        """End the one that was started here, unless it is kept. Idempotent."""
        started, self._started = self._started, None
        if started is not None:
            self.let_go()
            await started.stop()

    @property
    def _own_folder(self) -> Path:
        return self._radio.runtime / _OWN

    async def _start(self) -> Control:
        await self.stop()
        await self._radio.links.wait_present(self._radio.interface, 0.5)
        runtime = self._radio.make_runtime()
        config = runtime / "wpa_supplicant.conf"
        config.touch(mode=0o600)
        config.write_text(f"ctrl_interface={self._own_folder}\nupdate_config=0\n")
        self._started = started = await Lasting.start(
            _PROGRAM,
            "-D",
            "nl80211",
            "-i",
            self._radio.interface,
            "-q",
            "-c",
            os.fspath(config),
            log=runtime / "wpa_supplicant.log",
            undo=self._radio.undo,
        )
        control = Control(self._own_folder / self._radio.interface)
        try:
            async with asyncio.timeout(_START_LIMIT):
                # The socket comes some time after the start, and nothing tells of it.
                while started.running and not await control.alive():  # noqa: ASYNC110
                    await asyncio.sleep(_POLL)
            # SAE in both ways (IEEE 802.11, 12.4.4); versions before 2.10 have only one.
            await control.ask("SET sae_pwe 2")
        except BaseException as error:
            control.close()
            ended = not started.running
            await self.stop()
            if ended or isinstance(error, TimeoutError):
                what = "ended" if ended else f"was not ready within {_START_LIMIT:g} s"
                raise HalError(f"wpa_supplicant {what}: {started.last_line()}") from None
            raise
        self._control = control
        return control


def _named_folders() -> Iterator[Path]:
    """Where the wpa_supplicants that run have their sockets, by their command lines and configurations."""
    for entry in Path("/proc").iterdir():
        if not entry.name.isdecimal():
            continue
        with contextlib.suppress(OSError):
            words = (entry / "cmdline").read_bytes().decode(errors="replace").split("\0")
            if Path(words[0]).name != _PROGRAM:
                continue
            for option, value in _options(words[1:]):
                if option in {"C", "O"}:
                    yield from _folder(value)
                elif option == "c":
                    yield from _configured_folder(Path(value))


def _options(words: list[str]) -> Iterator[tuple[str, str]]:
    for number, word in enumerate(words):
        if len(word) > 1 and word[0] == "-" and word[1] in "cCO":
            following = words[number + 1] if number + 1 < len(words) else ""
            yield word[1], word[2:] or following


def _configured_folder(config: Path) -> Iterator[Path]:
    with contextlib.suppress(OSError):
        for line in config.read_text(errors="replace").splitlines():
            name, _, value = line.strip().partition("=")
            if name == "ctrl_interface":
                yield from _folder(value)


def _folder(value: str) -> Iterator[Path]:
    """`/run/x` or `DIR=/run/x GROUP=netdev`."""
    path = value.removeprefix("DIR=").split(" GROUP=")[0].strip()
    if path.startswith("/"):
        yield Path(path)
