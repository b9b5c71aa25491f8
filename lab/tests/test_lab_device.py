"""The device's own daemons, as the lab starts them, and the cloud behind the access point."""

from __future__ import annotations

import urllib.error
import urllib.request

import pytest

from lab.support.bench import Bench
from lab.support.programs import run
from lab.support.traces import traces
from lab.support.waiting import until


def networks() -> list[str]:
    return run(["nmcli", "-t", "-f", "SSID", "device", "wifi", "list"]).splitlines()


def connect(interface: str) -> None:
    words = ["nmcli", "device", "wifi", "connect", "LAB-HOME", "password", "labpass1234", "ifname", interface]
    until(lambda: "LAB-HOME" in networks(), "the network is seen")
    run(words, seconds=90)


@pytest.mark.duration(20)
def test_network_manager_joins_a_network(bench: Bench) -> None:
    device, second = bench.radios(2)
    home = bench.home_ap(second)
    manager = bench.network_manager()
    manager.wait_for(device.interface)
    connect(device.interface)
    assert manager.state(device.interface) == "connected"
    assert home.stations() == [device.address]


@pytest.mark.duration(20)
def test_network_manager_leaves_nothing_behind() -> None:
    before = traces()
    with Bench() as bench:
        device, second = bench.radios(2)
        bench.home_ap(second)
        bench.network_manager().wait_for(device.interface)
        assert traces() != before
    until(lambda: traces() == before, "what the bus started has ended, too")


@pytest.mark.duration(60)
def test_network_manager_remembers_when_it_is_killed_and_forgets_when_it_starts_anew(bench: Bench) -> None:
    device, second = bench.radios(2)
    bench.home_ap(second)
    manager = bench.network_manager()
    manager.wait_for(device.interface)
    connect(device.interface)
    manager.kill()
    manager.start_again()
    manager.wait_for(device.interface, "connected")
    manager.stop()
    manager.start()
    manager.wait_for(device.interface, "disconnected")


@pytest.mark.duration(25)
def test_network_manager_joins_wpa3(bench: Bench) -> None:
    device, second = bench.radios(2)
    home = bench.home_ap(second, security="wpa3")
    manager = bench.network_manager()
    manager.wait_for(device.interface)
    connect(device.interface)
    assert home.stations() == [device.address]


@pytest.mark.duration(25)
def test_network_manager_joins_a_hidden_network(bench: Bench) -> None:
    device, second = bench.radios(2)
    home = bench.home_ap(second, hidden=True)
    manager = bench.network_manager()
    manager.wait_for(device.interface)
    words = ["nmcli", "connection", "add", "type", "wifi", "con-name", "home", "ifname", device.interface]
    words += ["ssid", "LAB-HOME", "wifi.hidden", "yes", "connection.autoconnect", "no"]
    run([*words, "wifi-sec.key-mgmt", "wpa-psk", "wifi-sec.psk", "labpass1234"])
    run(["nmcli", "--wait", "60", "connection", "up", "home"], seconds=90)
    assert manager.state(device.interface) == "connected"
    assert home.stations() == [device.address]


@pytest.mark.duration(15)
def test_the_device_reaches_the_cloud_through_a_plain_supplicant(bench: Bench) -> None:
    device, second = bench.radios(2)
    home = bench.home_ap(second)
    cloud = bench.cloud(home)
    supplicant = bench.supplicant(
        device, f'network={{\nssid="LAB-HOME"\npsk="labpass1234"\nscan_freq={home.frequency}\n}}\n'
    )
    until(lambda: "wpa_state=COMPLETED" in supplicant.command("status"), "the device is in")
    run(["ip", "address", "add", "192.168.77.5/24", "dev", device.interface])
    with pytest.raises(urllib.error.HTTPError) as refusal:
        urllib.request.urlopen(f"{cloud.http_url}/nothing", timeout=20)
    refusal.value.close()
    assert refusal.value.code == 404
    assert cloud.mqtt_url.startswith("mqtt://192.168.77.1:")
