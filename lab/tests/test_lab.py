"""The lab itself: what other lab tests rely on."""

from __future__ import annotations

import platform
import subprocess
from pathlib import Path

import pytest

from lab.support.bench import Bench
from lab.support.home_ap import HomeAp, Security
from lab.support.phone import JoinFailedError, Phone
from lab.support.programs import FailedError
from lab.support.radios import Radio
from lab.support.traces import traces
from lab.support.waiting import until


@pytest.mark.duration(1)
def test_the_guest_runs_debians_kernel() -> None:
    assert Path("/out/booted").exists()
    assert "Debian" in platform.version()


@pytest.mark.duration(12)
def test_a_phone_joins_wpa2_and_reaches_the_access_point(bench: Bench) -> None:
    first, second = bench.radios(2)
    home = bench.home_ap(first, ssid=b"\xc4\xe3\xba\xc3", password="labpass1234")
    phone = bench.phone(second)
    address = phone.join(home.ssid, "labpass1234", frequencies=[home.frequency])
    assert address.startswith("192.168.77.")
    assert phone.ip_address() == address
    phone.namespace.ping(home.address)
    assert home.stations() == [phone.radio.address]
    assert home.joins(phone.radio.address) == 1
    assert phone.status()["key_mgmt"] == "WPA2-PSK"


@pytest.mark.parametrize("security", ["open", "wpa3", "wpa2+wpa3"])
@pytest.mark.duration(6)
def test_a_phone_joins_other_kinds_of_networks(bench: Bench, security: Security) -> None:
    first, second = bench.radios(2)
    home = bench.home_ap(first, security=security)
    phone = bench.phone(second)
    phone.join(home.ssid, home.password, frequencies=[home.frequency])
    phone.namespace.ping(home.address)
    expected = {"open": "NONE", "wpa3": "SAE", "wpa2+wpa3": "SAE"}
    assert phone.status()["key_mgmt"] == expected[security]


@pytest.mark.duration(25)
def test_a_hidden_network_is_joined_only_by_asking_for_it(bench: Bench) -> None:
    first, second = bench.radios(2)
    home = bench.home_ap(first, hidden=True)
    phone = bench.phone(second)
    with pytest.raises(JoinFailedError):
        phone.join(home.ssid, home.password, frequencies=[home.frequency], seconds=8)
    phone.join(home.ssid, home.password, hidden=True, frequencies=[home.frequency])
    phone.namespace.ping(home.address)


@pytest.mark.duration(6)
def test_a_network_on_five_gigahertz(bench: Bench) -> None:
    first, second = bench.radios(2)
    home = bench.home_ap(first, channel=36)
    phone = bench.phone(second)
    phone.join(home.ssid, home.password, frequencies=[home.frequency])
    assert phone.status()["freq"] == "5180"
    phone.namespace.ping(home.address)


@pytest.mark.duration(6)
def test_radios_on_different_channels_do_not_hear_each_other(bench: Bench) -> None:
    first, second = bench.radios(2)
    home = bench.home_ap(first, channel=6)
    second.up()
    for channel, seen in ((2412, False), (home.frequency, True), (2462, False)):
        found = second.run("iw", "dev", second.interface, "scan", "freq", str(channel), "flush")
        assert (home.bssid in found) is seen, channel


@pytest.mark.duration(20)
def test_a_wrong_password_is_counted_and_does_not_get_in(bench: Bench) -> None:
    first, second = bench.radios(2)
    home = bench.home_ap(first)
    phone = bench.phone(second)
    with pytest.raises(JoinFailedError, match="WRONG_KEY"):
        phone.join(home.ssid, "not the password", frequencies=[home.frequency], seconds=12)
    assert home.joins() == 0
    assert home.wrong_passwords(phone.radio.address) >= 1


@pytest.mark.duration(25)
def test_an_access_point_without_dhcp_and_one_that_vanishes(bench: Bench) -> None:
    first, second = bench.radios(2)
    home = bench.home_ap(first, dhcp=False)
    phone = bench.phone(second)
    with pytest.raises(JoinFailedError, match="no address"):
        phone.join(home.ssid, home.password, frequencies=[home.frequency])
    assert phone.joined()
    home.start_dhcp()
    assert phone.ask_address().startswith("192.168.77.")
    home.vanish()
    phone.wait_until_out()
    home.start()
    until(phone.joined, "the phone is back")
    assert home.joins() == 2


@pytest.mark.parametrize(("channel", "fits"), [(6, True), (1, False)])
@pytest.mark.duration(15)
def test_one_radio_is_access_point_and_station_on_one_channel_only(
    bench: Bench, channel: int, fits: bool
) -> None:
    device, second, third = bench.radios(3)
    home = bench.home_ap(second, channel=6)
    place = bench.namespace("device")
    device.move(place)
    device.run("iw", "dev", device.interface, "interface", "add", "ap0", "type", "__ap")
    station = Phone(device, place)
    bench.stack.callback(station.leave)
    own = HomeAp(Radio(device.phy, "ap0", "", place), place, ssid=b"DEVICE", channel=channel, dhcp=False)
    bench.stack.callback(own.stop)
    station.join(home.ssid, home.password, frequencies=[home.frequency])
    if not fits:
        with pytest.raises(FailedError, match="Failed to set beacon parameters"):
            own.start()
        return
    own.start()
    phone = bench.phone(third)
    phone.join(own.ssid, own.password, frequencies=[own.frequency], address=False)
    assert len(own.stations()) == 1
    assert station.joined()
    place.ping(home.address)


@pytest.mark.duration(12)
def test_a_bench_leaves_nothing_behind() -> None:
    before = traces()
    with Bench() as bench:
        first, second = bench.radios(2)
        home = bench.home_ap(first)
        bench.phone(second).join(home.ssid, home.password, frequencies=[home.frequency])
        left_alone = subprocess.Popen(["ip", "netns", "exec", "home", "sleep", "600"])
        assert traces() != before
    assert traces() == before
    assert left_alone.wait(30) != 0
