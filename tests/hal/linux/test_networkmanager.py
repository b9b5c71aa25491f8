"""NetworkManager's station and access point, against its D-Bus interface on a bus of the test's own."""

from __future__ import annotations

import asyncio
import hashlib
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import attrs
import pytest
from dbus_fast import Variant

from qiot.errors import HalError, JoinError
from qiot.hal.contract import SoftApSpec
from qiot.hal.linux.backends import Target
from qiot.hal.linux.bus import Bus
from qiot.hal.linux.networkmanager import NetworkManagerAccessPoint, NetworkManagerStation, access_point
from qiot.hal.linux.networkmanager.names import DeviceState
from qiot.hal.linux.radio import Radio
from qiot.hal.linux.undo import UndoLog
from qiot.model import IpConfig, Reason, Secret, Security
from tests.hal.helpers import open_descriptors, until
from tests.hal.linux.fake_network_manager import FakeNetworkManager, PrivateBus, network_manager

pytestmark = pytest.mark.skipif(shutil.which("dbus-daemon") is None, reason="wants dbus-daemon")

HOME = Target(b"Home", Secret("a-long-password"), Security.WPA2, frequency=2437)
IP = IpConfig("192.168.77.42", 24, "192.168.77.1")
SPEC = SoftApSpec(b"\xc4\xe3\xba\xc3", Secret("password99"))


@attrs.define
class OneRadio:
    """As much of a radio as the backends use."""

    undo: UndoLog
    interface: str = "wlan0"


@attrs.define
class Device:
    """The backends as one process has them."""

    undo: UndoLog
    station: NetworkManagerStation
    access_point: NetworkManagerAccessPoint

    async def close(self) -> None:
        await self.access_point.stop()
        await self.station.close()
        await self.undo.close()


@asynccontextmanager
async def process(folder: Path) -> AsyncIterator[Device]:
    undo = UndoLog(folder / "undo.json")
    radio = cast(Radio, OneRadio(undo))
    device = Device(undo, NetworkManagerStation(radio), NetworkManagerAccessPoint(radio))
    try:
        yield device
    finally:
        await device.close()


@pytest.fixture
async def bus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[PrivateBus]:
    made = PrivateBus(tmp_path)
    monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", made.address)
    made.start()
    yield made
    made.stop()


@pytest.fixture
async def manager(bus: PrivateBus) -> AsyncIterator[FakeNetworkManager]:
    async with network_manager(bus.address) as made:
        yield made


@pytest.fixture
async def device(manager: FakeNetworkManager, tmp_path: Path) -> AsyncIterator[Device]:
    async with process(tmp_path) as made:
        yield made


def only(manager: FakeNetworkManager) -> dict[str, dict[str, Any]]:
    """The settings of the only profile."""
    (profile,) = manager.profiles.values()
    return profile.plain


def nothing_noted(folder: Path) -> bool:
    """True where there is nothing to undo any more."""
    return (folder / "undo.json").read_text() == "[]"


async def test_a_join_is_a_try_that_settling_stores(manager: FakeNetworkManager, device: Device) -> None:
    theirs = manager.add("theirs", b"Home", **{"autoconnect-priority": Variant("i", 7)})
    assert await device.station.join(HOME, 5) == IP
    assert manager.looked == [(b"Home", 2437)]
    tried = next(each for path, each in manager.profiles.items() if path != theirs)
    assert tried.plain["connection"]["autoconnect"] is False
    assert tried.plain["802-11-wireless"]["channel"] == 6
    assert tried.plain["ipv4"] == {"method": "auto", "may-fail": False, "dhcp-timeout": 20}
    status = await device.station.status()
    assert (status.connected, status.ssid, status.ip, status.saved) == (True, b"Home", IP, b"Home")

    await device.station.settle(keep=True)
    await device.station.settle(keep=True)
    assert tried.flags == 0
    assert tried.plain["connection"]["autoconnect"] is True
    assert tried.plain["connection"]["autoconnect-priority"] == 8
    assert tried.plain["802-11-wireless"] == {"ssid": b"Home", "mode": "infrastructure", "hidden": False}
    assert "dhcp-timeout" not in tried.plain["ipv4"]
    assert tried.plain["802-11-wireless-security"]["psk"] == "a-long-password"
    assert manager.profiles[theirs].plain["connection"]["id"] == "theirs"


