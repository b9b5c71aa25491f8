"""NetworkManager as the device's station and access point, on simulated radios.

The device has two access points around: EARLIER, which it knows, and the home network that it is to join.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import attrs
import pytest
from qiot.errors import HalError, JoinError
from qiot.hal.contract import SoftApSpec
from qiot.hal.linux.backends import Target
from qiot.hal.linux.networkmanager import NetworkManagerAccessPoint, NetworkManagerStation
from qiot.hal.linux.radio import Radio
from qiot.model import Reason, Secret, Security

from lab.support.bench import Bench
from lab.support.device import NetworkManager
from lab.support.home_ap import HomeAp
from lab.support.phone import Phone
from lab.support.programs import Daemon, run
from lab.support.waiting import until

PASSWORD = "labpass1234"
SPEC = SoftApSpec(b"QIOT-\xc4\xe3", Secret("password99"))
SECURITIES = {
    "open": Security.OPEN,
    "wpa2": Security.WPA2,
    "wpa3": Security.WPA3,
    "wpa2+wpa3": Security.WPA2_WPA3,
}


@attrs.define
class World:
    """What all tests of this module share; each leaves NetworkManager without profiles."""

    device: str
    manager: NetworkManager
    earlier: HomeAp
    home: HomeAp
    phone: Phone

    @contextmanager
    def on_air(self, **changes: object) -> Iterator[HomeAp]:
        """The home access point, on the air."""
        home = self.home
        plain = {name: getattr(home, name) for name in changes}
        for name, value in changes.items():
            setattr(home, name, value)
        try:
            home.radio.up()
            home.start()
            yield home
        finally:
            home.stop()
            for name, value in plain.items():
                setattr(home, name, value)


@pytest.fixture(scope="module")
def world(module_bench: Bench) -> World:
    device, first, second, third = module_bench.radios(4)
    earlier = module_bench.home_ap(first, ssid=b"EARLIER", channel=1, name="earlier")
    home = module_bench.home_ap(second, start=False)
    phone = module_bench.phone(third)
    manager = module_bench.network_manager()
    manager.wait_for(device.interface)
    return World(device.interface, manager, earlier, home, phone)


@attrs.define
class Backends:
    """The device's backends as one process has them."""

    radio: Radio
    station: NetworkManagerStation
    access_point: NetworkManagerAccessPoint

    async def close(self) -> None:
        await self.access_point.stop()
        await self.station.close()
        await self.radio.close()


def make(state: Path, interface: str = "wlan0") -> Backends:
    radio = Radio(interface, state)
    return Backends(radio, NetworkManagerStation(radio), NetworkManagerAccessPoint(radio))


@pytest.fixture
async def device(world: World, tmp_path: Path) -> AsyncIterator[Backends]:
    backends = make(tmp_path)
    yield backends
    await backends.close()
    for name in await asyncio.to_thread(profiles):
        await asyncio.to_thread(run, ["nmcli", "connection", "delete", name])
    await asyncio.to_thread(world.manager.wait_for, world.device)


def profiles() -> list[str]:
    """The UUIDs of the wireless profiles."""
    lines = run(["nmcli", "-t", "-f", "UUID,TYPE", "connection", "show"]).splitlines()
    return [line.partition(":")[0] for line in lines if line.endswith("wireless")]


def target(home: HomeAp, **changes: object) -> Target:
    plain = Target(
        ssid=home.ssid,
        password=Secret(home.password or "") if home.security != "open" else Secret(""),
        security=SECURITIES[home.security],
        hidden=home.hidden,
        frequency=home.frequency,
    )
    return attrs.evolve(plain, **changes)  # type: ignore[arg-type]


async def know_earlier(world: World, device: Backends) -> str:
    """Be in the earlier network, stored; gives the UUID of its profile."""
    await device.station.join(target(world.earlier), 40)
    await device.station.settle(keep=True)
    return await asyncio.to_thread(active_profile)


