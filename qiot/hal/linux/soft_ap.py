"""The access point: which interface and channel is decided here, the rest is done by the backend."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

import attrs

from qiot.errors import HalError, NotSupportedError
from qiot.hal.contract import SoftAp, SoftApSpec, Station
from qiot.hal.linux.backends import AccessPointBackend
from qiot.hal.linux.neighbourhood import Neighbourhood
from qiot.hal.linux.nl80211 import RadioChannel
from qiot.hal.linux.radio import Radio
from qiot.hal.linux.stillness import Stillness
from qiot.log import get_logger
from qiot.model import Reason

__all__ = ["LinuxSoftAp"]

log = get_logger()


@attrs.define
class _Running:
    """What was started, where it began, and where it is; None while a join has taken its channel away."""

    backend: AccessPointBackend
    spec: SoftApSpec
    interface: str
    frequency: int
    at: int | None


class LinuxSoftAp(SoftAp):
    """The access point of one radio.

    Args:
        radio: The radio.
        backend: Gives who runs the access point here.
        beside_station: True where the radio can be station and access point at once.
        neighbourhood: What the radio hears, as long as it can.
    """

    def __init__(
        self,
        radio: Radio,
        backend: Callable[[], Awaitable[AccessPointBackend]],
        beside_station: Callable[[], Awaitable[bool]],
        neighbourhood: Neighbourhood,
    ) -> None:
        self._radio = radio
        self._backend = backend
        self._beside_station = beside_station
        self._neighbourhood = neighbourhood
        self._stillness = Stillness(radio)
        self._running: _Running | None = None
        self._starting = False

    @property
    def is_up(self) -> bool:
        """True while it serves phones."""
        return self._running is not None and self._running.at is not None

    async def start(self, spec: SoftApSpec) -> None:
        """Bring it up: on an interface of its own beside the station, else in the station's place."""
        spec.check()
        if self._running is not None or self._starting:
            raise HalError("the access point is up already", hint="Stop it before the next start.")
        self._starting = True
        try:
            backend = await self._backend()
            await self._radio.links.up(self._radio.interface)
            beside = await self._beside_station()
            frequency = await self._frequency(spec, beside=beside)
            await self._neighbourhood.remember()
            interface = await self._radio.add_interface("ap") if beside else self._radio.interface
            self._stillness.begin()
            try:
                await backend.start(spec, interface, frequency)
            except BaseException:
                await self._stillness.end()
                await self._radio.remove_interface(interface)
                raise
            self._running = _Running(backend, spec, interface, frequency, at=frequency)
        finally:
            self._starting = False

    async def stop(self) -> None:
        """Take it down. Where that is cancelled, the next stop finishes it."""
        await self._stillness.end()
        running = self._running
        if running is None:
            return
        try:
            await running.backend.stop()
            await self._radio.remove_interface(running.interface)
        except HalError:
            self._running = None
            await self._radio.remove_interface(running.interface)
            raise
        self._running = None

    async def stations(self) -> Sequence[Station]:
        """Who is associated, with the address that the kernel has seen of each."""
        if self._running is None:
            return ()
        interface = self._running.interface
        addresses = await self._radio.links.neighbours(interface)
        joined = await self._radio.nl80211.stations(interface)
        return [Station(mac=mac, address=addresses.get(mac)) for mac in joined]

    @contextlib.asynccontextmanager
    async def room(self) -> AsyncIterator[None]:
        """Let the station look around and join; where that fails, the radio stays on our channel again.

        Raises:
            HalError: The access point is in the station's place.
        """
        self._check_room()
        await self._stillness.end()
        try:
            yield
        except BaseException:
            self._stay()
            raise

    async def go_to(self, frequency: int | None) -> None:
        """Let the station join on `frequency`: one radio has one channel, so the access point goes there.

        Its stations follow it, or lose it for a moment where it has to start anew.

        Args:
            frequency: MHz; None where it is not known.

        Raises:
            HalError: The access point is in the station's place.
        """
        self._check_room()
        running = self._running
        if running is None or frequency in (None, running.at):
            return
        log.info(f"the access point goes to {frequency} MHz, where the network is")
        try:
            await running.backend.move(frequency)
        except NotSupportedError as error:
            log.debug(f"the access point starts anew there: {error}")
            await self._start_anew(running, frequency)
        else:
            running.at = frequency

    async def resume(self) -> None:
        """A join was undone: stay on our channel, and be up again where it took that away."""
        self._stay()
        running = self._running
        if running is not None and running.at is None:
            await self._start_anew(running, running.frequency)

    def _check_room(self) -> None:
        if self._running is not None and self._running.interface == self._radio.interface:
            raise HalError(
                "the access point is up, and this radio cannot be access point and station at once",
                hint="Stop the access point before the join.",
            )

    def _stay(self) -> None:
        if self._running is not None:
            self._stillness.begin()

    async def _start_anew(self, running: _Running, frequency: int) -> None:
        """Start on another channel; where that cannot be, as on many of 5 GHz, the station goes first."""
        running.at = None
        await running.backend.stop()
        try:
            await running.backend.start(running.spec, running.interface, frequency)
        except HalError as error:
            log.warning(f"no access point on {frequency} MHz: {error}")
        else:
            running.at = frequency

    async def _frequency(self, spec: SoftApSpec, *, beside: bool) -> int:
        """Where it can be: on the channel of the joined station where they share one, else on the spec's."""
        channels = (await self._radio.nl80211.wiphy(self._radio.interface)).channels
        if beside:
            own = await self._radio.nl80211.interface(self._radio.interface)
            if own.frequency is not None and own.ssid is not None:
                return own.frequency
        for each in channels:
            if each.number == spec.channel and _may_start(each):
                return each.frequency
        allowed = sorted({each.number for each in channels if _may_start(each)})
        raise HalError(
            f"the access point cannot start on channel {spec.channel} in this country",
            reason=Reason.CONFIGURATION,
            hint=f"Choose one of {', '.join(map(str, allowed)) or 'none'}, or set the country.",
        )


def _may_start(channel: RadioChannel) -> bool:
    return not channel.disabled and not channel.no_ir