async def test_what_was_settled_is_forgotten_and_theirs_stays(
    manager: FakeNetworkManager, device: Device
) -> None:
    theirs = manager.add("theirs", b"Theirs")
    await device.station.join(HOME, 5)
    await device.station.settle(keep=True)
    await device.station.join(attrs.evolve(HOME, ssid=b"Other"), 5)  # a try that was not settled goes, too
    await device.station.forget()
    assert list(manager.profiles) == [theirs]
    assert (await device.station.status()).saved == b"Theirs"
    await device.station.forget()
    assert list(manager.profiles) == [theirs]


async def test_an_older_profile_of_ours_is_replaced(manager: FakeNetworkManager, device: Device) -> None:
    for _ in range(3):
        await device.station.join(HOME, 5)
        await device.station.settle(keep=True)
    await device.station.join(attrs.evolve(HOME, ssid=b"Other"), 5)
    await device.station.settle(keep=True)
    found = [each.plain for each in manager.profiles.values()]
    assert [each["802-11-wireless"]["ssid"] for each in found] == [b"Home", b"Other"]
    assert [each["connection"]["autoconnect-priority"] for each in found] == [0, 1]
    assert (await device.station.status()).saved == b"Other"


@pytest.mark.parametrize("keep_trying", [False, True])
async def test_what_is_not_kept_gives_the_earlier_network_back(
    manager: FakeNetworkManager, device: Device, tmp_path: Path, keep_trying: bool
) -> None:
    manager.add("theirs", b"Theirs")
    manager.be_in("theirs")
    await device.station.join(HOME, 5)
    if keep_trying:
        await device.station.join(attrs.evolve(HOME, ssid=b"Other"), 5)
    await device.station.settle(keep=False)
    assert manager.active_uuid == "theirs"
    assert list(only(manager)) == ["connection", "802-11-wireless"]
    assert manager.looked[-1] == (b"Theirs", 2412)
    assert nothing_noted(tmp_path)


@pytest.mark.parametrize(
    ("course", "reason", "code"),
    [
        ("wrong password", Reason.WRONG_PASSWORD, 15),
        ("silent handshake", Reason.HANDSHAKE_TIMEOUT, 3),
        ("refused", Reason.ASSOCIATION_REFUSED, 17),
        ("no address", Reason.DHCP, 5),
        ("vanished", Reason.NO_SUCH_AP, 4),
        ("not there", Reason.NO_SUCH_AP, 7),
        ("user took over", Reason.JOIN_OTHER, 2),
    ],
)
async def test_failures_have_their_reasons(
    manager: FakeNetworkManager, device: Device, tmp_path: Path, course: str, reason: Reason, code: int
) -> None:
    manager.add("theirs", b"Theirs")
    manager.be_in("theirs")
    manager.air[b"Home"] = course
    with pytest.raises(JoinError) as caught:
        await device.station.join(HOME, 5)
    assert (caught.value.reason, caught.value.code) == (reason, code)
    assert "a-long-password" not in repr(caught.value)
    assert manager.active_uuid == "theirs"
    assert only(manager)["connection"]["id"] == "theirs"
    assert nothing_noted(tmp_path)


@pytest.mark.parametrize(
    ("course", "reason"),
    [("stuck", Reason.JOIN_TIMEOUT), ("stuck at address", Reason.DHCP)],
)
async def test_what_takes_too_long_is_told_by_how_far_it_got(
    manager: FakeNetworkManager, device: Device, course: str, reason: Reason
) -> None:
    manager.air[b"Home"] = course
    with pytest.raises(JoinError) as caught:
        await device.station.join(HOME, 0.5)
    assert caught.value.reason is reason
    assert not manager.profiles


@pytest.mark.parametrize("security", [Security.WPA3, Security.WPA2_WPA3])
async def test_a_wrong_sae_password_is_told_by_its_status(
    manager: FakeNetworkManager, device: Device, security: Security
) -> None:
    manager.air[b"Home"] = "wrong sae password"
    with pytest.raises(JoinError) as caught:
        await device.station.join(attrs.evolve(HOME, security=security), 5)
    assert (caught.value.reason, caught.value.code) == (Reason.WRONG_PASSWORD, 1)


