"""The station by wpa_supplicant, on simulated radios, without NetworkManager."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import attrs
import pytest
from qiot.errors import JoinError
from qiot.hal.linux.backends import Target
from qiot.hal.linux.radio import Radio
from qiot.hal.linux.supplicant import SupplicantStation
from qiot.model import Reason, Secret, Security

from lab.support.bench import Bench
from lab.support.device import Supplicant
from lab.support.home_ap import HomeAp
from lab.support.home_ap import Security as Protection
from lab.support.programs import FailedError, run
from lab.support.radios import Radio as LabRadio
from lab.support.waiting import until

STATE = Path("/run/device-state")
UNDO = STATE / "undo-wlan0.json"
SECURITY = {
    "open": Security.OPEN,
    "wpa2": Security.WPA2,
    "wpa3": Security.WPA3,
    "wpa2+wpa3": Security.WPA2_WPA3,
}
EARLIER = b"LAB-EARLIER"


def target(home: HomeAp, password: str | None = None, *, locked: bool = True) -> Target:
    return Target(
        ssid=home.ssid,
        password=Secret(password or home.password or ""),
        security=SECURITY[home.security],
        hidden=home.hidden,
        bssid=bytes.fromhex(home.bssid.replace(":", "")) if locked else None,
        frequency=home.frequency,
    )


@attrs.define
class Device:
    """The device's station in this process."""

    radio: Radio
    station: SupplicantStation

    @classmethod
    async def start(cls) -> Device:
        radio = Radio("wlan0", STATE)
        station = SupplicantStation(radio)
        await radio.undo.recover()
        return cls(radio, station)

    async def close(self) -> None:
        await self.station.close()
        await self.radio.close()


@contextlib.asynccontextmanager
async def running() -> AsyncIterator[Device]:
    made = await Device.start()
    try:
        yield made
    finally:
        await made.close()


def lab_radios(bench: Bench, count: int) -> list[LabRadio]:
    for path in (STATE, Path("/run/qiot")):
        run(["rm", "-rf", str(path)])
    run(["pkill", "-f", "(udhcpc|wpa_supplicant).*/run/qiot/"], check=False)
    return bench.radios(count)


def known(supplicant: Supplicant, home: HomeAp) -> None:
    """Join a network as the user did before qiot came, with a second one that is known and not enabled."""
    command = supplicant.command
    number = command("add_network").split()[-1]
    command("set_network", number, "ssid", home.ssid.hex())
    command("set_network", number, "psk", f'"{home.password}"')
    command("enable_network", number)
    other = command("add_network").split()[-1]
    command("set_network", other, "ssid", b"ELSEWHERE".hex())
    command("set_network", other, "key_mgmt", "NONE")
    command("save_config")
    is_in(supplicant, home.ssid)
    run(["ip", "address", "add", "192.168.77.250/24", "dev", "wlan0"])


def status(supplicant: Supplicant) -> dict[str, str]:
    lines = supplicant.command("status").splitlines()
    return dict(line.split("=", 1) for line in lines if "=" in line)


def is_in(supplicant: Supplicant, ssid: bytes) -> None:
    def there() -> bool:
        now = status(supplicant)
        return now.get("wpa_state") == "COMPLETED" and now.get("ssid") == ssid.decode()

    until(there, f"the device is in {ssid!r}", 60)


def as_before(supplicant: Supplicant) -> None:
    """The earlier network is joined, with its address; nothing else is known or runs."""
    is_in(supplicant, EARLIER)
    lines = supplicant.command("list_networks").splitlines()[1:]
    assert [line.split("\t")[1] for line in lines] == [EARLIER.decode(), "ELSEWHERE"]
    assert "DISABLED" not in lines[0]
    assert "[DISABLED]" in lines[1]
    addresses = run(["ip", "-4", "-brief", "address", "show", "dev", "wlan0"])
    assert addresses.split()[2:] == ["192.168.77.250/24"]
    assert "udhcpc" not in run(["ps", "-eo", "args"])
    assert json.loads(UNDO.read_text()) == []


