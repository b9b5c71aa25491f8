"""The mock platform as a whole."""

from __future__ import annotations

from typing import Final, cast

import attrs

from qiot.errors import NotSupportedError
from qiot.hal.contract import (
    AirKiss,
    BtCombo,
    Capabilities,
    ChipSoftAp,
    Combination,
    Gatt,
    Injector,
    Listener,
    Platform,
    PortT,
    Role,
    SimpleConfig,
    SmartConfig,
    Sniffer,
    SoftAp,
    Storage,
    Udp,
    Wifi,
)
from qiot.hal.mock.airkiss import MockAirKiss, MockAirKissByAir
from qiot.hal.mock.btcombo import MockBtCombo
from qiot.hal.mock.by_air import FailingStart
from qiot.hal.mock.gatt import make_gatt
from qiot.hal.mock.injector import MockInjector
from qiot.hal.mock.options import MockOptions, make_world
from qiot.hal.mock.radio import Radio
from qiot.hal.mock.scripted import ScriptedListener
from qiot.hal.mock.simple_config import MockSimpleConfig, MockSimpleConfigByAir
from qiot.hal.mock.smart_config import MockSmartConfig, MockSmartConfigByAir
from qiot.hal.mock.sniffer import MockSniffer
from qiot.hal.mock.soft_ap import MockChipSoftAp, MockSoftAp
from qiot.hal.mock.storage import make_storage
from qiot.hal.mock.udp import MockUdp
from qiot.hal.mock.wifi import MockWifi
from qiot.hal.registry import PlatformSpec
from qiot.sim.bluetooth import bumble_installed
from qiot.sim.faults import Faults
from qiot.sim.station import Delays
from qiot.sim.world import World
from qiot.wifi_config.drivers.air import AirWatch

__all__ = ["MockPlatform"]

_SCRIPTED: Final[dict[type, type[ScriptedListener]]] = {
    SmartConfig: MockSmartConfig,
    AirKiss: MockAirKiss,
    SimpleConfig: MockSimpleConfig,
    BtCombo: MockBtCombo,
    ChipSoftAp: MockChipSoftAp,
}

_BY_AIR: Final[dict[type, type[FailingStart]]] = {
    SmartConfig: MockSmartConfigByAir,
    AirKiss: MockAirKissByAir,
    SimpleConfig: MockSimpleConfigByAir,
}

_AIR: Final = frozenset({Role.SNIFF, Role.INJECT})