async def test_a_router_that_steers_is_no_failure(manager: FakeNetworkManager, device: Device) -> None:
    manager.air[b"Home"] = "steered"
    assert await device.station.join(HOME, 5) == IP


async def test_a_scan_of_somebody_else_is_cut_short(manager: FakeNetworkManager, device: Device) -> None:
    manager.scan_busy = True
    await device.station.join(HOME, 5)
    assert manager.looked == [(b"Home", 2437)]


async def test_a_cancelled_join_leaves_nothing(
    manager: FakeNetworkManager, device: Device, tmp_path: Path
) -> None:
    manager.add("theirs", b"Theirs")
    manager.be_in("theirs")
    manager.air[b"Home"] = "stuck"
    joining = asyncio.create_task(device.station.join(HOME, 60))
    await until(lambda: len(manager.activated) == 1)
    joining.cancel()
    with pytest.raises(asyncio.CancelledError):
        await joining
    assert manager.active_uuid == "theirs"
    assert len(manager.profiles) == 1
    assert nothing_noted(tmp_path)


async def test_where_nothing_was_joined_nothing_is_joined_afterwards(
    manager: FakeNetworkManager, device: Device
) -> None:
    manager.add("theirs", b"Theirs")
    manager.autoconnect = False
    await device.station.join(HOME, 5)
    manager.autoconnect = True  # an activation lets NetworkManager join by itself again
    await device.station.settle(keep=False)
    assert manager.active == "/"
    assert manager.autoconnect is False


async def test_a_killed_try_is_undone_by_the_next_process(
    manager: FakeNetworkManager, bus: PrivateBus, tmp_path: Path
) -> None:
    manager.add("theirs", b"Theirs")
    manager.be_in("theirs")
    async with process(tmp_path / "a") as killed:
        await killed.station.join(HOME, 5)
        left = (tmp_path / "a" / "undo.json").read_bytes()
        assert b"a-long-password" not in left
        (tmp_path / "b").mkdir()
        (tmp_path / "b" / "undo.json").write_bytes(left)
        async with process(tmp_path / "b") as fresh:
            await fresh.undo.recover()
            assert manager.active_uuid == "theirs"
            assert len(manager.profiles) == 1
            activated = len(manager.activated)
            await fresh.undo.recover()
            assert len(manager.activated) == activated
            assert nothing_noted(tmp_path / "b")


async def test_a_user_who_has_moved_on_is_left_alone(manager: FakeNetworkManager, device: Device) -> None:
    manager.add("theirs", b"Theirs")
    manager.add("newer", b"Newer")
    manager.be_in("theirs")
    await device.station.join(HOME, 5)
    manager._end()
    manager.be_in("newer")
    await device.station.settle(keep=False)
    assert manager.active_uuid == "newer"


async def test_the_saved_network_is_joined_again(manager: FakeNetworkManager, device: Device) -> None:
    with pytest.raises(JoinError) as caught:
        await device.station.rejoin(5)
    assert caught.value.reason is Reason.NO_SAVED_NETWORK
    manager.add("plain", b"Plain", timestamp=Variant("t", 9))
    manager.add("by hand", b"By hand", autoconnect=Variant("b", False))
    manager.add("elsewhere", b"Elsewhere", **{"interface-name": Variant("s", "wlan1")})
    manager.add("first", b"Saved", **{"autoconnect-priority": Variant("i", 1)})
    assert await device.station.rejoin(5) == IP
    assert manager.activated == ["first"]
    assert manager.looked == [(b"Saved", 2412)]
    assert await device.station.rejoin(5) == IP
    assert manager.activated == ["first"]


async def test_a_join_of_networkmanagers_own_is_waited_for(
    manager: FakeNetworkManager, device: Device
) -> None:
    path = manager.add("saved", b"Saved")
    manager.air[b"Saved"] = "stuck"
    manager._begin(path)
    rejoining = asyncio.create_task(device.station.rejoin(5))
    await asyncio.sleep(0.1)
    manager.succeed()
    assert await rejoining == IP
    assert manager.activated == ["saved"]


