"""Wifi: the kinds of networks that a station meets."""

from __future__ import annotations

import attrs

from qiot.hal.conformance.bench import Bench
from qiot.hal.conformance.check import check
from qiot.hal.conformance.checks import station
from qiot.hal.contract import Wifi
from qiot.model import Credentials, Reason, Secret

_NOBODYS_BSSID = b"\x02\x00\x5e\x00\x53\x01"


async def _joined_and_left(bench: Bench, network: Credentials) -> None:
    wifi = bench.port(Wifi)
    await station.join(bench, wifi, network)
    await bench.call("Wifi.settle", wifi.settle(keep=False))


@check(Wifi, "join", disturbs=True)
async def an_open_network(bench: Bench) -> None:
    """It is joined without a password."""
    await _joined_and_left(bench, station.offered(bench.environment.open_network, "open_network"))


@check(Wifi, "join", disturbs=True)
async def a_hidden_network_is_found_too(bench: Bench) -> None:
    """The station has to ask for it by name."""
    await _joined_and_left(bench, station.offered(bench.environment.hidden_network, "hidden_network"))


@check(Wifi, "join", disturbs=True)
async def a_wpa3_network(bench: Bench) -> None:
    """Nobody says that it is one: the scan has to."""
    await _joined_and_left(bench, station.offered(bench.environment.wpa3_network, "wpa3_network"))


@check(Wifi, "join", disturbs=True)
async def a_password_for_an_open_network_is_wrong(bench: Bench) -> None:
    """An open network of the right name is somebody else's, or somebody's trap."""
    network = station.offered(bench.environment.open_network, "open_network")
    wanted = attrs.evolve(network, password=Secret("a-password-too-many"))
    await station.fails(bench, bench.port(Wifi), wanted, (Reason.WRONG_PASSWORD,))


@check(Wifi, "join", disturbs=True)
async def no_password_for_a_protected_network_is_wrong(bench: Bench) -> None:
    """WRONG_PASSWORD, as if a wrong one had been given."""
    wanted = attrs.evolve(station.home(bench), password=Secret(""))
    await station.fails(bench, bench.port(Wifi), wanted, (Reason.WRONG_PASSWORD,))


@check(Wifi, "join", disturbs=True)
async def hints_that_are_wrong_do_no_harm(bench: Bench) -> None:
    """BSSID and channel say where to look first; then the network is looked for everywhere."""
    home = station.home(bench)
    await _joined_and_left(bench, attrs.evolve(home, bssid=_NOBODYS_BSSID))
    await _joined_and_left(bench, attrs.evolve(home, channel=3))


@check(Wifi, "join", disturbs=True)
async def hints_that_are_right(bench: Bench) -> None:
    """As an air method gives them, who heard the phone's access point."""
    wifi, home = bench.port(Wifi), station.home(bench)
    found = [each for each in await bench.call("Wifi.scan", wifi.scan()) if each.ssid == home.ssid]
    for each in found[:1]:
        await _joined_and_left(bench, attrs.evolve(home, bssid=each.bssid, channel=each.channel))
