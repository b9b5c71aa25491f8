"""The Linux station and access point above their backends: finding networks, turns of the radio, channels."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import attrs
import pytest

from qiot.errors import HalError, JoinError, MediumError
from qiot.hal.contract import SoftApSpec, Station
from qiot.hal.linux.neighbourhood import Neighbourhood
from qiot.hal.linux.radio import Radio
from qiot.hal.linux.soft_ap import LinuxSoftAp
from qiot.hal.linux.wifi import LinuxWifi
from qiot.model import Credentials, Reason, Secret, Security
from tests.hal.helpers import until
from tests.hal.linux.fakes import IP, OWN, FakeAccessPoint, FakeLinks, FakeNl80211, FakeStation, Scan, network

SPEC = SoftApSpec(b"qcloud-softap", Secret("12345678"))
PASSWORD = "home-password"


@attrs.define
class Bench:
    """The ports with everything under them."""

    kernel: FakeNl80211
    station: FakeStation
    access_point: FakeAccessPoint
    wifi: LinuxWifi
    soft_ap: LinuxSoftAp
    beside: bool = True


@pytest.fixture
async def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Bench]:
    kernel = FakeNl80211()
    radio = Radio("wlan0", tmp_path)
    monkeypatch.setattr(radio, "nl80211", kernel)
    monkeypatch.setattr(radio, "links", FakeLinks())
    monkeypatch.setattr("qiot.hal.linux.neighbourhood.networks_of", lambda seen: seen)
    station, access_point, neighbourhood = FakeStation(), FakeAccessPoint(), Neighbourhood(radio)

    async def the_station() -> FakeStation:
        return station

    async def the_access_point() -> FakeAccessPoint:
        return access_point

    async def beside() -> bool:
        return made.beside

    soft_ap = LinuxSoftAp(radio, the_access_point, beside, neighbourhood)
    wifi = LinuxWifi(radio, the_station, neighbourhood, soft_ap)
    made = Bench(kernel, station, access_point, wifi, soft_ap)
    yield made
    await radio.close()
    assert kernel.added == []


def home(password: str = PASSWORD, **hints: object) -> Credentials:
    return Credentials(b"Home", Secret(password), **hints)  # type: ignore[arg-type]


# --- finding the network ----------------------------------------------------------------------------------


async def test_a_join_goes_to_the_strongest_of_that_name(bench: Bench) -> None:
    bench.kernel.air = [
        network(b"Other", last=7),
        network(signal=-70),
        network(last=2, number=11, signal=-40),
    ]
    assert await bench.wifi.join(home(), 10) == IP
    assert bench.station.targets == [
        attrs.evolve(bench.station.targets[0], ssid=b"Home", bssid=None, hidden=False, frequency=2462)
    ]


async def test_hints_say_where_to_look_first(bench: Bench) -> None:
    bench.kernel.air = [network(), network(last=2, number=11, signal=-80)]
    await bench.wifi.join(home(bssid=network(last=2).bssid, channel=11), 10)
    assert bench.kernel.scans == [Scan((b"",), (2462,))]
    (target,) = bench.station.targets
    assert (target.bssid, target.frequency) == (network(last=2).bssid, 2462)


@pytest.mark.parametrize("hints", [{"channel": 1}, {"channel": 149}, {"channel": 200}, {"bssid": bytes(6)}])
async def test_a_hint_that_leads_nowhere_costs_nothing_but_a_look(
    bench: Bench, hints: dict[str, object]
) -> None:
    bench.kernel.air = [network()]
    await bench.wifi.join(home(**hints), 10)
    (target,) = bench.station.targets
    assert (target.bssid, target.frequency) == (None, 2437)


async def test_a_network_that_hides_is_asked_for_by_name(bench: Bench) -> None:
    bench.kernel.hiding = [network()]
    await bench.wifi.join(home(), 10)
    assert [scan.ssids for scan in bench.kernel.scans] == [(b"",), (b"",), (b"Home", b"")]
    assert bench.station.targets[0].hidden


async def test_a_scan_goes_over_every_band_and_what_may_be_used(bench: Bench) -> None:
    bench.kernel.air = [network(signal=-70), network(last=2, number=36, signal=-40)]
    assert await bench.wifi.scan() == [bench.kernel.air[1], bench.kernel.air[0]]
    assert [scan.frequencies for scan in bench.kernel.scans] == [(2412, 2437, 2462), (5180,)]


async def test_a_fresh_scan_is_enough(bench: Bench) -> None:
    bench.kernel.air = [network()]
    assert await bench.wifi.scan() == [network()]
    bench.kernel.scans.clear()
    await bench.wifi.join(home(), 10)
    assert bench.kernel.scans == []


async def test_beside_the_access_point_the_scan_before_it_is_enough(bench: Bench) -> None:
    bench.kernel.air = [network()]
    await bench.soft_ap.start(SPEC)
    bench.kernel.scans.clear()
    await bench.wifi.join(home(), 10)
    assert bench.kernel.scans == []
    bench.kernel.air = [network(b"New")]
    await bench.wifi.join(attrs.evolve(home(), ssid=b"New"), 10)
    assert bench.kernel.scans
    await bench.soft_ap.stop()


async def test_no_such_access_point_is_said_after_several_looks(bench: Bench) -> None:
    bench.kernel.air = [network(b"Home2")]
    with pytest.raises(JoinError, match="Home is not in reach") as caught:
        await bench.wifi.join(home(), 10)
    assert caught.value.reason is Reason.NO_SUCH_AP
    assert [scan.ssids for scan in bench.kernel.scans] == 2 * [(b"",)] + 2 * [(b"Home", b"")]
    assert bench.station.targets == []


@pytest.mark.parametrize(("seconds", "reason"), [(0.05, Reason.NO_SUCH_AP), (0.0, Reason.JOIN_TIMEOUT)])
async def test_when_the_time_is_over_it_says_whether_it_could_look(
    bench: Bench, seconds: float, reason: Reason
) -> None:
    bench.kernel.slow_from = 1 if seconds else 0
    with pytest.raises(JoinError) as caught:
        await bench.wifi.join(home(), seconds)
    assert caught.value.reason is reason


@pytest.mark.parametrize("security", [Security.ENTERPRISE, Security.WEP, Security.UNKNOWN])
async def test_what_cannot_be_joined_is_told_as_such(bench: Bench, security: Security) -> None:
    bench.kernel.air = [network(security=security)]
    with pytest.raises(JoinError) as caught:
        await bench.wifi.join(home(), 10)
    assert caught.value.reason is Reason.UNSUPPORTED_SECURITY
    bench.kernel.air.append(network(last=2, signal=-90))  # a second one of that name that can
    await bench.wifi.scan()
    assert await bench.wifi.join(home(), 10) == IP


@pytest.mark.parametrize(
    ("password", "security", "right"),
    [
        ("", Security.WPA2, False),
        ("short", Security.WPA2, False),
        ("x" * 64, Security.WPA2, False),
        ("x" * 63, Security.WPA2, True),
        ("aB" * 32, Security.WPA2, True),
        ("short", Security.WPA3, True),
        ("", Security.WPA3, False),
        ("", Security.OPEN, True),
        ("anything", Security.OPEN, False),
    ],
)
async def test_a_password_that_cannot_be_right_is_refused_at_once(
    bench: Bench, password: str, security: Security, right: bool
) -> None:
    bench.kernel.air = [network(security=security)]
    if right:
        await bench.wifi.join(home(password), 10)
        assert bench.station.targets[0].security is security
        return
    with pytest.raises(JoinError) as caught:
        await bench.wifi.join(home(password), 10)
    assert caught.value.reason is Reason.WRONG_PASSWORD
    assert password not in str(caught.value) or not password
    assert bench.station.targets == []


async def test_a_join_without_a_name_or_beside_another_is_refused(bench: Bench) -> None:
    bench.kernel.air = [network()]
    with pytest.raises(HalError, match="name"):
        await bench.wifi.join(Credentials(None, Secret("")), 10)
    bench.station.going.clear()
    joining = asyncio.ensure_future(bench.wifi.join(home(), 10))
    await until(lambda: bench.station.targets)
    with pytest.raises(HalError, match="not finished"):
        await bench.wifi.join(home(), 10)
    joining.cancel()
    await asyncio.gather(joining, return_exceptions=True)
    bench.station.going.set()
    assert await bench.wifi.join(home(), 10) == IP


# --- the access point -------------------------------------------------------------------------------------


async def test_beside_the_station_it_has_an_interface_of_its_own(bench: Bench) -> None:
    bench.kernel.air = [network()]
    await bench.soft_ap.start(SPEC)
    assert bench.access_point.at == ("wlan0-ap", 2437)
    assert bench.kernel.added == ["wlan0-ap"]
    bench.kernel.associated = [b"phone1", b"phone2"]
    assert await bench.soft_ap.stations() == [Station(b"phone1", "192.168.4.2"), Station(b"phone2", None)]
    with pytest.raises(HalError, match="already"):
        await bench.soft_ap.start(SPEC)
    await bench.soft_ap.stop()
    await bench.soft_ap.stop()
    assert (bench.access_point.at, bench.kernel.added) == (None, [])
    assert await bench.soft_ap.stations() == ()


async def test_a_stop_that_was_cancelled_is_finished_by_the_next(bench: Bench) -> None:
    await bench.soft_ap.start(SPEC)
    bench.access_point.may_stop.clear()
    stopping = asyncio.ensure_future(bench.soft_ap.stop())
    await until(lambda: bench.access_point.stopping)
    stopping.cancel()
    await asyncio.gather(stopping, return_exceptions=True)
    bench.access_point.may_stop.set()
    await bench.soft_ap.stop()
    assert (bench.access_point.at, bench.kernel.added) == (None, [])


async def test_with_a_joined_station_it_is_on_the_same_channel(bench: Bench) -> None:
    bench.kernel.joined = (2462, b"Home")
    await bench.soft_ap.start(SPEC)
    assert bench.access_point.at == ("wlan0-ap", 2462)
    await bench.soft_ap.stop()


async def test_in_the_stations_place_no_join_is_possible_and_scans_are_remembered(bench: Bench) -> None:
    bench.beside = False
    bench.kernel.air = [network()]
    await bench.soft_ap.start(SPEC)
    assert bench.access_point.at == ("wlan0", 2437)
    bench.kernel.busy = True
    assert await bench.wifi.scan() == [network()]
    with pytest.raises(HalError, match="at once") as caught:
        await bench.wifi.join(home(), 10)
    assert not isinstance(caught.value, JoinError)
    await bench.soft_ap.stop()
    bench.kernel.busy = False
    assert await bench.wifi.join(home(), 10) == IP


@pytest.mark.parametrize("keep", [True, False])
async def test_others_may_not_scan_beside_it_but_for_a_join(bench: Bench, keep: bool) -> None:
    bench.kernel.air = [network()]
    await bench.soft_ap.start(SPEC)
    await until(lambda: bench.kernel.still)
    bench.station.going.clear()
    joining = asyncio.ensure_future(bench.wifi.join(home(), 10))
    await until(lambda: bench.station.targets)
    assert not bench.kernel.still
    joining.cancel()
    await asyncio.gather(joining, return_exceptions=True)
    await until(lambda: bench.kernel.still)
    bench.station.going.set()
    await bench.wifi.join(home(), 10)
    assert not bench.kernel.still
    await bench.wifi.settle(keep=keep)
    if not keep:
        await until(lambda: bench.kernel.still)
    await bench.soft_ap.stop()
    assert not bench.kernel.still


async def test_after_a_start_that_fails_others_may_scan(bench: Bench) -> None:
    bench.access_point.refused = {2437}
    with pytest.raises(HalError):
        await bench.soft_ap.start(SPEC)
    assert not bench.kernel.still
    assert len(asyncio.all_tasks()) == 1


async def test_a_join_and_an_access_point_do_not_wait_for_a_scan_of_somebody_else(bench: Bench) -> None:
    bench.kernel.air = [network()]
    await bench.wifi.join(home(channel=1), 10)
    assert bench.kernel.urgent == [True, True]
    await bench.soft_ap.start(SPEC)
    await bench.soft_ap.stop()
    assert bench.kernel.urgent == 4 * [True]
    await bench.wifi.scan()
    assert bench.kernel.urgent == 4 * [True] + 2 * [False]


async def test_a_radio_that_never_scanned_says_so(bench: Bench) -> None:
    bench.kernel.busy = True
    with pytest.raises(MediumError):
        await bench.wifi.scan()
    await bench.soft_ap.start(SPEC)  # it starts all the same
    await bench.soft_ap.stop()


async def test_our_own_access_point_is_no_neighbour(bench: Bench) -> None:
    ours = attrs.evolve(network(b"qcloud-softap"), bssid=b"\x06" + OWN[1:])
    await bench.soft_ap.start(SPEC)
    bench.kernel.air = [ours, network()]
    assert await bench.wifi.scan() == [network()]
    await bench.soft_ap.stop()


@pytest.mark.parametrize("can_move", [True, False])
async def test_a_join_takes_the_access_point_to_the_networks_channel(bench: Bench, can_move: bool) -> None:
    bench.access_point.can_move = can_move
    bench.kernel.air = [network(number=11)]
    await bench.soft_ap.start(SPEC)
    await bench.wifi.join(home(), 10)
    assert bench.access_point.at == ("wlan0-ap", 2462)
    assert bench.access_point.starts == (1 if can_move else 2)
    await bench.soft_ap.stop()


async def test_where_it_cannot_go_it_waits_until_the_join_is_undone(bench: Bench) -> None:
    bench.access_point.refused = {5180}
    bench.kernel.air = [network(number=36)]
    await bench.soft_ap.start(SPEC)
    await bench.wifi.join(home(), 10)
    assert bench.access_point.at is None
    await bench.wifi.settle(keep=False)
    assert bench.access_point.at == ("wlan0-ap", 2437)
    await bench.soft_ap.stop()
    assert bench.station.settled == [False]


@pytest.mark.parametrize(("number", "free"), [(36, "1, 6, 11"), (149, "1, 6, 11"), (13, "1, 6, 11")])
async def test_a_channel_that_may_not_be_used_is_refused(bench: Bench, number: int, free: str) -> None:
    with pytest.raises(HalError, match=f"channel {number}") as caught:
        await bench.soft_ap.start(attrs.evolve(SPEC, channel=number))
    assert caught.value.reason is Reason.CONFIGURATION
    assert free in caught.value.hint


async def test_a_failed_start_leaves_nothing_and_the_next_one_works(bench: Bench) -> None:
    bench.access_point.refused = {2437}
    with pytest.raises(HalError, match="not there"):
        await bench.soft_ap.start(SPEC)
    assert bench.kernel.added == []
    bench.access_point.refused = set()
    await bench.soft_ap.start(SPEC)
    await bench.soft_ap.stop()