def active_profile() -> str:
    """UUID of the profile that is up on wlan0."""
    shown = run(["nmcli", "-t", "-f", "UUID,DEVICE,STATE", "connection", "show", "--active"])
    return next((line.split(":")[0] for line in shown.splitlines() if line.endswith(":wlan0:activated")), "")


async def wait_back(profile: str) -> None:
    """Wait until the earlier network is joined again and nothing else is left."""
    await asyncio.to_thread(until, lambda: active_profile() == profile, "the earlier network is back", 60)
    await asyncio.to_thread(until, lambda: profiles() == [profile], "nothing is left of the try")


@pytest.mark.smoke
@pytest.mark.duration(25)
async def test_a_join_is_a_try_until_it_is_settled(world: World, device: Backends) -> None:
    assert await device.station.problem() is None
    earlier = await know_earlier(world, device)
    with world.on_air() as home:
        begun = time.monotonic()
        ip = await device.station.join(target(home), 30)
        print(f"joined after {time.monotonic() - begun:.1f} s")
        assert ip.address.startswith("192.168.77.")
        assert ip.gateway == home.address
        assert home.stations() == [home_station(world)]
        status = await device.station.status()
        assert (status.connected, status.ssid, status.saved) == (True, b"LAB-HOME", b"EARLIER")
        await device.station.settle(keep=False)
        await wait_back(earlier)
    assert (await device.station.status()).ssid == b"EARLIER"


def home_station(world: World) -> str:
    return Path("/sys/class/net", world.device, "address").read_text().strip()


@pytest.mark.smoke
@pytest.mark.duration(20)
async def test_a_wrong_password_is_told_in_time(world: World, device: Backends) -> None:
    earlier = await know_earlier(world, device)
    with world.on_air() as home:
        begun = time.monotonic()
        with pytest.raises(JoinError) as caught:
            await device.station.join(target(home, password=Secret("not the password")), 25)
        print(f"told after {time.monotonic() - begun:.1f} s: {caught.value} {caught.value.code}")
        assert caught.value.reason is Reason.WRONG_PASSWORD
        await wait_back(earlier)


@pytest.mark.duration(12)
@pytest.mark.parametrize(
    "network",
    [
        pytest.param({"security": "wpa3"}, id="wpa3"),
        pytest.param({"security": "wpa2+wpa3"}, id="mixed"),
        pytest.param({"security": "open"}, id="open"),
        pytest.param({"hidden": True}, id="hidden"),
        pytest.param({"channel": 36}, id="5 GHz"),
        pytest.param({"ssid": b"\xc4\xe3\xba\xc3 \xff"}, id="not UTF-8"),
    ],
)
async def test_every_kind_of_network_is_joined(
    world: World, device: Backends, network: dict[str, object]
) -> None:
    with world.on_air(**network) as home:
        ip = await device.station.join(target(home), 40)
        assert ip.address.startswith("192.168.77.")
        assert (await device.station.status()).ssid == home.ssid
        await device.station.settle(keep=True)
        assert (await device.station.status()).saved == home.ssid


async def test_a_key_of_64_digits_is_taken_as_it_is(world: World, device: Backends) -> None:
    # PBKDF2 of "labpass1234" and "LAB-HOME" (IEEE 802.11, annex J.4.1)
    key = run(["wpa_passphrase", "LAB-HOME", PASSWORD]).split("\tpsk=")[1].split()[0]
    with world.on_air() as home:
        await device.station.join(target(home, password=Secret(key)), 30)


async def test_a_named_access_point_binds_the_try_only(world: World, device: Backends) -> None:
    with world.on_air() as home:
        await device.station.join(target(home, bssid=bytes.fromhex(home.bssid.replace(":", ""))), 30)
        await device.station.settle(keep=True)
        shown = run(
            ["nmcli", "-t", "-f", "802-11-wireless,connection", "connection", "show", active_profile()]
        )
        assert "802-11-wireless.bssid:\n" in shown
        assert "802-11-wireless.channel:0\n" in shown
        assert "802-11-wireless.hidden:no\n" in shown
        assert "connection.autoconnect:yes\n" in shown