class MockPlatform(Platform):
    """A device whose radio is simulated: `mock[,key=value]*`.

    Args:
        spec: Its options. Of the world: `ssid` and `password` (one home network), `networks=FILE`, `seed`,
            `loss`, `offers=FILE`. Of the device: `join_delay`, `join_failure=REASON[*N]`, `ap_sta=yes`,
            `state=DIR`, `start_delay`, `start_failure=PORT[:REASON][*N]`, `udp_loss`, `udp_dup`, `sniff=no`,
            `air_loss`.
        world: The world to live in; without one, the options make one.

    Raises:
        ConfigurationError: An option cannot be used, or is the world's while `world` is given.
    """

    def __init__(self, spec: PlatformSpec, world: World | None = None) -> None:
        options = MockOptions.read(spec, own_world=world is None)
        self.world = world or make_world(spec)
        self._starts = options.start_failures
        station = self.world.station(delays=Delays.of_join(options.join_delay), faults=options.join_failures)
        self._radio = Radio(self.world, station, ap_sta=options.ap_sta)
        self._udp = MockUdp(
            self.world.random,
            loss=self.world.loss if options.udp_loss is None else options.udp_loss,
            duplication=(
                self.world.duplication if options.udp_duplication is None else options.udp_duplication
            ),
        )
        storage = make_storage(options.state)
        self._wifi = MockWifi(self._radio, storage)
        self._soft_ap = MockSoftAp(
            self._radio,
            start_delay=options.start_delay,
            start_failures=self._start_failures("soft_ap"),
        )
        self._ports: dict[type, object] = {
            Udp: self._udp,
            Wifi: self._wifi,
            SoftAp: self._soft_ap,
            Storage: storage,
        }
        self._sniffer: MockSniffer | None = None
        self._watch: AirWatch | None = None
        if options.sniff:
            self._sniffer = MockSniffer(
                self._radio, loss=options.air_loss, start_failures=self._start_failures("sniffer")
            )
            self._ports |= {Sniffer: self._sniffer, Injector: MockInjector(self._sniffer)}
            self._watch = AirWatch(self._sniffer, self._wifi)
        self._listeners: list[Listener] = []
        self._gatt: Gatt | None = None

    async def capabilities(self) -> Capabilities:
        """One radio, or station and access point on one channel; scripted methods are the chip's.

        Monitor mode goes beside anything, on the channel where the others are; Bluetooth too, where bumble is
        installed.
        """
        uses = [frozenset({Role.STATION}), frozenset({Role.ACCESS_POINT})]
        combinations = [Combination(roles) for roles in uses]
        if self._radio.ap_sta:
            uses.append(frozenset({Role.STATION, Role.ACCESS_POINT}))
            combinations.append(Combination(uses[-1], same_channel=True))
        if self._sniffer is not None:
            combinations += [Combination(frozenset({role})) for role in (Role.SNIFF, Role.INJECT)]
            combinations.append(Combination(_AIR))
            combinations += [Combination(roles | _AIR, same_channel=True) for roles in uses]
        if bumble_installed():
            ble = frozenset({Role.BLE})
            combinations += [attrs.evolve(each, roles=each.roles | ble) for each in combinations]
            combinations.append(Combination(ble))
        offers = self.world.offers
        chip = {
            listener.method: offers.furthest(listener.method)
            for listener in _SCRIPTED.values()
            if offers.scripted(listener.method)
        }
        return Capabilities(combinations=tuple(combinations), chip=chip)

    def port(self, kind: type[PortT]) -> PortT:
        """`Udp`, `Wifi`, `SoftAp`, `Storage`, `Sniffer`, `Injector`, `Gatt`, methods of air or script."""
        if kind in _SCRIPTED and kind not in self._ports:
            self._ports[kind] = self._listener(kind)
        if kind is Gatt and kind not in self._ports:
            self._ports[kind] = self._gatt = make_gatt(self.world)
        if kind not in self._ports:
            raise NotSupportedError(
                f"{kind.__name__}: the mock has no such port in this version, or was told to have none",
                hint="Use a method that runs over Udp, Wifi and SoftAp, such as soft_ap; leave out sniff=no.",
            )
        return cast(PortT, self._ports[kind])

    async def close(self) -> None:
        """Stop the methods, take the access point down, leave the network, close every endpoint."""
        for listener in self._listeners:
            await listener.stop()
        if self._sniffer is not None:
            await self._sniffer.stop()
        if self._gatt is not None:
            await self._gatt.stop()
        await self._soft_ap.stop()
        self._radio.station.leave()
        await self._udp.close()

    def _listener(self, kind: type) -> Listener:
        """Played where it has a script, else heard in the air, where that is how it works."""
        listener = _SCRIPTED[kind]
        if kind in _BY_AIR and self._watch is not None and not self.world.offers.scripted(listener.method):
            heard = _BY_AIR[kind](self._watch, self._start_failures(listener.method))
            self._listeners.append(heard)
            return heard
        if not self.world.offers.scripted(listener.method):
            raise NotSupportedError(
                f"{listener.method}: the mock hears it nowhere, and has no script for it",
                hint="Use --hal mock,offers=FILE with a JSON list such as "
                f'[{{"method": "{listener.method}", "ssid": "Home", "password": "…", "token": "…"}}].',
            )
        made = listener(self.world.offers, self._wifi, self._start_failures(listener.method))
        self._listeners.append(made)
        return made

    def _start_failures(self, port: str) -> Faults:
        return self._starts.get(port, Faults())