@pytest.mark.parametrize(
    ("password", "security", "expected"),
    [
        (b"ab" * 32, Security.WPA2, {"key-mgmt": "wpa-psk", "psk": "ab" * 32}),
        (b"long enough", Security.WPA, {"key-mgmt": "wpa-psk", "psk": "long enough", "proto": ["wpa"]}),
        (b"short", Security.WPA3, {"key-mgmt": "sae", "psk": "short"}),
        (b"mixed password", Security.WPA2_WPA3, {"key-mgmt": "wpa-psk", "psk": "mixed password"}),
        (
            b"\xc4\xe3\xba\xc3\xc4\xe3\xba\xc3",
            Security.WPA2,
            {
                "key-mgmt": "wpa-psk",
                "psk": hashlib.pbkdf2_hmac("sha1", b"\xc4\xe3\xba\xc3" * 2, b"\xff", 4096, 32).hex(),
            },
        ),
    ],
)
async def test_passwords_are_given_as_the_network_takes_them(
    manager: FakeNetworkManager,
    device: Device,
    password: bytes,
    security: Security,
    expected: dict[str, object],
) -> None:
    bssid = bytes.fromhex("020000000900")
    target = Target(b"\xff", Secret(password), security, hidden=True, bssid=bssid, frequency=5180)
    await device.station.join(target, 5)
    profile = only(manager)
    assert profile["802-11-wireless-security"] == expected
    assert profile["802-11-wireless"] == {
        "ssid": b"\xff",
        "mode": "infrastructure",
        "hidden": True,
        "bssid": bssid,
        "band": "a",
        "channel": 36,
    }
    assert profile["connection"]["id"] == "qiot \\xff"


async def test_a_sae_password_that_is_no_text_is_refused(manager: FakeNetworkManager, device: Device) -> None:
    with pytest.raises(JoinError) as caught:
        await device.station.join(attrs.evolve(HOME, security=Security.WPA3, password=Secret(b"\xff" * 8)), 5)
    assert caught.value.reason is Reason.UNSUPPORTED_SECURITY
    assert not manager.activated


async def test_an_open_network_has_no_security_at_all(manager: FakeNetworkManager, device: Device) -> None:
    await device.station.join(Target(b"Cafe", Secret(""), Security.OPEN), 5)
    assert "802-11-wireless-security" not in only(manager)
    assert not manager.looked


async def test_why_it_cannot_be_used(bus: PrivateBus, tmp_path: Path) -> None:
    async with process(tmp_path) as device:
        problem = await device.station.problem()
        assert "does not run" in str(problem)
        with pytest.raises(JoinError) as caught:
            await device.station.join(HOME, 5)
        assert caught.value.reason is Reason.JOIN_OTHER
        async with network_manager(bus.address) as manager:
            assert await device.station.problem() is None
            manager.permissions = "auth"
            problem = await device.station.problem()
            assert problem is not None
            assert problem.reason is Reason.NO_PERMISSION
            manager.managed = False
            assert "does not manage wlan0" in str(await device.station.problem())


async def test_a_refused_verb_says_that_we_may_not(manager: FakeNetworkManager, device: Device) -> None:
    manager.refused_members["AddAndActivateConnection2"] = "org.freedesktop.NetworkManager.PermissionDenied"
    with pytest.raises(JoinError) as caught:
        await device.station.join(HOME, 5)
    assert caught.value.reason is Reason.NO_PERMISSION
    assert "root" in caught.value.hint


async def test_networkmanager_ends_during_a_join(bus: PrivateBus, tmp_path: Path) -> None:
    async with process(tmp_path) as device:
        async with network_manager(bus.address) as manager:
            manager.air[b"Home"] = "stuck"
            joining = asyncio.create_task(device.station.join(HOME, 60))
            await until(lambda: manager.activated)
        with pytest.raises(JoinError) as caught:
            await joining
        assert caught.value.reason is Reason.JOIN_OTHER
        async with network_manager(bus.address):
            assert await device.station.join(HOME, 5) == IP


async def test_the_bus_ends_during_a_join(bus: PrivateBus, tmp_path: Path) -> None:
    async with process(tmp_path) as device:
        async with network_manager(bus.address) as manager:
            manager.air[b"Home"] = "stuck"
            joining = asyncio.create_task(device.station.join(HOME, 60))
            await until(lambda: manager.activated)
            bus.stop()
            with pytest.raises(JoinError):
                await joining
        bus.start()
        async with network_manager(bus.address):
            assert await device.station.join(HOME, 5) == IP