@pytest.mark.duration(20)
@pytest.mark.parametrize("security", ["wpa3", "wpa2+wpa3"])
async def test_a_wrong_password_for_wpa3_is_told(world: World, device: Backends, security: str) -> None:
    with world.on_air(security=security) as home:
        begun = time.monotonic()
        with pytest.raises(JoinError) as caught:
            await device.station.join(target(home, password=Secret("not the password")), 25)
        print(f"told after {time.monotonic() - begun:.1f} s: {caught.value} {caught.value.code}")
        assert caught.value.reason is Reason.WRONG_PASSWORD


@pytest.mark.duration(45)
async def test_no_address_is_told(world: World, device: Backends) -> None:
    earlier = await know_earlier(world, device)
    with world.on_air(dhcp=False) as home:
        begun = time.monotonic()
        with pytest.raises(JoinError) as caught:
            await device.station.join(target(home), 60)
        print(f"told after {time.monotonic() - begun:.1f} s: {caught.value} {caught.value.code}")
        assert caught.value.reason is Reason.DHCP
        await wait_back(earlier)


@pytest.mark.duration(20)
async def test_no_address_within_a_short_time_is_told_as_such(world: World, device: Backends) -> None:
    with world.on_air(dhcp=False) as home:
        with pytest.raises(JoinError) as caught:
            await device.station.join(target(home), 12)
        assert caught.value.reason is Reason.DHCP


@pytest.mark.duration(40)
async def test_an_access_point_that_vanishes_meanwhile_is_told(world: World, device: Backends) -> None:
    earlier = await know_earlier(world, device)
    with world.on_air(dhcp=False) as home:
        joining = asyncio.create_task(device.station.join(target(home), 60))
        await asyncio.to_thread(until, home.stations, "the device is associated")
        await asyncio.to_thread(home.vanish)
        begun = time.monotonic()
        with pytest.raises(JoinError) as caught:
            await joining
        print(f"told after {time.monotonic() - begun:.1f} s: {caught.value} {caught.value.code}")
        assert caught.value.reason is Reason.NO_SUCH_AP
        await wait_back(earlier)


@pytest.mark.duration(30)
async def test_an_access_point_that_is_gone_already_is_told(world: World, device: Backends) -> None:
    with pytest.raises(JoinError) as caught:
        await device.station.join(target(world.home), 25)
    assert caught.value.reason is Reason.NO_SUCH_AP


@pytest.mark.duration(25)
async def test_a_refused_association_is_told(world: World, device: Backends) -> None:
    with world.on_air() as home:
        control = ["hostapd_cli", "-p", "/run/home-ap/home/control", "-i", home.radio.interface]
        # A full one still answers probes, as one that refuses an address does not.
        home.namespace.run([*control, "set", "max_num_sta", "0"])
        begun = time.monotonic()
        with pytest.raises(JoinError) as caught:
            await device.station.join(target(home), 40)
        print(f"told after {time.monotonic() - begun:.1f} s: {caught.value} {caught.value.code}")
        assert caught.value.reason is Reason.ASSOCIATION_REFUSED


@pytest.mark.duration(25)
async def test_a_cancelled_join_leaves_nothing(world: World, device: Backends) -> None:
    earlier = await know_earlier(world, device)
    with world.on_air(dhcp=False) as home:
        joining = asyncio.create_task(device.station.join(target(home), 60))
        await asyncio.to_thread(until, home.stations, "the device is associated")
        joining.cancel()
        with pytest.raises(asyncio.CancelledError):
            await joining
        await wait_back(earlier)


@pytest.mark.duration(40)
async def test_what_was_settled_is_joined_after_a_restart(
    world: World, device: Backends, tmp_path: Path
) -> None:
    await know_earlier(world, device)
    with world.on_air() as home:
        for _ in range(2):
            await device.station.join(target(home), 30)
            await device.station.settle(keep=True)
        assert len(await asyncio.to_thread(profiles)) == 2
        await device.close()
        world.manager.kill()
        await asyncio.to_thread(world.manager.start_again)
        fresh = make(tmp_path)
        await fresh.radio.undo.recover()
        begun = time.monotonic()
        ip = await fresh.station.rejoin(60)
        print(f"rejoined after {time.monotonic() - begun:.1f} s")
        assert ip.address.startswith("192.168.77.")
        status = await fresh.station.status()
        assert (status.connected, status.ssid, status.saved) == (True, home.ssid, home.ssid)
        assert await fresh.station.rejoin(10) == ip
        await fresh.close()
        assert (await asyncio.to_thread(active_profile)) != ""