def ping(address: str = "192.168.77.1") -> None:
    run(["busybox", "ping", "-c", "1", "-W", "5", "-I", "wlan0", address])


@pytest.mark.smoke
@pytest.mark.duration(15)
async def test_joins_wpa2_and_keeps_it_over_a_restart(bench: Bench) -> None:
    device, first = lab_radios(bench, 2)
    home = bench.home_ap(first)
    supplicant = bench.supplicant(device)
    async with running() as made:
        assert await made.station.problem() is None
        began = time.monotonic()
        ip = await made.station.join(target(home), 20)
        print(f"joined within {time.monotonic() - began:.1f} s")
        assert ip.address.startswith("192.168.77.")
        assert (ip.prefix, ip.gateway) == (24, "192.168.77.1")
        ping()
        now = await made.station.status()
        assert (now.connected, now.ssid, now.ip, now.saved) == (True, home.ssid, ip, None)
        await made.station.settle(keep=True)
        assert (await made.station.status()).saved == home.ssid
    ping()  # it stays when the program ends
    assert "udhcpc" in run(["ps", "-eo", "args"])
    supplicant.stop()
    supplicant.start_again()
    async with running() as made:
        ip = await made.station.rejoin(30)
        assert ip.address.startswith("192.168.77.")
        assert (await made.station.status()).saved == home.ssid
        ping()
    text = supplicant.config.read_text()
    assert "bssid=" not in text
    assert "freq_list" not in text
    assert home.password is not None
    assert home.password not in text


@pytest.mark.parametrize(
    ("security", "hidden", "channel"),
    [
        ("wpa3", False, 11),
        ("wpa2+wpa3", False, 6),
        ("open", False, 1),
        ("wpa2", True, 6),
        ("wpa2", False, 36),
        ("wpa3", True, 40),
    ],
)
@pytest.mark.duration(20)
async def test_joins_beside_an_earlier_network(
    bench: Bench, security: Protection, hidden: bool, channel: int
) -> None:
    device, first, second = lab_radios(bench, 3)
    earlier = bench.home_ap(first, ssid=EARLIER, name="earlier")
    home = bench.home_ap(
        second,
        ssid='ZuHause "5" ☕'.encode(),
        security=security,
        hidden=hidden,
        channel=channel,
        password='a "quoted" \\ pass#word',
    )
    supplicant = bench.supplicant(device)
    known(supplicant, earlier)
    async with running() as made:
        began = time.monotonic()
        ip = await made.station.join(target(home), 20)
        print(f"{security} joined within {time.monotonic() - began:.1f} s")
        ping()
        now = await made.station.status()
        assert (now.connected, now.ssid, now.ip, now.saved) == (True, home.ssid, ip, EARLIER)
        assert home.joins(device.address) == 1 or security == "open"
        await made.station.settle(keep=False)
        await asyncio.to_thread(as_before, supplicant)


@pytest.mark.parametrize("security", ["wpa2", pytest.param("wpa3", marks=pytest.mark.smoke), "wpa2+wpa3"])
@pytest.mark.duration(35)
async def test_a_wrong_password_is_told_in_time_and_the_next_try_works(
    bench: Bench, security: Protection
) -> None:
    device, first, second = lab_radios(bench, 3)
    earlier = bench.home_ap(first, ssid=EARLIER, name="earlier")
    home = bench.home_ap(second, security=security, channel=11)
    supplicant = bench.supplicant(device)
    known(supplicant, earlier)
    async with running() as made:
        began = time.monotonic()
        with pytest.raises(JoinError) as caught:
            await made.station.join(target(home, "wrong-password"), 10)
        took = time.monotonic() - began
        print(f"{security}: {caught.value!r} {caught.value.code} within {took:.1f} s")
        assert caught.value.reason is Reason.WRONG_PASSWORD
        assert caught.value.code == (15 if security == "wpa2" else 1)
        assert took < 10
        await asyncio.to_thread(as_before, supplicant)
        await made.station.join(target(home), 20)
        ping()
        await made.station.settle(keep=True)
        assert json.loads(UNDO.read_text()) == []
    is_in(supplicant, home.ssid)
    supplicant.stop()
    supplicant.start_again()
    is_in(supplicant, home.ssid)


