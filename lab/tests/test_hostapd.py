"""The access point by hostapd and dnsmasq, on simulated radios, without NetworkManager."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import attrs
import pytest
from qiot.errors import HalError
from qiot.hal.contract import SoftApSpec
from qiot.hal.linux.backends import Target
from qiot.hal.linux.hostapd import HostapdAccessPoint
from qiot.hal.linux.radio import Radio
from qiot.hal.linux.supplicant import SupplicantStation
from qiot.model import Reason, Secret, Security

from lab.support.bench import Bench
from lab.support.device import Supplicant
from lab.support.home_ap import HomeAp
from lab.support.phone import Phone
from lab.support.programs import run
from lab.support.waiting import until

STATE = Path("/run/device-state")
UNDO = STATE / "undo-wlan0.json"
SPEC = SoftApSpec("qcloud-ap ☕".encode(), Secret("12345678"))
FREQUENCIES = (2412, 2437, 2462, 5180)


@attrs.define
class Device:
    """The device's ports in this process."""

    radio: Radio
    station: SupplicantStation
    access_point: HostapdAccessPoint


@contextlib.asynccontextmanager
async def running() -> AsyncIterator[Device]:
    radio = Radio("wlan0", STATE)
    made = Device(radio, SupplicantStation(radio), HostapdAccessPoint(radio))
    try:
        await radio.undo.recover()
        yield made
    finally:
        await made.access_point.stop()
        await made.station.close()
        await radio.close()


def forget_the_past() -> None:
    run(["rm", "-rf", str(STATE), "/run/qiot"])
    run(["pkill", "-f", "(udhcpc|wpa_supplicant).*/run/qiot/"], check=False)


def network_of(supplicant: Supplicant) -> str:
    lines = supplicant.command("status").splitlines()
    status = dict(line.split("=", 1) for line in lines if "=" in line)
    return status.get("ssid", "") if status.get("wpa_state") == "COMPLETED" else ""


def joined(supplicant: Supplicant, home: HomeAp) -> None:
    number = supplicant.command("add_network").split()[-1]
    supplicant.command("set_network", number, "ssid", home.ssid.hex())
    supplicant.command("set_network", number, "psk", f'"{home.password}"')
    supplicant.command("enable_network", number)
    is_in(supplicant, home)


def is_in(supplicant: Supplicant, home: HomeAp) -> None:
    until(lambda: network_of(supplicant) == home.ssid.decode(), f"the device is in {home.ssid!r}", 60)


def nothing_is_left() -> None:
    shown = run(["iw", "dev"])
    assert "type AP" not in shown
    assert shown.count("Interface wlan0") == 1
    assert "/run/qiot" not in run(["ps", "-eo", "args"])
    assert "192.168.4.1" not in run(["ip", "-4", "address"])
    assert json.loads(UNDO.read_text()) == []


def phone_is_in(phone: Phone, spec: SoftApSpec = SPEC) -> None:
    password = spec.password.text() if spec.password is not None else None
    address = phone.join(spec.ssid, password, frequencies=FREQUENCIES)
    assert address.startswith("192.168.4.")
    phone.namespace.ping("192.168.4.1")


@pytest.mark.duration(25)
async def test_in_the_stations_place_a_phone_joins_and_the_station_comes_back(bench: Bench) -> None:
    device, first, second = bench.radios(3)
    forget_the_past()
    home, phone = bench.home_ap(first), bench.phone(second)
    supplicant = bench.supplicant(device)
    joined(supplicant, home)
    run(["ip", "address", "add", "192.168.77.250/24", "dev", "wlan0"])
    async with running() as made:
        assert await made.access_point.problem() is None
        began = time.monotonic()
        await made.access_point.start(SPEC, "wlan0", 2412)
        print(f"up within {time.monotonic() - began:.1f} s")
        await asyncio.to_thread(phone_is_in, phone)
        assert "192.168.77.250" not in run(["ip", "-4", "address", "show", "dev", "wlan0"])
        began = time.monotonic()
        await made.access_point.stop()
        await asyncio.to_thread(is_in, supplicant, home)
        print(f"the station is back within {time.monotonic() - began:.1f} s")
    nothing_is_left()
    assert "192.168.77.250/24" in run(["ip", "-4", "address", "show", "dev", "wlan0"])