@pytest.mark.duration(30)
async def test_a_profile_of_the_users_own_stays(world: World, device: Backends) -> None:
    with world.on_air() as home:
        words = ["nmcli", "connection", "add", "type", "wifi", "con-name", "theirs", "ssid", "LAB-HOME"]
        words += ["wifi-sec.key-mgmt", "wpa-psk", "wifi-sec.psk", "another password", "autoconnect", "no"]
        run(words)
        await device.station.join(target(home), 30)
        await device.station.settle(keep=True)
        assert len(await asyncio.to_thread(profiles)) == 2
        shown = run(["nmcli", "-s", "-t", "-f", "802-11-wireless-security", "connection", "show", "theirs"])
        assert "psk:another password\n" in shown


async def test_nothing_saved_is_told(device: Backends) -> None:
    assert (await device.station.status()).saved is None
    with pytest.raises(JoinError) as caught:
        await device.station.rejoin(10)
    assert caught.value.reason is Reason.NO_SAVED_NETWORK


@pytest.mark.duration(15)
async def test_what_is_forgotten_is_left(world: World, device: Backends) -> None:
    await know_earlier(world, device)
    for _ in range(2):
        await device.station.forget()
    assert await asyncio.to_thread(profiles) == []
    await asyncio.to_thread(until, lambda: not active_profile(), "the network is left")
    status = await device.station.status()
    assert (status.connected, status.ssid, status.saved) == (False, None, None)
    with pytest.raises(JoinError) as caught:
        await device.station.rejoin(10)
    assert caught.value.reason is Reason.NO_SAVED_NETWORK


@pytest.mark.duration(30)
async def test_networkmanager_may_end_during_a_join(world: World, device: Backends) -> None:
    with world.on_air(dhcp=False) as home:
        joining = asyncio.create_task(device.station.join(target(home), 60))
        await asyncio.to_thread(until, home.stations, "the device is associated")
        world.manager.kill()
        with pytest.raises(HalError) as caught:
            await joining
        assert caught.value.reason is Reason.JOIN_OTHER
        problem = await device.station.problem()
        assert problem is not None
        assert "does not run" in str(problem)
        await asyncio.to_thread(world.manager.start_again)
        await asyncio.to_thread(home.start_dhcp)
        await device.station.join(target(home), 60)


@pytest.mark.duration(40)
async def test_a_phone_joins_the_access_point_in_the_stations_place(world: World, device: Backends) -> None:
    earlier = await know_earlier(world, device)
    assert await device.access_point.problem() is None
    begun = time.monotonic()
    await device.access_point.start(SPEC, world.device, 2437)
    print(f"access point up after {time.monotonic() - begun:.1f} s")
    address = await asyncio.to_thread(world.phone.join, SPEC.ssid, "password99", frequencies=[2437])
    assert address.startswith("192.168.4.")
    world.phone.namespace.ping("192.168.4.1")
    await device.access_point.stop()
    await device.access_point.stop()
    await wait_back(earlier)
    await asyncio.to_thread(world.phone.leave)


@pytest.mark.duration(40)
async def test_station_and_access_point_run_together(world: World, device: Backends) -> None:
    with world.on_air() as home:
        interface = await device.radio.add_interface("ap")
        begun = time.monotonic()
        await device.access_point.start(attrs.evolve(SPEC, password=None), interface, home.frequency)
        print(f"access point up after {time.monotonic() - begun:.1f} s")
        await asyncio.to_thread(world.phone.join, SPEC.ssid, None, frequencies=[home.frequency])
        await device.station.join(target(home), 40)
        assert (await device.station.status()).connected
        world.phone.namespace.ping("192.168.4.1")
        await device.station.settle(keep=True)
        await device.access_point.stop()
        assert (await device.station.status()).connected
        assert len(await asyncio.to_thread(profiles)) == 1
        await device.radio.remove_interface(interface)
    await asyncio.to_thread(world.phone.leave)


