"""The lab itself: what other lab tests rely on."""

from __future__ import annotations

import platform
from pathlib import Path

import pytest

from lab.support.bench import Bench
from lab.support.home_ap import Security
from lab.support.programs import run
from lab.support.waiting import until


@pytest.mark.smoke
@pytest.mark.duration(1)
def test_the_guest_runs_debians_kernel() -> None:
    assert Path("/out/booted").exists()
    assert "Debian" in platform.version()


@pytest.mark.smoke
@pytest.mark.duration(15)
def test_a_phone_joins_wpa2_and_reaches_the_access_point(bench: Bench) -> None:
    first, second = bench.radios(2)
    home = bench.home_ap(first, ssid=b"\xc4\xe3\xba\xc3", password="labpass1234")
    phone = bench.phone(second)
    address = phone.join(home.ssid, "labpass1234", frequencies=[home.frequency])
    assert address.startswith("192.168.77.")
    phone.namespace.ping(home.address)
    assert home.stations() == [phone.radio.address]
    assert home.joins(phone.radio.address) == 1
    assert phone.status()["key_mgmt"] == "WPA2-PSK"


@pytest.mark.parametrize("security", ["open", "wpa3", "wpa2+wpa3"])
def test_a_phone_joins_other_kinds_of_networks(bench: Bench, security: Security) -> None:
    first, second = bench.radios(2)
    home = bench.home_ap(first, security=security)
    phone = bench.phone(second)
    phone.join(home.ssid, home.password, frequencies=[home.frequency])
    phone.namespace.ping(home.address)
    expected = {"open": "NONE", "wpa3": "SAE", "wpa2+wpa3": "SAE"}
    assert phone.status()["key_mgmt"] == expected[security]


def test_a_hidden_network_is_joined_by_asking_for_it(bench: Bench) -> None:
    first, second = bench.radios(2)
    home = bench.home_ap(first, hidden=True)
    phone = bench.phone(second)
    phone.join(home.ssid, home.password, hidden=True, frequencies=[home.frequency])
    phone.namespace.ping(home.address)


def test_a_network_on_five_gigahertz(bench: Bench) -> None:
    first, second = bench.radios(2)
    home = bench.home_ap(first, channel=36)
    phone = bench.phone(second)
    phone.join(home.ssid, home.password, frequencies=[home.frequency])
    assert phone.status()["freq"] == "5180"
    phone.namespace.ping(home.address)


def test_bluetooth_and_usb_modules_load() -> None:
    run(["modprobe", "hci_vhci"])
    run(["modprobe", "dummy_hcd"])
    assert Path("/dev/vhci").exists()
    assert list(Path("/sys/class/udc").iterdir())


@pytest.mark.duration(40)
def test_network_manager_joins_a_network_and_the_cloud_is_behind_it(bench: Bench) -> None:
    device, second = bench.radios(2)
    home = bench.home_ap(second)
    cloud = bench.cloud(home)
    manager = bench.network_manager()
    manager.wait_for(device.interface)
    until(
        lambda: "LAB-HOME" in run(["nmcli", "-t", "-f", "SSID", "device", "wifi", "list"]),
        "the network is seen",
    )
    command = ["nmcli", "device", "wifi", "connect", "LAB-HOME", "password", "labpass1234"]
    run([*command, "ifname", device.interface])
    assert manager.state(device.interface) == "connected"
    assert home.stations() == [device.address]
    assert "tcp" in cloud.mqtt_url or "mqtt" in cloud.mqtt_url


def test_a_plain_supplicant_answers_on_its_control_interface(bench: Bench) -> None:
    (device,) = bench.radios(1)
    supplicant = bench.supplicant(device)
    assert "wpa_state=" in supplicant.command("status")
