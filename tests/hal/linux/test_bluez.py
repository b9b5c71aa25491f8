"""The GATT server on BlueZ, against its interface on a bus of the test's own; real BlueZ is in the lab."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import socket
import struct
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import attrs
import pytest
from dbus_fast import Message, MessageType, Variant
from dbus_fast.aio import MessageBus

from qiot.errors import HalError, MediumError, NotSupportedError
from qiot.hal.contract import Gatt, GattProfile, Role, Written
from qiot.hal.linux import LinuxPlatform
from qiot.hal.linux.bluez import BluezGatt
from qiot.hal.linux.bluez.advertisement import properties_of
from qiot.hal.linux.bluez.management import Management
from qiot.hal.registry import parse_spec
from qiot.protocols.base import Connected, Lost, Mtu, Subscribed
from tests.hal.linux.fake_bluez import ADAPTER, FakeBluez
from tests.hal.linux.fake_network_manager import PrivateBus

pytestmark = pytest.mark.skipif(shutil.which("dbus-daemon") is None, reason="wants dbus-daemon")

PATIENCE = 20.0
PROFILE = GattProfile(
    "ffff",
    {"ff01": frozenset({"write"}), "ff02": frozenset({"read", "notify"})},
    bytes.fromhex("0201060303ffff"),
    bytes.fromhex("0309") + b"RY",
)
THING = attrs.evolve(PROFILE, scan_response=bytes.fromhex("03095259") + bytes.fromhex("05ff0000d104"))


@pytest.fixture
async def bus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[PrivateBus]:
    made = PrivateBus(tmp_path)
    monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", made.address)
    made.start()
    yield made
    made.stop()


@pytest.fixture
async def bluez(bus: PrivateBus, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[FakeBluez]:
    def refused(self: Management) -> None:
        raise MediumError("may not")

    monkeypatch.setattr(Management, "open", refused)
    connection = await MessageBus(bus_address=bus.address, negotiate_unix_fd=True).connect()
    await connection.request_name("org.bluez")
    yield FakeBluez(connection)
    connection.disconnect()
    with contextlib.suppress(EOFError, OSError):  # a test may have ended the bus
        await connection.wait_for_disconnect()


@pytest.fixture
async def gatt(bluez: FakeBluez, tmp_path: Path) -> AsyncIterator[BluezGatt]:
    made = BluezGatt(tmp_path)
    yield made
    await made.close()


async def events(gatt: BluezGatt, count: int) -> list[Any]:
    """The next events, without their peers."""
    found: list[Any] = []
    async with asyncio.timeout(PATIENCE):
        while len(found) < count:
            found += await gatt.read()
    return found


async def test_a_central_writes_and_is_notified(bluez: FakeBluez, gatt: BluezGatt) -> None:
    await gatt.start([PROFILE])
    assert await gatt.address() == "00:AA:01:02:03:04"
    central = await bluez.central(1)
    assert (await central.write("ff01", b"before it is seen")).message_type is MessageType.METHOD_RETURN
    with await central.subscribe("ff02") as notified:
        found = await events(gatt, 4)
        peer = found[0][0]
        assert peer.address == "00:00:5E:00:53:01"
        assert [event for _, event in found] == [
            Connected(),
            Mtu(185),
            Written("ff01", b"before it is seen"),
            Subscribed("ff02"),
        ]
        for data in (b"first", bytes(182)):
            await gatt.notify("ff02", data, peer)
            assert await asyncio.get_running_loop().sock_recv(notified, 512) == data
        assert await central.read("ff02") == bytes(182)
    (_, event), *_ = await events(gatt, 1)
    assert event == Subscribed("ff02", on=False)
    await bluez.gone(central.path)
    assert [event for _, event in await events(gatt, 1)] == [Lost()]
    with pytest.raises(HalError, match="not connected"):
        await gatt.notify("ff02", b"x", peer)


async def test_the_advertisement_and_the_switches_are_put_back(
    bluez: FakeBluez, gatt: BluezGatt, tmp_path: Path
) -> None:
    await gatt.start([PROFILE])
    assert bluez.advertisement == {
        "Type": "peripheral",
        "LocalName": "RY",
        "ServiceUUIDs": ["0000ffff-0000-1000-8000-00805f9b34fb"],
    }
    assert bluez.history == [("Powered", True), ("Pairable", False)]
    await gatt.stop()
    assert bluez.advertisement is None
    assert not bluez.application
    assert bluez.history[2:] == [("Pairable", True), ("Powered", False)]
    assert (tmp_path / "undo-bluetooth.json").read_text() == "[]"


async def test_a_killed_process_is_undone(bluez: FakeBluez, tmp_path: Path) -> None:
    killed = BluezGatt(tmp_path)
    await killed.start([PROFILE])
    left = (tmp_path / "undo-bluetooth.json").read_bytes()
    await killed.close()
    bluez.adapter |= {"Powered": Variant("b", True), "Pairable": Variant("b", False)}
    (tmp_path / "undo-bluetooth.json").write_bytes(left)
    next_one = BluezGatt(tmp_path)
    await next_one.recover()
    await next_one.close()
    assert (bluez.adapter["Powered"].value, bluez.adapter["Pairable"].value) == (False, True)


async def test_only_one_central_is_served_at_a_time(bluez: FakeBluez, gatt: BluezGatt) -> None:
    await gatt.start([PROFILE])
    first, second = await bluez.central(1), await bluez.central(2)
    await first.write("ff01", b"mine")
    refused = await second.write("ff01", b"mine, too")
    assert refused.error_name == "org.bluez.Error.NotPermitted"
    found = await events(gatt, 5)
    assert [data for _, event in found if isinstance(event, Written) for data in [event.data]] == [b"mine"]
    assert [peer.address for peer, event in found if isinstance(event, Lost)] == ["00:00:5E:00:53:02"]
    await bluez.gone(first.path)
    again = await bluez.central(2)
    assert (await again.write("ff01", b"now")).message_type is MessageType.METHOD_RETURN


async def test_a_central_is_sent_away_by_disconnect_and_by_stop(bluez: FakeBluez, gatt: BluezGatt) -> None:
    await gatt.start([PROFILE])
    await bluez.central(1)
    (peer, _), *_ = await events(gatt, 1)
    await gatt.disconnect(peer)
    assert [event for _, event in await events(gatt, 1)] == [Lost()]
    await bluez.central(1)
    await events(gatt, 1)
    await gatt.stop()
    assert not bluez.devices


async def test_values_in_parts_are_refused_and_long_writes_are_not(bluez: FakeBluez, gatt: BluezGatt) -> None:
    await gatt.start([PROFILE])
    central = await bluez.central(1)
    prepare = {"prepare-authorize": Variant("b", True)}
    assert (await central.write("ff01", b"", **prepare)).message_type is MessageType.METHOD_RETURN
    part = await central.write("ff01", b"x", offset=Variant("q", 20))
    assert part.error_name == "org.bluez.Error.InvalidOffset"
    await central.write("ff01", bytes(400))
    found = [event for _, event in await events(gatt, 3)]
    assert [event.data for event in found if isinstance(event, Written)] == [bytes(400)]


async def test_a_stranger_on_the_bus_is_not_served(
    bluez: FakeBluez, bus: PrivateBus, gatt: BluezGatt
) -> None:
    await gatt.start([PROFILE])
    path = next(iter(bluez.application))
    stranger = await MessageBus(bus_address=bus.address).connect()
    reply = await stranger.call(
        Message(
            destination=bluez.client,
            path=path,
            interface="org.freedesktop.DBus.Properties",
            member="GetAll",
            signature="s",
            body=["org.bluez.GattService1"],
        )
    )
    stranger.disconnect()
    await stranger.wait_for_disconnect()
    assert reply is not None
    assert reply.error_name == "org.freedesktop.DBus.Error.AccessDenied"


@pytest.mark.parametrize("refuse", ["RegisterApplication", "RegisterAdvertisement", "Set"])
async def test_a_failed_start_leaves_nothing(
    bluez: FakeBluez, gatt: BluezGatt, tmp_path: Path, refuse: str
) -> None:
    bluez.refuse = refuse
    with pytest.raises(HalError):
        await gatt.start([PROFILE])
    bluez.refuse = ""
    assert bluez.advertisement is None
    assert not bluez.application
    assert (bluez.adapter["Powered"].value, bluez.adapter["Pairable"].value) == (False, True)
    await gatt.start([PROFILE])


async def test_a_scan_response_that_bluez_cannot_send(bluez: FakeBluez, gatt: BluezGatt) -> None:
    with pytest.raises(NotSupportedError, match="cannot be had on this BlueZ") as caught:
        await gatt.start([THING])
    assert "root" in caught.value.hint
    assert bluez.advertisement is None


async def test_the_end_of_the_bus_ends_the_reading(
    bluez: FakeBluez, bus: PrivateBus, gatt: BluezGatt
) -> None:
    await gatt.start([PROFILE])
    reading = asyncio.ensure_future(gatt.read())
    await asyncio.sleep(0)
    bus.stop()
    with pytest.raises(HalError):
        await asyncio.wait_for(reading, PATIENCE)


# --- what is there ----------------------------------------------------------------------------------------


async def test_the_platform_claims_it_where_it_is(bluez: FakeBluez, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr("qiot.hal.linux.platform._first_wireless", lambda: "")
    platform = LinuxPlatform(parse_spec(f"linux,state={tmp_path}"))
    assert (await platform.capabilities()).roles == {Role.BLE}
    assert isinstance(platform.port(Gatt), BluezGatt)
    await platform.close()
    bluez.has_adapter = False
    platform = LinuxPlatform(parse_spec(f"linux,state={tmp_path},bt=hci7"))
    assert not (await platform.capabilities()).roles
    with pytest.raises(NotSupportedError, match="no adapter hci7") as caught:
        platform.port(Gatt)
    assert "dongle" in caught.value.hint
    await platform.close()
    bluez.has_adapter = True
    bluez.adapter["Roles"] = Variant("as", ["central"])
    platform = LinuxPlatform(parse_spec(f"linux,state={tmp_path}"))
    assert not (await platform.capabilities()).roles
    with pytest.raises(NotSupportedError, match="cannot be a peripheral"):
        platform.port(Gatt)
    await platform.close()
    platform = LinuxPlatform(parse_spec(f"linux,state={tmp_path},bt=no"))
    with pytest.raises(NotSupportedError, match="bt=no"):
        platform.port(Gatt)
    await platform.close()


async def test_without_bluez(bus: PrivateBus, tmp_path: Path) -> None:
    gatt = BluezGatt(tmp_path)
    problem = await gatt.problem()
    assert problem is not None
    assert "systemctl start bluetooth" in problem.hint
    assert "bumble:usb:0" in problem.hint
    with pytest.raises(NotSupportedError):
        await gatt.start([PROFILE])
    assert await gatt.address() == ""
    await gatt.close()


# --- advertisements ---------------------------------------------------------------------------------------


def test_an_advertisement_as_properties() -> None:
    advertising = bytes.fromhex("0201060303f0ff06ffe7fe0201020516a1010061020a04")
    found = properties_of(attrs.evolve(PROFILE, advertising=advertising, scan_response=b""))
    assert found["ServiceUUIDs"].value == ["0000fff0-0000-1000-8000-00805f9b34fb"]
    assert {key: each.value for key, each in found["ManufacturerData"].value.items()} == {
        0xFEE7: b"\x02\x01\x02"
    }
    (uuid, data), *_ = found["ServiceData"].value.items()
    assert (uuid[4:8], data.value) == ("01a1", b"\x00\x61")
    assert found["Includes"].value == ["tx-power"]
    with pytest.raises(NotSupportedError, match="type 0x19"):
        properties_of(attrs.evolve(PROFILE, advertising=bytes.fromhex("0319c103")))


class Kernel:
    """The kernel's end of a management socket."""

    def __init__(self, *, old: bool = False) -> None:
        self.theirs, self.socket = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        for each in (self.theirs, self.socket):
            each.setblocking(False)
        self.old = old
        self.asked: list[tuple[int, bytes]] = []

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        while packet := await loop.sock_recv(self.socket, 512):
            command, index, length = struct.unpack_from("<HHH", packet)
            self.asked.append((command, packet[6 : 6 + length]))
            status, answer = 0, b""
            if command == 0x003D:
                answer = struct.pack("<IBBBB", 0xFF, 31, 31, 5, 2) + b"\x01\x05"
            if command == 0x0054 and self.old:
                status = 1
            noise = struct.pack("<HHH", 0x0006, index, 4) + bytes(4)
            event = 0x0002 if status else 0x0001
            body = struct.pack("<HB", command, status) + answer
            await loop.sock_sendall(self.socket, noise)
            await loop.sock_sendall(self.socket, struct.pack("<HHH", event, index, len(body)) + body)