@pytest.mark.duration(60)
async def test_the_station_makes_room_for_an_access_point_on_another_channel(
    world: World, device: Backends
) -> None:
    earlier = await know_earlier(world, device)
    interface = await device.radio.add_interface("ap")
    with world.on_air() as home:
        await device.access_point.start(SPEC, interface, home.frequency)
        await device.station.join(target(home), 40)
        await asyncio.to_thread(world.phone.join, SPEC.ssid, "password99", frequencies=[home.frequency])
        await device.station.settle(keep=False)
        await device.access_point.stop()
        await wait_back(earlier)
    await device.radio.remove_interface(interface)
    await asyncio.to_thread(world.phone.leave)


@pytest.mark.duration(20)
async def test_a_cancelled_start_leaves_nothing(world: World, device: Backends) -> None:
    earlier = await know_earlier(world, device)
    starting = asyncio.create_task(device.access_point.start(SPEC, world.device, 2437))
    await asyncio.to_thread(
        until, lambda: "type AP" in run(["iw", "dev", world.device, "info"]), "it is an AP"
    )
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    await wait_back(earlier)


KILLED = """
import asyncio, sys
from pathlib import Path
from qiot.hal.contract import SoftApSpec
from qiot.hal.linux.backends import Target
from qiot.hal.linux.networkmanager import NetworkManagerAccessPoint, NetworkManagerStation
from qiot.hal.linux.radio import Radio
from qiot.model import Secret, Security

async def main(what, state):
    radio = Radio("wlan0", Path(state))
    station, access_point = NetworkManagerStation(radio), NetworkManagerAccessPoint(radio)
    if what == "join":
        await station.join(Target(b"LAB-HOME", Secret("labpass1234"), Security.WPA2, frequency=2437), 60)
    else:
        await access_point.start(SoftApSpec(b"QIOT-KILLED", Secret("password99")), "wlan0", 2437)
    print("done", flush=True)
    await asyncio.Event().wait()

asyncio.run(main(*sys.argv[1:]))
"""


@contextmanager
def process(what: str, state: Path) -> Iterator[Daemon]:
    """A process that does something and then waits to be killed."""
    daemon = Daemon(f"killed-{what}", [sys.executable, "-c", KILLED, what, str(state)])
    daemon.start()
    try:
        yield daemon
    finally:
        daemon.kill()


@pytest.mark.duration(35)
@pytest.mark.parametrize("moment", ["during the join", "after the join"])
async def test_a_killed_join_is_undone(world: World, device: Backends, tmp_path: Path, moment: str) -> None:
    earlier = await know_earlier(world, device)
    await device.close()
    with world.on_air(dhcp=moment == "after the join") as home, process("join", tmp_path) as killed:
        await asyncio.to_thread(until, home.stations, "the device is associated", 60)
        if moment == "after the join":
            await asyncio.to_thread(until, lambda: "done" in killed.text(), "the join is done", 60)
        killed.kill()
        await device.radio.undo.recover()
        await wait_back(earlier)


@pytest.mark.duration(35)
@pytest.mark.parametrize("moment", ["at the start", "when it is up"])
async def test_a_killed_access_point_is_gone(
    world: World, device: Backends, tmp_path: Path, moment: str
) -> None:
    earlier = await know_earlier(world, device)
    await device.close()
    with process("access point", tmp_path) as killed:
        await asyncio.to_thread(
            until, lambda: "type AP" in run(["iw", "dev", world.device, "info"]), "it is an AP", 60
        )
        if moment == "when it is up":
            await asyncio.to_thread(until, lambda: "done" in killed.text(), "the access point is up", 60)
        killed.kill()
        await device.radio.undo.recover()
        await wait_back(earlier)
        assert "type managed" in run(["iw", "dev", world.device, "info"])