@pytest.mark.duration(30)
async def test_no_address_and_an_access_point_that_vanishes(bench: Bench) -> None:
    device, first, second = lab_radios(bench, 3)
    earlier = bench.home_ap(first, ssid=EARLIER, name="earlier")
    home = bench.home_ap(second, dhcp=False, channel=11)
    supplicant = bench.supplicant(device)
    known(supplicant, earlier)
    async with running() as made:
        with pytest.raises(JoinError) as caught:
            await made.station.join(target(home), 8)
        assert caught.value.reason is Reason.DHCP
        await asyncio.to_thread(as_before, supplicant)

        joining = asyncio.ensure_future(made.station.join(target(home), 40))
        await asyncio.to_thread(until, lambda: home.joins(device.address) == 2, "associated", 30)
        await asyncio.to_thread(home.vanish)
        began = time.monotonic()
        with pytest.raises(JoinError) as caught:
            await joining
        print(f"gone after {time.monotonic() - began:.1f} s: {caught.value}")
        assert caught.value.reason is Reason.NO_SUCH_AP
        await asyncio.to_thread(as_before, supplicant)

        with pytest.raises(JoinError) as caught:
            await made.station.join(target(home), 10)
        assert caught.value.reason is Reason.NO_SUCH_AP
        await asyncio.to_thread(as_before, supplicant)


@pytest.mark.duration(25)
async def test_a_cancellation_brings_the_earlier_network_back(bench: Bench) -> None:
    device, first, second = lab_radios(bench, 3)
    earlier = bench.home_ap(first, ssid=EARLIER, name="earlier")
    home = bench.home_ap(second, dhcp=False, channel=11)
    supplicant = bench.supplicant(device)
    known(supplicant, earlier)
    async with running() as made:
        for moment in (
            lambda: home.joins(device.address) > 0,
            lambda: home.ssid.decode() in supplicant.command("list_networks"),
        ):
            joining = asyncio.ensure_future(made.station.join(target(home), 40))
            await asyncio.to_thread(until, moment, "the join is under way", 30, 0.01)
            joining.cancel()
            with pytest.raises(asyncio.CancelledError):
                await joining
            await asyncio.to_thread(as_before, supplicant)


@pytest.mark.duration(20)
async def test_what_is_forgotten_is_left_for_what_the_user_knows(bench: Bench) -> None:
    device, first, second = lab_radios(bench, 3)
    earlier = bench.home_ap(first, ssid=EARLIER, name="earlier")
    home = bench.home_ap(second, channel=11)
    supplicant = bench.supplicant(device)
    known(supplicant, earlier)
    async with running() as made:
        await made.station.join(target(home), 20)
        await made.station.settle(keep=True)
        assert (await made.station.status()).saved == home.ssid
        for _ in range(2):
            await made.station.forget()
        await asyncio.to_thread(is_in, supplicant, EARLIER)
        lines = supplicant.command("list_networks").splitlines()[1:]
        assert [line.split("\t")[1] for line in lines] == [EARLIER.decode(), "ELSEWHERE"]
        assert (await made.station.status()).saved == EARLIER


@pytest.mark.duration(25)
async def test_a_restart_of_wpa_supplicant_is_noticed(bench: Bench) -> None:
    device, first, second = lab_radios(bench, 3)
    earlier = bench.home_ap(first, ssid=EARLIER, name="earlier")
    home = bench.home_ap(second, channel=11)
    supplicant = bench.supplicant(device)
    known(supplicant, earlier)
    home.stop_dhcp()
    async with running() as made:
        joining = asyncio.ensure_future(made.station.join(target(home), 40))
        await asyncio.to_thread(until, lambda: home.joins(device.address) == 1, "associated", 30)
        await asyncio.to_thread(supplicant.kill)
        with pytest.raises(JoinError) as caught:
            await joining
        assert "wpa_supplicant has ended" in str(caught.value)
        await asyncio.to_thread(supplicant.start_again)
        await asyncio.to_thread(is_in, supplicant, EARLIER)
        await asyncio.to_thread(home.start_dhcp)
        await made.station.join(target(home), 30)
        await asyncio.to_thread(supplicant.kill)
        await asyncio.to_thread(supplicant.start_again)
        await made.station.settle(keep=True)
        await asyncio.to_thread(is_in, supplicant, home.ssid)
        ping()


