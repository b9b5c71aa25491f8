"""Commands to the module, one at a time, and what it says unasked in between.

After a command the module says OK or an error; longer work then reports `+NAME:OK` or `+NAME:FAIL,<err>`, and
lines that nobody asked for may stand between the two (Tencent's AT commands for ESP8266, release 2.2).
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, Final

import attrs

from qiot.errors import HalError, MediumError
from qiot.log import get_logger
from qiot.model import Reason
from qiot_esp_at.lines import Event, Noise, Parser, Prompt, Published, SocketData, Text, quoted
from qiot_esp_at.port import SerialPort

__all__ = ["COMMAND_MAX", "PAYLOAD_MAX", "Modem", "ModuleError", "command"]

log = get_logger()

COMMAND_MAX: Final = 256
"""Octets of the longest command, its CR LF included."""
PAYLOAD_MAX: Final = 2048
"""Octets of the longest payload."""
_QUICK: Final = 5.0
"""Seconds in which the module answers a command that needs no network."""
_WAKE: Final = 2.0
_RESET: Final = 10.0
_REBOOT_BEGINS: Final = 0.5
"""Seconds after an answer in which the module begins to reboot, where it does; it cannot be asked."""
_REBOOT_ENDS: Final = 3.0
_BUSY_PAUSE: Final = 0.2
_QUIET: Final = 0.1
"""Seconds of silence after which nothing more of an abandoned command is expected."""
_ABANDONED: Final = 20.0
"""Seconds that the module may still work at a command that nobody waits for."""
_ERROR: Final = re.compile(r"(?:\+CME ERR(?:OR)?\s*:\s*(-?\d+)|ERROR|FAIL)$")
_OUTCOME: Final = re.compile(r"(OK|FAIL)\s*,?\s*(-?\d+)?")
_READY: Final = re.compile(r"ready$")
_REFUSED: Final = "Check that it runs Tencent's AT firmware; its manual has the numbers of +CME ERROR."
_SILENT: Final = "Check baud=, the cable and the supply; else reset the module."

Listener = Callable[[str], None]


class ModuleError(HalError):
    """The module said no; `code` is its own number, where it gave one."""

    def __init__(self, message: str, *, code: int | None = None) -> None:
        super().__init__(message, code=code, hint=_REFUSED)


@attrs.define
class _Command:
    """The command at work."""

    text: str
    name: str
    wants_result: bool
    done: asyncio.Future[None]
    prompt: asyncio.Event = attrs.field(factory=asyncio.Event)
    lines: list[str] = attrs.field(factory=list)
    accepted: bool = False
    busy: bool = False

    def end(self, error: HalError | None) -> None:
        """End it; what comes after its end is not its own."""
        if self.done.done():
            return
        if error is None:
            self.done.set_result(None)
        else:
            self.done.set_exception(error)


class Modem:
    """One module on a serial port.

    Args:
        device: The port's file.
        baud: Bits per second.
    """

    def __init__(self, device: str, baud: int) -> None:
        self.device = device
        self._port = SerialPort(device, baud, on_data=self._take, on_gone=self._gone)
        self._parser = Parser()
        self._opening = asyncio.Lock()
        self._turn = asyncio.Lock()
        self._command: _Command | None = None
        self._unasked: dict[str, list[Listener]] = {}
        self.on_published: Callable[[Published], None] | None = None
        self.on_socket_data: Callable[[bytes], None] | None = None
        self._lost: list[Callable[[HalError], None]] = []
        self._awake = False
        self._abandoned = False
        self._octets = 0

    async def open(self) -> None:
        """Open the port and make sure that a module answers there.

        Raises:
            MediumError: No port, or no module behind it.
        """
        async with self._opening:
            await self._port.open()
            if self._awake:
                return
            try:
                await self._wake()
                await self.ask("ATE0")
            except HalError as error:
                self.close()
                raise MediumError(
                    f"{self.device}: no module with AT firmware answers: {error}",
                    hint="Check baud=, the cable, and that the module runs Tencent's AT firmware.",
                ) from None
            self._awake = True

    async def _wake(self) -> None:
        """Get an answer, also where a killed process left the module waiting for a payload.

        "+++" ends one for the broker (AT+TCMQTTPUBL), and as many line ends as it can have one for a socket.
        """
        for way_out in (b"", b"+++", b"\r\n" * PAYLOAD_MAX):
            await self._port.write(way_out)
            self._abandoned = False  # nobody knows at what it is: an answer is all that is wanted
            try:
                await self.say("AT", timeout=_WAKE)
            except HalError as error:
                silence = error
            else:
                return
        raise silence

    def close(self) -> None:
        """Close the port; who waits gets an error. Idempotent."""
        was_open = self._port.is_open
        self._port.close()
        if was_open:
            self._gone(MediumError(f"{self.device} is closed"))

    async def ask(self, text: str, *, timeout: float | None = None, tries: int = 2) -> Sequence[str]:
        """A command that may be said twice, for a line may get lost; gives the lines before its OK.

        Raises:
            ModuleError: The module refused it.
            MediumError: TIMEOUT, or the module is gone or was reset.
        """
        for left in reversed(range(tries)):
            try:
                return await self.say(text, timeout=timeout)
            except MediumError as error:
                if error.reason is not Reason.TIMEOUT or not left:
                    raise
        raise AssertionError("tries is at least 1")

    async def say(
        self, text: str, *, result: bool = False, payload: bytes | None = None, timeout: float | None = None
    ) -> Sequence[str]:
        """A command; gives the lines that came with it, as `+NAME:…` lines or others.

        Args:
            text: The command, "AT+…", without its end.
            result: It reports `+NAME:OK` or `+NAME:FAIL,<err>` after its OK.
            payload: Octets for the prompt that it gives; it reports a result, or SEND OK.
            timeout: Seconds for everything; None for what a command takes that needs no network.

        Raises:
            HalError: CONFIGURATION: longer than the module takes.
            ModuleError: The module refused it, or the work failed.
            MediumError: TIMEOUT, or the module is gone or was reset.
        """
        data = text.encode() + b"\r\n"
        if len(data) > COMMAND_MAX or "\r" in text or "\n" in text:
            raise HalError(
                f"{_name(text)}: the module takes no command of {len(data)} octets, or with a line end in it",
                reason=Reason.CONFIGURATION,
            )
        async with self._turn:
            try:
                if self._abandoned:
                    async with asyncio.timeout(_ABANDONED):
                        await self._resynchronise()
                async with asyncio.timeout(_QUICK if timeout is None else timeout):
                    return await self._exchange(text, data, payload, result=result or payload is not None)
            except TimeoutError:
                raise MediumError(
                    f"{self.device}: no answer to {_name(text)}", reason=Reason.TIMEOUT, hint=_SILENT
                ) from None

    async def reset(self) -> None:
        """Start the module anew; it joins the network that its own flash keeps.

        Raises:
            MediumError: It does not come back.
        """
        self._awake = self._abandoned = False
        await self.say("AT+RST", result=True, timeout=_RESET)  # it reports by being ready
        await self.open()

    async def stop(self, text: str) -> None:
        """A command that ends a method; some firmware reboots for it, which is over when this returns."""
        rebooted = asyncio.Event()
        with self.watching(lambda _: rebooted.set()):
            await self.say(text)
            heard = self._octets
            with suppress(TimeoutError):
                async with asyncio.timeout(_REBOOT_BEGINS):
                    await rebooted.wait()
            if self._octets != heard and not rebooted.is_set():  # what its loader says, at another rate
                with suppress(TimeoutError):
                    async with asyncio.timeout(_REBOOT_ENDS):
                        await rebooted.wait()

    @contextmanager
    def hearing(self, prefix: str, listener: Listener) -> Iterator[None]:
        """Give lines that begin with `prefix`, and that no command waits for, to `listener`."""
        self._unasked.setdefault(prefix, []).append(listener)
        try:
            yield
        finally:
            self._unasked[prefix].remove(listener)

    @contextmanager
    def watching(self, on_lost: Callable[[HalError], None]) -> Iterator[None]:
        """Tell `on_lost` when the module is reset, unplugged or closed."""
        self._lost.append(on_lost)
        try:
            yield
        finally:
            self._lost.remove(on_lost)

    async def _resynchronise(self) -> None:
        """Wait until a command that was given up is over, and what it still says has come."""
        while self._abandoned:
            with suppress(
                ModuleError
            ):  # what was sent of it may have no end, and takes this for a part of it
                await self._exchange("AT", b"\r\nAT\r\n", None, result=False)
                heard = -1
                while heard != self._octets:
                    heard = self._octets
                    await asyncio.sleep(_QUIET)  # only silence tells that nothing more comes
                self._abandoned = False

    async def _exchange(
        self, text: str, data: bytes, payload: bytes | None, *, result: bool
    ) -> Sequence[str]:
        if not self._port.is_open:
            raise MediumError(f"{self.device} is not open")
        while True:
            done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            command = self._command = _Command(text, _name(text).removeprefix("AT"), result, done)
            sending = asyncio.ensure_future(self._send(command, data, payload))
            try:
                await asyncio.shield(sending)
                await done
            except ModuleError:
                if not command.busy:
                    raise
            except asyncio.CancelledError:
                self._abandoned = True
                await asyncio.wait(
                    {sending}, timeout=_QUICK
                )  # half a payload would swallow the next commands
                raise
            finally:
                self._command = None
                sending.cancel()
                await asyncio.gather(sending, return_exceptions=True)
                if done.done() and not done.cancelled():
                    done.exception()
            if not command.busy:
                return command.lines
            await asyncio.sleep(_BUSY_PAUSE)  # the module says when it is busy, not when it no longer is

    async def _send(self, command: _Command, data: bytes, payload: bytes | None) -> None:
        await self._port.write(data)
        if payload is not None:
            prompted = asyncio.ensure_future(command.prompt.wait())
            first: set[asyncio.Future[Any]] = {prompted, command.done}
            try:
                await asyncio.wait(first, return_when=asyncio.FIRST_COMPLETED)
                if prompted.done():  # else it was refused
                    await self._port.write(payload)
            finally:
                prompted.cancel()

    # --- what comes in ----------------------------------------------------------------------------------

    def _take(self, data: bytes) -> None:
        self._octets += len(data)
        for event in self._parser.feed(data):
            self._on_event(event)

    def _on_event(self, event: Event) -> None:
        match event:
            case Text(line):
                self._on_line(line)
            case Prompt():
                if self._command is not None:
                    self._command.prompt.set()
            case Published():
                if self.on_published is not None:
                    self.on_published(event)
            case SocketData(payload):
                if self.on_socket_data is not None:
                    self.on_socket_data(payload)
            case Noise(octets):
                log.warning(f"{self.device}: {octets} octets were no line of the module's")

    def _on_line(self, line: str) -> None:
        if _READY.match(line) and self._command is not None and self._command.name == "+RST":
            self._command.end(None)
            return
        if _READY.match(line):
            self._was_reset()
            return
        if self._command is not None and self._for_command(self._command, line):
            return
        for prefix, listeners in self._unasked.items():
            if line.startswith(prefix):
                for listener in tuple(listeners):
                    listener(line[len(prefix) :].strip())
                return
        if self._command is not None and not self._command.accepted:
            self._command.lines.append(line)

    def _for_command(self, command: _Command, line: str) -> bool:
        """True where the line belongs to the command at work."""
        if line == command.text:
            return True  # the echo is still on
        if line.startswith("busy "):
            command.busy = True
            command.end(ModuleError("the module is busy"))
            return True
        if not command.accepted and _answer(command, line):
            return True
        if command.name == "+CIPSEND" and line in ("SEND OK", "SEND FAIL"):
            command.end(None if line == "SEND OK" else ModuleError("the module could not send"))
            return True
        return line.startswith(f"{command.name}:") and self._report(command, line)

    def _report(self, command: _Command, line: str) -> bool:
        """What begins with the command's name: its result, part of its answer, or news of an earlier one."""
        rest = line[len(command.name) + 1 :].strip()
        outcome = _OUTCOME.match(rest)
        if command.wants_result and outcome is not None:
            code = int(outcome[2]) if outcome[2] else None
            command.end(None if outcome[1] == "OK" else _refusal(f"AT{command.name} failed", code))
            return True
        if command.accepted and not command.wants_result:
            return False
        command.lines.append(rest)
        return not self._is_unasked(line)

    def _is_unasked(self, line: str) -> bool:
        return any(line.startswith(prefix) and listeners for prefix, listeners in self._unasked.items())

    def _was_reset(self) -> None:
        log.warning(f"{self.device}: the module was reset")
        self._parser.reset()
        self._awake = self._abandoned = False
        self._tell_lost(MediumError(f"{self.device}: the module was reset", hint="Check its supply."))

    def _gone(self, error: MediumError) -> None:
        self._awake = False
        self._tell_lost(error)

    def _tell_lost(self, error: MediumError) -> None:
        if self._command is not None:
            self._command.end(error)
        for on_lost in tuple(self._lost):
            on_lost(error)


def _answer(command: _Command, line: str) -> bool:
    """The module's first word to a command."""
    if line == "OK":
        command.accepted = True
        if not command.wants_result:
            command.end(None)
        return True
    refused = _ERROR.match(line)
    if refused is None:
        return False
    command.end(_refusal(f"the module refuses AT{command.name}", int(refused[1]) if refused[1] else None))
    return True


def _refusal(text: str, code: int | None) -> ModuleError:
    return ModuleError(text if code is None else f"{text} ({code})", code=code)


def _name(text: str) -> str:
    """A command without its arguments, which may be secrets."""
    return re.split(r"[=?]", text, maxsplit=1)[0]


def command(name: str, *arguments: str | int) -> str:
    """A command with arguments: strings are quoted, numbers are bare."""
    return f"AT+{name}=" + ",".join(
        quoted(each) if isinstance(each, str) else str(each) for each in arguments
    )
