"""nl80211 and rtnetlink against the kernel: interfaces, scans, country, links, and what is refused."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import subprocess
import sys
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from qiot.errors import HalError, MediumError
from qiot.hal.contract import Role
from qiot.hal.linux.links import Links
from qiot.hal.linux.nl80211 import Nl80211
from qiot.hal.linux.probe import capabilities_of
from qiot.hal.linux.scan import networks_of
from qiot.model import Band, Network, Reason, Security

from lab.support.bench import Bench
from lab.support.programs import run
from lab.tests.stations import join_home

MAC = bytes.fromhex("020000000077")


@pytest_asyncio.fixture
async def wireless() -> AsyncIterator[Nl80211]:
    made = Nl80211()
    yield made
    await made.close()


@pytest_asyncio.fixture
async def links() -> AsyncIterator[Links]:
    made = Links()
    yield made
    await made.close()


@pytest.mark.duration(90)
@pytest.mark.limit(240)
async def test_every_kind_of_network_is_told(bench: Bench, wireless: Nl80211, links: Links) -> None:
    _, *others = bench.radios(6)
    kinds = {
        b"open": ("open", 1, False),
        b"wpa2": ("wpa2", 6, False),
        "家 3".encode(): ("wpa3", 36, False),
        b"mixed": ("wpa2+wpa3", 44, False),
        b"hides": ("wpa2", 11, True),
    }
    homes = {}
    for radio, (ssid, (security, channel, hidden)) in zip(others, kinds.items(), strict=True):
        homes[ssid] = await asyncio.to_thread(
            bench.home_ap,
            radio,
            ssid=ssid,
            security=security,
            password=None if security == "open" else "labpass1234",
            hidden=hidden,
            channel=channel,
            dhcp=False,
            name=f"home{channel}",
        )
    await links.up("wlan0")
    told: dict[bytes, Network] = {}
    for _ in range(3):  # one that hides is told by its beacons alone, which a look may miss
        found = networks_of(await wireless.scan("wlan0", ssids=[b""], timeout=30))
        told |= {each.ssid: each for each in found}
        if len(told) == len(kinds):
            break
    assert {ssid: (each.security, each.channel, each.band) for ssid, each in told.items()} == {
        b"open": (Security.OPEN, 1, Band.GHZ_2_4),
        b"wpa2": (Security.WPA2, 6, Band.GHZ_2_4),
        "家 3".encode(): (Security.WPA3, 36, Band.GHZ_5),
        b"mixed": (Security.WPA2_WPA3, 44, Band.GHZ_5),
        b"": (Security.WPA2, 11, Band.GHZ_2_4),
    }
    assert all(-100 <= each.signal < 0 for each in found)
    assert [each.signal for each in found] == sorted((each.signal for each in found), reverse=True)
    hidden = told[b""]
    assert hidden.bssid.hex(":") == homes[b"hides"].bssid
    # By name, and only on its channel.
    found = networks_of(
        await wireless.scan("wlan0", ssids=[b"hides", b""], frequencies=[2462], flush=True, timeout=20)
    )
    assert [(each.ssid, each.bssid) for each in found] == [(b"hides", hidden.bssid)]
    # It is still known, without a scan.
    assert {each.bssid for each in await wireless.scan_results("wlan0")} == {hidden.bssid}


@pytest.mark.duration(60)
@pytest.mark.limit(180)
async def test_scans_at_the_same_time_wait_for_each_other(
    bench: Bench, wireless: Nl80211, links: Links
) -> None:
    _, first = bench.radios(2)
    home = await asyncio.to_thread(bench.home_ap, first, dhcp=False)
    await links.up("wlan0")
    other = Nl80211()
    try:
        everywhere, there = await asyncio.gather(
            wireless.scan("wlan0", ssids=[b""], timeout=60),
            other.scan("wlan0", ssids=[home.ssid], frequencies=[2437], timeout=60),
        )
        for seen in (everywhere, there):
            assert [each.bssid.hex(":") for each in seen] == [home.bssid]
        # One that is cancelled lets the next begin at once.
        scanning = asyncio.ensure_future(other.scan("wlan0", ssids=[b""], timeout=60))
        done, _ = await asyncio.wait({scanning}, timeout=1)
        assert not done
        scanning.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await scanning
        async with asyncio.timeout(10):
            seen = await wireless.scan("wlan0", ssids=[b""], frequencies=[2437], timeout=10)
        assert [each.bssid.hex(":") for each in seen] == [home.bssid]
        with pytest.raises(MediumError) as caught:
            await wireless.scan("wlan0", ssids=[b""], timeout=0.5)
        assert caught.value.reason is Reason.TIMEOUT
    finally:
        await other.close()


@pytest.mark.duration(25)
async def test_scans_of_others_are_ended(bench: Bench, wireless: Nl80211, links: Links) -> None:
    _, first = bench.radios(2)
    home = await asyncio.to_thread(bench.home_ap, first, dhcp=False)
    await links.up("wlan0")
    other = Nl80211()
    try:
        # By an urgent one, which begins at once; the other begins again.
        everywhere = asyncio.ensure_future(other.scan("wlan0", ssids=[b""], timeout=60))
        await asyncio.wait({everywhere}, timeout=1)
        async with asyncio.timeout(5):
            seen = await wireless.scan("wlan0", ssids=[b""], frequencies=[2437], urgent=True, timeout=10)
        assert [each.bssid.hex(":") for each in seen] == [home.bssid]
        assert [each.bssid.hex(":") for each in await everywhere] == [home.bssid]
        # By whoever needs the radio for a while: one that runs, those that begin; one channel is let be.
        everywhere = asyncio.ensure_future(other.scan("wlan0", ssids=[b""], timeout=60))
        await asyncio.wait({everywhere}, timeout=1)
        keeping = asyncio.ensure_future(wireless.end_scans("wlan0"))
        with pytest.raises(MediumError, match="ends every scan"):
            await everywhere
        assert await other.scan("wlan0", ssids=[b""], frequencies=[2437], timeout=10)
        assert await wireless.scan("wlan0", ssids=[b""], frequencies=[2412, 2437], timeout=10)  # our own
        keeping.cancel()
        await asyncio.gather(keeping, return_exceptions=True)
        assert await other.scan("wlan0", ssids=[b""], frequencies=[2412, 2437], timeout=10)
    finally:
        await other.close()


@pytest.mark.duration(25)
async def test_an_access_point_that_is_gone_is_soon_forgotten(
    bench: Bench, wireless: Nl80211, links: Links
) -> None:
    _, first = bench.radios(2)
    home = await asyncio.to_thread(bench.home_ap, first, dhcp=False)
    await links.up("wlan0")
    assert await wireless.scan("wlan0", ssids=[b""], frequencies=[2437], timeout=20)
    home.vanish()
    async with asyncio.timeout(30):
        while await wireless.scan("wlan0", ssids=[b""], frequencies=[2437], timeout=20):
            pass  # each scan takes its time
    assert await wireless.scan("wlan0", ssids=[b""], frequencies=[2437], flush=True, timeout=20) == []


@pytest.mark.duration(25)
async def test_interfaces_come_and_go(bench: Bench, wireless: Nl80211, links: Links) -> None:
    bench.radios(2)
    radio = await wireless.wiphy("wlan0")
    assert {"managed", "ap", "monitor"} <= radio.modes
    assert "monitor" in radio.software_modes
    assert [limit.channels for limit in radio.limits] == [1]
    assert [each.number for each in radio.channels][:13] == list(range(1, 14))
    assert {each.band for each in radio.channels} >= {Band.GHZ_2_4, Band.GHZ_5}
    together = capabilities_of(radio, ap_sta=None).together(Role.STATION, Role.ACCESS_POINT, Role.SNIFF)
    assert together is not None
    assert together.same_channel

    for mode, mac in (("managed", MAC), ("ap", MAC), ("monitor", None)):
        await wireless.add_interface(radio.index, "wlan0-second", mode, mac=mac)
        made = await wireless.interface("wlan0-second")
        assert (made.mode, made.wiphy, made.frequency, made.ssid) == (mode, radio.index, None, None)
        assert mac in {None, made.mac}
        assert {each.name for each in await wireless.interfaces(radio.index)} == {"wlan0", "wlan0-second"}
        assert {each.name for each in await wireless.interfaces()} == {"wlan0", "wlan1", "wlan0-second"}
        await wireless.remove_interface("wlan0-second")
        await wireless.remove_interface("wlan0-second")
        assert not await links.exists("wlan0-second")
    await wireless.set_mode("wlan0", "monitor")
    assert (await wireless.interface("wlan0")).mode == "monitor"
    await links.up("wlan0")
    assert await wireless.set_frequency("wlan0", 2462) == 2462
    assert (await wireless.interface("wlan0")).frequency == 2462
    with pytest.raises(HalError) as caught:
        await wireless.set_frequency("wlan0", 2411)
    assert caught.value.code == errno.EINVAL


@pytest.mark.duration(45)
async def test_a_joined_station_holds_the_channel(bench: Bench, wireless: Nl80211, links: Links) -> None:
    device, first = bench.radios(2)
    home = await asyncio.to_thread(bench.home_ap, first, channel=11, dhcp=False)
    ours = await asyncio.to_thread(bench.supplicant, device)
    await asyncio.to_thread(join_home, ours, home)
    own = await wireless.interface("wlan0")
    assert (own.ssid, own.frequency) == (home.ssid, 2462)
    await wireless.add_interface(own.wiphy, "wlan0-mon", "monitor")
    await links.up("wlan0-mon")
    assert await wireless.set_frequency("wlan0-mon", 2412) == 2462
    assert await wireless.frequency("wlan0-mon") == 2462
    assert [each.associated for each in await wireless.scan_results("wlan0")] == [True]
    await wireless.remove_interface("wlan0-mon")
    assert (await wireless.interface("wlan0")).ssid == home.ssid


@pytest.mark.duration(30)
async def test_the_stations_of_an_access_point(bench: Bench) -> None:
    _, first, second = bench.radios(3)
    home = await asyncio.to_thread(bench.home_ap, first, security="open", password=None)
    phone = await asyncio.to_thread(bench.phone, second)
    await asyncio.to_thread(phone.join, home.ssid, None, frequencies=[home.frequency])
    code = f"""