async def test_nothing_stays_open(manager: FakeNetworkManager, tmp_path: Path) -> None:
    before = open_descriptors()
    async with process(tmp_path) as device:
        await device.station.join(HOME, 5)
    assert open_descriptors() == before
    assert manager.active == "/"
    assert not manager.profiles


async def test_a_call_that_is_not_answered_ends(bus: PrivateBus) -> None:
    async with network_manager(bus.address) as manager:
        client = Bus()
        manager._bus.add_message_handler(lambda message: True)
        manager._bus.remove_message_handler(manager.handle)
        with pytest.raises(HalError, match="not answered"):
            await client.call("org.freedesktop.NetworkManager", "/", "x.y", "Nothing", timeout=0.2)
        await client.close()
        await client.close()


@pytest.fixture
def dnsmasq(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the access point looks whether dnsmasq serves; it does."""
    sockets = tmp_path / "udp"
    sockets.write_text("  sl  local_address rem_address\n  12: 0104A8C0:0035 00000000:0000 07\n")
    monkeypatch.setattr(access_point, "_UDP_SOCKETS", sockets)
    monkeypatch.setattr(access_point, "_DNSMASQ_LIMIT", 0.2)
    return sockets


@pytest.mark.usefixtures("dnsmasq")
async def test_the_access_point_takes_the_stations_place(
    manager: FakeNetworkManager, device: Device, tmp_path: Path
) -> None:
    manager.add("theirs", b"Theirs")
    manager.be_in("theirs")
    await device.access_point.start(SPEC, "wlan0", 2437)
    profile = next(each.plain for each in manager.profiles.values() if each.flags)
    assert profile["802-11-wireless"] == {"ssid": SPEC.ssid, "mode": "ap", "band": "bg", "channel": 6}
    assert profile["ipv4"]["address-data"] == [{"address": "192.168.4.1", "prefix": 24}]
    assert profile["802-11-wireless-security"]["pairwise"] == ["ccmp"]
    assert manager.bound == [manager.active]
    with pytest.raises(HalError, match="up already"):
        await device.access_point.start(SPEC, "wlan0", 2437)
    await device.access_point.stop()
    await device.access_point.stop()
    assert manager.active_uuid == "theirs"
    assert len(manager.profiles) == 1
    assert nothing_noted(tmp_path)


async def test_an_access_point_without_dhcp_is_none(
    manager: FakeNetworkManager, device: Device, dnsmasq: Path
) -> None:
    manager.add("theirs", b"Theirs")
    manager.be_in("theirs")
    await asyncio.to_thread(dnsmasq.write_text, "  sl  local_address rem_address\n")
    with pytest.raises(HalError) as caught:
        await device.access_point.start(attrs.evolve(SPEC, password=None), "wlan0", 5180)
    assert "53" in caught.value.hint
    assert manager.active_uuid == "theirs"
    manager.air[SPEC.ssid] = "no dhcp server"
    with pytest.raises(HalError) as caught:
        await device.access_point.start(SPEC, "wlan0", 2437)
    assert caught.value.code == 18
    assert manager.active_uuid == "theirs"


@pytest.mark.usefixtures("dnsmasq")
async def test_a_cancelled_start_leaves_nothing(
    manager: FakeNetworkManager, device: Device, tmp_path: Path
) -> None:
    manager.air[SPEC.ssid] = "stuck"
    starting = asyncio.create_task(device.access_point.start(SPEC, "wlan0", 2437))
    await until(lambda: manager.activated)
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    assert manager.active == "/"
    assert not manager.profiles
    assert nothing_noted(tmp_path)


@pytest.mark.usefixtures("dnsmasq")
async def test_an_interface_that_is_not_ready_is_waited_for(
    manager: FakeNetworkManager, device: Device
) -> None:
    manager.state = DeviceState.UNAVAILABLE
    starting = asyncio.create_task(device.access_point.start(SPEC, "wlan0", 2437))
    await asyncio.sleep(0.1)
    assert not manager.activated
    manager.device_goes(DeviceState.DISCONNECTED)
    await starting
    assert manager.activated


async def test_no_dnsmasq_is_told(
    manager: FakeNetworkManager, device: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("qiot.hal.linux.programs._FOLDERS", ())
    monkeypatch.setenv("PATH", "/nowhere")
    problem = await device.access_point.problem()
    assert problem is not None
    assert "dnsmasq-base" in problem.hint