@pytest.mark.duration(30)
async def test_our_own_wpa_supplicant(bench: Bench) -> None:
    device, first, second = lab_radios(bench, 3)
    assert device.interface == "wlan0"
    home = bench.home_ap(first, security="wpa3")
    other = bench.home_ap(second, ssid=b"OTHER", channel=11, name="other")
    async with running() as made:
        with pytest.raises(JoinError) as caught:
            await made.station.rejoin(10)
        assert caught.value.reason is Reason.NO_SAVED_NETWORK
        await made.station.join(target(home), 20)
        ping()
    assert "/run/qiot" not in run(["ps", "-eo", "args"])  # never settled: nothing is left
    async with running() as made:
        await made.station.join(target(home), 20)
        await made.station.settle(keep=True)
    ping()
    assert json.loads(UNDO.read_text()) == []
    kept = STATE / "network-wlan0.json"
    assert kept.stat().st_mode & 0o777 == 0o600
    async with running() as made:
        now = await made.station.status()
        assert (now.connected, now.ssid, now.saved) == (True, home.ssid, home.ssid)
        with pytest.raises(JoinError) as caught:
            await made.station.join(target(other, "wrong-password"), 10)
        assert caught.value.reason is Reason.WRONG_PASSWORD
        await asyncio.to_thread(until, answers, "home is back", 30)
    run(["pkill", "-f", "/run/qiot/wlan0/"])  # as after a reboot
    run(["rm", "-rf", "/run/qiot"])
    run(["ip", "address", "flush", "dev", "wlan0"])
    async with running() as made:
        assert (await made.station.status()).saved == home.ssid
        await made.station.rejoin(30)
        ping()
    run(["pkill", "-f", "/run/qiot/wlan0/"])


def answers() -> bool:
    try:
        ping()
    except FailedError:
        return False
    return True


KILLED = """
import asyncio, sys
from pathlib import Path
from qiot.hal.linux.backends import Target
from qiot.hal.linux.radio import Radio
from qiot.hal.linux.supplicant import SupplicantStation
from qiot.model import Secret, Security

async def main():
    radio = Radio("wlan0", Path("/run/device-state"))
    station = SupplicantStation(radio)
    await radio.undo.recover()
    print("joining", flush=True)
    await station.join(Target(b"LAB-HOME", Secret("labpass1234"), Security.WPA2, frequency=2462), 60)
    print("joined", flush=True)
    await asyncio.sleep(600)

asyncio.run(main())
"""


def spawn_killed(output: Path) -> subprocess.Popen[bytes]:
    with output.open("w") as file:
        return subprocess.Popen([sys.executable, "-c", KILLED], stdout=file, stderr=file)


@pytest.mark.parametrize("point", ["noted", "selected", "associated", "joined"])
@pytest.mark.duration(25)
async def test_killed_and_recovered(bench: Bench, point: str) -> None:
    device, first, second = lab_radios(bench, 3)
    earlier = bench.home_ap(first, ssid=EARLIER, name="earlier")
    home = bench.home_ap(second, channel=11)
    supplicant = bench.supplicant(device)
    known(supplicant, earlier)
    output = Path("/run/killed")
    points: dict[str, Callable[[], object]] = {
        "noted": lambda: UNDO.exists() and "wpa_supplicant" in UNDO.read_text(),
        "selected": lambda: home.ssid.decode() in supplicant.command("list_networks"),
        "associated": lambda: home.joins(device.address),
        "joined": lambda: "joined" in output.read_text(),
    }
    process = spawn_killed(output)
    until(points[point], f"it is {point}", 60, every=0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    async with running():
        await asyncio.to_thread(as_before, supplicant)