import asyncio, sys
sys.path[:0] = {sys.path!r}
from qiot.hal.linux.nl80211 import Nl80211
async def main():
    wireless = Nl80211()
    print([each.hex(":") for each in await wireless.stations(sys.argv[1])])
    await wireless.close()
asyncio.run(main())
"""
    shown = await asyncio.to_thread(
        run, [sys.executable, "-c", code, first.interface], namespace=first.namespace_name
    )
    assert shown.strip() == str([phone.radio.address])


@pytest.mark.duration(20)
async def test_the_country(bench: Bench, wireless: Nl80211) -> None:
    bench.radios(1, country=None)
    await wireless.set_country("DE")
    assert await wireless.country() == "DE"
    channels = {
        each.number: each for each in (await wireless.wiphy("wlan0")).channels if each.band is Band.GHZ_2_4
    }
    assert not channels[13].disabled
    await wireless.set_country("us")
    assert await wireless.country() == "US"
    channels = {
        each.number: each for each in (await wireless.wiphy("wlan0")).channels if each.band is Band.GHZ_2_4
    }
    assert channels[13].disabled
    with pytest.raises(HalError, match="keeps US"):
        await wireless.set_country("XX")
    for code in ("D", "1A", "GERMANY", "ÄÖ", ""):
        with pytest.raises(HalError) as caught:
            await wireless.set_country(code)
        assert caught.value.reason is Reason.CONFIGURATION
    await wireless.set_country("00")
    assert await wireless.country() == "00"


@pytest.mark.duration(20)
async def test_what_is_refused_says_why(bench: Bench, wireless: Nl80211, links: Links) -> None:
    bench.radios(1)
    for verb in (wireless.interface, wireless.wiphy, wireless.stations, wireless.scan_results):
        with pytest.raises(MediumError, match="lo is not wireless"):
            await verb("lo")
        with pytest.raises(MediumError, match="no interface nowhere0") as caught:
            await verb("nowhere0")
        assert (caught.value.reason, caught.value.code) == (Reason.MEDIUM, errno.ENODEV)
    for name in ("is_up", "up", "down", "addresses", "gateway", "flush"):
        with pytest.raises(MediumError, match="no interface nowhere0"):
            await getattr(links, name)("nowhere0")
    with pytest.raises(MediumError, match="is down"):
        await wireless.scan("wlan0", timeout=5)


UNPRIVILEGED = f"""
import asyncio, sys
sys.path[:0] = {sys.path!r}
from qiot.errors import HalError
from qiot.hal.linux.links import Links
from qiot.hal.linux.nl80211 import Nl80211
async def main():
    wireless, links = Nl80211(), Links()
    own = await wireless.interface("wlan0")
    assert own.mode == "managed"
    number = own.wiphy
    for verb in (
        wireless.add_interface(number, "wlan0-mon", "monitor"),
        wireless.set_mode("wlan0", "monitor"),
        wireless.set_frequency("wlan0", 2412),
        wireless.scan("wlan0", timeout=5),
        links.up("wlan0"),
        links.add_address("wlan0", "192.168.4.1", 24),
    ):
        try:
            await verb
        except HalError as error:
            print(error.reason, error.code, error.hint, sep="|")
        else:
            print("allowed")
    await wireless.close()
    await links.close()