@pytest.mark.duration(40)
async def test_beside_the_station_it_moves_to_where_the_network_is(bench: Bench) -> None:
    device, first, second, third = bench.radios(4)
    forget_the_past()
    home = bench.home_ap(first)
    phone = bench.phone(second)
    other = bench.home_ap(third, ssid=b"OTHER", channel=11, name="other")
    supplicant = bench.supplicant(device)
    joined(supplicant, home)
    async with running() as made:
        interface = await made.radio.add_interface("ap")
        await made.access_point.start(SPEC, interface, 2437)
        await asyncio.to_thread(phone_is_in, phone)
        assert network_of(supplicant) == home.ssid.decode()
        began = time.monotonic()
        await made.access_point.move(2462)
        print(f"moved within {time.monotonic() - began:.1f} s")
        target = Target(other.ssid, Secret("labpass1234"), Security.WPA2, frequency=2462)
        ip = await made.station.join(target, 20)
        assert ip.address.startswith("192.168.77.")
        assert await asyncio.to_thread(phone.joined)
        await asyncio.to_thread(phone.namespace.ping, "192.168.4.1")
        await made.station.settle(keep=False)
        await made.access_point.stop()
        await made.radio.remove_interface(interface)
        await asyncio.to_thread(is_in, supplicant, home)
    nothing_is_left()


@pytest.mark.duration(30)
async def test_open_on_5_ghz_and_channels_that_are_refused(bench: Bench) -> None:
    _, second = bench.radios(2)
    forget_the_past()
    phone = bench.phone(second)
    async with running() as made:
        for frequency in (5260, 2484):
            with pytest.raises(HalError) as caught:
                await made.access_point.start(SPEC, "wlan0", frequency)
            assert caught.value.reason is Reason.CONFIGURATION
        spec = SoftApSpec(b"open")
        await made.access_point.start(spec, "wlan0", 5180)
        await asyncio.to_thread(phone_is_in, phone, spec)
    nothing_is_left()


@pytest.mark.duration(30)
async def test_a_cancelled_start_and_one_on_another_channel_leave_nothing(bench: Bench) -> None:
    device, first = bench.radios(2)
    forget_the_past()
    home = bench.home_ap(first)
    supplicant = bench.supplicant(device)
    joined(supplicant, home)
    async with running() as made:
        starting = asyncio.ensure_future(made.access_point.start(SPEC, "wlan0", 2412))
        await asyncio.to_thread(
            until, lambda: "/run/qiot" in run(["ps", "-eo", "args"]), "hostapd runs", 30, 0.02
        )
        starting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await starting
        await asyncio.to_thread(is_in, supplicant, home)
        nothing_is_left()
        interface = await made.radio.add_interface("ap")
        with pytest.raises(HalError) as caught:
            await made.access_point.start(SPEC, interface, 2462)
        assert "another channel" in caught.value.hint
        assert network_of(supplicant) == home.ssid.decode()
    nothing_is_left()


KILLED = """
import asyncio, sys
from pathlib import Path
from qiot.hal.contract import SoftApSpec
from qiot.hal.linux.hostapd import HostapdAccessPoint
from qiot.hal.linux.radio import Radio
from qiot.model import Secret

async def main():
    radio = Radio("wlan0", Path("/run/device-state"))
    access_point = HostapdAccessPoint(radio)
    await radio.undo.recover()
    await access_point.start(SoftApSpec(b"killed", Secret("12345678")), "wlan0", 2412)
    print("up", flush=True)
    await asyncio.sleep(600)

asyncio.run(main())
"""


def spawn_killed(output: Path) -> subprocess.Popen[bytes]:
    with output.open("w") as file:
        return subprocess.Popen([sys.executable, "-c", KILLED], stdout=file, stderr=file)


@pytest.mark.parametrize("point", ["station-aside", "hostapd", "dnsmasq", "up", "up, hostapd too"])
@pytest.mark.duration(25)
async def test_killed_and_recovered(bench: Bench, point: str) -> None:
    device, first = bench.radios(2)
    forget_the_past()
    home = bench.home_ap(first)
    supplicant = bench.supplicant(device)
    joined(supplicant, home)
    output = Path("/run/killed")
    process = spawn_killed(output)

    def reached() -> bool:
        assert process.poll() is None, output.read_text()
        if point.startswith("up"):
            return "up" in output.read_text()
        return UNDO.exists() and point in UNDO.read_text()

    until(reached, f"it is at {point}", 60, every=0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    if point.endswith("too"):
        # As by the pipe that nobody reads any more; it leaves the interface in its mode.
        run(["pkill", "-KILL", "-f", "hostapd /run/qiot/"], check=False)
    async with running():
        await asyncio.to_thread(is_in, supplicant, home)
    nothing_is_left()
