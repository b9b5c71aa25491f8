"""The access point of one interface by hostapd, with DHCP by dnsmasq."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar, Final

import attrs

from qiot.errors import HalError, MediumError, NotSupportedError
from qiot.finishing import finish
from qiot.hal.contract import SoftApSpec
from qiot.hal.linux.backends import AccessPointBackend
from qiot.hal.linux.hostapd.aside import Aside
from qiot.hal.linux.hostapd.configuration import dnsmasq_arguments, hostapd_configuration
from qiot.hal.linux.programs import Program, find_program
from qiot.hal.linux.radio import Radio
from qiot.hal.linux.supplicant.control import Control
from qiot.log import get_logger
from qiot.model import Reason

__all__ = ["HostapdAccessPoint"]

log = get_logger()

_START_LIMIT: Final = 20.0
_ENABLED: Final = "AP-ENABLED"
_SERVING: Final = "IP range"
_DISABLED: Final = "AP-DISABLED"
_MOVED: Final = "AP-CSA-FINISHED"
_BEACONS: Final = 5
"""Beacons that announce the move, a tenth of a second each, so that sleeping phones hear one."""
_MOVE_LIMIT: Final = 5.0

_HINTS: Final = (
    ("rfkill", Reason.MEDIUM, "the radio is switched off", "`rfkill unblock wifi` switches it on."),
    ("Could not select hw_mode", Reason.CONFIGURATION, "", "Choose another channel, or set the country."),
    ("not allowed", Reason.CONFIGURATION, "", "Choose another channel, or set the country."),
    (
        "Failed to set beacon parameters",
        Reason.MEDIUM,
        "",
        "Another interface of the radio holds it on another channel, or this one is in use.",
    ),
    ("busy", Reason.MEDIUM, "", "Another program uses the interface: stop it, or take another interface."),
    ("another process", Reason.MEDIUM, "", "Another hostapd uses the interface: stop it."),
    ("Address already in use", Reason.PORT_BUSY, "", "Another DHCP server runs here (ss -lunp shows it)."),
    ("not permitted", Reason.NO_PERMISSION, "", "Run as root."),
    ("Permission denied", Reason.NO_PERMISSION, "", "Run as root."),
)
"""What the programs say when they give up, and what to do about it."""


@attrs.define
class _Running:
    """What is up."""

    interface: str
    frequency: int
    address: tuple[str, int]
    control: Control
    programs: list[Program] = attrs.field(factory=list)


class HostapdAccessPoint(AccessPointBackend):
    """The access point by hostapd and dnsmasq.

    Args:
        radio: Its radio.
    """

    name: ClassVar[str] = "hostapd"

    def __init__(self, radio: Radio) -> None:
        self._radio = radio
        self._aside = Aside(radio)
        self._running: _Running | None = None

    async def problem(self) -> NotSupportedError | None:
        """Why it cannot be used: a program is not installed."""
        for program in ("hostapd", "dnsmasq"):
            try:
                find_program(program)
            except NotSupportedError as error:
                return error
        return None

    async def start(self, spec: SoftApSpec, interface: str, frequency: int) -> None:
        """Bring it up; returns when hostapd beacons and dnsmasq gives addresses."""
        await self._check(frequency)
        runtime = self._radio.make_runtime()
        control = Control(runtime / "hostapd" / interface, "hostapd")
        running = _Running(interface, frequency, (spec.address, spec.prefix), control)
        self._running = running
        try:
            if interface == self._radio.interface:
                await self._aside.step(wholly=True)
            config = await self._write_config(spec, interface, frequency)
            await self._run(running, "hostapd", (os.fspath(config),), _ENABLED)
            await self._radio.links.add_address(interface, spec.address, spec.prefix)
            leases = runtime / f"leases-{interface}"
            leases.unlink(missing_ok=True)
            await self._run(running, "dnsmasq", dnsmasq_arguments(spec, interface, leases), _SERVING)
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Take it down. Idempotent; a cancellation waits until it is down."""
        await finish(self._stop())

    async def move(self, frequency: int) -> None:
        """Announce another channel to the stations and go there with them."""
        running = self._running
        if running is None:
            raise HalError("no access point is up")
        if running.frequency == frequency:
            return
        try:
            await self._check(frequency)
            if running.interface != self._radio.interface:
                # With a station on the old channel the kernel would end the access point instead.
                await self._aside.step(wholly=False)
            async with asyncio.timeout(_MOVE_LIMIT), running.control.attached() as news:
                await running.control.do(f"CHAN_SWITCH {_BEACONS} {frequency} ht", "another channel")
                while (event := await news.next()).name not in {_MOVED, _DISABLED}:
                    log.debug(f"hostapd: {event.text}")
        except (HalError, TimeoutError) as error:
            raise NotSupportedError(
                f"the access point cannot move to {frequency} MHz: {error or 'it took too long'}"
            ) from None
        if event.name == _DISABLED:
            raise NotSupportedError(f"the driver ended the access point on the way to {frequency} MHz")
        running.frequency = frequency

    async def _stop(self) -> None:
        running, self._running = self._running, None
        if running is None:
            return
        running.control.close()
        for program in reversed(running.programs):
            await program.stop()
        address, prefix = running.address
        await self._radio.links.remove_address(running.interface, address, prefix)
        with contextlib.suppress(OSError):
            self._config(running.interface).unlink(missing_ok=True)
        await self._aside.come_back()

    async def _check(self, frequency: int) -> None:
        """Refuse a channel where nobody may begin to send, before anything is changed."""
        channels = (await self._radio.nl80211.wiphy(self._radio.interface)).channels
        fitting = [each for each in channels if each.frequency == frequency]
        if fitting and not fitting[0].disabled and not fitting[0].no_ir:
            return
        problem = "the radio does not have it"
        if fitting:
            problem = "the country forbids it" if fitting[0].disabled else "one may only listen there"
        raise HalError(
            f"no access point can be started on {frequency} MHz: {problem}",
            reason=Reason.CONFIGURATION,
            hint="Choose another channel, or set the country.",
        )

    def _config(self, interface: str) -> Path:
        return self._radio.runtime / f"hostapd-{interface}.conf"

    async def _write_config(self, spec: SoftApSpec, interface: str, frequency: int) -> Path:
        country = await self._radio.nl80211.country()
        control = self._radio.runtime / "hostapd"
        path = self._config(interface)

        def write() -> None:
            text = hostapd_configuration(spec, interface, frequency, country=country, control=control)
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
            with os.fdopen(descriptor, "w") as file:
                os.fchmod(descriptor, 0o600)
                file.write(text)

        try:
            await asyncio.to_thread(write)
        except OSError as error:
            raise HalError(f"{path} cannot be written: {error.strerror}", code=error.errno) from None
        return path

    async def _run(self, running: _Running, name: str, arguments: Sequence[str], ready: str) -> None:
        try:
            program = await Program.start(
                name,
                *arguments,
                undo=self._radio.undo,
                ready=lambda line: ready in line,
                timeout=_START_LIMIT,
            )
        except NotSupportedError:
            raise
        except HalError as error:
            raise _explained(error) from None
        running.programs.append(program)


def _explained(error: HalError) -> HalError:
    """The error with what to do about it, by whichever line of the program's says why."""
    ended = str(error).partition(":")[0]
    notes = "\n".join(getattr(error, "__notes__", ())).splitlines()
    said = [str(error), *(f"{ended}: {line}" for line in notes)]
    for words, reason, text, hint in _HINTS:
        for line in said:
            if words in line:
                message = f"{text}: {line}" if text else line
                return MediumError(message, reason=reason, code=error.code, hint=hint)
    return error