@pytest.mark.parametrize("old", [False, True])
async def test_the_kernel_gets_every_octet(monkeypatch: pytest.MonkeyPatch, old: bool) -> None:
    kernel = Kernel(old=old)
    management = Management(3)
    monkeypatch.setattr(management, "_socket", kernel.theirs)
    answering = asyncio.ensure_future(kernel.run())
    assert await management.free_instance() == 4
    await management.advertise(4, THING.advertising, THING.scan_response)
    await management.remove(4)
    answering.cancel()
    await asyncio.gather(answering, return_exceptions=True)
    management.close()
    kernel.socket.close()
    commands = [command for command, _ in kernel.asked]
    lengths = bytes((len(THING.advertising), len(THING.scan_response)))
    octets = lengths + THING.advertising + THING.scan_response
    if old:
        assert commands == [0x003D, 0x0054, 0x003E, 0x003F]
        assert kernel.asked[2][1] == struct.pack("<BIHH", 4, 1, 0, 0) + octets
    else:
        assert commands == [0x003D, 0x0054, 0x0055, 0x003F]
        assert kernel.asked[1][1][:5] == struct.pack("<BI", 4, 1 | 1 << 14)
        assert len(kernel.asked[1][1]) == 18
        assert kernel.asked[2][1] == b"\x04" + octets
    assert kernel.asked[-1][1] == b"\x04"


async def test_the_kernel_without_bluetooth_or_rights_says_so() -> None:
    management = Management(0)
    try:
        with contextlib.suppress(MediumError):
            management.open()
            pytest.skip("this kernel has Bluetooth, and we may")
        with pytest.raises(MediumError) as caught:
            management.open()
        assert caught.value.hint
    finally:
        management.close()


async def test_profiles_are_checked_before_anything_is_touched(bluez: FakeBluez, gatt: BluezGatt) -> None:
    for profiles in ([], [PROFILE, PROFILE], [attrs.evolve(PROFILE, advertising=bytes(32))]):
        with pytest.raises(HalError):
            await gatt.start(profiles)
    assert not bluez.history
    assert ADAPTER.endswith("hci0")
