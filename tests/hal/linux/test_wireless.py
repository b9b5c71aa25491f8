"""Who runs an interface is found out by asking; what nobody can run is not claimed."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import attrs
import pytest

from qiot.errors import ConfigurationError, NotSupportedError
from qiot.hal.contract import Capabilities, Combination, Role, SoftAp, SoftApSpec, Wifi
from qiot.hal.linux import LinuxPlatform
from qiot.hal.linux.radio import Radio
from qiot.hal.linux.wireless import Manager, Wireless
from qiot.hal.registry import parse_spec
from qiot.model import Secret
from tests.hal.linux.fakes import FakeAccessPoint, FakeLinks, FakeNl80211, FakeStation

AP, STATION = Role.ACCESS_POINT, Role.STATION
BOTH = Capabilities(
    (
        Combination(frozenset({STATION})),
        Combination(frozenset({AP})),
        Combination(frozenset({AP, STATION}), same_channel=True),
        Combination(frozenset({Role.SNIFF, Role.INJECT})),
    )
)


@attrs.define
class Bench:
    """A radio that two managers could run."""

    wireless: Wireless
    stations: list[FakeStation]
    access_points: list[FakeAccessPoint]
    asked: list[bool | None]


@pytest.fixture
async def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Bench]:
    asked: list[bool | None] = []

    async def probe(radio: Radio, *, ap_sta: bool | None) -> Capabilities:
        del radio
        asked.append(ap_sta)
        return BOTH

    monkeypatch.setattr("qiot.hal.linux.radio.Nl80211", FakeNl80211)
    monkeypatch.setattr("qiot.hal.linux.radio.Links", FakeLinks)
    monkeypatch.setattr("qiot.hal.linux.wireless.probe", probe)
    monkeypatch.setattr("qiot.hal.linux.neighbourhood.networks_of", lambda seen: seen)
    wireless = Wireless("wlan0", tmp_path, country=None, ap_sta=None, manager=None)
    made = Bench(wireless, [FakeStation(), FakeStation()], [FakeAccessPoint(), FakeAccessPoint()], asked)
    names = ("networkmanager", "wpa_supplicant")
    wireless._managers = [
        Manager(*each) for each in zip(names, made.stations, made.access_points, strict=True)
    ]
    yield made
    await wireless.close()


async def test_the_first_manager_that_can_is_taken(bench: Bench) -> None:
    assert await bench.wireless.capabilities() == BOTH
    await bench.wireless.ports[Wifi].settle(keep=False)  # type: ignore[attr-defined]
    assert [each.settled for each in bench.stations] == [[False], []]


async def test_the_next_is_asked_where_the_first_cannot(bench: Bench) -> None:
    bench.stations[0].refusal = NotSupportedError("NetworkManager does not run")
    await bench.wireless.ports[Wifi].settle(keep=False)  # type: ignore[attr-defined]
    assert [each.settled for each in bench.stations] == [[], [False]]
    bench.stations[0].refusal = None  # who was chosen stays
    await bench.wireless.ports[Wifi].settle(keep=False)  # type: ignore[attr-defined]
    assert bench.stations[0].settled == []


async def test_with_nobody_there_is_no_station_and_every_reason_is_said(bench: Bench) -> None:
    bench.stations[0].refusal = NotSupportedError("NetworkManager does not run")
    bench.stations[1].refusal = NotSupportedError("no wpa_supplicant", hint="apt install wpasupplicant")
    assert (await bench.wireless.capabilities()).roles == {Role.SNIFF, Role.INJECT}
    with pytest.raises(NotSupportedError, match="NetworkManager does not run; no wpa_supplicant") as caught:
        await bench.wireless.ports[Wifi].status()  # type: ignore[attr-defined]
    assert "apt install" in caught.value.hint
    bench.stations[1].refusal = None  # installed meanwhile
    assert STATION in (await bench.wireless.capabilities()).roles


async def test_a_manager_without_access_point_is_a_station_only(bench: Bench) -> None:
    bench.access_points[0].refusal = NotSupportedError("no dnsmasq", hint="apt install dnsmasq-base")
    found = await bench.wireless.capabilities()
    assert found.roles == {STATION, Role.SNIFF, Role.INJECT}
    assert found.together(AP, STATION) is None
    with pytest.raises(NotSupportedError, match="no dnsmasq"):
        await bench.wireless.ports[SoftAp].start(SoftApSpec(b"x", Secret("12345678")))  # type: ignore[attr-defined]


async def test_the_insisted_manager_is_the_only_one_asked(bench: Bench) -> None:
    bench.wireless._wanted = ("wpa_supplicant",)
    await bench.wireless.ports[Wifi].settle(keep=True)  # type: ignore[attr-defined]
    assert [each.settled for each in bench.stations] == [[], [True]]


@pytest.mark.parametrize(
    "options", ["country=Germany", "country=D1", "ap_sta=maybe", "manager=connman", "colour=red"]
)
def test_options_that_cannot_be_used_are_refused(options: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        LinuxPlatform(parse_spec(f"linux,{options}"))
    assert options.partition("=")[0] in str(caught.value)