asyncio.run(main())
"""


@pytest.mark.duration(20)
async def test_without_rights_the_hint_says_which(bench: Bench) -> None:
    bench.radios(1)
    words = [
        "setpriv",
        "--bounding-set",
        "-net_admin",
        "--inh-caps",
        "-net_admin",
        sys.executable,
        "-c",
        UNPRIVILEGED,
    ]
    done = await asyncio.to_thread(
        subprocess.run, words, capture_output=True, text=True, timeout=100, check=False
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.split("\n")[:-1]
    assert lines == ["no permission|1|Run as root or give CAP_NET_ADMIN."] * 6


@pytest.mark.duration(20)
async def test_links(bench: Bench, links: Links, wireless: Nl80211) -> None:
    bench.radios(1)
    assert await links.exists("wlan0")
    assert not await links.exists("wlan9")
    assert not await links.is_up("wlan0")
    for _ in range(2):
        await links.up("wlan0")
        assert await links.is_up("wlan0")
    for _ in range(2):
        await links.add_address("wlan0", "192.168.4.1", 24)
        await links.add_address("wlan0", "10.9.8.7", 16)
        assert await links.addresses("wlan0") == [("192.168.4.1", 24), ("10.9.8.7", 16)]
    assert await links.gateway("wlan0") is None
    for metric, router in (("900", "192.168.4.9"), ("100", "10.9.0.1")):
        run(["ip", "route", "add", "default", "via", router, "dev", "wlan0", "metric", metric])
    assert await links.gateway("wlan0") == "10.9.0.1"
    assert await links.gateway("lo") is None
    run(["ip", "neigh", "replace", "192.168.4.50", "lladdr", MAC.hex(":"), "dev", "wlan0"])
    assert await links.neighbours("wlan0") == {MAC: "192.168.4.50"}
    for _ in range(2):
        await links.remove_address("wlan0", "10.9.8.7", 16)
        assert await links.addresses("wlan0") == [("192.168.4.1", 24)]
    await links.flush("wlan0")
    assert await links.addresses("wlan0") == []
    for _ in range(2):
        await links.down("wlan0")
        assert not await links.is_up("wlan0")
    await links.set_mac("wlan0", MAC)
    assert (await wireless.interface("wlan0")).mac == MAC
    waiting = asyncio.ensure_future(links.wait_present("wlan0-second", 20))
    other = Nl80211()
    await other.add_interface((await other.interface("wlan0")).wiphy, "wlan0-second", "managed")
    await waiting
    waiting = asyncio.ensure_future(links.wait_gone("wlan0-second", 20))
    await other.remove_interface("wlan0-second")
    await waiting
    await other.close()
    for wait in (links.wait_present("wlan0-second", 0.2), links.wait_gone("wlan0", 0.2)):
        with pytest.raises(MediumError) as caught:
            await wait
        assert caught.value.reason is Reason.TIMEOUT
    await links.remove_address("nowhere0", "10.0.0.1", 8)
